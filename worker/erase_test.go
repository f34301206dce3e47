package worker_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

var _ worker.EraseStore = (*postgres.DB)(nil)

func (o *dirObjects) Delete(_ context.Context, key string) error {
	err := os.Remove(filepath.Join(o.dir, filepath.FromSlash(key)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// statuses counts who was forgotten.
type statuses struct {
	mu      sync.Mutex
	told    int
	deleted int
}

func (s *statuses) Forget(context.Context, [16]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
	return nil
}

func (s *statuses) Delete(context.Context, [16]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted++
	return nil
}

func (w *world) eraser(to worker.VehicleStatuses, on func(worker.EraseStep)) *worker.Eraser {
	return worker.NewEraser(worker.EraserDeps{
		Store: w.db, Objects: w.objects, Statuses: to, Logger: slog.New(slog.DiscardHandler), ForgetWait: time.Millisecond, OnStep: on,
	})
}

// The cars' pseudonyms: of mine one for yesterday and one for today and after.
const (
	mine      = 9001
	yesterday = 9002
	theirs    = 9003
	others    = 9004
)

var subject = [16]byte{0xca, 0xfe, 15: 1}

func (w *world) requestErasure() ledger.Erasure {
	w.t.Helper()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	e, _, err := w.db.RequestErasure(context.Background(), ledger.Erasure{Subject: subject, RequestedBy: "dpo"}, []ledger.ErasedDay{
		{Day: today.AddDate(0, 0, -2), Pseudonym: 1}, {Day: today.AddDate(0, 0, -1), Pseudonym: yesterday}, {Day: today, Pseudonym: mine}, {Day: today.AddDate(0, 0, 1), Pseudonym: 2},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) erase(id int64) ledger.Receipt {
	w.t.Helper()
	raw, err := w.eraser(&statuses{}, nil).Run(context.Background(), id, ignored{})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.receipt(raw)
}

func (w *world) receipt(raw json.RawMessage) (r ledger.Receipt) {
	w.t.Helper()
	if err := json.Unmarshal(raw, &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// of gives batches to the three cars in turn.
func of(bs []sentBatch) []sentBatch {
	for i := range bs {
		bs[i].vehicle = [...]uint64{mine, theirs, yesterday, others}[i%4]
	}
	return bs
}

func toErase(vehicle uint64) bool { return vehicle == mine || vehicle == yesterday }

// erasable fills a world with all that an erasure has to look at: objects of flushes and objects put together, copies that nothing names,
// and envelopes in quarantine, whole ones and for single records. It returns how many batches are in quarantine.
func erasable(t *testing.T) (w *world, quarantined int64) {
	t.Helper()
	w = newWorld(t)
	flush := func(cfg worker.Config, envelopes int, bs func() []sentBatch) {
		cfg.FlushBatches, cfg.Pipelines = 25, 1
		stop := w.start(cfg, w.deps())
		for range envelopes {
			w.send(of(bs()))
			w.drain()
		}
		stop()
	}
	twenty := func() []sentBatch { return w.batches(20) }
	flush(config(), 4, twenty)
	keys := w.objectKeys()
	if _, err := w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{}); err != nil {
		t.Fatal(err)
	}
	if n := w.number("SELECT count(*) FROM manifest WHERE object_key = ANY($1)", keys); n != 0 {
		t.Fatalf("%d objects were not put together", n)
	}
	flush(config(), 3, twenty)
	// An object that holds nothing but the vehicle's batches.
	flush(config(), 1, func() []sentBatch { return w.batches(1) })

	before := len(w.sent)
	flush(narrow(64<<20), 2, func() []sentBatch { return w.old(8) })
	flush(narrow(1<<10), 1, func() []sentBatch { return w.batches(12) })
	w.post([]byte("no envelope"))
	flush(config(), 1, func() []sentBatch { return w.batches(4) })
	quarantined = int64(len(w.sent) - before - 4)
	if n := w.number("SELECT sum(quarantined) FROM envelope"); n != quarantined {
		t.Fatalf("%d batches in quarantine, want %d", n, quarantined)
	}
	return w, quarantined
}

// everywhere reads every object that there is, and returns by claim how often a batch is in an object that the manifest names.
func (w *world) everywhere(gone func(vehicle uint64) bool) map[telemetry.ClaimID]int {
	w.t.Helper()
	named := map[string]bool{}
	for _, key := range w.objectKeys() {
		named[key] = true
	}
	found := map[telemetry.ClaimID]int{}
	err := w.objects.List(context.Background(), "", func(key string, _ int64, _ time.Time) error {
		body, err := w.objects.get(key)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(key, "raw/") {
			e, err := telemetry.OpenEnvelope(body, 64<<20)
			if err != nil {
				return nil //nolint:nilerr // not readable
			}
			for r := range e.Records() {
				if gone(r.Vehicle) {
					w.t.Errorf("a record of the vehicle is in %s", key)
				}
			}
			return nil
		}
		rows, err := worker.ReadArchive(body)
		if err != nil {
			return err
		}
		for i := range rows {
			if gone(rows[i].Vehicle) {
				w.t.Errorf("a batch of the vehicle is in %s (named: %v)", key, named[key])
			}
			if want := w.sent[rows[i].Claim]; want.vehicle != rows[i].Vehicle || !slices.Equal(want.batch.Samples, rows[i].Batch.Samples) {
				w.t.Errorf("batch %s is archived with other content", rows[i].Claim)
			}
			if named[key] {
				found[rows[i].Claim]++
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// verifyErased asserts that nothing of the vehicle is anywhere, and all of the others where it was; that claims stay, and that the
// ledger adds up with what was erased named. It returns how many batches in archive and quarantine were.
func (w *world) verifyErased(quarantined int64) (archived, quarantine int64) {
	w.t.Helper()
	found := w.everywhere(toErase)
	inQuarantine := map[telemetry.ClaimID]bool{}
	for _, b := range w.sent {
		if w.number("SELECT count(*) FROM claim WHERE id = $1", [16]byte(b.claim)) == 0 {
			inQuarantine[b.claim] = true
		}
	}
	var kept int64
	for _, b := range w.sent {
		switch {
		case inQuarantine[b.claim] && toErase(b.vehicle):
			quarantine++
		case inQuarantine[b.claim]:
		case toErase(b.vehicle):
			archived++
		case found[b.claim] != 1:
			w.t.Errorf("another vehicle's batch %s is archived %d times", b.claim, found[b.claim])
		default:
			kept++
		}
	}
	n := int64(len(w.sent)) - quarantined
	if int64(len(inQuarantine)) != quarantined {
		w.t.Errorf("%d batches without claim, want %d", len(inQuarantine), quarantined)
	}
	for sql, want := range map[string]int64{
		"SELECT sum(batches) FROM manifest":                                    n,
		"SELECT sum(erased_batches) FROM manifest":                             archived,
		"SELECT sum(batches - erased_batches) FROM manifest":                   kept,
		"SELECT count(*) FROM claim":                                           n,
		"SELECT sum(samples) - (SELECT sum(samples) FROM claim) FROM manifest": 0,
		"SELECT count(*) FROM erasure_day":                                     0,
		"SELECT count(*) FROM erasure_object":                                  0,
	} {
		if got := w.number(sql); got != want {
			w.t.Errorf("%s = %d, want %d", sql, got, want)
		}
	}
	w.balanced(n, w.handled.batches-n-quarantined, quarantined)
	report, err := w.db.Ledger(context.Background(), time.Now().Add(-24*time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	if report.Erased.Batches != archived+quarantine {
		w.t.Errorf("the ledger names %+v as erased, want %d batches", report.Erased, archived+quarantine)
	}
	return archived, quarantine
}

func TestErasure(t *testing.T) {
	t.Parallel()
	w, quarantined := erasable(t)
	before := w.objectKeys()
	e := w.requestErasure()
	if again := w.requestErasure(); again.ID != e.ID {
		t.Errorf("asked twice there are two: %d, %d", e.ID, again.ID)
	}
	var status statuses
	raw, err := w.eraser(&status, nil).Run(t.Context(), e.ID, ignored{})
	if err != nil {
		t.Fatal(err)
	}
	archived, quarantine := w.verifyErased(quarantined)
	r := w.receipt(raw)
	if r.Archive.Batches != archived || r.Quarantine.Batches != quarantine || r.Archive.Objects < 4 || r.Quarantine.Objects != 3 || r.Copies.Objects == 0 || r.Unreadable != 1 ||
		r.Subject != hex.EncodeToString(subject[:]) || r.Days.WithKey != 4 || r.Days.From != nil || r.Status != "deleted" || len(r.Kept) < 5 || r.Archive.Samples == 0 || r.Quarantine.Samples == 0 {
		t.Errorf("%s, want %d batches of the archive and %d of the quarantine", raw, archived, quarantine)
	}
	if status.told != 1 || status.deleted != 1 {
		t.Errorf("the status was told to be forgotten %d times, and deleted %d times", status.told, status.deleted)
	}
	if strings.ContainsAny(string(raw), "<>&") {
		t.Error("the receipt would be escaped, and its signature wrong")
	}
	if n := w.number("SELECT count(*) FROM manifest WHERE object_key IS NULL AND batches > 0"); n != 1 {
		t.Errorf("%d flushes whose object is gone, want that of one car's alone", n)
	}
	for _, key := range before {
		if _, err := w.objects.get(key); err == nil && !slices.Contains(w.objectKeys(), key) {
			t.Errorf("%s is still there", key)
		}
	}

	// Once more is no more, and a new request finds nothing.
	if again, err := w.eraser(&status, nil).Run(t.Context(), e.ID, ignored{}); err != nil || string(again) != string(raw) {
		t.Errorf("again: %s, %v", again, err)
	}
	keys := w.objectKeys()
	second := w.requestErasure()
	if r := w.erase(second.ID); second.ID == e.ID || r.Archive.Batches+r.Copies.Objects+r.Quarantine.Batches != 0 {
		t.Errorf("a second erasure: %+v", r)
	}
	if !slices.Equal(keys, w.objectKeys()) {
		t.Error("a second erasure has rewritten objects")
	}
	w.verifyErased(quarantined)

	// What is sent again is a duplicate.
	var bs []sentBatch
	for _, b := range w.sent {
		if toErase(b.vehicle) && w.number("SELECT count(*) FROM claim WHERE id = $1", [16]byte(b.claim)) == 1 {
			bs = append(bs, b)
		}
	}
	w.send(bs[:5])
	stop := w.start(config(), w.deps())
	w.drain()
	stop()
	w.verifyErased(quarantined)
}

// The archive can be put together and replayed after an erasure, and a replay is what the archive holds.
func TestCompactionAndReplayAfterErasure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(6)
	for _, b := range w.sent { // any of the world's 60 vehicles
		today := time.Now().UTC().Truncate(24 * time.Hour)
		e, _, err := w.db.RequestErasure(t.Context(), ledger.Erasure{Subject: subject}, []ledger.ErasedDay{{Day: today, Pseudonym: b.vehicle}, {Day: today.AddDate(0, 0, -1), Pseudonym: b.vehicle}})
		if err != nil {
			t.Fatal(err)
		}
		if r := w.erase(e.ID); r.Archive.Batches == 0 {
			t.Fatalf("nothing was erased: %+v", r)
		}
		maps.DeleteFunc(w.sent, func(_ telemetry.ClaimID, s sentBatch) bool { return s.vehicle == b.vehicle })
		break
	}
	w.verifyArchive()
	if r, err := w.compactor(0, nil).Run(t.Context(), worker.CompactArgs{}, ignored{}); err != nil || r.Batches != len(w.sent) {
		t.Errorf("%+v, %v", r, err)
	}
	w.verifyArchive()
	report := w.build()
	if report.Equal || report.Batches != int64(len(w.sent)) || report.Diff.Speeds.LiveAmount <= report.Diff.Speeds.NewAmount {
		t.Errorf("the live aggregates should still have the vehicle's part: %+v", report)
	}
	w.swap(report)
	speeds, _ := w.oracle()
	w.verifyStoredSpeeds(speeds) // the live ones of two hours stay
	w.verifyEvidence()
	w.exec("UPDATE erased_pseudonym SET upto = now() - interval '1 minute'") // what is accepted from now on is kept
	w.drive(2)
	w.verifyArchive()
	if again := w.build(); !again.Equal {
		t.Errorf("a second replay differs: %+v", again.Diff)
	}
}

// What was accepted before the request and comes out of the queue after it is kept nowhere; what is accepted later is.
func TestErasureOfWhatIsInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.send(of(w.batches(20)))
	}
	e := w.requestErasure()
	if r := w.erase(e.ID); r.Archive.Batches != 0 {
		t.Errorf("%+v", r)
	}
	stop := w.start(config(), w.deps())
	w.drain()
	stop()
	old := of(w.old(8))
	w.send(old)
	stop = w.start(narrow(64<<20), w.deps())
	w.drain()
	stop()
	quarantined := int64(0)
	for _, b := range w.sent {
		if w.number("SELECT count(*) FROM claim WHERE id = $1", [16]byte(b.claim)) == 0 {
			quarantined++
		}
	}
	if quarantined < int64(len(old)) {
		t.Fatalf("%d in quarantine", quarantined)
	}
	found := w.everywhere(toErase)
	var erased int64
	for _, b := range w.sent {
		claimed := w.number("SELECT count(*) FROM claim WHERE id = $1", [16]byte(b.claim)) == 1
		switch {
		case claimed && toErase(b.vehicle):
			erased++
		case claimed && found[b.claim] != 1:
			t.Errorf("another vehicle's batch is archived %d times", found[b.claim])
		}
	}
	if n := w.number("SELECT sum(erased_batches) FROM manifest"); n != erased || erased == 0 {
		t.Errorf("%d named as erased, want %d", n, erased)
	}
	n := int64(len(w.sent)) - quarantined
	w.balanced(n, 0, quarantined)
	if got := w.number("SELECT sum(batches)::bigint FROM sensor_health") + w.number("SELECT sum(batches)::bigint FROM sensor_health_delta"); got != n-erased {
		t.Errorf("sensor health counts %d batches, want %d", got, n-erased)
	}

	// What is redriven of it holds nothing of the vehicle either, and stays accounted for.
	if w.requestAll() == 0 {
		t.Fatal("nothing to redrive")
	}
	stop = w.start(eager(), w.redriving())
	w.redriven()
	stop()
	w.everywhere(toErase)
	left := w.number("SELECT sum(quarantined) FROM envelope") + w.number("SELECT sum(quarantined) FROM envelope_adjustment")
	w.balanced(int64(len(w.sent))-left, 0, left)
	for _, reason := range w.strings("SELECT DISTINCT coalesce(r.reason, '') FROM redrive r WHERE NOT resolved") {
		if reason != string(ledger.ReasonErased) {
			t.Errorf("left in quarantine because of %s", reason)
		}
	}

	later := of(w.batches(8))
	w.remember(later)
	var ew telemetry.EnvelopeWriter
	samples := 0
	for i := range later {
		ew.Append(telemetry.Record{Claim: later[i].claim, Vehicle: later[i].vehicle, Payload: telemetry.AppendCanonical(nil, &later[i].batch)})
		samples += later[i].batch.Counted()
	}
	h := w.header(len(later), samples)
	h.AcceptedAt = e.UpTo.Add(time.Second).UnixMilli()
	body, err := ew.Seal(h)
	if err != nil {
		t.Fatal(err)
	}
	w.post(slices.Clone(body))
	stop = w.start(config(), w.deps())
	w.drain()
	stop()
	found = w.everywhere(func(uint64) bool { return false })
	for _, b := range later {
		if found[b.claim] != 1 {
			t.Errorf("a batch accepted after the request is archived %d times", found[b.claim])
		}
	}
}

// An envelope that is redriven as a whole after records of it were erased: the rest counts, and the ledger adds up.
func TestRedriveAfterErasure(t *testing.T) {
	t.Parallel()
	w, quarantined := erasable(t)
	late := of(w.batches(8))
	w.remember(late)
	w.post(w.lateEnvelope(late)) // one that is not in the ledger
	stop := w.start(narrow(64<<20), w.deps())
	w.drain()
	stop()
	e := w.requestErasure()
	w.erase(e.ID)
	w.everywhere(toErase)
	w.requestAll()
	stop = w.start(eager(), w.redriving())
	w.redriven()
	stop()
	found := w.everywhere(toErase)
	for _, b := range w.sent {
		if !toErase(b.vehicle) && found[b.claim] != 1 {
			t.Errorf("another vehicle's batch is archived %d times", found[b.claim])
		}
	}
	left := w.number("SELECT sum(quarantined) FROM envelope") + w.number("SELECT sum(quarantined) FROM envelope_adjustment")
	var erased int64
	for _, b := range w.sent {
		if toErase(b.vehicle) && w.number("SELECT count(*) FROM claim WHERE id = $1", [16]byte(b.claim)) == 0 {
			erased++
		}
	}
	if left != erased || left > quarantined+4 {
		t.Errorf("%d batches left in quarantine, %d of them erased", left, erased)
	}
	n := int64(len(w.sent))
	w.balanced(n-left, w.handled.batches-n, left)
}

// A flush that began before the request, and ends after it, is waited for.
func TestErasureWaitsForFlushesUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send(of(w.batches(20)))
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	cfg := config()
	cfg.Pipelines = 1
	cfg.OnStep = func(s worker.Step) {
		if s == worker.StepCommit {
			once.Do(func() { close(held); <-release })
		}
	}
	stop := w.start(cfg, w.deps())
	<-held
	e := w.requestErasure()
	done := make(chan error, 1)
	go func() {
		_, err := w.eraser(&statuses{}, nil).Run(context.Background(), e.ID, ignored{})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.drain()
	stop()
	w.verifyErased(0)
}

// While objects are put together an erasure waits for its turn, and the other way round; neither fails.
func TestErasureDuringCompaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.start(config(), w.deps())
	for range 12 {
		w.send(of(w.batches(20)))
		w.drain()
	}
	stop()
	e := w.requestErasure()
	done := make(chan error, 1)
	var once sync.Once
	_, err := w.compactor(200, func(s worker.CompactStep) {
		if s == worker.CompactPut {
			once.Do(func() {
				go func() {
					_, err := w.eraser(&statuses{}, nil).Run(context.Background(), e.ID, ignored{})
					done <- err
				}()
				time.Sleep(200 * time.Millisecond)
			})
		}
	}).Run(t.Context(), worker.CompactArgs{}, ignored{})
	if err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.verifyErased(0)
}

func TestCancelledErasureGoesOn(t *testing.T) {
	t.Parallel()
	w, quarantined := erasable(t)
	e := w.requestErasure()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.eraser(&statuses{}, func(s worker.EraseStep) {
		if s == worker.EraseHour {
			cancel()
		}
	}).Run(ctx, e.ID, ignored{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.erase(e.ID)
	w.verifyErased(quarantined)
}

func TestErasureRefusesWhatTheManifestDoesNotSay(t *testing.T) {
	t.Parallel()
	w := archived(t)
	keys := w.objectKeys()
	w.exec("UPDATE manifest SET batches = batches + 1")
	e, _, err := w.db.RequestErasure(t.Context(), ledger.Erasure{Subject: subject}, []ledger.ErasedDay{
		{Day: time.Now().UTC().Truncate(24 * time.Hour), Pseudonym: anyVehicle(w)}, {Day: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1), Pseudonym: anyVehicle(w)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.eraser(&statuses{}, nil).Run(t.Context(), e.ID, ignored{}); err == nil {
		t.Error("an object that is not what the manifest says was rewritten")
	}
	if !slices.Equal(keys, w.objectKeys()) {
		t.Error("the manifest names others")
	}
	if _, err := w.eraser(&statuses{}, nil).Run(t.Context(), 999, ignored{}); !errors.Is(err, ledger.ErrNoErasure) {
		t.Errorf("an unknown one: %v", err)
	}
}

// anyVehicle is one that sent something, always the same.
func anyVehicle(w *world) uint64 {
	ids := make([]uint64, 0, len(w.sent))
	for _, b := range w.sent {
		ids = append(ids, b.vehicle)
	}
	return slices.Max(ids)
}

// Of an erasure that nobody ends nothing is kept that names the vehicle's days.
func TestErasureIsAbandoned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.requestErasure()
	w.exec("UPDATE erasure SET requested_at = requested_at - interval '31 days'")
	w.exec("UPDATE erased_pseudonym SET keep_until = now() - interval '1 s'")
	if _, _, err := w.db.EndRetention(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"erasure_day", "erased_pseudonym"} {
		if n := w.number("SELECT count(*) FROM " + table); n != 0 {
			t.Errorf("%d rows left in %s", n, table)
		}
	}
	if got, err := w.db.Erasure(t.Context(), e.ID); err != nil || got.State != ledger.ErasureAbandoned {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.eraser(&statuses{}, nil).Run(t.Context(), e.ID, ignored{}); !errors.Is(err, ledger.ErrErasureState) {
		t.Errorf("%v", err)
	}
}

// eraseChildEnv makes a child process an eraser that kills itself at a step.
const eraseChildEnv = "CARASSO_TEST_ERASER_DIES_AT"

func eraseChild() {
	w := worldAt(&exitOnFailure{}, os.Getenv("TEST_URL"), os.TempDir(), os.Getenv("TEST_OBJECTS"))
	step := worker.EraseStep(os.Getenv(eraseChildEnv))
	id, _ := strconv.ParseInt(os.Getenv("TEST_ERASURE"), 10, 64)
	_, err := w.eraser(&statuses{}, func(s worker.EraseStep) {
		if s == step {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				os.Exit(3)
			}
			select {}
		}
	}).Run(context.Background(), id, ignored{})
	if err != nil {
		os.Exit(5)
	}
	os.Exit(4) // it should have died
}

// kill -9 at every step, then again: all is gone, nothing else is, and the receipt counts everything once.
func TestEraserKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range worker.EraseSteps() {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w, quarantined := erasable(t)
			e := w.requestErasure()
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), eraseChildEnv+"="+string(step), "TEST_URL="+w.url, "TEST_OBJECTS="+w.objects.dir, "TEST_ERASURE="+strconv.FormatInt(e.ID, 10))
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the eraser should have killed itself: %v\n%s", err, out)
			}
			w.balanced(int64(len(w.sent))-quarantined, w.handled.batches-int64(len(w.sent)), quarantined)
			r := w.erase(e.ID)
			archived, quarantine := w.verifyErased(quarantined)
			if r.Archive.Batches != archived || r.Quarantine.Batches != quarantine {
				t.Errorf("%+v, want %d batches of the archive and %d of the quarantine", r, archived, quarantine)
			}
		})
	}
}
