package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/worker"
)

// street is a straight one-way road eastward of five edges of 82 m, all of it in one tile: a whole map.
type street struct {
	part  *road.Partition
	edges [5]road.Edge
	empty *road.Partition
}

// The street's west end.
const (
	streetLat, streetLon = 42.505, 1.505
	streetEdgeDeg        = 0.001
)

func newStreet(t testing.TB) *street {
	t.Helper()
	var ways []road.Way
	for i := range 5 {
		from, to := geo.At(streetLat, streetLon+float64(i)*streetEdgeDeg), geo.At(streetLat, streetLon+float64(i+1)*streetEdgeDeg)
		ways = append(ways, road.Way{
			ID: int64(i + 1), Nodes: []int64{int64(i + 1), int64(i + 2)}, Points: []geo.Point{from, to},
			Attributes: road.Attributes{Class: road.Secondary, Flags: road.Forward, Limit: [2]uint8{70, 70}},
		})
	}
	segs, _ := road.Build(ways)
	s := &street{}
	var err error
	if s.part, err = road.NewPartition(segs[0].ID.Quadkey(), segs); err != nil {
		t.Fatal(err)
	}
	if s.empty, err = road.NewPartition(0, nil); err != nil {
		t.Fatal(err)
	}
	for _, seg := range segs {
		s.edges[seg.From-1] = seg.ID.Edge(false)
	}
	return s
}

func (s *street) Partition(_ context.Context, quadkey uint32) (*road.Partition, error) {
	if quadkey == s.part.Quadkey {
		return s.part, nil
	}
	return s.empty, nil
}

func (s *street) tile() tile.ID { return s.edges[0].Tile() }

// deps are the world's, on the street, with the real matcher and collectors.
func (s *street) deps(w *world) worker.Deps {
	d := w.deps()
	d.NewMatcher = func() worker.Matcher { return match.New(s) }
	d.NewCollectors = func() []learn.Collector { return []learn.Collector{hazard.New(s), limit.New(s), maperror.New(s)} }
	return d
}

// streetBatch is a vehicle's way down the street at 15 m/s from a time on.
func streetBatch(at time.Time) telemetry.Batch {
	const speed, seconds = 15.0, 25
	b := telemetry.Batch{Vehicle: telemetry.Vehicle{Model: "M", Software: "1"}}
	for i := range seconds {
		p := geo.At(streetLat, streetLon+0.0001)
		p.LonE7 += int32(float64(i) * speed / geo.Scale(p.LatE7))
		b.Samples = append(b.Samples, telemetry.Sample{
			T: at.UnixMilli() + int64(i)*1000, LatE7: p.LatE7, LonE7: p.LonE7, SpeedCMPS: speed * 100, HeadingCDeg: 9000, AccuracyCM: 300,
			Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy | telemetry.HasABS | telemetry.HasESC | telemetry.HasTCS |
				telemetry.HasOutsideTemp | telemetry.HasHazardLight,
		})
	}
	return b
}

// drive sends a vehicle down the street from a time on, as one batch; spoil changes what it says. It returns
// when the batch is archived.
func (s *street) drive(w *world, vehicle uint64, at time.Time, spoil func(*telemetry.Batch)) {
	w.t.Helper()
	b := streetBatch(at)
	if spoil != nil {
		spoil(&b)
	}
	w.send([]sentBatch{{claim: w.claim(), vehicle: vehicle, batch: b}})
	w.drain()
}

// slips makes a batch one that slips on the street's third edge.
func slips(b *telemetry.Batch) {
	for i := 12; i < 15; i++ {
		b.Samples[i].On |= telemetry.ESCActive | telemetry.ABSActive
	}
	b.Events = append(b.Events, telemetry.Event{
		T: b.Samples[12].T, Type: telemetry.HazardSeen, Hazard: telemetry.SlipperyRoad, ConfidencePermille: 900,
	})
}

// textHazards shows hazards as text, at their own tile and its parent.
type textHazards struct{}

func (textHazards) Affected(_ context.Context, changed []hazard.Hazard) ([]tile.ID, error) {
	var ids []tile.ID
	for i := range changed {
		leaf := geo.TileAt(changed[i].At, 14)
		for _, id := range []tile.ID{leaf, leaf.Ancestor(13)} {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func (textHazards) Build(_ context.Context, id tile.ID, all []hazard.Hazard) ([]byte, error) {
	var body []byte
	for i := range all {
		if h := &all[i]; geo.TileAt(h.At, 14).Ancestor(id.Z) == id {
			body = fmt.Appendf(body, "%s ", h.Category)
		}
	}
	return body, nil
}

func (textHazards) Records(tile.ID, []hazard.Hazard) []tile.Record { return nil }

// textLimits shows the learned limits of a z14 tile as text.
type textLimits struct{ s *street }

func (textLimits) Affected(_ context.Context, quadkeys []uint32) ([]tile.ID, error) {
	return plainTiles{}.Affected(context.Background(), quadkeys)
}

func (t textLimits) Build(_ context.Context, _ tile.ID, learned func(road.Edge) (limit.Limit, bool)) ([]byte, error) {
	var body []byte
	for i, e := range t.s.edges {
		if l, ok := learned(e); ok {
			body = fmt.Appendf(body, "%d:%d ", i, l.KMH)
		}
	}
	return body, nil
}

func (textLimits) Records(context.Context, tile.ID, func(road.Edge) (limit.Limit, bool)) ([]tile.Record, error) {
	return nil, nil
}

// clocked is a projector of one layer under the test's clock.
type clocked struct {
	t     *testing.T
	store *storeAt
	make  func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration)
	p     *worker.Projector
}

func newClocked(t *testing.T, db *postgres.DB, now time.Time, make func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration)) *clocked {
	t.Helper()
	c := &clocked{t: t, store: &storeAt{db, now}, make: make}
	c.restart()
	return c
}

// restart begins anew, as another process would.
func (c *clocked) restart() {
	c.t.Helper()
	m := worker.NewProjectorMetrics(prometheus.NewRegistry())
	layer, gather := c.make(c.store, m)
	c.p = worker.NewProjector(worker.ProjectorConfig{Gather: gather}, layer, c.store, slog.New(slog.DiscardHandler), m)
}

// pass makes a pass at a time.
func (c *clocked) pass(at time.Time) int {
	c.t.Helper()
	c.store.now = at
	n, err := c.p.Pass(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}
