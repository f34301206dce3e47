package main

import (
	"context"
	"time"

	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/telemetry"
)

// backends are the ports behind which embedded mode and AWS differ. Everything above them
// is the same code.
type backends struct {
	used    usage.Source // what of them was used
	queue   queue
	objects objects
	live    live
}

// queue carries envelopes at least once; internal/queuetest is its contract.
type queue interface {
	Send(ctx context.Context, bodies [][]byte) []error
	Receive(ctx context.Context, limit int, wait time.Duration) ([]telemetry.Delivery, error)
	Extend(ctx context.Context, ds []telemetry.Delivery, visibility time.Duration) error
	Release(ctx context.Context, ds []telemetry.Delivery, delay time.Duration) error
	Delete(ctx context.Context, ds []telemetry.Delivery) error
	Depth(ctx context.Context) (telemetry.QueueDepth, error)
	ReceiveDead(ctx context.Context, limit int) ([]telemetry.Delivery, error)
	DeleteDead(ctx context.Context, ds []telemetry.Delivery) error
}

// objects is the object store; internal/objecttest is its contract.
type objects interface {
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
	Get(ctx context.Context, key string) ([]byte, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error
}

// live is the live store; internal/livetest is its contract.
type live interface {
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error)
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	Delete(ctx context.Context, key string) error
}
