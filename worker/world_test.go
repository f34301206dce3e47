package worker_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/worker"
)

var migrated = pgtest.Template{Migrate: func(ctx context.Context, url string) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}}

// gridMatcher matches by position alone, so that an oracle can do the same.
type gridMatcher struct{}

func edgeAt(s *telemetry.Sample) (road.Edge, bool) {
	if s.LatE7%17 == 0 {
		return 0, false
	}
	first, _ := road.EdgeRange(geo.TileAt(geo.Point{LatE7: s.LatE7, LonE7: s.LonE7}, 14).Quadkey())
	return first + road.Edge(uint32(s.LatE7)/20000%50), true
}

func (gridMatcher) Match(_ context.Context, samples []telemetry.Sample, out []match.Result) error {
	for i := range samples {
		out[i] = matchAt(&samples[i])
	}
	return nil
}

func (gridMatcher) Path() []match.Step { return nil }

func matchAt(s *telemetry.Sample) match.Result {
	e, ok := edgeAt(s)
	return match.Result{Edge: e, OK: ok, WrongWay: ok && s.LatE7%23 == 0}
}

// drive is a batch as a collector sees it.
func (s *sentBatch) drive() *learn.Drive {
	d := &learn.Drive{Vehicle: s.vehicle, LeadIn: s.batch.LeadIn, Samples: s.batch.Samples, Events: s.batch.Events}
	for i := range d.Samples {
		d.Matches = append(d.Matches, matchAt(&d.Samples[i]))
	}
	return d
}

// hazardCollector makes evidence of each hazard event, so that an oracle can do the same.
type hazardCollector struct{}

func (hazardCollector) Collect(_ context.Context, d *learn.Drive, to *learn.EvidenceSet) error {
	for i := range d.Events {
		e := &d.Events[i]
		if e.Type != telemetry.HazardSeen {
			continue
		}
		s := &d.Samples[len(d.Samples)-1]
		v := learn.Vote{Code: hazard.Code(e.Hazard, hazard.EventAlone), N: 1, Sum: [2]int64{e.T - learn.MinuteStart(e.T)}}
		v.Vehicles.Add(d.Vehicle)
		key := learn.CellKey(geo.Point{LatE7: s.LatE7, LonE7: s.LonE7}, 0)
		to.Add(learn.EvidenceKey{Kind: learn.HazardCellEvidence, BucketMS: learn.MinuteStart(e.T), Key: key}, v)
	}
	return nil
}

// sentBatch is what the world sent, for the oracle.
type sentBatch struct {
	claim   telemetry.ClaimID
	vehicle uint64
	batch   telemetry.Batch
}

// world is a database, a queue, an object store and what was sent into them.
type world struct {
	t       testing.TB
	url     string
	db      *postgres.DB
	queue   *dirQueue
	objects *dirObjects
	r       *rand.Rand

	receiver telemetry.ReceiverID
	seq      uint64
	total    struct{ batches, samples uint64 }
	sent     map[telemetry.ClaimID]sentBatch  // each once
	handled  struct{ batches, samples int64 } // in readable envelopes, duplicates too
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return worldAt(tb, migrated.New(tb), tb.TempDir(), tb.TempDir())
}

func worldAt(tb testing.TB, url, queueDir, objectDir string) *world {
	tb.Helper()
	w := &world{
		t: tb, url: url, queue: newDirQueue(queueDir), objects: &dirObjects{dir: objectDir}, r: rand.New(rand.NewPCG(7, 7)),
		receiver: telemetry.ReceiverID{1, 2, 3}, sent: map[telemetry.ClaimID]sentBatch{},
	}
	w.db = w.open()
	return w
}

func (w *world) open() *postgres.DB {
	db, err := postgres.Open(context.Background(), postgres.Config{URL: w.url}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(db.Close)
	return db
}

// config makes tests quick.
func config() worker.Config {
	return worker.Config{
		Name: "test", Pipelines: 2, FlushInterval: 20 * time.Millisecond, PollWait: 50 * time.Millisecond, Visibility: time.Second,
		RetryMin: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond, DeadInterval: 10 * time.Millisecond, FlushBatches: 300,
	}
}

func (w *world) deps() worker.Deps {
	return worker.Deps{
		Queue: w.queue, Objects: w.objects,
		Begin:         func(ctx context.Context) (worker.Tx, error) { return w.db.BeginFlush(ctx) },
		NewMatcher:    func() worker.Matcher { return gridMatcher{} },
		NewCollectors: func() []learn.Collector { return []learn.Collector{hazardCollector{}} },
		MapVersion:    func() string { return "test-map" },
		Logger:        slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

// start runs a worker until the test calls stop, or ends.
func (w *world) start(cfg worker.Config, d worker.Deps) (stop func()) {
	w.t.Helper()
	wk, err := worker.New(cfg, d)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := wk.Run(ctx); err != nil {
			w.t.Errorf("worker: %v", err)
		}
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			<-done
		})
	}
	w.t.Cleanup(stop)
	return stop
}

// drain waits until the queue is empty.
func (w *world) drain() {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for w.queue.len() > 0 {
		if time.Now().After(deadline) {
			w.t.Fatalf("%d envelopes still in the queue after a minute", w.queue.len())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// batches drives new batches.
func (w *world) batches(n int) []sentBatch {
	out := make([]sentBatch, n)
	for i := range out {
		samples := 1 + w.r.IntN(15)
		b := telemetry.Batch{
			Trip:    telemetry.Trip{Key: w.r.Uint64(), ElapsedS: 17},
			Vehicle: telemetry.Vehicle{Model: fmt.Sprintf("M%d", w.r.IntN(3)), Software: "1.0"},
			LeadIn:  w.r.IntN(samples),
		}
		t := time.Now().Add(-time.Duration(w.r.IntN(3600)) * time.Second).UnixMilli()
		lat, lon := 42.5+w.r.Float64()/20, 1.5+w.r.Float64()/20
		lost := w.r.IntN(10) == 0 // its positions make no sense
		for range samples {
			t += 1000
			lat += w.r.Float64() / 5000
			if lost {
				lat += w.r.NormFloat64() / 100
			}
			s := telemetry.Sample{T: t, LatE7: int32(lat * 1e7), LonE7: int32(lon * 1e7)}
			if w.r.IntN(5) > 0 {
				s.Has, s.SpeedCMPS = telemetry.HasSpeed|telemetry.HasABS, uint16(w.r.IntN(4000))
				if w.r.IntN(9) == 0 {
					s.On = telemetry.ABSActive
				}
			}
			b.Samples = append(b.Samples, s)
		}
		if w.r.IntN(4) == 0 {
			b.Events = append(b.Events,
				telemetry.Event{T: t - 600, Type: telemetry.HazardSeen, Hazard: telemetry.SlipperyRoad, ConfidencePermille: 800},
				telemetry.Event{T: t - 400, Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: 50, ConfidencePermille: 900})
		}
		out[i] = sentBatch{claim: w.claim(), vehicle: w.r.Uint64N(60), batch: b}
	}
	return out
}

func (w *world) claim() telemetry.ClaimID {
	var id telemetry.ClaimID
	binary.BigEndian.PutUint64(id[:8], uint64(time.Now().UnixMilli())<<16|uint64(w.r.IntN(1<<16)))
	binary.BigEndian.PutUint64(id[8:], w.r.Uint64())
	return id
}

func (w *world) header(batches, samples int) telemetry.Header {
	w.seq++
	w.total.batches += uint64(batches)
	w.total.samples += uint64(samples)
	w.handled.batches += int64(batches)
	w.handled.samples += int64(samples)
	return telemetry.Header{
		Receiver: w.receiver, Seq: w.seq, AcceptedAt: time.Now().UnixMilli(), Batches: uint32(batches), Samples: uint32(samples),
		TotalBatches: w.total.batches, TotalSamples: w.total.samples, ConfirmedThrough: w.seq - 1,
	}
}

// seal packs batches into an envelope; what mutate changes is not what the oracle expects.
func (w *world) seal(bs []sentBatch, mutate func(i int, r *telemetry.Record)) []byte {
	w.t.Helper()
	var ew telemetry.EnvelopeWriter
	samples := 0
	for i := range bs {
		r := telemetry.Record{Claim: bs[i].claim, Vehicle: bs[i].vehicle, Payload: telemetry.AppendCanonical(nil, &bs[i].batch)}
		if mutate != nil {
			mutate(i, &r)
		}
		ew.Append(r)
		samples += bs[i].batch.Counted()
	}
	body, err := ew.Seal(w.header(len(bs), samples))
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.Clone(body)
}

func (w *world) post(body []byte) {
	w.t.Helper()
	if err := w.queue.send(fmt.Sprintf("%08d-%d", w.seq, w.r.Uint32()), body); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remember(bs []sentBatch) {
	for _, b := range bs {
		w.sent[b.claim] = b
	}
}

// send sends an envelope of batches, as a receiver would.
func (w *world) send(bs []sentBatch) {
	w.remember(bs)
	w.post(w.seal(bs, nil))
}

func (w *world) query(dst any, sql string, args ...any) {
	w.t.Helper()
	conn, err := pgx.Connect(context.Background(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(dst); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) number(sql string, args ...any) int64 {
	w.t.Helper()
	var n int64
	w.query(&n, "SELECT coalesce(("+sql+"), 0)", args...)
	return n
}

type speedKey struct {
	bucketMS int64
	edge     road.Edge
}

// oracle sums up what was sent, directly.
func (w *world) oracle() (speeds map[speedKey]*learn.Speed, health learn.Health) {
	speeds = map[speedKey]*learn.Speed{}
	for _, s := range w.sent {
		health.Batches++
		trusted := learn.Trust(s.drive()) >= learn.TrustEnough
		for i := s.batch.LeadIn; i < len(s.batch.Samples); i++ {
			p := &s.batch.Samples[i]
			health.Samples++
			e, ok := edgeAt(p)
			if !ok {
				health.Unmatched++
			}
			if p.On&telemetry.ABSActive != 0 {
				health.ABSActive++
			}
			if p.Has&telemetry.HasSpeed == 0 {
				continue
			}
			health.WithSpeed++
			if !ok || !trusted || matchAt(p).WrongWay {
				continue
			}
			k := speedKey{learn.BucketStart(p.T), e}
			if speeds[k] == nil {
				speeds[k] = &learn.Speed{}
			}
			if day := int64(24 * time.Hour / time.Millisecond); p.T/day == s.batch.Samples[s.batch.LeadIn].T/day {
				speeds[k].Add(p.SpeedCMPS, s.vehicle)
			} else {
				speeds[k].AddUnseen(p.SpeedCMPS)
			}
		}
		health.HazardSeen += int64(len(s.batch.Events) / 2)
	}
	return speeds, health
}

// verify compares ledger, claims, manifest, archive and aggregates with each other and with
// what was sent. quarantined are the batches that were spoilt on purpose.
func (w *world) verify(quarantined int64) {
	w.t.Helper()
	speeds, health := w.oracle()
	n := int64(len(w.sent))
	// What redrives moved is added to the envelopes' own entries.
	const entries = `(SELECT batches, samples, archived, archived_samples, duplicate, quarantined FROM envelope
		UNION ALL SELECT 0, 0, archived, archived_samples, duplicate, quarantined FROM envelope_adjustment) AS entries`
	for sql, want := range map[string]int64{
		"SELECT sum(batches) FROM manifest":                                             n,
		"SELECT count(*) FROM claim":                                                    n,
		"SELECT sum(archived) FROM " + entries:                                          n,
		"SELECT sum(samples) FROM manifest":                                             health.Samples,
		"SELECT sum(samples) FROM claim":                                                health.Samples,
		"SELECT sum(archived_samples) FROM " + entries:                                  health.Samples,
		"SELECT sum(batches) FROM envelope":                                             w.handled.batches,
		"SELECT sum(samples) FROM envelope":                                             w.handled.samples,
		"SELECT sum(duplicate) FROM " + entries:                                         w.handled.batches - n - quarantined,
		"SELECT sum(quarantined) FROM " + entries:                                       quarantined,
		"SELECT count(*) FROM envelope WHERE batches <> archived+duplicate+quarantined": 0,
		"SELECT count(*) FROM envelope WHERE samples <> archived_samples+duplicate_samples+quarantined_samples": 0,
		"SELECT count(*) FROM claim WHERE flush NOT IN (SELECT id FROM manifest)":                               0,
		"SELECT count(*) FROM envelope WHERE flush NOT IN (SELECT id FROM manifest)":                            0,
	} {
		if got := w.number(sql); got != want {
			w.t.Errorf("%s = %d, want %d", sql, got, want)
		}
	}
	w.verifyArchive()
	w.verifySpeeds(speeds)
	w.verifyEvidence()
	for column, want := range map[string]int64{
		"batches": health.Batches, "samples": health.Samples, "with_speed": health.WithSpeed, "unmatched": health.Unmatched,
		"abs_active": health.ABSActive, "hazards": health.HazardSeen, "signs": health.HazardSeen,
	} {
		if got := w.number("SELECT sum(" + column + ")::bigint FROM sensor_health"); got != want {
			w.t.Errorf("sensor health: %s = %d, want %d", column, got, want)
		}
	}
}

func (w *world) verifyArchive() {
	w.t.Helper()
	seen := map[telemetry.ClaimID]bool{}
	for _, key := range w.strings("SELECT DISTINCT object_key FROM manifest WHERE object_key IS NOT NULL") {
		object, err := w.objects.get(key)
		if err != nil {
			w.t.Errorf("archived object: %v", err)
			continue
		}
		batches, err := worker.ReadArchive(object)
		if err != nil {
			w.t.Errorf("%s: %v", key, err)
			continue
		}
		for i := range batches {
			b := &batches[i]
			want, ok := w.sent[b.Claim]
			switch {
			case !ok:
				w.t.Errorf("archived batch %s was never sent", b.Claim)
			case seen[b.Claim]:
				w.t.Errorf("batch %s is archived twice", b.Claim)
			case b.Vehicle != want.vehicle, !slices.Equal(b.Batch.Samples, want.batch.Samples), !slices.Equal(b.Batch.Events, want.batch.Events),
				b.Batch.LeadIn != want.batch.LeadIn:
				w.t.Errorf("batch %s is archived with other content", b.Claim)
			}
			seen[b.Claim] = true
		}
	}
	if len(seen) != len(w.sent) {
		w.t.Errorf("%d batches archived, %d sent", len(seen), len(w.sent))
	}
}

func (w *world) strings(sql string) []string {
	w.t.Helper()
	conn, err := pgx.Connect(context.Background(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), sql)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) verifySpeeds(want map[speedKey]*learn.Speed) {
	w.t.Helper()
	w.verifyStoredSpeeds(want)
	const hours = "SELECT sum(n)::bigint FROM segment_speed WHERE bucket > now() - interval '2 hours'"
	if live, all := w.number("SELECT sum(n)::bigint FROM live_speed"), w.number(hours); live != all {
		w.t.Errorf("%d live samples, want all %d of the last hours", live, all)
	}
}

// verifyStoredSpeeds is verifySpeeds without the live ones.
func (w *world) verifyStoredSpeeds(want map[speedKey]*learn.Speed) {
	w.t.Helper()
	if _, _, err := w.db.FoldAll(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	conn, err := pgx.Connect(context.Background(), w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), "SELECT bucket, edge, n, sum_cmps, v0, v1, bins FROM segment_speed")
	if err != nil {
		w.t.Fatal(err)
	}
	var bucket time.Time
	var edge, n, sum, v0, v1 int64
	var bins []byte
	found, wrong := 0, 0
	_, err = pgx.ForEachRow(rows, []any{&bucket, &edge, &n, &sum, &v0, &v1, &bins}, func() error {
		var got learn.Speed
		if err := got.MergeEncoded(uint32(n), sum, learn.Vehicles{uint64(v0), uint64(v1)}, bins); err != nil {
			return err
		}
		found++
		if exp := want[speedKey{bucket.UnixMilli(), road.Edge(edge)}]; exp == nil || *exp != got {
			wrong++
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if found != len(want) || wrong > 0 {
		w.t.Errorf("%d speed aggregates, %d of them wrong; want %d", found, wrong, len(want))
	}
}

// verifyEvidence compares the folded evidence with what the drives say.
func (w *world) verifyEvidence() {
	w.t.Helper()
	var want learn.EvidenceSet
	tiles := map[uint32]bool{}
	for _, s := range w.sent {
		if err := (hazardCollector{}).Collect(context.Background(), s.drive(), &want); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, r := range want.Rows() {
		tiles[uint32(r.Key>>25)] = true
	}
	var got []learn.Evidence
	now := time.Now()
	err := w.db.Evidence(context.Background(), []learn.Kind{learn.HazardCellEvidence}, slices.Collect(maps.Keys(tiles)), now.Add(-40*24*time.Hour), now.Add(time.Hour),
		func(e learn.Evidence) { got = append(got, e) })
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b learn.Evidence) int {
		return cmp.Or(cmp.Compare(a.BucketMS, b.BucketMS), cmp.Compare(a.Key, b.Key))
	})
	if diff := gocmp.Diff(want.Rows(), got, cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

// drivers are cars that drive on from now.
func (w *world) drivers(n int) []*worker.Car {
	cars := make([]*worker.Car, n)
	for i := range cars {
		cars[i] = worker.NewCar(uint64(i), time.Now().Add(-10*time.Minute))
	}
	return cars
}
