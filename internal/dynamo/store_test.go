package dynamo_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/awsclient/awstest"
	"github.com/carasso/carasso/internal/dynamo"
	"github.com/carasso/carasso/internal/livetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *dynamo.Store {
	t.Helper()
	c := awstest.Clients(t)
	store, err := dynamo.New(c.DynamoDB(), awstest.Table(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestConformance(t *testing.T) {
	t.Parallel()
	store := open(t)
	livetest.Run(t, func(*testing.T) livetest.Store { return store }, livetest.Options{Rounds: 8})
}

func TestExpiryIsInTheTableForDynamoDB(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	table := awstest.Table(t, c)
	store, err := dynamo.New(c.DynamoDB(), table)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), "key", []byte("value"), time.Hour); err != nil {
		t.Fatal(err)
	}
	out, err := c.DynamoDB().GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &table, Key: map[string]types.AttributeValue{"k": &types.AttributeValueMemberS{Value: "key"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := out.Item["expires"].(*types.AttributeValueMemberN); !ok {
		t.Errorf("the item has no number as its expiry: %v", out.Item)
	}
	ttl, err := c.DynamoDB().DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &table})
	if err != nil {
		t.Fatal(err)
	}
	if d := ttl.TimeToLiveDescription; d.AttributeName == nil || *d.AttributeName != "expires" || d.TimeToLiveStatus != types.TimeToLiveStatusEnabled {
		t.Errorf("time to live of the table: %+v", d)
	}
}

// lossy carries out the first write and loses the answer, as a broken connection does; the client then
// repeats it, which here the wrapper does in its place.
type lossy struct {
	*dynamodb.Client
	lost atomic.Bool
}

func (l *lossy) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if !l.lost.Swap(true) {
		if _, err := l.Client.PutItem(ctx, in, opts...); err != nil {
			return nil, err
		}
	}
	return l.Client.PutItem(ctx, in, opts...)
}

func TestRepeatedWriteRecognisesItself(t *testing.T) {
	t.Parallel()
	c := awstest.Clients(t)
	table := awstest.Table(t, c)
	for name, write := range map[string]func(*dynamo.Store) (bool, error){
		"Create":     func(s *dynamo.Store) (bool, error) { return s.Create(t.Context(), "lease", []byte("me"), time.Hour) },
		"PutIfNewer": func(s *dynamo.Store) (bool, error) { return s.PutIfNewer(t.Context(), "tile", 7, []byte("me"), 0) },
	} {
		store, err := dynamo.New(&lossy{Client: c.DynamoDB()}, table)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := write(store); err != nil || !ok {
			t.Errorf("%s whose answer was lost = %v, %v, want true", name, ok, err)
		}
		if ok, err := write(store); err != nil || ok {
			t.Errorf("another %s = %v, %v, want false", name, ok, err)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	store, err := dynamo.New(nil, "table") // refused before any request
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Get(t.Context(), strings.Repeat("k", 201)); !errors.Is(err, dynamo.ErrInvalidKey) {
		t.Errorf("Get = %v, want ErrInvalidKey", err)
	}
	if _, err := store.Create(t.Context(), "key", make([]byte, dynamo.MaxValue+1), 0); !errors.Is(err, dynamo.ErrInvalidItem) {
		t.Errorf("Create = %v, want ErrInvalidItem", err)
	}
	if _, err := dynamo.New(nil, ""); err == nil {
		t.Error("New without a table returned no error")
	}
}
