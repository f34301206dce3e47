package management_test

import (
	"context"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

// keys are the groups of time that a query's range touches.
func keys(q *learn.CellQuery) (ks []int64) {
	switch q.By {
	case learn.BySteps:
		for at := q.Step.Start(q.From.In(q.Zone)); at.Before(q.To); at = q.Step.Next(at) {
			ks = append(ks, at.UnixMilli())
		}
	case learn.ByHour:
		for h := range int64(24) {
			ks = append(ks, h)
		}
	case learn.ByWeekday:
		ks = []int64{1, 2, 3, 4, 5, 6, 7}
	case learn.WholeRange:
		ks = []int64{0}
	}
	return ks
}

// SpeedCells has 60 samples at the town's speeds of every segment and group, of 9 cars; on every tenth segment of 2.
func (s *fakeStore) SpeedCells(_ context.Context, q learn.CellQuery, each func(*learn.SpeedCell) error) error {
	edges := 0
	for e := range s.town.edges() {
		in := slices.ContainsFunc(q.Ranges, func(r [2]uint64) bool { return uint64(e) >= r[0] && uint64(e) < r[1] })
		if !in || uint64(e) <= q.After {
			continue
		}
		if edges++; q.Edges > 0 && edges > q.Edges {
			break
		}
		if err := s.cells(e, &q, each); err != nil {
			return err
		}
	}
	return s.look()
}

func (s *fakeStore) cells(e road.Edge, q *learn.CellQuery, each func(*learn.SpeedCell) error) error {
	for _, k := range keys(q) {
		row := speedRow(e, q.From, 60, 9, s.town.speeds[e])
		if e.Segment()%10 == 0 {
			row.Vehicles = vehicles(2)
		}
		c := learn.SpeedCell{Edge: uint64(e), Key: k, AtLeast: row.Vehicles.AtLeast(), Sum: row.Speed}
		if err := each(&c); err != nil {
			return err
		}
	}
	return nil
}

// SensorHealth is of two models with two software versions each, of which the newer one disagrees more with signs, and of a
// prototype of two cars.
func (s *fakeStore) SensorHealth(_ context.Context, q learn.HealthQuery) ([]learn.HealthCell, error) {
	var out []learn.HealthCell
	for _, kind := range []struct {
		model, software    string
		vehicles, disagree int
	}{{"F45", "23-07.1", 40, 21}, {"F45", "23-11.0", 25, 60}, {"G30", "23-07.1", 50, 19}, {"G30", "23-11.0", 30, 55}, {"G30", "24-03.0-alpha", 2, 0}} {
		if q.Softwares != nil && !slices.Contains(q.Softwares, kind.software) || q.Models != nil && !slices.Contains(q.Models, kind.model) {
			continue
		}
		for _, k := range keys(&learn.CellQuery{Grouping: q.Grouping}) {
			out = append(out, learn.HealthCell{Key: k, Model: kind.model, Software: kind.software, AtLeast: kind.vehicles, Health: learn.Health{
				Batches: 1000, Samples: 10_000, WithSpeed: 9_990, WithHeading: 9_950, WithAccuracy: 9_000, SumAccuracyCM: 3_780_000, Unmatched: 120,
				ABSActive: 14, ESCActive: 6, TCSActive: 9, SignsSeen: 820, SignsMissing: 11, HazardSeen: 3, WithTemperature: 9_800, HazardLight: 31,
				DistanceM: 131_250, SignsCompared: 760, SignsDisagree: int64(kind.disagree),
			}})
		}
	}
	return out, s.look()
}

// Freshness is of a minute to ten days ago, by the segment.
func (s *fakeStore) Freshness(_ context.Context, q learn.FreshnessQuery, each func(uint64, int64)) error {
	for e := range s.town.edges() {
		in := slices.ContainsFunc(q.Ranges, func(r [2]uint64) bool { return uint64(e) >= r[0] && uint64(e) < r[1] })
		at := q.Until.Add(-time.Minute - time.Duration(e.Segment()%10)*24*time.Hour)
		if in && !at.Before(q.Since) {
			each(uint64(e), at.UnixMilli())
		}
	}
	return s.look()
}

func (s *fakeStore) SampleTime(context.Context, time.Time, time.Time) (time.Duration, bool, error) {
	return 2 * time.Second, true, s.look()
}

// TypicalSpeeds are what SpeedCells has, a tenth faster.
func (s *fakeStore) TypicalSpeeds(_ context.Context, tiles []uint32, _ int64, _ int, each func(uint64, learn.Typical)) error {
	for e := range s.town.edges() {
		if slices.Contains(tiles, e.Quadkey()) {
			each(uint64(e), learn.Typical{KMH: 1.1 * s.town.speeds[e], Vehicles: 9})
		}
	}
	return s.look()
}

// Manifest names the town's tiles.
func (tn *town) Manifest() (road.Manifest, bool) {
	m := road.Manifest{Version: "town"}
	for _, id := range tn.order {
		if !slices.Contains(m.Tiles, id.Quadkey()) {
			m.Tiles = append(m.Tiles, id.Quadkey())
		}
	}
	return m, true
}

// Partition is the town's segments in a tile. Each has junctions of its own.
func (tn *town) Partition(_ context.Context, quadkey uint32) (*road.Partition, error) {
	var segs []road.Segment
	for i, id := range tn.order {
		if id.Quadkey() == quadkey {
			seg := tn.segments[id]
			seg.From, seg.To = int64(2*i+1), int64(2*i+2)
			segs = append(segs, seg)
		}
	}
	return road.NewPartition(quadkey, segs)
}

// LimitHistory is one change of each of the first edges, an hour apart.
func (s *fakeStore) LimitHistory(_ context.Context, _, _ time.Time, ranges [][2]uint64, after uint64, most int) (out []limit.PastChange, err error) {
	for i, e := range s.town.sorted()[:8] {
		in := slices.ContainsFunc(ranges, func(r [2]uint64) bool { return uint64(e) >= r[0] && uint64(e) < r[1] })
		c := limit.PastChange{ID: uint64(i + 1), Edge: e, FromKMH: 50, ToKMH: uint8(10 * i), At: fixtureTime.Add(time.Duration(i) * time.Hour)}
		if i > 2 {
			c.Posterior, c.Vehicles, c.Readings = 0.98, 7, 21
		}
		if in && c.ID > after && len(out) < most {
			out = append(out, c)
		}
	}
	return out, s.look()
}

func (s *fakeStore) HazardHistory(_ context.Context, _, _ time.Time, box geo.Box, most int) ([]hazard.Hazard, error) {
	all := slices.DeleteFunc(s.town.hazards(), func(h hazard.Hazard) bool { return !box.Contains(h.At) })
	return all[:min(len(all), most)], s.look()
}
