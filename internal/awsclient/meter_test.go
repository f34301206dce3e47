package awsclient

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
)

func TestPrice(t *testing.T) {
	t.Parallel()
	item := func(n int) map[string]ddbtypes.AttributeValue {
		return map[string]ddbtypes.AttributeValue{"v": &ddbtypes.AttributeValueMemberB{Value: make([]byte, n)}}
	}
	capacity := &ddbtypes.ConsumedCapacity{CapacityUnits: aws.Float64(3)}
	for _, test := range []struct {
		name          string
		input, output any
		class         string
		units         float64
	}{
		{"empty poll", &sqs.ReceiveMessageInput{}, &sqs.ReceiveMessageOutput{}, classRequest, 1},
		{"failed poll", &sqs.ReceiveMessageInput{}, (*sqs.ReceiveMessageOutput)(nil), classRequest, 1},
		{"one chunk", &sqs.SendMessageInput{MessageBody: aws.String(strings.Repeat("a", 64<<10))}, nil, classRequest, 1},
		{"a byte more", &sqs.SendMessageInput{MessageBody: aws.String(strings.Repeat("a", 64<<10+1))}, nil, classRequest, 2},
		{"delete batch", &sqs.DeleteMessageBatchInput{}, nil, classRequest, 1},
		{"put", &s3.PutObjectInput{}, nil, classPut, 1},
		{"get", &s3.GetObjectInput{}, nil, classGet, 1},
		{"list", &s3.ListObjectsV2Input{}, nil, classPut, 1},
		{"delete", &s3.DeleteObjectInput{}, nil, classFree, 1},
		{"write as told", &dynamodb.PutItemInput{Item: item(10)}, &dynamodb.PutItemOutput{ConsumedCapacity: capacity}, classWrite, 3},
		{"refused write by size", &dynamodb.PutItemInput{Item: item(2 << 10)}, nil, classWrite, 3},
		{"read as told", &dynamodb.GetItemInput{}, &dynamodb.GetItemOutput{ConsumedCapacity: capacity}, classRead, 3},
		{"consistent read", &dynamodb.GetItemInput{ConsistentRead: aws.Bool(true)}, &dynamodb.GetItemOutput{Item: item(5 << 10)}, classRead, 2},
		{"eventual read", &dynamodb.GetItemInput{}, &dynamodb.GetItemOutput{}, classRead, 0.5},
	} {
		if class, units := price(test.input, test.output); class != test.class || units != test.units {
			t.Errorf("%s: %v %s, want %v %s", test.name, units, class, test.units, test.class)
		}
	}
}

// Repetitions are billed, and a call that never went out is not.
func TestMeterCountsAttempts(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	c, err := Load(t.Context(), Config{MaxAttempts: 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.SQS().ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String("queue")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SQS().ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{}); err == nil { // refused by the SDK
		t.Fatal("ReceiveMessage without a queue succeeded")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.SQS().ReceiveMessage(cancelled, &sqs.ReceiveMessageInput{QueueUrl: aws.String("queue")}); err == nil {
		t.Fatal("ReceiveMessage with an ended context succeeded")
	}
	got := c.Meter.Snapshot()
	want := []Usage{{Service: "SQS", Operation: "ReceiveMessage", Requests: 2, Class: classRequest, Units: 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}
