package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/dynamo"
	"github.com/carasso/carasso/internal/sqs"
)

// awsFlags name the resources on AWS. Region, credentials and endpoints come the way every
// AWS tool takes them; AWS_ENDPOINT_URL points at LocalStack.
type awsFlags struct {
	QueueURL     string `env:"CARASSO_QUEUE_URL" required:"" help:"SQS queue of envelopes."`
	DeadQueueURL string `env:"CARASSO_DEAD_QUEUE_URL" required:"" help:"Its dead-letter queue."`
	Bucket       string `env:"CARASSO_BUCKET" required:"" help:"S3 bucket of archive, map and tiles."`
	TileBucket   string `env:"CARASSO_TILE_BUCKET" help:"S3 bucket of tiles and releases, which may be public; the same bucket if empty."`
	Table        string `env:"CARASSO_TABLE" required:"" help:"DynamoDB table of live state."`
}

// open makes the adapters; close ends their connections.
func (f awsFlags) open(ctx context.Context, log *slog.Logger, reg prometheus.Registerer) (b backends, closeAll func(), err error) {
	clients, err := awsclient.Load(ctx, awsclient.Config{}, reg)
	if err != nil {
		return backends{}, nil, fmt.Errorf("aws: %w", err)
	}
	q, err := sqs.New(clients.SQS(), sqs.Config{QueueURL: f.QueueURL, DeadQueueURL: f.DeadQueueURL}, log, reg)
	if err != nil {
		return backends{}, nil, err
	}
	o, err := openObjects(clients, f.Bucket, f.TileBucket)
	if err != nil {
		return backends{}, nil, err
	}
	l, err := dynamo.New(clients.DynamoDB(), f.Table)
	if err != nil {
		return backends{}, nil, err
	}
	return backends{used: sdkUsage(clients.Meter), queue: q, objects: o, live: l}, clients.Close, nil
}
