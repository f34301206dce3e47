package queuetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// fixture is a queue under test with the steps that the tests are made of.
type fixture struct {
	queue Queue
	opts  Options
}

func (f *fixture) send(t *testing.T, bodies ...[]byte) {
	t.Helper()
	for chunk := range slices.Chunk(bodies, MaxSend) {
		if errs := f.queue.Send(t.Context(), chunk); errs != nil {
			t.Fatalf("Send: %v", errors.Join(errs...))
		}
	}
}

// receive takes exactly n messages, in however many calls, and checks their metadata.
func (f *fixture) receive(t *testing.T, n int) []telemetry.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), f.opts.Patience)
	defer cancel()
	var got []telemetry.Delivery
	for len(got) < n {
		limit := min(n-len(got), MaxSend)
		ds, err := f.queue.Receive(ctx, limit, time.Second)
		if err != nil {
			t.Fatalf("Receive: %v, after %d of %d messages", err, len(got), n)
		}
		if len(ds) > limit {
			t.Fatalf("Receive(%d) returned %d messages", limit, len(ds))
		}
		for _, d := range ds {
			if age := time.Since(d.SentAt); age < -time.Minute || age > time.Hour {
				t.Errorf("SentAt is %v, %v ago", d.SentAt, age)
			}
		}
		got = append(got, ds...)
	}
	return got
}

// receiveOne takes one message and checks how often it was handed out.
func (f *fixture) receiveOne(t *testing.T, attempts int) telemetry.Delivery {
	t.Helper()
	d := f.receive(t, 1)[0]
	if d.Attempts != attempts {
		t.Errorf("Attempts = %d, want %d", d.Attempts, attempts)
	}
	return d
}

// empty checks that no message becomes visible within wait.
func (f *fixture) empty(t *testing.T, wait time.Duration) {
	t.Helper()
	until := time.Now().Add(wait)
	for {
		left := max(time.Until(until), 0)
		ds, err := f.queue.Receive(t.Context(), MaxSend, left)
		if err != nil {
			t.Fatalf("Receive: %v", err)
		}
		if len(ds) > 0 {
			t.Fatalf("Receive returned %d messages %v before the time, want none", len(ds), time.Until(until))
		}
		if !time.Now().Before(until) {
			return
		}
	}
}

func (f *fixture) delete(t *testing.T, ds ...telemetry.Delivery) {
	t.Helper()
	for chunk := range slices.Chunk(ds, MaxSend) {
		if err := f.queue.Delete(t.Context(), chunk); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
}

// receiveDead waits until there is one dead letter. It keeps receiving meanwhile, since a
// queue may look at a message's attempts only when it would be handed out.
func (f *fixture) receiveDead(t *testing.T) telemetry.Delivery {
	t.Helper()
	for until := time.Now().Add(f.opts.Patience); time.Now().Before(until); {
		dead, err := f.queue.ReceiveDead(t.Context(), MaxSend)
		if err != nil {
			t.Fatalf("ReceiveDead: %v", err)
		}
		if len(dead) > 1 {
			t.Fatalf("ReceiveDead returned %d messages, want 1", len(dead))
		}
		if len(dead) == 1 {
			return dead[0]
		}
		ds, err := f.queue.Receive(t.Context(), 1, 100*time.Millisecond)
		if err != nil {
			t.Fatalf("Receive: %v", err)
		}
		if len(ds) > 0 {
			t.Fatalf("handed out again with Attempts = %d, above the maximum of %d", ds[0].Attempts, f.opts.MaxReceive)
		}
	}
	t.Fatalf("no dead letter within %v", f.opts.Patience)
	return telemetry.Delivery{}
}

// depth waits until the queue's depth satisfies want.
func (f *fixture) depth(t *testing.T, what string, want func(telemetry.QueueDepth) bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(f.opts.Patience); ; <-tick.C {
		d, err := f.queue.Depth(t.Context())
		if err != nil {
			t.Fatalf("Depth: %v", err)
		}
		if d.OldestAge < 0 || d.OldestAge > time.Hour {
			t.Fatalf("Depth: OldestAge = %v", d.OldestAge)
		}
		if want(d) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("Depth = %+v, want %s", d, what)
		}
	}
}
