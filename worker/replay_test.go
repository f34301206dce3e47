package worker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// noProgress is nobody who watches.
type noProgress struct{}

func (noProgress) Set(int64, int64, string) {}

func (w *world) replaying(onStep func(worker.ReplayStep)) *worker.Replayer {
	d := w.deps()
	return worker.NewReplayer(worker.ReplayDeps{
		Store: w.db, Begin: func(ctx context.Context, r ledger.Replay) (worker.ReplayTx, error) { return w.db.BeginReplayTx(ctx, r) },
		Objects: w.objects, NewMatcher: d.NewMatcher, NewCollectors: d.NewCollectors, MapVersion: d.MapVersion,
		K: 1, StepObjects: 2,
		Logger: slog.New(slog.DiscardHandler), OnStep: onStep,
	})
}

// days are those in which the world's batches lie.
func (w *world) days() (from, to time.Time) {
	today := time.Now().UTC().Truncate(24 * time.Hour)
	return today.AddDate(0, 0, -1), today.AddDate(0, 0, 2)
}

func (w *world) build() worker.ReplayReport {
	w.t.Helper()
	from, to := w.days()
	report, err := w.replaying(nil).Build(context.Background(), from, to, noProgress{})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

func (w *world) swap(report worker.ReplayReport) {
	w.t.Helper()
	id, _ := strconv.ParseInt(report.Replay, 10, 64)
	r, err := w.replaying(nil).Swap(context.Background(), id, noProgress{})
	if err != nil || r.State != ledger.ReplaySwapped {
		w.t.Fatalf("swap: %+v, %v", r, err)
	}
}

// drive lets a worker flush n envelopes.
func (w *world) drive(n int) {
	w.t.Helper()
	cfg := config()
	cfg.FlushBatches = 40
	stop := w.start(cfg, w.deps())
	defer stop()
	for range n {
		bs := w.batches(20)
		w.send(append(bs, bs[3]))
	}
	w.drain()
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	conn, err := pgx.Connect(context.Background(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

func TestReplayIsWhatWasFlushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(15)
	report := w.build()
	if !report.Equal || report.Batches != int64(len(w.sent)) || report.Diff.Speeds.Equal == 0 || report.Diff.Health.Equal == 0 || report.Diff.Evidence.Equal == 0 || report.Diff.Days.Equal == 0 {
		t.Errorf("%+v of %d batches", report, len(w.sent))
	}
	if report.Samples != w.number("SELECT sum(samples)::bigint FROM manifest") || len(report.Diff.Segments) != 0 {
		t.Errorf("%+v", report)
	}
	w.verify(0) // the live tables are as they were
}

// What is wrong in the live tables is told, and right after a swap.
func TestReplaySwapMends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(10)
	if _, _, err := w.db.FoldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.exec("UPDATE segment_speed SET n = n + 1, sum_cmps = sum_cmps + 5000 WHERE edge = (SELECT min(edge) FROM segment_speed)")
	changed := w.number("SELECT count(*) FROM segment_speed WHERE edge = (SELECT min(edge) FROM segment_speed)")
	w.exec("DELETE FROM evidence WHERE key = (SELECT min(key) FROM evidence)")
	w.exec("INSERT INTO sensor_health (hour, model, software, batches, samples, with_speed, with_heading, with_accuracy, sum_accuracy_cm, unmatched, abs_active, esc_active, tcs_active, signs, signs_missing, hazards) SELECT hour, 'nobody', software, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4 FROM sensor_health LIMIT 1")
	w.exec("DELETE FROM outbox")
	report := w.build()
	d := report.Diff
	if report.Equal || d.Speeds.Changed != changed || d.Speeds.Missing+d.Speeds.New != 0 || d.Health.Missing != 1 || d.Evidence.New < 1 || len(d.Segments) != 1 || d.Days.Changed != 0 {
		t.Errorf("%+v, want %d changed", d, changed)
	}
	if s := d.Segments[0]; s.LiveSamples != s.NewSamples+changed || d.Speeds.LiveAmount != d.Speeds.NewAmount+changed {
		t.Errorf("%+v", s)
	}
	w.swap(report)
	w.verify(0)
	if n := w.number("SELECT count(DISTINCT layer) FROM outbox"); n != 2 { // speeds, hazards
		t.Errorf("%d layers are to be projected anew", n)
	}
	if n := w.number("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'replay%'"); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
	// The partitions are as any other: made, folded into, and dropped at their time.
	if made, err := w.db.CreatePartitions(t.Context()); err != nil || made != 0 {
		t.Errorf("%d partitions made, %v", made, err)
	}
	w.drive(5)
	w.verify(0)
	if again := w.build(); !again.Equal {
		t.Errorf("a second replay differs: %+v", again.Diff)
	}
}

func TestReplaySwapsUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(5)
	ctx, cancel := context.WithCancel(t.Context())
	var bodies [][]byte
	for range 150 {
		bs := w.batches(10)
		w.remember(bs)
		bodies = append(bodies, w.seal(bs, nil))
	}
	cfg := config()
	cfg.Pipelines, cfg.FlushBatches = 3, 30
	w.start(cfg, w.deps())
	done := make(chan error, 2)
	go func() {
		for i, b := range bodies {
			if err := w.queue.send("load-"+strconv.Itoa(1000+i), b); err != nil {
				done <- err
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(4 * time.Millisecond):
			}
		}
		done <- nil
	}()
	go func() { // folds race, too
		for ctx.Err() == nil {
			if _, _, err := w.db.Fold(ctx); err != nil && ctx.Err() == nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 3 {
		w.swap(w.build())
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.drain()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.verify(0)
	if report := w.build(); !report.Equal {
		t.Errorf("the live tables are not what the archive holds: %+v", report.Diff)
	}
}

// Objects are put together between two looks of a replay: it takes only what it had not.
func TestReplayOfObjectsPutTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(6)
	report := w.build()
	w.drive(6)
	keys := w.strings("SELECT object_key FROM manifest WHERE object_key IS NOT NULL")
	var rows []worker.ArchiveRow
	for _, key := range keys {
		body, err := w.objects.get(key)
		if err != nil {
			t.Fatal(err)
		}
		some, err := parquet.Read[worker.ArchiveRow](bytes.NewReader(body), int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, some...)
		if err := os.Remove(w.objects.dir + "/" + key); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := parquet.Write(&out, rows); err != nil {
		t.Fatal(err)
	}
	if err := w.objects.Put(t.Context(), "raw/together.parquet", out.Bytes(), "", ""); err != nil {
		t.Fatal(err)
	}
	w.exec("UPDATE manifest SET object_key = 'raw/together.parquet' WHERE object_key IS NOT NULL")
	w.swap(report)
	speeds, _ := w.oracle()
	w.verifySpeeds(speeds)
	w.verifyEvidence()
	if again := w.build(); !again.Equal || again.Batches != int64(len(w.sent)) {
		t.Errorf("%+v", again)
	}
}

func TestReplayRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(2)
	p := w.replaying(nil)
	from, to := w.days()
	if _, err := p.Build(t.Context(), from.AddDate(-1, 0, 0), to.AddDate(-1, 0, 0), noProgress{}); !errors.Is(err, ledger.ErrReplayRange) {
		t.Errorf("a year ago: %v", err)
	}
	if _, err := p.Swap(t.Context(), 77, noProgress{}); !errors.Is(err, ledger.ErrNoReplay) {
		t.Errorf("unknown: %v", err)
	}
	one := w.build()
	id, _ := strconv.ParseInt(one.Replay, 10, 64)
	for range 2 {
		w.build()
	}
	if _, err := p.Build(t.Context(), from, to, noProgress{}); !errors.Is(err, ledger.ErrReplays) {
		t.Errorf("a fourth: %v", err)
	}
	for range 2 {
		if r, err := p.Drop(t.Context(), id); err != nil || r.State != ledger.ReplayDropped {
			t.Errorf("drop: %v, %v", r.State, err)
		}
	}
	if _, err := p.Swap(t.Context(), id, noProgress{}); !errors.Is(err, ledger.ErrReplayState) {
		t.Errorf("swap of a dropped one: %v", err)
	}
	all, err := w.db.Replays(t.Context(), 0, 10)
	if err != nil || len(all) != 3 || all[2].ID != id || len(all[0].Diff) == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	for in, good := range map[worker.ReplayArgs]bool{
		{From: "2026-11-01"}: true, {From: "2026-11-01", To: "2026-11-03"}: true, {From: "2026-11-03", To: "2026-11-01"}: false,
		{}: false, {From: "2026-11-01T00:00:00Z"}: false, {From: "2026-11-01", To: "2026-12-30"}: false,
	} {
		if err := in.Validate(); (err == nil) != good {
			t.Errorf("%+v: %v", in, err)
		}
	}
}

// replayChildEnv makes the child of TestReplayKilledAtEveryStep build, and swap.
const replayChildEnv = "CARASSO_TEST_REPLAY_DIES_AT"

func replayChild() {
	step := worker.ReplayStep(os.Getenv(replayChildEnv))
	w := worldAt(&exitOnFailure{}, os.Getenv("TEST_URL"), os.Getenv("TEST_QUEUE"), os.Getenv("TEST_OBJECTS"))
	n := 0
	p := w.replaying(func(s worker.ReplayStep) {
		if s != step {
			return
		}
		if n++; n == 2 || s == worker.ReplayDiff || s == worker.ReplayLock || s == worker.ReplayLocked {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	from, to := w.days()
	report, err := p.Build(context.Background(), from, to, noProgress{})
	if err != nil {
		os.Exit(3)
	}
	id, _ := strconv.ParseInt(report.Replay, 10, 64)
	_, _ = p.Swap(context.Background(), id, noProgress{})
	os.Exit(4) // it should have died
}

func TestReplayKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []worker.ReplayStep{
		worker.ReplayList, worker.ReplayRead, worker.ReplayCommit, worker.ReplayDiff, worker.ReplayLock, worker.ReplayLocked, worker.ReplayEnded,
	} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.drive(12)
			w.exec("INSERT INTO evidence SELECT bucket, kind, key + 1, votes FROM evidence ON CONFLICT DO NOTHING") // what a swap takes away
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), replayChildEnv+"="+string(step), "TEST_URL="+w.url, "TEST_QUEUE="+w.queue.dir, "TEST_OBJECTS="+w.objects.dir)
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the replay should have killed itself: %v\n%s", err, out)
			}
			// Whatever it held, flushes go on.
			w.drive(2)
			if n := w.number("SELECT count(*) FROM replay"); n != 1 {
				t.Errorf("%d replays", n)
			}
			id := w.number("SELECT max(id) FROM replay")
			r, err := w.db.Replay(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if r.State == ledger.ReplayBuilding {
				w.build()
			}
			if r, err = w.replaying(nil).Swap(t.Context(), id, noProgress{}); err != nil || r.State != ledger.ReplaySwapped {
				t.Fatalf("%+v, %v", r, err)
			}
			w.verify(0)
			if again := w.build(); !again.Equal {
				t.Errorf("%+v", again.Diff)
			}
		})
	}
}
