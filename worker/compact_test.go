package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// ignored is progress that nobody watches.
type ignored struct{}

func (ignored) Set(int64, int64, string) {}

// compactor sees every hour of the test as long over.
func (w *world) compactor(most int64, on func(worker.CompactStep)) *worker.Compactor {
	return worker.NewCompactor(worker.CompactorConfig{
		MaxSamples: most, OnStep: on, Now: func() time.Time { return time.Now().Add(3 * time.Hour) },
	}, w.db, w.objects, slog.New(slog.DiscardHandler))
}

// archived fills a world with the objects of many small flushes.
func archived(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	stop := w.start(config(), w.deps())
	for range 12 {
		w.send(w.batches(20))
		w.drain()
	}
	stop()
	return w
}

func (w *world) objectKeys() []string {
	return w.strings("SELECT DISTINCT object_key FROM manifest WHERE object_key IS NOT NULL")
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	w := archived(t)
	before := w.objectKeys()
	r, err := w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{})
	if err != nil {
		t.Fatal(err)
	}
	// All of an hour is one object; the test may have crossed the hour.
	after := w.objectKeys()
	if len(before) < 4 || len(after) > 2 || len(after) >= len(before) || r.Batches != len(w.sent) || r.Into != len(after) {
		t.Errorf("%d objects became %d: %+v", len(before), len(after), r)
	}
	for _, key := range after {
		if !strings.HasPrefix(path.Base(key), "compacted-") {
			t.Errorf("%s is still there", key)
		}
	}
	w.verify(0)
	if got := w.number("SELECT sum(object_bytes)::bigint FROM manifest"); got != r.BytesAfter {
		t.Errorf("the manifest counts %d bytes, the objects have %d", got, r.BytesAfter)
	}
	t.Logf("%d samples: %d bytes before, %d after", r.Samples, r.BytesBefore, r.BytesAfter)

	// Again there is nothing to do.
	if r, err = w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{}); err != nil || r.Objects != 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
}

func TestCompactionIsBoundedAndLeavesTheHourThatRuns(t *testing.T) {
	t.Parallel()
	w := archived(t)
	now := worker.NewCompactor(worker.CompactorConfig{}, w.db, w.objects, slog.New(slog.DiscardHandler))
	if r, err := now.Run(t.Context(), worker.CompactArgs{From: time.Now().Add(-time.Minute)}, ignored{}); err != nil || r.Objects > 0 {
		t.Errorf("the running hour: %+v, %v", r, err)
	}
	r, err := w.compactor(300, nil).Run(t.Context(), worker.CompactArgs{}, ignored{})
	if err != nil || r.Into < 2 {
		t.Errorf("%+v, %v", r, err)
	}
	w.verify(0)
}

// Readers who start from the manifest see every batch exactly once while it is put together, in ever other objects.
func TestReadersDuringCompaction(t *testing.T) {
	t.Parallel()
	w := archived(t)
	r, err := w.compactor(400, func(worker.CompactStep) { w.verifyArchive() }).Run(t.Context(), worker.CompactArgs{}, ignored{})
	if err != nil || r.Into < 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.verifyArchive()
}

// Of two at the same time each object is put together by one: the other waits.
func TestRacingCompactors(t *testing.T) {
	t.Parallel()
	w := archived(t)
	second := make(chan error, 1)
	raced := false
	_, first := w.compactor(0, func(s worker.CompactStep) {
		if s == worker.CompactSwap && !raced {
			raced = true
			go func() {
				_, err := w.compactor(0, nil).Run(context.Background(), worker.CompactArgs{}, ignored{})
				second <- err
			}()
			time.Sleep(100 * time.Millisecond)
		}
	}).Run(t.Context(), worker.CompactArgs{}, ignored{})
	if err := <-second; first != nil || err != nil {
		t.Errorf("the faster one: %v, the slower one: %v", first, err)
	}
	w.verify(0)
}

// One whose database session, and with it the lock, was lost is noticed by the manifest.
func TestOvertakenCompactor(t *testing.T) {
	t.Parallel()
	w := archived(t)
	var second error
	raced := false
	_, first := w.compactor(0, func(s worker.CompactStep) {
		if s == worker.CompactSwap && !raced {
			raced = true
			w.exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
			_, second = w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{})
		}
	}).Run(t.Context(), worker.CompactArgs{}, ignored{})
	if !errors.Is(first, ledger.ErrArchiveChanged) || second != nil {
		t.Errorf("the slower one: %v, the faster one: %v", first, second)
	}
	w.verify(0)
}

func TestCompactionRefusesWhatTheManifestDoesNotSay(t *testing.T) {
	t.Parallel()
	w := archived(t)
	keys := w.objectKeys()
	other, err := w.objects.get(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys[1:] { // all the same object now
		if err := w.objects.Put(t.Context(), key, other, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.objects.Put(t.Context(), keys[0], []byte("PAR1 nonsense"), "", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{}); err == nil {
		t.Error("an unreadable object was put together with others")
	}
	if got := w.objectKeys(); len(got) != len(keys) {
		t.Errorf("the manifest names %d objects, want the %d that it did", len(got), len(keys))
	}
}

func TestCancelledCompaction(t *testing.T) {
	t.Parallel()
	w := archived(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.compactor(0, func(s worker.CompactStep) {
		if s == worker.CompactSwap {
			cancel()
		}
	}).Run(ctx, worker.CompactArgs{}, ignored{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.verify(0)
}

// compactChildEnv makes a child process a compactor that kills itself at a step.
const compactChildEnv = "CARASSO_TEST_COMPACTOR_DIES_AT"

func compactChild() {
	w := worldAt(&exitOnFailure{}, os.Getenv("TEST_URL"), os.TempDir(), os.Getenv("TEST_OBJECTS"))
	step := worker.CompactStep(os.Getenv(compactChildEnv))
	_, err := w.compactor(400, func(s worker.CompactStep) {
		if s == step {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				os.Exit(3)
			}
			select {}
		}
	}).Run(context.Background(), worker.CompactArgs{}, ignored{})
	if err != nil {
		os.Exit(5)
	}
	os.Exit(4) // it should have died
}

// kill -9 at every step, then again: the archive is as if nothing had happened.
func TestCompactorKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range worker.CompactSteps() {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w := archived(t)
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), compactChildEnv+"="+string(step), "TEST_URL="+w.url, "TEST_OBJECTS="+w.objects.dir)
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the compactor should have killed itself: %v\n%s", err, out)
			}
			w.verify(0)
			if _, err := w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{}); err != nil {
				t.Fatal(err)
			}
			w.verify(0)
		})
	}
}
