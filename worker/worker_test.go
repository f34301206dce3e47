package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/pgserver"
	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	if os.Getenv(redriveChildEnv) != "" {
		redriveChild()
		return
	}
	if os.Getenv(compactChildEnv) != "" {
		compactChild()
		return
	}
	if os.Getenv(eraseChildEnv) != "" {
		eraseChild()
		return
	}
	if os.Getenv(replayChildEnv) != "" {
		replayChild()
		return
	}
	if os.Getenv(backfillChildEnv) != "" {
		backfillChild()
		return
	}
	pgtest.Main(m)
}

func TestEverythingExactlyOnce(t *testing.T) {
	w := newWorld(t)
	var resent []sentBatch
	for range 30 {
		bs := w.batches(1 + w.r.IntN(60))
		if len(resent) > 0 {
			bs = append(bs, resent[w.r.IntN(len(resent))]) // the same batch in two envelopes
		}
		bs = append(bs, bs[0]) // and twice in one
		resent = append(resent, bs...)
		w.remember(bs)
		body := w.seal(bs, nil)
		for range 1 + w.r.IntN(3) { // and the envelope several times in the queue
			w.post(body)
		}
	}
	w.send(nil) // a closing envelope
	w.start(config(), w.deps())
	w.drain()
	w.verify(0)
	if n := w.number("SELECT count(*) FROM envelope"); n != int64(w.seq) {
		t.Errorf("%d envelopes in the ledger, want %d", n, w.seq)
	}
}

// Several workers get the same envelopes, and envelopes with the same batches, at once.
func TestRacingWorkers(t *testing.T) {
	w := newWorld(t)
	w.queue.twice = true
	pool := w.batches(400)
	for range 40 {
		var bs []sentBatch
		for _, i := range w.r.Perm(len(pool))[:50] {
			bs = append(bs, pool[i])
		}
		w.send(bs)
	}
	cfg := config()
	cfg.FlushBatches = 100
	for range 3 {
		w.start(cfg, w.deps())
	}
	w.drain()
	w.verify(0)
}

func TestVoidedEnvelopes(t *testing.T) {
	w := newWorld(t)
	var ew telemetry.EnvelopeWriter
	for range 2 {
		h := w.header(0, 0)
		h.Voided = []telemetry.Void{{Seq: 90, Batches: 3, Samples: 30}}
		body, err := ew.Seal(h)
		if err != nil {
			t.Fatal(err)
		}
		w.post(slices.Clone(body))
	}
	w.start(config(), w.deps())
	w.drain()
	if n := w.number("SELECT sum(batches*1000+samples) FROM voided_envelope WHERE seq = 90"); n != 3030 {
		t.Errorf("voided = %d, want one entry of 3 batches, 30 samples", n)
	}
}

func TestPoison(t *testing.T) {
	t.Parallel()
	type result struct{ batches, good int }
	for name, tt := range map[string]struct {
		reason ledger.Reason
		send   func(w *world) result // batches quarantined, others good
	}{
		"garbage": {ledger.ReasonHeader, func(w *world) result {
			w.post([]byte("no envelope"))
			return result{}
		}},
		"newer version": {ledger.ReasonVersion, func(w *world) result {
			before := w.handled
			body := w.seal(w.batches(3), nil)
			body[4] = 99
			w.handled = before // the header can't be trusted
			w.post(body)
			return result{}
		}},
		"damaged records": {ledger.ReasonBody, func(w *world) result {
			body := w.seal(w.batches(5), nil)
			body[len(body)-3] ^= 0xff
			w.post(body)
			return result{batches: 5}
		}},
		"one bad record": {ledger.ReasonBatch, func(w *world) result {
			bs := w.batches(6)
			w.post(w.seal(bs, func(i int, r *telemetry.Record) {
				if i == 2 {
					r.Payload = []byte{0xff, 0xff, 0xff}
				}
			}))
			w.remember(append(slices.Clone(bs[:2]), bs[3:]...))
			return result{1, 5}
		}},
		"old events": {ledger.ReasonBatchTime, func(w *world) result {
			bs := w.batches(3)
			for i := range bs[1].batch.Samples {
				bs[1].batch.Samples[i].T -= (30 * 24 * time.Hour).Milliseconds()
			}
			bs[1].batch.Events = nil
			w.post(w.seal(bs, nil))
			w.remember([]sentBatch{bs[0], bs[2]})
			return result{1, 2}
		}},
		"old batch id": {ledger.ReasonClaimTime, func(w *world) result {
			bs := w.batches(2)
			bs[0].claim[0], bs[0].claim[1] = 0, 1
			w.post(w.seal(bs, nil))
			w.remember(bs[1:])
			return result{1, 1}
		}},
		"old envelope": {ledger.ReasonEnvelopeTime, func(w *world) result {
			h := w.header(0, 0)
			h.AcceptedAt -= (30 * 24 * time.Hour).Milliseconds()
			var ew telemetry.EnvelopeWriter
			body, err := ew.Seal(h)
			if err != nil {
				t.Fatal(err)
			}
			w.post(slices.Clone(body))
			return result{}
		}},
		"lying header": {ledger.ReasonCount, func(w *world) result {
			bs := w.batches(4)
			var ew telemetry.EnvelopeWriter
			for i := range bs {
				ew.Append(telemetry.Record{Claim: bs[i].claim, Payload: telemetry.AppendCanonical(nil, &bs[i].batch)})
			}
			body, err := ew.Seal(w.header(4, 9999))
			if err != nil {
				t.Fatal(err)
			}
			w.post(slices.Clone(body))
			return result{batches: 4}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.send(w.batches(10)) // must not suffer
			res := tt.send(w)
			w.send(w.batches(10))
			w.start(config(), w.deps())
			w.drain()
			w.verify(int64(res.batches))
			for _, r := range w.strings("SELECT reason FROM quarantine") {
				if r != string(tt.reason) {
					t.Errorf("quarantined as %s, want %s", r, tt.reason)
				}
			}
			keys := w.strings("SELECT object_key FROM quarantine")
			if len(keys) != 1 {
				t.Fatalf("%d entries in quarantine, want 1", len(keys))
			}
			if _, err := w.objects.get(keys[0]); err != nil {
				t.Errorf("quarantined object: %v", err)
			}
		})
	}
}

// panicking panics at a vehicle kind of its own.
type panicking struct{ gridMatcher }

func (p panicking) Match(ctx context.Context, s []telemetry.Sample, out []match.Result) error {
	if s[0].LatE7 == 1 {
		panic("bug")
	}
	return p.gridMatcher.Match(ctx, s, out)
}

func TestPanicIsQuarantined(t *testing.T) {
	w := newWorld(t)
	w.send(w.batches(5))
	bad := w.batches(4)
	bad[1].batch.Samples[0].LatE7 = 1
	w.post(w.seal(bad, nil))
	d := w.deps()
	d.NewMatcher = func() worker.Matcher { return panicking{} }
	w.start(config(), d)
	w.drain()
	w.verify(4)
	if r := w.strings("SELECT reason FROM quarantine"); !slices.Equal(r, []string{string(ledger.ReasonRejected)}) {
		t.Errorf("reasons %v", r)
	}
}

// refusing refuses flushes with a certain claim, as a database does with data it can't store.
type refusing struct {
	worker.Tx
	claim telemetry.ClaimID
}

type refusal struct{}

func (refusal) Error() string   { return "value out of range" }
func (refusal) Permanent() bool { return true }

func (r *refusing) Claim(ctx context.Context, ids []telemetry.ClaimID, samples []int16, fresh []bool) error {
	if slices.Contains(ids, r.claim) {
		return refusal{}
	}
	return r.Tx.Claim(ctx, ids, samples, fresh)
}

func TestRefusedEnvelopeDoesNotBlockOthers(t *testing.T) {
	for _, dead := range []bool{false, true} {
		w := newWorld(t)
		for range 6 {
			w.send(w.batches(5))
		}
		bad := w.batches(4)
		w.post(w.seal(bad, nil))
		for range 6 {
			w.send(w.batches(5))
		}
		d := w.deps()
		d.Begin = func(ctx context.Context) (worker.Tx, error) {
			tx, err := w.db.BeginFlush(ctx)
			return &refusing{tx, bad[2].claim}, err
		}
		want := ledger.ReasonRejected
		if dead {
			want = ledger.ReasonMaxReceives
			d.Dead, d.Queue = w.queue, newDirQueue(t.TempDir())
		}
		stop := w.start(config(), d)
		w.drain()
		stop()
		w.verify(4)
		if r := w.strings("SELECT reason FROM quarantine"); !slices.Equal(r, []string{string(want)}) {
			t.Errorf("dead letters %v: reasons %v, want %s", dead, r, want)
		}
	}
}

// bursting panics when it is to store the sensor health of a certain model.
type bursting struct{ worker.Tx }

func (b *bursting) Health(ctx context.Context, rows []learn.HealthRow) error {
	for i := range rows {
		if rows[i].Model == "bursts" {
			panic("bug")
		}
	}
	return b.Tx.Health(ctx, rows)
}

func TestPanicWhileFlushingIsQuarantined(t *testing.T) {
	for _, dead := range []bool{false, true} {
		w := newWorld(t)
		bad := w.batches(4)
		bad[1].batch.Vehicle.Model = "bursts"
		for i := range 12 {
			if i == 6 {
				w.post(w.seal(bad, nil))
			}
			w.send(w.batches(5))
		}
		d := w.deps()
		d.Begin = func(ctx context.Context) (worker.Tx, error) {
			tx, err := w.db.BeginFlush(ctx)
			return &bursting{tx}, err
		}
		want := ledger.ReasonRejected
		if dead {
			want = ledger.ReasonMaxReceives
			d.Dead, d.Queue = w.queue, newDirQueue(t.TempDir())
		}
		stop := w.start(config(), d)
		w.drain()
		stop()
		w.verify(4)
		if r := w.strings("SELECT reason FROM quarantine"); !slices.Equal(r, []string{string(want)}) {
			t.Errorf("dead letters %v: reasons %v, want %s", dead, r, want)
		}
	}
}

func TestObjectStoreFailing(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.send(w.batches(20))
	}
	w.objects.fail = 5
	w.start(config(), w.deps())
	w.drain()
	w.verify(0)
}

func TestQueueNotDeleting(t *testing.T) {
	w := newWorld(t)
	w.send(w.batches(20))
	w.queue.deaf = true
	stop := w.start(config(), w.deps())
	waitFor(t, func() bool { return w.number("SELECT count(*) FROM envelope") == 1 })
	stop()
	again := newDirQueue(w.queue.dir)
	w.queue = again
	w.start(config(), w.deps())
	w.drain()
	w.verify(0)
}

func waitFor(tb testing.TB, f func() bool) {
	tb.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			tb.Fatal("waited a minute in vain")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// unreadable fails to read the map until told otherwise.
type unreadable struct {
	gridMatcher
	fail *atomic.Bool
}

func (u unreadable) Match(ctx context.Context, s []telemetry.Sample, out []match.Result) error {
	if u.fail.Load() {
		return errors.New("no map")
	}
	return u.gridMatcher.Match(ctx, s, out)
}

// While the map can't be read envelopes are held, not burnt; a stop gives them back.
func TestHeldWhileTheMapIsUnreadable(t *testing.T) {
	w := newWorld(t)
	for range 8 {
		w.send(w.batches(5))
	}
	var fail atomic.Bool
	fail.Store(true)
	d := w.deps()
	d.NewMatcher = func() worker.Matcher { return unreadable{fail: &fail} }
	stop := w.start(config(), d)
	waitFor(t, func() bool {
		w.queue.mu.Lock()
		defer w.queue.mu.Unlock()
		return w.queue.extended > 0
	})
	stop()
	w.queue.mu.Lock()
	released := w.queue.released
	w.queue.mu.Unlock()
	if released == 0 {
		t.Error("nothing was given back")
	}
	fail.Store(false)
	d = w.deps()
	d.NewMatcher = func() worker.Matcher { return unreadable{fail: &fail} }
	w.start(config(), d)
	w.drain()
	w.verify(0)
}

// A stop finishes the flush in hand.
func TestSoftStopFinishesTheFlush(t *testing.T) {
	w := newWorld(t)
	w.send(w.batches(50))
	began, release := make(chan struct{}, 1), make(chan struct{})
	cfg := config()
	cfg.Pipelines = 1
	cfg.OnStep = func(s worker.Step) {
		if s == worker.StepPut {
			began <- struct{}{}
			<-release
		}
	}
	stop := w.start(cfg, w.deps())
	<-began
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	close(release)
	<-stopped
	if n := w.queue.len(); n != 0 {
		t.Errorf("%d envelopes left in the queue", n)
	}
	w.verify(0)
}

func TestDatabaseRestartsUnderLoad(t *testing.T) {
	// Not t.TempDir: its parents are closed to the user that runs PostgreSQL when root tests.
	dir, err := os.MkdirTemp("", "worker-test-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	serve := func() *pgserver.Server {
		s, err := pgserver.Start(ctx, pgserver.Config{DataDir: dir + "/data", SharedBuffersMB: 32, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := serve()
	if err := s.CreateDatabase(ctx, "carasso"); err != nil {
		t.Fatal(err)
	}
	url := s.URL("carasso")
	db, err := postgres.Open(ctx, postgres.Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	w := worldAt(t, url, t.TempDir(), t.TempDir())
	stop := w.start(config(), w.deps())
	for range 2 {
		for range 20 {
			w.send(w.batches(20))
		}
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			w.send(w.batches(20))
		}
		s = serve()
		if again := s.URL("carasso"); again != url {
			t.Fatalf("the server moved from %s to %s", url, again)
		}
	}
	defer func() { _ = s.Stop(ctx) }()
	w.drain()
	stop()
	w.verify(0)
	w.db.Close()
}
