package awsclient_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/awsclient/awstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for field, c := range map[string]awsclient.Config{
		"MaxAttempts":     {MaxAttempts: 21},
		"MaxConns":        {MaxConns: -1},
		"ConnectTimeout":  {ConnectTimeout: -1},
		"ResponseTimeout": {ResponseTimeout: 20 * time.Second},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate = %v, want an error that names %s", err, field)
		}
	}
}

func TestLoadNeedsARegion(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	if _, err := awsclient.Load(t.Context(), awsclient.Config{}, nil); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("Load = %v, want an error that names AWS_REGION", err)
	}
}

func TestProvisionIsIdempotentAndCorrects(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	names := awsclient.DefaultNames()
	names.Queue, names.DeadQueue = awstest.Name("queue"), awstest.Name("dead")
	names.Bucket, names.Table = awstest.Name("bucket"), awstest.Name("table")
	t.Cleanup(func() { awstest.Remove(t, c, names) })
	var first awsclient.Resources
	for i, visibility := range []time.Duration{names.Visibility, 7 * time.Second} {
		names.Visibility = visibility
		r, err := awsclient.Provision(t.Context(), c, names)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = r
		} else if r != first {
			t.Errorf("Provision again = %+v, want %+v", r, first)
		}
	}
	out, err := c.SQS().GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &first.QueueURL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := out.Attributes
	if got["VisibilityTimeout"] != "7" || got["MessageRetentionPeriod"] != "1209600" || got["MaximumMessageSize"] != "1048576" {
		t.Errorf("queue attributes: %v", got)
	}
	if p := got["RedrivePolicy"]; !strings.Contains(p, names.DeadQueue) || !strings.Contains(p, "5") {
		t.Errorf("redrive policy: %s", p)
	}
	if len(first.Environment()) != 4 {
		t.Errorf("environment: %v", first.Environment())
	}
}

// The meter prices what LocalStack was asked, as AWS would.
func TestMeterCountsWhatIsBilled(t *testing.T) {
	t.Parallel()
	names := awsclient.DefaultNames()
	owner := awstest.Clients(t)
	url, _ := awstest.Queue(t, owner, names)
	reg := prometheus.NewRegistry()
	c, err := awsclient.Load(t.Context(), awsclient.Config{}, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	api := c.SQS()
	body, kind := "1", "Binary"
	entry := func(id string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{
			Id: &id, MessageBody: &body,
			MessageAttributes: map[string]types.MessageAttributeValue{"e": {DataType: &kind, BinaryValue: make([]byte, 60<<10)}},
		}
	}
	// 3 × 60 KiB fill 3 chunks of 64 KiB, though they are one request.
	if _, err := api.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{entry("a"), entry("b"), entry("c")},
	}); err != nil {
		t.Fatal(err)
	}
	// An empty receive is a request too.
	if _, err := api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"e"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10}); err != nil {
		t.Fatal(err)
	}
	want := []awsclient.Usage{
		{Service: "SQS", Operation: "ReceiveMessage", Requests: 2, Class: "request", Units: 4},
		{Service: "SQS", Operation: "SendMessageBatch", Requests: 1, Class: "request", Units: 3},
	}
	if diff := cmp.Diff(want, c.Meter.Snapshot()); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			total[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(map[string]float64{"carasso_aws_requests_total": 3, "carasso_aws_billed_units_total": 7}, total); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
