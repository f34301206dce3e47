package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
)

// cellOracle sums rows by segment and group as learn.TimeBy says, without a database.
func cellOracle(rows []learn.SpeedRow, q *learn.CellQuery) []learn.SpeedCell {
	type cell struct {
		edge uint64
		key  int64
	}
	days := map[cell]map[int64]learn.Vehicles{}
	sums := map[cell]*learn.SpeedCell{}
	for i := range rows {
		r := &rows[i]
		bucket := learn.BucketStart(r.BucketMS)
		in := slices.ContainsFunc(q.Ranges, func(x [2]uint64) bool { return r.Edge >= x[0] && r.Edge < x[1] })
		if !in || bucket < q.From.UnixMilli() || bucket >= q.To.UnixMilli() || r.Edge <= q.After {
			continue
		}
		at := time.UnixMilli(bucket).In(q.Zone)
		c := cell{edge: r.Edge}
		switch q.By {
		case learn.BySteps:
			c.key = q.Step.Start(at).UnixMilli()
		case learn.ByHour:
			c.key = int64(at.Hour())
		case learn.ByWeekday:
			c.key = int64((at.Weekday()+6)%7) + 1
		case learn.WholeRange:
		}
		if sums[c] == nil {
			sums[c], days[c] = &learn.SpeedCell{Edge: c.edge, Key: c.key}, map[int64]learn.Vehicles{}
		}
		sum := r.Speed
		sum.Vehicles = learn.Vehicles{}
		sums[c].Sum.Merge(&sum)
		day := bucket / learn.DayMS
		v := days[c][day]
		v.Merge(r.Vehicles)
		days[c][day] = v
		sums[c].AtLeast = max(sums[c].AtLeast, v.AtLeast())
	}
	var out []learn.SpeedCell
	for _, s := range sums {
		out = append(out, *s)
	}
	slices.SortFunc(out, compareCells)
	if q.Edges > 0 {
		edges := 0
		for i := range out {
			if i == 0 || out[i].Edge != out[i-1].Edge {
				edges++
			}
			if edges > q.Edges {
				return out[:i]
			}
		}
	}
	return out
}

func compareCells(a, b learn.SpeedCell) int {
	return cmp.Or(cmp.Compare(a.Edge, b.Edge), cmp.Compare(a.Key, b.Key))
}

func TestSpeedCellsAgainstOracle(t *testing.T) {
	db := openTest(t)
	r := rand.New(rand.NewPCG(1, 2))
	edges := []uint64{1<<25 + 2, 1<<25 + 3, 2<<25 + 8, 3 << 25, 3<<25 + 1, 9 << 25}
	// Three days around midnights, of which one is a Sunday's.
	start := time.Now().UTC().Truncate(day).Add(-3 * day)
	rows := driven(t, db, r, start, 3*288, edges)
	kathmandu, err := time.LoadLocation("Asia/Kathmandu") // UTC+5:45: whole quarters, not hours
	if err != nil {
		t.Fatal(err)
	}
	all := [][2]uint64{{1 << 25, 2 << 25}, {3 << 25, 10 << 25}}
	for name, q := range map[string]learn.CellQuery{
		"whole":         {},
		"5 min":         {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.FiveMinutes}},
		"15 min":        {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.QuarterHours}},
		"hour":          {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Hours}},
		"hour, zone":    {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Hours, Zone: kathmandu}},
		"day":           {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Days}},
		"day, zone":     {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Days, Zone: kathmandu}},
		"week":          {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Weeks, Zone: kathmandu}},
		"month":         {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.CalendarMonths, Zone: kathmandu}},
		"hour of day":   {Grouping: learn.Grouping{By: learn.ByHour, Zone: kathmandu}},
		"weekday":       {Grouping: learn.Grouping{By: learn.ByWeekday, Zone: kathmandu}},
		"page":          {Edges: 2},
		"sorted":        {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Hours}, Sorted: true},
		"second page":   {Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Days}, After: edges[1], Edges: 2},
		"part of range": {Grouping: learn.Grouping{From: start.Add(7 * time.Hour), To: start.Add(40 * time.Hour), By: learn.BySteps, Step: learn.Hours}},
		"many stretches": {
			Grouping: learn.Grouping{By: learn.BySteps, Step: learn.Days},
			Ranges:   slices.Repeat([][2]uint64{{1 << 25, 1<<25 + 3}}, 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if q.From.IsZero() {
				q.From, q.To = start, start.Add(3*day)
			}
			if q.Zone == nil {
				q.Zone = time.UTC
			}
			if q.Ranges == nil {
				q.Ranges = all
			}
			var got []learn.SpeedCell
			err := db.SpeedCells(context.WithoutCancel(t.Context()), q, func(c *learn.SpeedCell) error {
				got = append(got, *c)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if q.Edges == 0 && !q.Sorted {
				slices.SortFunc(got, compareCells)
			}
			want := cellOracle(rows, &q)
			if len(want) == 0 {
				t.Fatal("the oracle has nothing")
			}
			if d := gocmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
