package management_test

import (
	"context"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
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
