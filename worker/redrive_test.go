package worker_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

var (
	_ worker.Redrives  = (*postgres.DB)(nil)
	_ worker.RedriveTx = (*postgres.Flush)(nil)
)

// Get lets the directory serve as what redrives read.
func (o *dirObjects) Get(_ context.Context, key string) ([]byte, error) { return o.get(key) }

// redriving are the dependencies of a worker that redrives.
func (w *world) redriving() worker.Deps {
	d := w.deps()
	d.Redrives, d.Quarantine = w.db, w.objects
	d.BeginRedrive = func(ctx context.Context) (worker.RedriveTx, error) { return w.db.BeginFlush(ctx) }
	return d
}

// narrow is a worker that takes next to nothing for usable: batches of more than a minute ago, envelopes accepted
// longer ago, or of more than 1 KiB inflated, go to quarantine.
func narrow(maxEnvelope int) worker.Config {
	c := config()
	c.Past, c.LedgerPast, c.MaxEnvelope = time.Minute, time.Minute, maxEnvelope
	return c
}

func eager() worker.Config {
	c := config()
	c.RedriveInterval = 5 * time.Millisecond
	return c
}

// old makes batches surely older than narrow allows.
func (w *world) old(n int) []sentBatch {
	bs := w.batches(n)
	for i := range bs {
		ago := (10 * time.Minute).Milliseconds()
		for j := range bs[i].batch.Samples {
			bs[i].batch.Samples[j].T -= ago
		}
		for j := range bs[i].batch.Events {
			bs[i].batch.Events[j].T -= ago
		}
	}
	return bs
}

// lateEnvelope is one that was accepted half an hour ago.
func (w *world) lateEnvelope(bs []sentBatch) []byte {
	w.t.Helper()
	var ew telemetry.EnvelopeWriter
	samples := 0
	for i := range bs {
		ew.Append(telemetry.Record{Claim: bs[i].claim, Vehicle: bs[i].vehicle, Payload: telemetry.AppendCanonical(nil, &bs[i].batch)})
		samples += bs[i].batch.Counted()
	}
	h := w.header(len(bs), samples)
	h.AcceptedAt -= (30 * time.Minute).Milliseconds()
	body, err := ew.Seal(h)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.Clone(body)
}

// fillQuarantine sends what a narrow worker can't use: single batches, whole envelopes, and one that does not get into
// the ledger. It returns how many batches those are.
func (w *world) fillQuarantine() (quarantined int64) {
	w.t.Helper()
	for range 4 {
		bs := w.old(10)
		w.send(bs)
		quarantined += int64(len(bs))
	}
	late := w.batches(7)
	w.remember(late)
	w.post(w.lateEnvelope(late))
	quarantined += 7
	stop := w.start(narrow(64<<20), w.deps())
	w.drain()
	stop()
	for range 3 {
		bs := w.batches(12)
		w.send(bs)
		quarantined += int64(len(bs))
	}
	stop = w.start(narrow(1<<10), w.deps())
	w.drain()
	stop()
	for reason, want := range map[ledger.Reason]int64{ledger.ReasonBatchTime: 40, ledger.ReasonEnvelopeTime: 1, ledger.ReasonBody: 3} {
		if n := w.number("SELECT count(*) FROM quarantine WHERE reason = $1", string(reason)); n != want {
			w.t.Fatalf("%d entries for %s, want %d", n, reason, want)
		}
	}
	return quarantined
}

func (w *world) requestAll() int {
	w.t.Helper()
	n, err := w.db.RequestRedrive(context.Background(), ledger.QuarantineFilter{Most: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// redriven waits until no request is pending.
func (w *world) redriven() {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for w.number("SELECT count(*) FROM redrive WHERE done_at IS NULL") > 0 {
		if time.Now().After(deadline) {
			w.t.Fatal("redrives still pending after a minute")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// balanced asserts that the ledger adds up, and to what.
func (w *world) balanced(archived, duplicate, quarantined int64) {
	w.t.Helper()
	report, err := w.db.Ledger(context.Background(), time.Now().Add(-24*time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	var a ledger.Account
	for i := range report.Hours {
		if !report.Hours[i].Balanced() {
			w.t.Errorf("%s does not add up: %+v", report.Hours[i].Start, report.Hours[i].Account)
		}
		a.Add(&report.Hours[i].Account)
	}
	if a.Archived.Batches != archived || a.Duplicate.Batches != duplicate || a.Quarantined.Batches != quarantined {
		w.t.Errorf("the ledger has %+v, want %d archived, %d duplicate, %d quarantined", a, archived, duplicate, quarantined)
	}
	if report.Manifest != report.Handled {
		w.t.Errorf("the manifest has %+v, the envelopes %+v", report.Manifest, report.Handled)
	}
	totals, err := w.db.Totals(context.Background(), time.Time{}, time.Now().Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	if totals.Archived != a.Archived || totals.Quarantined != a.Quarantined {
		w.t.Errorf("totals %+v, the ledger %+v", totals, a)
	}
}

func TestRedriveCountsExactlyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send(w.batches(20))
	stop := w.start(config(), w.deps())
	w.drain()
	stop()
	quarantined := w.fillQuarantine()
	before := w.number("SELECT sum(archived) FROM envelope")

	// A car has sent some of its batches again meanwhile: in envelopes that a worker could use.
	again := make([]sentBatch, 0, 5)
	for _, b := range w.sent {
		if again = append(again, b); len(again) == cap(again) {
			break
		}
	}
	w.send(again)
	stop = w.start(config(), w.deps())
	w.drain()
	stop()
	if n := w.number("SELECT sum(archived) FROM envelope"); n < before {
		t.Fatalf("%d archived after more was sent, before %d", n, before)
	}

	asked := w.requestAll()
	if asked < 44 || w.requestAll() != 0 {
		t.Fatalf("%d asked for, and some twice", asked)
	}
	for range 3 { // they race
		w.start(eager(), w.redriving())
	}
	w.redriven()
	w.verify(0)
	n := int64(len(w.sent))
	w.balanced(n, w.handled.batches-n, 0)
	if n := w.number("SELECT count(*) FROM quarantine WHERE resolved_at IS NULL"); n != 0 {
		t.Errorf("%d entries still open", n)
	}
	if n := w.number("SELECT sum(quarantined) FROM envelope"); n < quarantined-7 {
		t.Errorf("the envelopes' own entries were changed: %d quarantined of %d", n, quarantined)
	}
	if w.requestAll() != 0 {
		t.Error("what is resolved can be asked for again")
	}
}

// What is still unusable stays, with a reason, and moves nothing; the rest of its envelope is archived.
func TestRedriveOfWhatStaysUnusable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bs := w.batches(10)
	w.remember(bs[:9])
	body := w.seal(bs, func(i int, r *telemetry.Record) {
		if i == 9 {
			r.Payload = []byte{0xff}
		}
	})
	w.post(body)
	w.post([]byte("no envelope"))
	stop := w.start(narrow(1<<10), w.deps()) // the whole envelope, and the nonsense
	w.drain()
	stop()
	w.balanced(0, 0, 10)
	if n := w.requestAll(); n != 2 {
		t.Fatalf("%d asked for, want 2", n)
	}
	w.start(eager(), w.redriving())
	w.redriven()
	w.verify(1)
	w.balanced(9, 0, 1)
	entries, err := w.db.Quarantine(t.Context(), ledger.QuarantineFilter{State: ledger.Open, Most: 10})
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[ledger.Reason]bool{}
	for i := range entries {
		reasons[entries[i].Reason] = true
	}
	if len(entries) != 2 || !reasons[ledger.ReasonBatch] || !reasons[ledger.ReasonHeader] {
		t.Fatalf("open: %+v", entries)
	}
	// Again, and once the object is lost.
	w.requestAll()
	w.redriven()
	w.balanced(9, 0, 1)
	for _, e := range entries {
		if err := os.Remove(w.objects.dir + "/" + e.ObjectKey); err != nil {
			t.Fatal(err)
		}
	}
	w.requestAll()
	w.redriven()
	w.verify(1)
	_, redrives, found, err := w.db.Quarantined(t.Context(), entries[0].ID)
	if err != nil || !found || redrives[0].Resolved || redrives[0].Reason != ledger.ReasonGone {
		t.Errorf("%+v, %v, %v", redrives, found, err)
	}
}

// redriveChildEnv makes the child of TestKilledWhileRedriving redrive instead of working on the queue.
const redriveChildEnv = "CARASSO_TEST_REDRIVE_DIES_AT"

func redriveChild() {
	step := worker.Step(os.Getenv(redriveChildEnv))
	w := worldAt(&exitOnFailure{}, os.Getenv("TEST_URL"), os.Getenv("TEST_QUEUE"), os.Getenv("TEST_OBJECTS"))
	cfg := eager()
	cfg.Pipelines = 1
	n := 0
	cfg.OnStep = func(s worker.Step) {
		if s != step {
			return
		}
		if n++; n == 3 { // in the third object
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	d := w.redriving()
	wk, err := worker.New(cfg, d)
	if err != nil {
		os.Exit(3)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	_ = wk.Run(ctx)
	cancel()
	os.Exit(4) // it should have died
}

func TestKilledWhileRedriving(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []worker.Step{
		worker.StepDecode, worker.StepMatch, worker.StepBegin, worker.StepEnvelopes, worker.StepClaim, worker.StepAggregate,
		worker.StepArchive, worker.StepPut, worker.StepStore, worker.StepSettle, worker.StepCommit,
	} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fillQuarantine()
			w.requestAll()
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), redriveChildEnv+"="+string(step), "TEST_URL="+w.url, "TEST_QUEUE="+w.queue.dir, "TEST_OBJECTS="+w.objects.dir)
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the worker should have killed itself: %v\n%s", err, out)
			}
			if w.number("SELECT count(*) FROM redrive WHERE done_at IS NULL") == 0 {
				t.Fatal("the killed worker had finished everything")
			}
			w.start(eager(), w.redriving())
			w.redriven()
			w.verify(0)
			w.balanced(int64(len(w.sent)), 0, 0)
		})
	}
}
