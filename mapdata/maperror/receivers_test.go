package maperror_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

// slip has a road to the east, and 12 m north of it a one-way to the west that leaves and
// joins it; its forbidden direction.
func slip(t *testing.T) (memoryRoads, road.Edge) {
	t.Helper()
	way := func(flags road.Flags, nodes []int64, points ...geo.Point) road.Way {
		return road.Way{Nodes: nodes, Points: points, Attributes: road.Attributes{Class: road.Secondary, Flags: flags}}
	}
	segs, _ := road.Build([]road.Way{
		way(directions, []int64{1, 2, 3, 4}, at(0, 0), at(300, 0), at(500, 0), at(800, 0)),
		way(road.Forward, []int64{3, 5, 6, 2}, at(500, 0), at(480, 12), at(320, 12), at(300, 0)),
	})
	for _, s := range segs {
		if s.From == 3 && len(s.Shape) == 4 {
			return cut(t, segs), s.ID.Edge(true)
		}
	}
	t.Fatal("no slip road")
	return nil, 0
}

// TestBadReceivers: vehicles whose receivers are off, each by its own vector, are no missing
// road where many others keep to the road; as many vehicles on one course are.
func TestBadReceivers(t *testing.T) {
	roads, _ := town(t)
	line := []geo.Point{at(20, 0), at(400, 0), at(400, 300), at(780, 300)}
	sound := trips(1000, 120, 0, line...)
	for _, seed := range []uint64{1, 2, 3, 90, 126, 163, 179, 187, 238, 269, 284} { // most come together somewhere
		r := rand.New(rand.NewPCG(seed, 1))
		all := sound
		for i := range 7 {
			sin, cos := math.Sincos(2 * math.Pi * r.Float64())
			m := 20 + 40*r.Float64()
			off := make([]geo.Point, len(line))
			for k, p := range line {
				off[k] = geo.Point{LatE7: p.LatE7 + int32(m*cos/geo.MetresPerE7), LonE7: p.LonE7 + int32(m*sin/geo.Scale(p.LatE7))}
			}
			all = append(all[:len(all):len(all)], trips(i+1, 1, 0, off...)...)
		}
		if got := judge(t, roads, all, maperror.Config{}); len(got) > 0 {
			t.Errorf("receivers %d: %+v", seed, got)
		}
	}

	all := sound
	for i := range 12 {
		all = append(all[:len(all):len(all)], trips(i+1, 1, 0, at(20, 0), at(60, 0), at(100, 34), at(300, 34), at(340, 0), at(390, 0))...)
	}
	got := judge(t, roads, all, maperror.Config{})
	if len(got) != 1 || got[0].Type != maperror.MissingRoad || got[0].Vehicles < 10 {
		t.Errorf("a road beside: %+v", got)
	}
}

// TestStraysBesideBusyRoad: a few vehicles of a busy road that seem to be on the one-way
// beside it, against it, do not turn it round; without that traffic they do.
func TestStraysBesideBusyRoad(t *testing.T) {
	roads, edge := slip(t)
	strays := trips(1, 6, 0, at(0, 0), at(300, 0), at(320, 12), at(480, 12), at(500, 0), at(800, 0))
	busy := trips(100, 110, 0, at(0, 0), at(800, 0))

	if got := judge(t, roads, append(strays[:len(strays):len(strays)], busy...), maperror.Config{}); len(got) > 0 {
		t.Errorf("beside a busy road: %+v", got)
	}
	got := judge(t, roads, strays, maperror.Config{})
	if len(got) != 1 || got[0].Type != maperror.WrongOneWay || got[0].Edge != edge {
		t.Errorf("without: %+v, want the one-way %d", got, edge)
	}
}
