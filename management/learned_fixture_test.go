package management_test

import (
	"context"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry"
)

// What the fake fleet has learned of the town.

// learnedLimits are on every third edge; on every ninth they differ from the map.
func (tn *town) learnedLimits() []limit.Limit {
	var out []limit.Limit
	for i, e := range tn.sorted() {
		seg := tn.segments[e.Segment()]
		l := limit.Limit{
			Edge: e, MapKMH: seg.LimitKMH(e.Against()), KMH: seg.LimitKMH(e.Against()), Posterior: 0.9876, Vehicles: 12, Readings: 40,
			SinceMS:    fixtureTime.UnixMilli(),
			Candidates: []limit.Candidate{{KMH: seg.LimitKMH(e.Against()), Probability: 0.9876}, {KMH: 20, Probability: 0.0124}},
		}
		switch {
		case i%9 == 0:
			l.KMH = l.MapKMH + 20
			l.Candidates[0].KMH = l.KMH
			l.Variants = []limit.Variant{{KMH: 30, FromHour: 22, ToHour: 6, Vehicles: 4, Posterior: 0.97}, {KMH: 20, Wet: true, Vehicles: 3, Posterior: 0.96}}
		case i%3 != 0:
			continue
		case i%2 == 0: // holds on from another road
			l.SinceMS, l.Readings = 0, 0
		}
		out = append(out, l)
	}
	return out
}

var fixtureTime = time.Date(2026, 11, 23, 16, 40, 0, 0, time.UTC)

func (tn *town) hazards() []hazard.Hazard {
	edges := tn.sorted()
	at := func(e road.Edge) geo.Point { return tn.segments[e.Segment()].Shape[1] }
	a, b, c := edges[10], edges[40], edges[70]
	lately := time.Now().Add(-time.Minute).UnixMilli()
	return []hazard.Hazard{
		{ID: 11, Category: telemetry.SlipperyRoad, Edge: a, Edges: []road.Edge{a}, At: at(a), Probability: 0.993, Vehicles: 4, Clean: 1, StartedMS: fixtureTime.UnixMilli(), UpdatedMS: fixtureTime.UnixMilli() + 60_000},
		{ID: 12, Category: telemetry.BrokenDownVehicle, Edge: b, Edges: []road.Edge{b}, At: at(b), Probability: 0.97, Vehicles: 1, StartedMS: fixtureTime.UnixMilli(), UpdatedMS: fixtureTime.UnixMilli()},
		{ID: 13, Category: telemetry.Accident, Edge: c, Edges: []road.Edge{c}, At: at(c), Probability: 0.1, Vehicles: 3, StartedMS: lately - 60_000, UpdatedMS: lately, EndedMS: lately},
	}
}

func (tn *town) limitTile(id tile.ID) []byte {
	e := mvt.NewEncoder()
	e.Begin(id, 0)
	e.BeginLayer(tile.LimitLayer)
	for _, l := range tn.learnedLimits() {
		seg := tn.segments[l.Edge.Segment()]
		if !e.Line(uint64(l.Edge), seg.Shape, l.Edge.Against()) {
			continue
		}
		e.Uint("edge", uint64(l.Edge))
		e.String("class", seg.Class.String())
		e.Uint("kmh", uint64(l.KMH))
		e.Uint("map_kmh", uint64(l.MapKMH))
		e.String("source", "learned")
		e.Bool("differs", l.KMH != l.MapKMH)
		e.Double("posterior", 0.99)
		e.Uint("n", uint64(l.Vehicles))
	}
	e.EndLayer()
	return e.Bytes()
}

func (tn *town) hazardTile(id tile.ID) []byte {
	e := mvt.NewEncoder()
	e.Begin(id, 0)
	e.BeginLayer(tile.HazardLayer)
	for _, h := range tn.hazards() {
		if !h.Active() || !e.Point(h.ID, h.At) {
			continue
		}
		e.Uint("id", h.ID)
		e.String("category", h.Category.String())
		e.Double("probability", float64(h.Probability))
		e.Uint("n", uint64(h.Vehicles))
		e.Uint("started", uint64(h.StartedMS))
		e.Uint("updated", uint64(h.UpdatedMS))
		e.Uint("edge", uint64(h.Edge))
	}
	e.EndLayer()
	return e.Bytes()
}

func (s *fakeStore) HazardsIn(_ context.Context, endedSince time.Time, box geo.Box, after uint64, most int) ([]hazard.Hazard, error) {
	all := slices.DeleteFunc(s.town.hazards(), func(h hazard.Hazard) bool {
		return !h.Active() && h.EndedMS <= endedSince.UnixMilli() || h.ID <= after || !box.Contains(h.At)
	})
	return all[:min(len(all), most)], s.look()
}

func (s *fakeStore) HazardRevisionsIn(ctx context.Context, endedSince time.Time, box geo.Box, most int) ([]hazard.Revision, error) {
	all, err := s.HazardsIn(ctx, endedSince, box, 0, most)
	var out []hazard.Revision
	for _, h := range all {
		out = append(out, hazard.Revision{Hazard: h, Seq: int64(h.ID) + 100, FirstAt: fixtureTime, ChangedAt: fixtureTime.Add(90 * time.Second)})
	}
	return out, err
}

func (s *fakeStore) Limits(_ context.Context, ranges [][2]uint64, _ bool, after uint64, most int) ([]limit.Limit, error) {
	var out []limit.Limit
	for _, l := range s.town.learnedLimits() {
		in := slices.ContainsFunc(ranges, func(r [2]uint64) bool { return uint64(l.Edge) >= r[0] && uint64(l.Edge) < r[1] })
		if in && uint64(l.Edge) > after && len(out) < most {
			out = append(out, l)
		}
	}
	return out, s.look()
}

func (s *fakeStore) LimitChanges(_ context.Context, edge uint64, _ int) ([]limit.Change, error) {
	if edge != uint64(s.town.sorted()[0]) {
		return nil, s.look()
	}
	return []limit.Change{{FromKMH: 50, ToKMH: 70, At: fixtureTime}, {ToKMH: 50, At: fixtureTime.Add(-time.Hour)}}, s.look()
}

func (s *fakeStore) MapErrors(_ context.Context, f maperror.Filter) ([]maperror.Reviewed, error) {
	edges := s.town.sorted()
	all := []maperror.Reviewed{
		{Candidate: maperror.Candidate{ID: 21, Type: maperror.MissingRoad, Geometry: []geo.Point{geo.At(42.5, 1.52), geo.At(42.501, 1.522)}, At: geo.At(42.5, 1.521), Vehicles: 9, Score: 0.9, FirstMS: fixtureTime.UnixMilli(), LastMS: fixtureTime.UnixMilli()}, Status: maperror.Open, UpdatedAt: fixtureTime},
		{Candidate: maperror.Candidate{ID: 22, Type: maperror.WrongOneWay, Edge: edges[3], At: geo.At(42.5, 1.51), Vehicles: 5, Against: 1, Score: 0.8, FirstMS: fixtureTime.UnixMilli(), LastMS: fixtureTime.UnixMilli()}, Status: maperror.Open, UpdatedAt: fixtureTime},
		{Candidate: maperror.Candidate{ID: 23, Type: maperror.MissingRoad, At: geo.At(42.5, 1.51), Vehicles: 2, FirstMS: fixtureTime.UnixMilli(), LastMS: fixtureTime.UnixMilli()}, Status: maperror.Open, UpdatedAt: fixtureTime},
		{Candidate: maperror.Candidate{ID: 24, Type: maperror.ClosedRoad, Edge: 2, At: geo.At(42.5, 1.51), Vehicles: 6, FirstMS: fixtureTime.UnixMilli(), LastMS: fixtureTime.UnixMilli()}, Status: maperror.Rejected, UpdatedAt: fixtureTime},
	}
	all = slices.DeleteFunc(all, func(e maperror.Reviewed) bool {
		return e.ID <= f.After || len(f.Status) > 0 && !slices.Contains(f.Status, e.Status)
	})
	return all[:min(len(all), f.Most)], s.look()
}

func (s *fakeStore) ReviewMapError(_ context.Context, id uint64, _ maperror.Status) (maperror.Status, bool, error) {
	if err := s.look(); err != nil {
		return "", false, err
	}
	s.reviews++
	return maperror.Open, id == 21, s.reviewErr
}
