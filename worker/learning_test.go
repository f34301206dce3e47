package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// tenMinutesAgo is a moment from which a test can drive for ten minutes without any clock of cars
// being ahead; all of it on one day.
func tenMinutesAgo() time.Time {
	now := time.Now().UTC()
	if start := now.Truncate(24 * time.Hour); now.Sub(start) < 15*time.Minute {
		return start.Add(-15 * time.Minute)
	}
	return now.Add(-10 * time.Minute).Truncate(time.Minute)
}

// From cars that slip to a published hazard, over its renewal by a successor, to its end by cars that
// pass and notice nothing.
func TestHazardEndToEnd(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	out := newShelf()
	c := newClocked(t, w.db, start, func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		return worker.NewHazards(worker.HazardsConfig{}, db, s, textHazards{}, out, m), 0
	})
	at := start.Add
	s.drive(w, 1, at(0), nil)
	c.pass(at(26 * time.Second))
	if len(out.tiles) != 0 {
		t.Errorf("published without any report: %v", out.tiles)
	}
	for v := range uint64(3) {
		s.drive(w, 2+v, at(time.Duration(5+v)*time.Second), slips)
	}
	if n := c.pass(at(33 * time.Second)); n == 0 {
		t.Error("nothing published after three reports")
	}
	shown := func(want string) {
		t.Helper()
		if got := out.tiles[s.tile()]; got != want {
			t.Errorf("tile = %q, want %q", got, want)
		}
		if got := out.tiles[s.tile().Ancestor(13)]; got != want {
			t.Errorf("the tile above = %q, want %q", got, want)
		}
	}
	shown("slippery_road ")
	active, seq, err := w.db.ActiveHazards(t.Context(), at(0))
	if err != nil || len(active) != 1 {
		t.Fatalf("active hazards = %+v, %v", active, err)
	}
	h := active[0]
	if h.Category != telemetry.SlipperyRoad || h.Edge != s.edges[2] || h.Vehicles != 3 || !h.Active() {
		t.Errorf("hazard = %+v, want slippery by 3 vehicles on %d", h, s.edges[2])
	}
	if n := w.number("SELECT count(*) FROM projection WHERE layer LIKE 'hazards%' AND event_p95_s > 0"); n == 0 {
		t.Error("no freshness recorded")
	}

	// A successor renews what may not have been published, and goes on with the same hazard.
	out.tiles[s.tile()] = "lost"
	out.versions[s.tile()] = 1
	c.restart()
	c.pass(at(35 * time.Second))
	shown("slippery_road ")
	if times := out.times; c.pass(at(37*time.Second)) != 0 || out.times != times {
		t.Error("published again though nothing changed")
	}

	// Cars that notice nothing end it, within a minute of the third.
	for v := range uint64(3) {
		s.drive(w, 10+v, at(60*time.Second+time.Duration(v)*time.Second), nil)
	}
	end := at(90 * time.Second)
	for ; end.Before(at(150 * time.Second)); end = end.Add(time.Second) {
		c.pass(end)
		if out.tiles[s.tile()] == "" {
			break
		}
	}
	shown("")
	after, _, err := w.db.HazardsSince(t.Context(), seq, 10)
	if err != nil || len(after) != 1 || after[0].ID != h.ID || after[0].Active() {
		t.Errorf("changes since = %+v, %v; want the end of %d", after, err, h.ID)
	}
	if n := w.number("SELECT count(*) FROM live_tile WHERE layer = 'hazards'"); n != 0 {
		t.Errorf("%d tiles still listed as live", n)
	}
}

// When publishing fails, nothing is lost: the state is stored, and the next pass publishes it.
func TestHazardPublicationIsRepeated(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	out := newShelf()
	c := newClocked(t, w.db, start, func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		return worker.NewHazards(worker.HazardsConfig{}, db, s, textHazards{}, out, m), 0
	})
	for v := range uint64(3) {
		s.drive(w, 2+v, start.Add(time.Duration(v)*time.Second), slips)
	}
	out.fail = true
	c.store.now = start.Add(30 * time.Second)
	if _, err := c.p.Pass(t.Context()); err == nil {
		t.Fatal("a failed publication must fail the pass")
	}
	if n := w.number("SELECT count(*) FROM live_tile WHERE layer = 'hazards'"); n == 0 {
		t.Error("a failed pass leaves nothing to a successor")
	}
	out.fail = false
	c.pass(start.Add(31 * time.Second))
	if got := out.tiles[s.tile().Ancestor(13)]; got != "slippery_road " {
		t.Errorf("tile = %q after the repetition", got)
	}
	if n := w.number("SELECT count(*) FROM hazard"); n != 1 {
		t.Errorf("%d hazards stored, want the same one", n)
	}
}

// Signs that enough cars read become the limit, with its history; without evidence it is forgotten.
func TestLimitEndToEnd(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	out := newShelf()
	c := newClocked(t, w.db, start, func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		l, err := worker.NewLimits(worker.LimitsConfig{}, db, s, textLimits{s}, out, m)
		if err != nil {
			t.Fatal(err)
		}
		return l, time.Second
	})
	reads := func(b *telemetry.Batch) {
		b.Events = append(b.Events, telemetry.Event{
			T: b.Samples[13].T, Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: 50, ConfidencePermille: 950,
		})
	}
	s.drive(w, 1, start, reads)
	if n := w.number("SELECT count(*) FROM evidence_delta WHERE kind = 1"); n == 0 {
		t.Fatal("a sign read made no evidence")
	}
	c.pass(start.Add(time.Minute))
	if got, ok := out.tiles[s.tile()]; !ok || got != "" {
		t.Errorf("tile = %q, %v; want the map's limits after the first reading", got, ok)
	}
	for v := range uint64(5) {
		s.drive(w, 2+v, start.Add(time.Duration(v+2)*time.Second), reads)
	}
	for v := range uint64(6) { // read none, further on
		s.drive(w, 20+v, start.Add(time.Duration(v+9)*time.Second), nil)
	}
	if _, _, err := w.db.FoldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.pass(start.Add(2 * time.Minute))
	if got := out.tiles[s.tile()]; got != "2:50 3:50 4:50 " {
		t.Errorf("tile = %q after six readings on the third edge: %v", got, w.strings("SELECT evidence::text FROM learned_limit"))
	}
	ls, err := w.db.Limits(t.Context(), [][2]uint64{{0, 1 << 53}}, true, 0, 10)
	if err != nil || len(ls) == 0 || ls[0].KMH != 50 || ls[0].MapKMH != 70 || ls[0].Vehicles < 3 {
		t.Fatalf("limits = %+v, %v", ls, err)
	}
	changes, err := w.db.LimitChanges(t.Context(), uint64(ls[0].Edge), 10)
	if err != nil || len(changes) != 1 || changes[0].ToKMH != 50 {
		t.Errorf("history = %+v, %v", changes, err)
	}
	if n := w.number("SELECT count(*) FROM dirty_tile") + w.number("SELECT count(*) FROM outbox WHERE layer = 'limits'"); n != 0 {
		t.Errorf("%d tiles left dirty", n)
	}

	// A successor shows the same; and when the evidence is too old, the map's limit holds again.
	want := out.tiles[s.tile()]
	out.tiles[s.tile()], out.versions[s.tile()] = "lost", 1
	c.restart()
	c.pass(start.Add(3 * time.Minute))
	if got := out.tiles[s.tile()]; got != want {
		t.Errorf("tile by a successor = %q, want %q", got, want)
	}
	c.pass(start.Add(40 * 24 * time.Hour))
	if got := out.tiles[s.tile()]; got != "" {
		t.Errorf("tile = %q when the evidence is gone", got)
	}
	if n := w.number("SELECT count(*) FROM learned_limit WHERE kmh <> 0"); n != 0 {
		t.Errorf("%d limits still learned", n)
	}
}

// A limit that is published stays with less evidence than it took, also after a restart.
func TestPublishedLimitHolds(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	out := newShelf()
	var judge limit.Config
	c := newClocked(t, w.db, start, func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		l, err := worker.NewLimits(worker.LimitsConfig{Judge: judge}, db, s, textLimits{s}, out, m)
		if err != nil {
			t.Fatal(err)
		}
		return l, time.Second
	})
	reads := func(b *telemetry.Batch) {
		b.Events = append(b.Events, telemetry.Event{
			T: b.Samples[13].T, Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: 50, ConfidencePermille: 950,
		})
	}
	for v := range uint64(6) {
		s.drive(w, 1+v, start.Add(time.Duration(v)*time.Second), reads)
	}
	pass := func(minutes int) string {
		t.Helper()
		if _, _, err := w.db.FoldAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.pass(start.Add(time.Duration(minutes) * time.Minute))
		return out.tiles[s.tile()]
	}
	first := pass(1)
	if first == "" {
		t.Fatal("nothing is published")
	}
	judge = limit.Config{Posterior: 0.9999999, Hold: 0.6} // what was enough is no more
	c.restart()
	s.drive(w, 7, start.Add(10*time.Second), nil)
	if got := pass(2); got != first {
		t.Errorf("tile = %q, want %q: it was published before", got, first)
	}
	w.exec("DELETE FROM learned_limit")
	c.restart()
	s.drive(w, 8, start.Add(20*time.Second), nil)
	if got := pass(3); got != "" {
		t.Errorf("tile = %q: it was not published before", got)
	}
}

// Cars that drive against a one-way make it a candidate for review, and count for no speed.
func TestMapErrorEndToEnd(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	c := newClocked(t, w.db, start, func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		return worker.NewErrors(worker.ErrorsConfig{}, db, s), time.Second
	})
	against := func(b *telemetry.Batch) {
		for i, j := 0, len(b.Samples)-1; i < j; i, j = i+1, j-1 {
			b.Samples[i].LonE7, b.Samples[j].LonE7 = b.Samples[j].LonE7, b.Samples[i].LonE7
		}
		for i := range b.Samples {
			b.Samples[i].HeadingCDeg = 27000
		}
	}
	for v := range uint64(12) {
		s.drive(w, 1+v, start.Add(time.Duration(v)*10*time.Second), against)
	}
	if _, _, err := w.db.FoldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.number("SELECT count(*) FROM segment_speed"); n != 0 {
		t.Errorf("%d rows of speeds from driving against a one-way", n)
	}
	c.pass(start.Add(5 * time.Minute))
	found, err := w.db.MapErrors(t.Context(), maperror.Filter{Status: []maperror.Status{maperror.Open}, Most: 10})
	if err != nil || len(found) == 0 || found[0].Type != maperror.WrongOneWay || found[0].Vehicles < 5 {
		t.Fatalf("map errors = %+v, %v; want a wrong one-way", found, err)
	}
	if _, ok, err := w.db.ReviewMapError(t.Context(), found[0].ID, maperror.Rejected); !ok || err != nil {
		t.Fatal(ok, err)
	}
	// A decision outlasts further evidence.
	s.drive(w, 50, start.Add(3*time.Minute), against)
	c.pass(start.Add(6 * time.Minute))
	again, err := w.db.MapErrors(t.Context(), maperror.Filter{Status: []maperror.Status{maperror.Rejected}, Most: 10})
	if err != nil || len(again) != 1 || again[0].ID != found[0].ID {
		t.Errorf("rejected = %+v, %v", again, err)
	}
}

// A drive without anything remarkable leaves no evidence, but speeds.
func TestUnremarkableDrivesLeaveNoEvidence(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	for v := range uint64(5) {
		s.drive(w, v, start.Add(time.Duration(v)*time.Second), nil)
	}
	if n := w.number("SELECT count(*) FROM evidence_delta"); n != 0 {
		t.Errorf("%d rows of evidence: %v", n, w.strings("SELECT kind || ' ' || key FROM evidence_delta"))
	}
	if n := w.number("SELECT sum(n) FROM segment_speed_delta"); n != 5*25 {
		t.Errorf("%d samples with a speed, want all 125", n)
	}
	if n := w.number("SELECT count(*) FROM outbox WHERE layer <> 'speeds'"); n != 0 {
		t.Errorf("%d other tiles dirty", n)
	}
}

// A car whose position stands still while it drives is archived and counted in the ledger, but counts for no
// speed.
func TestUntrustedDrivesCountForNoSpeed(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	s.drive(w, 1, tenMinutesAgo(), func(b *telemetry.Batch) {
		for i := range b.Samples {
			b.Samples[i].LonE7 = b.Samples[0].LonE7
		}
	})
	if n := w.number("SELECT sum(archived_samples) FROM envelope"); n != 25 {
		t.Errorf("%d samples in the ledger, want 25", n)
	}
	if n := w.number("SELECT count(*) FROM segment_speed_delta"); n != 0 {
		t.Errorf("%d rows of speeds", n)
	}
	if n := w.number("SELECT sum(samples)::bigint FROM sensor_health_delta"); n != 25 {
		t.Errorf("%d samples in sensor health, want 25", n)
	}
}

// flaky is a collector that can't read its map for a while.
type flaky struct {
	hazardCollector
	fails *atomic.Int64
}

func (f flaky) Collect(ctx context.Context, d *learn.Drive, to *learn.EvidenceSet) error {
	if err := f.hazardCollector.Collect(ctx, d, to); err != nil {
		return err
	}
	if len(d.Events) > 0 && f.fails.Add(-1) >= 0 {
		return errors.New("the map can't be read")
	}
	return nil
}

// A collector's failure is like the database's: the flush is undone and tried again, whole.
func TestCollectorsFailing(t *testing.T) {
	w := newWorld(t)
	d := w.deps()
	var fails atomic.Int64
	fails.Store(25)
	d.NewCollectors = func() []learn.Collector { return []learn.Collector{flaky{fails: &fails}} }
	for range 10 {
		w.send(w.batches(20))
	}
	w.start(config(), d)
	w.drain()
	if fails.Load() > 0 {
		t.Error("no collector failed")
	}
	w.verify(0)
}

// failing is a collector that panics on what one vehicle says.
type failing struct {
	hazardCollector
	on uint64
}

func (b failing) Collect(ctx context.Context, d *learn.Drive, to *learn.EvidenceSet) error {
	if d.Vehicle == b.on {
		panic("bug")
	}
	return b.hazardCollector.Collect(ctx, d, to)
}

// A bug in a collector costs the envelope that triggers it, not the others.
func TestCollectorPanicIsQuarantined(t *testing.T) {
	w := newWorld(t)
	d := w.deps()
	const vehicle = 1 << 40
	d.NewCollectors = func() []learn.Collector { return []learn.Collector{failing{on: vehicle}} }
	for i := range 8 {
		bs := w.batches(5)
		if i == 3 {
			bad := w.batches(5)
			bad[2].vehicle = vehicle
			w.post(w.seal(bad, nil))
		}
		w.send(bs)
	}
	w.start(config(), d)
	w.drain()
	w.verify(5)
}

// A report of a hazard ends the gathering early.
func TestUrgentBatchesAreFlushedEarly(t *testing.T) {
	for name, urgent := range map[string]bool{"urgent": true, "not urgent": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cfg := config()
			cfg.Pipelines, cfg.FlushInterval, cfg.UrgentInterval = 1, 30*time.Second, time.Millisecond
			q := &endless{}
			bs := w.batches(3)
			for i := range bs {
				bs[i].batch.Events = nil
			}
			if urgent {
				bs[1].batch.Events = []telemetry.Event{{T: time.Now().UnixMilli(), Type: telemetry.HazardSeen, Hazard: telemetry.Obstacle}}
			}
			q.bodies = [][]byte{w.seal(bs, nil)}
			d := w.deps()
			d.Queue, d.Dead = q, nil
			w.start(cfg, d)
			if urgent {
				waitFor(t, func() bool { return q.deleted.Load() == 1 })
				return
			}
			time.Sleep(100 * time.Millisecond)
			if q.deleted.Load() != 0 {
				t.Error("flushed without waiting for more")
			}
		})
	}
}

// What is usual at this time of the week steadies a speed that few cars drove, and small changes are
// not published.
func TestSpeedsAreSteady(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	now := tenMinutesAgo()
	edge := s.edges[1]
	write := func(at time.Time, cmps uint16, vehicles ...uint64) {
		t.Helper()
		f, err := w.db.BeginFlush(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Rollback(t.Context())
		row := learn.SpeedRow{BucketMS: learn.MinuteStart(at.UnixMilli()), Edge: uint64(edge)}
		for _, v := range vehicles {
			row.Add(cmps, v)
		}
		err = errors.Join(f.Speeds(t.Context(), []learn.SpeedRow{row}),
			f.Dirty(t.Context(), worker.LayerSpeeds, []learn.DirtyTile{{Tile: edge.Quadkey(), AcceptedMS: at.UnixMilli(), EventMS: at.UnixMilli()}}),
			f.Commit(t.Context(), ledger.Flush{}))
		if err != nil {
			t.Fatal(err)
		}
	}
	write(now.AddDate(0, 0, -7), 2000, 1, 2, 3, 4) // 72 km/h
	if _, _, err := w.db.FoldAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := newShelf()
	var shown float64
	c := newClocked(t, w.db, now, func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		return worker.NewSpeeds(worker.SpeedsConfig{Overviews: time.Millisecond}, db, seen{&shown, edge}, out, m), 0
	})
	write(now, 1000, 11, 12, 13) // 36 km/h
	c.pass(now.Add(time.Second))
	if shown < 49 || shown > 52 { // (3·36 + 2·72) / 5
		t.Errorf("shown %.1f km/h, want about 50", shown)
	}
	first, times := shown, out.times
	write(now.Add(2*time.Second), 1010, 11)
	c.pass(now.Add(3 * time.Second))
	if shown != first || out.times != times {
		t.Errorf("a small change is published: %.2f after %.2f", shown, first)
	}
	write(now.Add(4*time.Second), 3000, 14, 15, 16, 17)
	c.pass(now.Add(5 * time.Second))
	if shown < first+2 {
		t.Errorf("a large change is not: %.2f after %.2f", shown, first)
	}
}

// seen shows the speed of one edge.
type seen struct {
	kmh  *float64
	edge road.Edge
}

func (s seen) Affected(_ context.Context, quadkeys []uint32) ([]tile.ID, error) {
	if len(quadkeys) == 0 {
		return nil, nil
	}
	return []tile.ID{s.edge.Tile()}, nil
}

func (s seen) Build(_ context.Context, _ tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]byte, error) {
	v, _ := speed(s.edge)
	*s.kmh = v.KMH
	return nil, nil
}

func (seen) Records(context.Context, tile.ID, func(road.Edge) (tile.Speed, bool)) ([]tile.Record, error) {
	return nil, nil
}
