package sqs_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/awsclient/awstest"
	"github.com/carasso/carasso/internal/queuetest"
	"github.com/carasso/carasso/internal/sqs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a queue of the test's own.
func open(t *testing.T, change func(*awsclient.Names, *sqs.Config)) *sqs.Queue {
	t.Helper()
	c := awstest.Clients(t)
	names, cfg := awsclient.DefaultNames(), sqs.Config{}
	if change != nil {
		change(&names, &cfg)
	}
	cfg.QueueURL, cfg.DeadQueueURL = awstest.Queue(t, c, names)
	q, err := sqs.New(c.SQS(), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestConformance(t *testing.T) {
	t.Parallel()
	opts := queuetest.Options{Visibility: 2 * time.Second, MaxReceive: 3, Granularity: time.Second}
	queuetest.Run(t, func(t *testing.T) queuetest.Queue {
		t.Helper()
		return open(t, func(names *awsclient.Names, _ *sqs.Config) {
			names.Visibility, names.MaxReceive = opts.Visibility, opts.MaxReceive
		})
	}, opts)
}
