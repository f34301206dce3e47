package jetstream

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/carasso/carasso/telemetry"
)

// poisoned is a queue whose only message is handed out once too often at the next turn.
func poisoned(t *testing.T) (*Server, *Queue) {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), SyncInterval: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	q, err := s.Queue(t.Context(), QueueConfig{Name: "q", MaxReceive: 1, Visibility: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if errs := q.Send(t.Context(), [][]byte{[]byte("poison")}); errs != nil {
		t.Fatal(errs)
	}
	ds, err := q.Receive(t.Context(), 1, time.Second)
	if err != nil || len(ds) != 1 {
		t.Fatalf("Receive = %v, %v", ds, err)
	}
	if err := q.Release(t.Context(), ds, 0); err != nil {
		t.Fatal(err)
	}
	return s, q
}

// TestBuryAfterCrash finds a message that a crash left both in the queue and among the dead letters: it ends there once.
func TestBuryAfterCrash(t *testing.T) {
	s, q := poisoned(t)
	// The first half of what bury does with the first message of the stream.
	if _, err := s.js.Publish(t.Context(), q.dead.subject, []byte("poison"), jetstream.WithMsgID("q-1")); err != nil {
		t.Fatal(err)
	}
	if ds, err := q.Receive(t.Context(), 1, 500*time.Millisecond); err != nil || len(ds) != 0 {
		t.Fatalf("Receive = %v, %v, want nothing", ds, err)
	}
	depth, err := q.Depth(t.Context())
	if want := (telemetry.QueueDepth{DeadLetters: 1}); err != nil || depth != want {
		t.Errorf("Depth = %+v, %v, want %+v", depth, err, want)
	}
}

// Dead letters respect the disk's reserve too: a message stays in the queue until there is space.
func TestBuryOnAFullDisk(t *testing.T) {
	s, q := poisoned(t)
	reserve := func(free uint64) {
		s.space.mu.Lock()
		defer s.space.mu.Unlock()
		s.space.free, s.space.checked = free, time.Time{}
	}
	before := s.space.free
	reserve(1 << 62)
	if ds, err := q.Receive(t.Context(), 1, 300*time.Millisecond); err != nil || len(ds) != 0 {
		t.Fatalf("Receive = %v, %v, want nothing", ds, err)
	}
	if depth, err := q.Depth(t.Context()); err != nil || depth.DeadLetters != 0 || depth.Visible+depth.InFlight != 1 {
		t.Errorf("Depth = %+v, %v on a full disk", depth, err)
	}
	reserve(before)
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		if _, err := q.Receive(t.Context(), 1, 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		depth, err := q.Depth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if depth == (telemetry.QueueDepth{DeadLetters: 1}) {
			return
		}
	}
	t.Error("it was not buried when there was space")
}
