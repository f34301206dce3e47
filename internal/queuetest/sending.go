//nolint:thelper // these are the tests, not helpers
package queuetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func testRoundTrip(t *testing.T, f *fixture) {
	sizes := []int{0, 1, 255, 4 << 10, 48 << 10, 64 << 10, 100 << 10, f.opts.LargestBody}
	random := rand.NewChaCha8([32]byte{1})
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	want := map[string]bool{string(every): true, "\x00\xff\xfe<&>\r\n\ufffe": true}
	for _, size := range sizes {
		body := make([]byte, size)
		_, _ = random.Read(body)
		want[string(body)] = true
	}
	var bodies [][]byte
	for body := range want {
		bodies = append(bodies, []byte(body))
	}
	f.send(t, bodies...)
	for _, d := range f.receive(t, len(bodies)) {
		if !want[string(d.Body)] {
			t.Errorf("received a body of %d bytes that is none of those sent, or came twice", len(d.Body))
		}
		delete(want, string(d.Body))
		f.delete(t, d)
	}
	f.empty(t, f.opts.Visibility+f.opts.Granularity)
}

func testSendKeepsNothing(t *testing.T, f *fixture) {
	body := bytes.Repeat([]byte{'a'}, 1000)
	f.send(t, body)
	clear(body)
	if d := f.receive(t, 1)[0]; !bytes.Equal(d.Body, bytes.Repeat([]byte{'a'}, 1000)) {
		t.Error("the queued body changed with the caller's slice")
	}
}

func testSendPartial(t *testing.T, f *fixture) {
	errs := f.queue.Send(t.Context(), [][]byte{[]byte("first"), make([]byte, MaxBody+1), []byte("third")})
	if len(errs) != 3 {
		t.Fatalf("Send returned %d errors (%v), want one entry for each of 3 bodies", len(errs), errs)
	}
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Fatalf("Send = %v, want an error for the second body only", errs)
	}
	got := map[string]bool{}
	for _, d := range f.receive(t, 2) {
		got[string(d.Body)] = true
		f.delete(t, d)
	}
	if !got["first"] || !got["third"] {
		t.Errorf("received %v, want first and third", got)
	}
	f.empty(t, 0)
}

func testSendCancelled(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs := f.queue.Send(ctx, [][]byte{[]byte("a"), []byte("b")})
	if len(errs) != 2 || errs[0] == nil || errs[1] == nil {
		t.Errorf("Send with an ended context = %v, want two errors", errs)
	}
}

func testSendNothing(t *testing.T, f *fixture) {
	if errs := f.queue.Send(t.Context(), nil); errs != nil {
		t.Errorf("Send of nothing = %v", errs)
	}
	for name, call := range map[string]func() error{
		"Delete":     func() error { return f.queue.Delete(t.Context(), nil) },
		"Extend":     func() error { return f.queue.Extend(t.Context(), nil, f.opts.Visibility) },
		"Release":    func() error { return f.queue.Release(t.Context(), nil, 0) },
		"DeleteDead": func() error { return f.queue.DeleteDead(t.Context(), nil) },
	} {
		if err := call(); err != nil {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
}

func testReceiveEmptyWaits(t *testing.T, f *fixture) {
	const wait = time.Second
	start := time.Now()
	ds, err := f.queue.Receive(t.Context(), MaxSend, wait)
	if err != nil || len(ds) != 0 {
		t.Fatalf("Receive from an empty queue = %v, %v", ds, err)
	}
	if took := time.Since(start); took < wait*8/10 || took > wait+f.opts.Patience/2 {
		t.Errorf("Receive waited %v, want %v", took, wait)
	}
	start = time.Now()
	if ds, err = f.queue.Receive(t.Context(), MaxSend, 0); err != nil || len(ds) != 0 {
		t.Fatalf("Receive without waiting = %v, %v", ds, err)
	}
	if took := time.Since(start); took > f.opts.Patience/2 {
		t.Errorf("Receive without waiting took %v", took)
	}
}

func testReceiveWakesOnArrival(t *testing.T, f *fixture) {
	const wait = 15 * time.Second
	type result struct {
		n    int
		err  error
		took time.Duration
	}
	done := make(chan result, 1)
	go func() {
		start := time.Now()
		ds, err := f.queue.Receive(t.Context(), MaxSend, wait)
		done <- result{len(ds), err, time.Since(start)}
	}()
	select {
	case r := <-done:
		t.Fatalf("Receive returned %d messages and error %v from an empty queue", r.n, r.err)
	case <-time.After(300 * time.Millisecond): // so that the poll has most likely begun
	}
	f.send(t, []byte("wake up"))
	r := <-done
	if r.err != nil || r.n != 1 {
		t.Fatalf("Receive = %d messages, %v", r.n, r.err)
	}
	if r.took > wait*2/3 {
		t.Errorf("Receive returned after %v, though a message came", r.took)
	}
}

func testReceiveCancelled(t *testing.T, f *fixture) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if ds, err := f.queue.Receive(ctx, MaxSend, 15*time.Second); err == nil {
		t.Errorf("Receive with an ended context = %d messages and no error", len(ds))
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Receive returned %v after its context ended", took)
	}
	// What was sent after a cancelled poll isn't lost to it.
	f.send(t, []byte("a"), []byte("b"))
	f.delete(t, f.receive(t, 2)...)
}

func testReceiveLimit(t *testing.T, f *fixture) {
	var bodies [][]byte
	for i := range MaxSend {
		bodies = append(bodies, fmt.Appendf(nil, "message %d", i))
	}
	f.send(t, bodies...)
	ds, err := f.queue.Receive(t.Context(), 3, f.opts.Patience)
	if err != nil || len(ds) < 1 || len(ds) > 3 {
		t.Fatalf("Receive(3) = %d messages, %v", len(ds), err)
	}
	f.delete(t, ds...)
	f.delete(t, f.receive(t, MaxSend-len(ds))...)
}
