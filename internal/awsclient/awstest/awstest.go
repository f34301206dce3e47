// Package awstest gives tests AWS clients of a LocalStack and resources of their own.
package awstest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/awsclient"
)

// Clients are clients of the LocalStack that AWS_ENDPOINT_URL names. A test without one fails: it would
// prove nothing, and must never reach a real account.
func Clients(t *testing.T) *awsclient.Clients {
	t.Helper()
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		t.Fatal("this test needs a LocalStack: run `make test`, or start one for this shell with\n" +
			"\tlocalstack/host.sh start && eval \"$(localstack/host.sh env)\"")
	}
	c, err := awsclient.Load(t.Context(), awsclient.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Name is a name that no other test has: lower case, valid for queues, buckets and tables.
func Name(kind string) string {
	return "carasso-test-" + kind + "-" + strings.ToLower(rand.Text()[:12])
}

// Queue makes a queue and its dead-letter queue, set up as names say (whose own names are replaced), and
// removes them after the test.
func Queue(t *testing.T, c *awsclient.Clients, names awsclient.Names) (queueURL, deadURL string) {
	t.Helper()
	names.Queue = Name("queue")
	names.DeadQueue = names.Queue + "-dead"
	queueURL, deadURL, err := awsclient.ProvisionQueue(t.Context(), c, names)
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, func(ctx context.Context) {
		removeQueue(ctx, t, c, queueURL)
		removeQueue(ctx, t, c, deadURL)
	})
	return queueURL, deadURL
}

// Bucket makes an empty bucket and removes it with all that is in it after the test.
func Bucket(t *testing.T, c *awsclient.Clients) string {
	t.Helper()
	name := Name("bucket")
	if err := awsclient.ProvisionBucket(t.Context(), c, name); err != nil {
		t.Fatal(err)
	}
	cleanup(t, func(ctx context.Context) { removeBucket(ctx, t, c, name) })
	return name
}

// Table makes an empty table and removes it after the test.
func Table(t *testing.T, c *awsclient.Clients) string {
	t.Helper()
	name := Name("table")
	if err := awsclient.ProvisionTable(t.Context(), c, name); err != nil {
		t.Fatal(err)
	}
	cleanup(t, func(ctx context.Context) { removeTable(ctx, t, c, name) })
	return name
}

func cleanup(t *testing.T, remove func(context.Context)) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := cleanupContext(t)
		defer cancel()
		remove(ctx)
	})
}

// cleanupContext is for after the test, whose own context has ended by then.
func cleanupContext(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
}
