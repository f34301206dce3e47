// Package queuetest is the conformance suite of the queue port: every adapter that
// carries envelopes from receivers to workers passes it.
package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// MaxBody is the largest body in bytes that a queue has to take; a larger one is
// refused by Send.
const MaxBody = 256 << 10

// MaxSend is the largest number of bodies in one call of Send.
const MaxSend = 10

// Queue is the port. Delivery is at least once and in no promised order. All methods
// are safe for concurrent use and end with an error soon after ctx ends.
type Queue interface {
	// Send queues up to MaxSend bodies of up to MaxBody bytes each and returns when they are
	// durable. nil means that all were accepted; otherwise it has one entry a body, nil for
	// those that were. A body with an error may have been queued all the same, if the answer was lost.
	// Send doesn't keep the bodies.
	Send(ctx context.Context, bodies [][]byte) []error
	// Receive hands out 1 to limit messages as soon as there are any, and none and no error when
	// wait has passed without. They are invisible to others until the queue's visibility
	// time has passed; then they are handed out again, with Attempts one higher. A message that was
	// handed out more often than the queue's maximum goes to the dead letters instead.
	Receive(ctx context.Context, limit int, wait time.Duration) ([]telemetry.Delivery, error)
	// Extend keeps the messages invisible for visibility from now on.
	Extend(ctx context.Context, ds []telemetry.Delivery, visibility time.Duration) error
	// Release gives the messages back: they become visible after delay.
	Release(ctx context.Context, ds []telemetry.Delivery, delay time.Duration) error
	// Delete removes the messages for good. Deleting twice, or what was handed out again since,
	// is no error.
	Delete(ctx context.Context, ds []telemetry.Delivery) error
	// Depth is the queue's state; it may lag behind by a few seconds.
	Depth(ctx context.Context) (telemetry.QueueDepth, error)
	// ReceiveDead hands out up to limit dead letters without waiting for any.
	ReceiveDead(ctx context.Context, limit int) ([]telemetry.Delivery, error)
	// DeleteDead removes dead letters for good.
	DeleteDead(ctx context.Context, ds []telemetry.Delivery) error
}

// Options say how the queues are set up that the suite gets.
type Options struct {
	// Visibility is the queues' visibility time; default 2 s. Shorter makes the suite faster.
	Visibility time.Duration
	// MaxReceive is how often a message is handed out before it becomes a dead letter; default 3.
	MaxReceive int
	// Granularity is the resolution of the adapter's times, and how much too early a message may
	// become visible; default 1 s, as SQS has it.
	Granularity time.Duration
	// Patience bounds each wait for something that has to happen; default 30 s.
	Patience time.Duration
	// LargestBody is the size of the largest body that is sent; default 200 KiB.
	LargestBody int
}

func (o Options) withDefaults() Options {
	if o.Visibility == 0 {
		o.Visibility = 2 * time.Second
	}
	if o.MaxReceive == 0 {
		o.MaxReceive = 3
	}
	if o.Granularity == 0 {
		o.Granularity = time.Second
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	if o.LargestBody == 0 {
		o.LargestBody = 200 << 10
	}
	return o
}

// Run runs the suite. open returns a queue that is empty, nobody else's and set up as opts say; it
// registers its own cleanup. Subtests run in parallel.
func Run(t *testing.T, open func(t *testing.T) Queue, opts Options) {
	t.Helper()
	opts = opts.withDefaults()
	tests := []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"RoundTrip", testRoundTrip},
		{"SendKeepsNothing", testSendKeepsNothing},
		{"SendPartial", testSendPartial},
		{"SendCancelled", testSendCancelled},
		{"SendNothing", testSendNothing},
		{"ReceiveEmptyWaits", testReceiveEmptyWaits},
		{"ReceiveWakesOnArrival", testReceiveWakesOnArrival},
		{"ReceiveCancelled", testReceiveCancelled},
		{"ReceiveLimit", testReceiveLimit},
		{"ConsumersAreDisjoint", testConsumersAreDisjoint},
		{"Redelivery", testRedelivery},
		{"DeleteAfterRedelivery", testDeleteAfterRedelivery},
		{"DeleteIsIdempotent", testDeleteIsIdempotent},
		{"Extend", testExtend},
		{"ReleaseAtOnce", testReleaseAtOnce},
		{"ReleaseWithDelay", testReleaseWithDelay},
		{"DeadLetterByRelease", testDeadLetterByRelease},
		{"DeadLetterByExpiry", testDeadLetterByExpiry},
		{"Depth", testDepth},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, &fixture{queue: open(t), opts: opts})
		})
	}
}
