package worker_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// List implements the object store of backfills.
func (o *dirObjects) List(_ context.Context, prefix string, each func(string, int64, time.Time) error) error {
	return filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(o.dir, path)
		if err != nil || !strings.HasPrefix(key, prefix) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return each(filepath.ToSlash(key), info.Size(), info.ModTime())
	})
}

func (w *world) backfiller(onStep func(worker.Step)) *worker.Backfiller {
	d := w.deps()
	return worker.NewBackfiller(worker.BackfillDeps{
		Store: w.db, Objects: w.objects, NewMatcher: d.NewMatcher, NewCollectors: d.NewCollectors, MapVersion: d.MapVersion, Logger: slog.New(slog.DiscardHandler),
		Samples: 120, OnStep: onStep,
		Begin: func(ctx context.Context, b ledger.Backfill, o ledger.BackfillObject, from, to time.Time) (worker.Tx, error) {
			tx, err := w.db.BeginBackfillFlush(ctx, b, o, from, to)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
	})
}

// ago is a day so many days before today.
func ago(days int) time.Time { return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days) }

// past drives batches about noon of a day, whose claims are of that time.
func (w *world) past(day time.Time, n int) []sentBatch {
	bs := w.batches(n)
	for i := range bs {
		b := &bs[i].batch
		shift := day.Add(12*time.Hour).UnixMilli() + int64(w.r.IntN(3_600_000)) - b.Samples[0].T
		for j := range b.Samples {
			b.Samples[j].T += shift
		}
		for j := range b.Events {
			b.Events[j].T += shift
		}
		id := &bs[i].claim
		binary.BigEndian.PutUint64(id[:8], uint64(b.Samples[0].T)<<16|0x7000|uint64(w.r.IntN(1<<12)))
		id[8] = id[8]&0x3f | 0x80
	}
	return bs
}

func archiveRow(s *sentBatch) worker.ArchiveRow {
	r := worker.ArchiveRow{
		Claim: s.claim, Vehicle: s.vehicle, Model: s.batch.Vehicle.Model, Software: s.batch.Vehicle.Software, TripKey: s.batch.Trip.Key,
		TripElapsedS: s.batch.Trip.ElapsedS, TripFinal: s.batch.Trip.Final, LeadIn: int32(s.batch.LeadIn),
	}
	for i := range s.batch.Samples {
		p := &s.batch.Samples[i]
		foreign := int64(4711) // an edge of another map
		a := worker.ArchiveSample{T: p.T, LatE7: p.LatE7, LonE7: p.LonE7, Edge: &foreign}
		if p.Has&telemetry.HasSpeed != 0 {
			v, on := int32(p.SpeedCMPS), p.On&telemetry.ABSActive != 0
			a.SpeedCMPS, a.ABSActive = &v, &on
		}
		r.Samples = append(r.Samples, a)
	}
	for _, e := range s.batch.Events {
		r.Events = append(r.Events, worker.ArchiveEvent{
			T: e.T, Type: int32(e.Type), Sign: int32(e.Sign), ValueKMH: int32(e.ValueKMH), Hazard: int32(e.Hazard), ConfidencePermille: int32(e.ConfidencePermille),
		})
	}
	return r
}

// object stores an object of an archive of batches.
func (w *world) object(key string, bs ...sentBatch) []byte {
	w.t.Helper()
	rows := make([]worker.ArchiveRow, len(bs))
	for i := range bs {
		rows[i] = archiveRow(&bs[i])
	}
	return storeRows(w, key, rows)
}

func storeRows[R any](w *world, key string, rows []R) []byte {
	w.t.Helper()
	var out bytes.Buffer
	if err := parquet.Write(&out, rows); err != nil {
		w.t.Fatal(err)
	}
	if err := w.objects.Put(context.Background(), key, out.Bytes(), "", ""); err != nil {
		w.t.Fatal(err)
	}
	return out.Bytes()
}

// verifyPast is verify for a world into which archives were taken, with so many duplicates.
func (w *world) verifyPast(duplicates int64) {
	w.t.Helper()
	speeds, health := w.oracle()
	w.verifyArchive()
	w.verifySpeeds(speeds)
	w.verifyEvidence()
	n := int64(len(w.sent))
	for sql, want := range map[string]int64{
		"SELECT sum(batches) FROM manifest":                                             n,
		"SELECT sum(samples) FROM manifest":                                             health.Samples,
		"SELECT sum(archived) FROM envelope":                                            n,
		"SELECT sum(archived_samples) FROM envelope":                                    health.Samples,
		"SELECT sum(duplicate) FROM envelope":                                           duplicates,
		"SELECT sum(quarantined) FROM envelope":                                         0,
		"SELECT count(*) FROM envelope WHERE batches <> archived+duplicate+quarantined": 0,
		"SELECT count(*) FROM envelope WHERE flush NOT IN (SELECT id FROM manifest)":    0,
		"SELECT sum(batches)::bigint FROM sensor_health":                                n,
		"SELECT sum(samples)::bigint FROM sensor_health":                                health.Samples,
	} {
		if got := w.number(sql); got != want {
			w.t.Errorf("%s = %d, want %d", sql, got, want)
		}
	}
	report, err := w.db.Ledger(context.Background(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range report.Hours {
		if !h.Balanced() || h.InFlight.Batches != 0 {
			w.t.Errorf("ledger: %+v", h)
		}
	}
	if len(report.Gaps) != 0 || report.Manifest != report.Handled {
		w.t.Errorf("ledger: %+v", report)
	}
}

func (w *world) takeIn(prefix string, from, to time.Time) ledger.BackfillReport {
	w.t.Helper()
	r, err := w.backfiller(nil).Run(context.Background(), backfillArgs(prefix, from, to), noProgress{})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func backfillArgs(prefix string, from, to time.Time) worker.BackfillArgs {
	return worker.BackfillArgs{Prefix: prefix, From: from.Format(time.DateOnly), To: to.Format(time.DateOnly)}
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(3)
	driven := w.number("SELECT sum(duplicate) FROM envelope")
	old, recent, outside := w.past(ago(20), 40), w.past(ago(3), 30), w.past(ago(30), 7)
	w.object("import/1.parquet", old...)
	w.object("import/2/b.parquet", append(append(append([]sentBatch{}, old[:5]...), recent...), outside...)...)
	w.object("import/3.parquet", old...) // the same once more
	w.remember(old)
	w.remember(recent)
	marked := w.number("SELECT count(*) FROM outbox WHERE layer IN ('speeds', 'hazards')")

	r := w.takeIn("import/", ago(21), ago(2))
	if r.Objects != 3 || r.Batches != 70 || r.Duplicates != 45 || r.Outside != 7 || r.BadObjects != 0 || r.Receiver == "" {
		t.Errorf("%+v", r)
	}
	w.verifyPast(driven + 45)
	if n := w.number("SELECT count(*) FROM outbox WHERE layer IN ('speeds', 'hazards')"); n != marked {
		t.Errorf("%d tiles of what is live were marked", n-marked)
	}
	if _, _, err := w.db.FoldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.number("SELECT count(*) FROM live_speed WHERE minute < now() - interval '1 day'"); n != 0 {
		t.Errorf("%d live speeds of the past", n)
	}
	// Trends over months have the days, too.
	if _, err := w.db.AddUpDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, day := range []time.Time{ago(20), ago(3)} {
		if got, want := w.number("SELECT sum(n)::bigint FROM speed_day WHERE bucket = $1", day), w.number("SELECT sum(n)::bigint FROM edge_day WHERE day = $1", day); got != want || got == 0 {
			t.Errorf("%v: %d samples added up, want %d", day, got, want)
		}
	}

	// Again, and from elsewhere when the claims are forgotten: nothing is counted twice. What our own archive holds is left alone.
	if again := w.takeIn("import/", ago(21), ago(2)); again.Batches != 70 || again.Duplicates != 45 {
		t.Errorf("again: %+v", again)
	}
	if n := w.number("SELECT count(*) FROM old_claim"); n != 0 {
		t.Errorf("%d claims are kept", n)
	}
	w.object("copy/1.parquet", append(old[:10:10], recent[:10]...)...)
	if r = w.takeIn("copy/", ago(21), ago(2)); r.Batches != 0 || r.Duplicates != 20 {
		t.Errorf("from elsewhere: %+v", r)
	}
	if r = w.takeIn("raw/", ago(21), ago(2)); r.Objects != 0 {
		t.Errorf("our own archive: %+v", r)
	}
	w.verifyPast(driven + 65)

	// A car that sends a batch again, which the archive had, is told so.
	stop := w.start(config(), w.deps())
	w.send(recent[:4])
	w.drain()
	stop()
	w.verifyPast(driven + 69)

	// A replay of these days is what was taken in.
	report, err := w.replaying(nil).Build(t.Context(), ago(21), ago(1), noProgress{})
	if err != nil || !report.Equal || report.Batches != 70 {
		t.Errorf("%+v, %v", report, err)
	}
}

// What was erased does not come back from an archive, while its pseudonyms are known to be erased.
func TestBackfillOfErasedVehicle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bs := w.past(ago(5), 40)
	w.object("import/1.parquet", bs...)
	gone := bs[0].vehicle
	var erased int64
	for i := range bs {
		if bs[i].vehicle == gone {
			erased++
		}
	}
	w.exec("INSERT INTO erased_pseudonym VALUES ($1, now() - interval '1 hour', now() + interval '1 day')", int64(gone))
	if r := w.takeIn("import/", ago(5), ago(5)); r.Batches != 40 {
		t.Errorf("%+v", r)
	}
	if n := w.number("SELECT sum(erased_batches)::bigint FROM manifest"); n != erased {
		t.Errorf("%d batches erased, want %d", n, erased)
	}
	for _, key := range w.strings("SELECT DISTINCT object_key FROM manifest WHERE object_key IS NOT NULL") {
		body, err := w.objects.get(key)
		if err != nil {
			t.Fatal(err)
		}
		all, err := worker.ReadArchive(body)
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if all[i].Vehicle == gone {
				t.Errorf("%s holds a batch of the erased vehicle", key)
			}
		}
	}
}

// What can't be used is named, and none of it is taken in.
func TestBackfillOfBadObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.past(ago(10), 30)
	body := w.object("import/good.parquet", good...)
	w.remember(good)
	put := func(key string, body []byte) {
		t.Helper()
		if err := w.objects.Put(t.Context(), key, body, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	other := w.past(ago(10), 30)
	cut := w.object("import/cut.parquet", other...)
	put("import/cut.parquet", cut[:len(cut)*2/3])
	put("import/empty.parquet", nil)
	flipped := bytes.Clone(body)
	for i := 200; i < 400; i++ {
		flipped[i] ^= 0x55
	}
	put("import/flipped.parquet", flipped)
	type alien struct {
		Name string `parquet:"name"`
	}
	storeRows(w, "import/alien.parquet", []alien{{"x"}})
	type more struct {
		worker.ArchiveRow
		VIN string `parquet:"vin"`
	}
	storeRows(w, "import/more.parquet", []more{{archiveRow(&other[0]), "WBA"}})
	wrong := func(key string, change func(r *worker.ArchiveRow)) {
		rows := make([]worker.ArchiveRow, len(other))
		for i := range other {
			rows[i] = archiveRow(&other[i])
		}
		change(&rows[len(rows)-1])
		storeRows(w, key, rows)
	}
	huge := int32(70_000)
	wrong("import/row1.parquet", func(r *worker.ArchiveRow) { r.LeadIn = int32(len(r.Samples)) })
	wrong("import/row2.parquet", func(r *worker.ArchiveRow) { r.Samples[0].SpeedCMPS = &huge })
	wrong("import/row3.parquet", func(r *worker.ArchiveRow) { r.Samples[0].LatE7 = 2_000_000_000 })
	wrong("import/row4.parquet", func(r *worker.ArchiveRow) { r.Samples[len(r.Samples)-1].T += 48 * 3_600_000 })
	wrong("import/row5.parquet", func(r *worker.ArchiveRow) { r.Claim = [16]byte{1} })
	wrong("import/row6.parquet", func(r *worker.ArchiveRow) { r.Model = strings.Repeat("x", 100) })

	r := w.takeIn("import/", ago(11), ago(9))
	if r.Objects != 12 || r.BadObjects != 11 || r.Batches != 30 || r.Duplicates != 0 || len(r.Bad) != 11 {
		t.Errorf("%+v", r)
	}
	for _, b := range r.Bad {
		t.Logf("%s: %s", b.Key, b.Error)
		if strings.Contains(b.Key, "row") && !strings.Contains(b.Error, "row 30") || strings.Contains(b.Key, "more") && !strings.Contains(b.Error, "vin") ||
			strings.Contains(b.Key, "alien") && !strings.Contains(b.Error, "missing") {
			t.Errorf("%+v does not say what is wrong", b)
		}
	}
	w.verifyPast(0)
	// Mended, it is taken in.
	w.object("import/cut.parquet", other...)
	w.remember(other)
	if r = w.takeIn("import/", ago(11), ago(9)); r.BadObjects != 10 || r.Batches != 60 {
		t.Errorf("mended: %+v", r)
	}
	w.verifyPast(0)
}

func TestBackfillRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.object("import/1.parquet", w.past(ago(10), 3)...)
	p := w.backfiller(nil)
	for name, days := range map[string][2]time.Time{"too old": {ago(34), ago(30)}, "not over": {ago(3), ago(0)}} {
		if _, err := p.Run(t.Context(), backfillArgs("import/", days[0], days[1]), noProgress{}); !errors.Is(err, ledger.ErrBackfillDays) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var wrong *job.ArgsError
	if _, err := p.Run(t.Context(), backfillArgs("nothing/", ago(10), ago(10)), noProgress{}); !errors.As(err, &wrong) || wrong.Pointer != "/prefix" {
		t.Errorf("nothing there: %v", err)
	}
	for in, pointer := range map[worker.BackfillArgs]string{
		{}: "/prefix", {Prefix: "/etc/", From: "2026-11-01"}: "/prefix", {Prefix: "a/../b", From: "2026-11-01"}: "/prefix", {Prefix: "a\x00", From: "2026-11-01"}: "/prefix",
		{Prefix: "a/"}: "/from", {Prefix: "a/", From: "2026-11-02", To: "2026-11-01"}: "/to", {Prefix: "a/", From: "2026-11-02"}: "",
	} {
		err := in.Validate()
		if pointer == "" && err != nil || pointer != "" && (!errors.As(err, &wrong) || wrong.Pointer != pointer) {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if n := w.number("SELECT count(*) FROM manifest"); n != 0 {
		t.Errorf("%d flushes", n)
	}
}

// Of two runs at the same time, one that was given up for dead ends by itself, and nothing is counted twice.
func TestBackfillOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bs := w.past(ago(10), 60)
	w.object("import/1.parquet", bs...)
	w.remember(bs)
	overtaken := false
	_, err := w.backfiller(func(s worker.Step) {
		if s == worker.StepBegin && !overtaken {
			overtaken = true
			w.takeIn("import/", ago(10), ago(10))
		}
	}).Run(t.Context(), backfillArgs("import/", ago(10), ago(10)), noProgress{})
	if !errors.Is(err, ledger.ErrBackfillMoved) {
		t.Errorf("%v", err)
	}
	w.verifyPast(0)
}

// backfillChildEnv makes a child process a backfill that kills itself.
const backfillChildEnv = "CARASSO_TEST_BACKFILL_DIES_AT"

func backfillChild() {
	step := worker.Step(os.Getenv(backfillChildEnv))
	w := worldAt(&exitOnFailure{}, os.Getenv("TEST_URL"), os.Getenv("TEST_QUEUE"), os.Getenv("TEST_OBJECTS"))
	n := 0
	_, err := w.backfiller(func(s worker.Step) {
		if s != step {
			return
		}
		if n++; n == 2 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}).Run(context.Background(), backfillArgs("import/", ago(12), ago(8)), noProgress{})
	if err != nil {
		os.Exit(3)
	}
	os.Exit(4) // it should have died
}

func TestBackfillKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []worker.Step{
		worker.StepLook, worker.StepBegin, worker.StepEnvelopes, worker.StepClaim, worker.StepAggregate, worker.StepArchive, worker.StepPut, worker.StepStore,
		worker.StepSettle, worker.StepCommit,
	} {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			bs := w.past(ago(10), 80)
			w.object("import/1.parquet", bs[:60]...)
			w.object("import/2.parquet", bs[40:]...) // 20 of them again
			w.remember(bs)
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), backfillChildEnv+"="+string(step), "TEST_URL="+w.url, "TEST_QUEUE="+w.queue.dir, "TEST_OBJECTS="+w.objects.dir)
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the backfill should have killed itself: %v\n%s", err, out)
			}
			if r := w.takeIn("import/", ago(12), ago(8)); r.Batches != 80 || r.Duplicates != 20 || r.Objects != 2 {
				t.Errorf("%+v", r)
			}
			w.verifyPast(20)
		})
	}
}
