//nolint:thelper // these are the tests, not helpers
package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry"
)

func testConsumersAreDisjoint(t *testing.T, f *fixture) {
	const messages, consumers = 60, 6
	var bodies [][]byte
	for i := range messages {
		bodies = append(bodies, fmt.Appendf(nil, "message %d", i))
	}
	f.send(t, bodies...)

	var mu sync.Mutex
	seen := map[string]int{}
	count := func(ds []telemetry.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			seen[string(d.Body)]++
		}
	}
	remaining := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) < messages
	}
	until := time.Now().Add(f.opts.Patience)
	var wg sync.WaitGroup
	for range consumers {
		wg.Go(func() {
			for remaining() && time.Now().Before(until) {
				ds, err := f.queue.Receive(t.Context(), 5, 200*time.Millisecond)
				if err != nil {
					t.Errorf("Receive: %v", err)
					return
				}
				count(ds)
				if err := f.queue.Delete(t.Context(), ds); err != nil {
					t.Errorf("Delete: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != messages {
		t.Errorf("received %d different messages of %d", len(seen), messages)
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%q was handed out %d times", body, n)
		}
	}
}

func testRedelivery(t *testing.T, f *fixture) {
	f.send(t, []byte("a"), []byte("b"))
	sentAt := map[string]time.Time{}
	start := time.Now()
	for _, d := range f.receive(t, 2) {
		if d.Attempts != 1 {
			t.Errorf("Attempts = %d, want 1", d.Attempts)
		}
		sentAt[string(d.Body)] = d.SentAt
		if string(d.Body) == "b" {
			f.delete(t, d)
		}
	}
	d := f.receiveOne(t, 2)
	if string(d.Body) != "a" {
		t.Errorf("redelivered %q, want a", d.Body)
	}
	if early := f.opts.Visibility - time.Since(start); early > f.opts.Granularity {
		t.Errorf("redelivered %v before its visibility time was over", early)
	}
	if !d.SentAt.Equal(sentAt["a"]) {
		t.Errorf("SentAt changed from %v to %v", sentAt["a"], d.SentAt)
	}
	if f.opts.MaxReceive > 2 {
		f.delete(t, f.receiveOne(t, 3))
	}
}

func testDeleteAfterRedelivery(t *testing.T, f *fixture) {
	f.send(t, []byte("a"))
	first := f.receiveOne(t, 1)
	second := f.receiveOne(t, 2)
	// The first consumer was too slow, but it did the work: its delete is no error. Whether
	// it takes effect is up to the queue; the second's does for certain.
	if err := f.queue.Delete(t.Context(), []telemetry.Delivery{first}); err != nil {
		t.Errorf("Delete with an outdated receipt: %v", err)
	}
	f.delete(t, second)
	f.empty(t, f.opts.Visibility+f.opts.Granularity)
}

func testDeleteIsIdempotent(t *testing.T, f *fixture) {
	f.send(t, []byte("a"), []byte("b"))
	ds := f.receive(t, 2)
	f.delete(t, ds[0])
	f.delete(t, ds...)
	f.delete(t, ds...)
	f.empty(t, f.opts.Visibility+f.opts.Granularity)
}

func testExtend(t *testing.T, f *fixture) {
	f.send(t, []byte("kept"), []byte("left"))
	ds := f.receive(t, 2)
	kept := slices.IndexFunc(ds, func(d telemetry.Delivery) bool { return string(d.Body) == "kept" })
	if kept < 0 {
		t.Fatalf("received %q and %q", ds[0].Body, ds[1].Body)
	}
	start := time.Now()
	extended := 3 * f.opts.Visibility
	if err := f.queue.Extend(t.Context(), ds[kept:kept+1], extended); err != nil {
		t.Fatalf("Extend: %v", err)
	}
	left := f.receiveOne(t, 2)
	if string(left.Body) != "left" {
		t.Fatalf("redelivered %q, though it was extended", left.Body)
	}
	f.delete(t, left)
	// It comes back when the longer time is over, not before.
	back := f.receiveOne(t, 2)
	if early := extended - time.Since(start); early > f.opts.Granularity {
		t.Errorf("redelivered %v before the extended time was over", early)
	}
	// A heartbeat keeps it for as long as it beats, and the receipt stays valid.
	for range 4 {
		if err := f.queue.Extend(t.Context(), []telemetry.Delivery{back}, f.opts.Visibility); err != nil {
			t.Fatalf("Extend: %v", err)
		}
		f.empty(t, f.opts.Visibility/2-f.opts.Granularity/10)
	}
	f.delete(t, back)
	f.empty(t, f.opts.Visibility+f.opts.Granularity)
}

func testReleaseAtOnce(t *testing.T, f *fixture) {
	f.send(t, []byte("a"))
	d := f.receiveOne(t, 1)
	start := time.Now()
	// Held for long, so that what comes back comes by the release.
	if err := f.queue.Extend(t.Context(), []telemetry.Delivery{d}, 4*f.opts.Visibility); err != nil {
		t.Fatalf("Extend: %v", err)
	}
	if err := f.queue.Release(t.Context(), []telemetry.Delivery{d}, 0); err != nil {
		t.Fatalf("Release: %v", err)
	}
	d = f.receiveOne(t, 2)
	if took := time.Since(start); took > 3*f.opts.Visibility {
		t.Errorf("a released message came back after %v", took)
	}
	f.delete(t, d)
}

func testReleaseWithDelay(t *testing.T, f *fixture) {
	f.send(t, []byte("a"))
	d := f.receiveOne(t, 1)
	start := time.Now()
	delay := 2 * f.opts.Visibility
	if err := f.queue.Release(t.Context(), []telemetry.Delivery{d}, delay); err != nil {
		t.Fatalf("Release: %v", err)
	}
	d = f.receiveOne(t, 2)
	if early := delay - time.Since(start); early > f.opts.Granularity {
		t.Errorf("a message released with delay %v came back %v too early", delay, early)
	}
	f.delete(t, d)
}

func testDeadLetterByRelease(t *testing.T, f *fixture) {
	f.send(t, []byte("poison"))
	for attempt := 1; attempt <= f.opts.MaxReceive; attempt++ {
		d := f.receiveOne(t, attempt)
		if err := f.queue.Release(t.Context(), []telemetry.Delivery{d}, 0); err != nil {
			t.Fatalf("Release: %v", err)
		}
	}
	f.dies(t, "poison")
}

func testDeadLetterByExpiry(t *testing.T, f *fixture) {
	f.send(t, []byte("poison"))
	for attempt := 1; attempt <= f.opts.MaxReceive; attempt++ {
		f.receiveOne(t, attempt)
	}
	f.dies(t, "poison")
}

// dies checks that body, handed out as often as allowed, becomes a dead letter until it is deleted.
func (f *fixture) dies(t *testing.T, body string) {
	t.Helper()
	dead := f.receiveDead(t)
	if string(dead.Body) != body {
		t.Errorf("the dead letter is %q, want %q", dead.Body, body)
	}
	if age := time.Since(dead.SentAt); age < -time.Minute || age > time.Hour {
		t.Errorf("the dead letter's SentAt is %v", dead.SentAt)
	}
	f.depth(t, "one dead letter and nothing else", func(d telemetry.QueueDepth) bool {
		return d.DeadLetters == 1 && d.Visible == 0 && d.InFlight == 0
	})
	if err := f.queue.DeleteDead(t.Context(), []telemetry.Delivery{dead}); err != nil {
		t.Fatalf("DeleteDead: %v", err)
	}
	f.depth(t, "no dead letter", func(d telemetry.QueueDepth) bool { return d.DeadLetters == 0 })
	if again, err := f.queue.ReceiveDead(t.Context(), MaxSend); err != nil || len(again) > 0 {
		t.Errorf("ReceiveDead after DeleteDead = %d messages, %v", len(again), err)
	}
	f.empty(t, 0)
}

func testDepth(t *testing.T, f *fixture) {
	f.depth(t, "nothing", func(d telemetry.QueueDepth) bool { return d == telemetry.QueueDepth{} })
	f.send(t, []byte("1"), []byte("2"), []byte("3"), []byte("4"), []byte("5"))
	f.depth(t, "5 visible", func(d telemetry.QueueDepth) bool { return d.Visible == 5 && d.InFlight == 0 })
	ds := f.receive(t, 2)
	if err := f.queue.Extend(t.Context(), ds, f.opts.Patience+f.opts.Visibility); err != nil {
		t.Fatalf("Extend: %v", err)
	}
	f.depth(t, "3 visible, 2 in flight", func(d telemetry.QueueDepth) bool { return d.Visible == 3 && d.InFlight == 2 })
	f.delete(t, ds...)
	f.depth(t, "3 visible", func(d telemetry.QueueDepth) bool { return d.Visible == 3 && d.InFlight == 0 })
	f.delete(t, f.receive(t, 3)...)
	f.depth(t, "nothing", func(d telemetry.QueueDepth) bool { return d == telemetry.QueueDepth{} })
}
