package road

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
)

// town is a lattice of n by n junctions with a two-way street in every row and column.
func town(n int, firstID int64) []Way {
	var ways []Way
	node := func(x, y int) (int64, geo.Point) {
		return firstID + int64(y*n+x), geo.Point{LatE7: 425000000 + int32(y)*9000, LonE7: 15000000 + int32(x)*12000 + int32(y)*7}
	}
	for row := range n {
		for _, column := range []bool{false, true} {
			w := Way{ID: firstID + int64(2*row), Attributes: Attributes{Name: fmt.Sprintf("Street %d", row), Class: Residential, Flags: Forward | Backward}}
			if column {
				w.ID++
			}
			for i := range n {
				x, y := i, row
				if column {
					x, y = row, i
				}
				id, p := node(x, y)
				w.Nodes, w.Points = append(w.Nodes, id), append(w.Points, p)
			}
			ways = append(ways, w)
		}
	}
	return ways
}

func ids(segs []Segment) map[string]SegmentID {
	m := make(map[string]SegmentID)
	for _, s := range segs {
		m[fmt.Sprint(s.Shape)] = s.ID
	}
	return m
}

func TestIDsSurviveReimport(t *testing.T) {
	ways := town(12, 1000)
	before, left := Build(ways)
	if len(before) != 2*12*11 || left != (LeftOut{}) {
		t.Fatalf("%d segments, %d without extent", len(before), left.ZeroLength)
	}
	want := ids(before)

	r := rand.New(rand.NewPCG(1, 2))
	changed := slices.Clone(ways)
	r.Shuffle(len(changed), func(i, j int) { changed[i], changed[j] = changed[j], changed[i] })
	for i := range changed {
		changed[i].ID = -int64(r.Uint32()) // other ways' ids
		changed[i].Name += " renamed"      // and another name
	}
	for _, w := range town(5, 900000) { // unrelated roads, some of them in the same tile
		for i := range w.Points {
			w.Points[i].LatE7 += 3001
			w.Points[i].LonE7 += 5003
		}
		changed = append(changed, w)
	}
	after, _ := Build(changed)
	got := ids(after)
	for shape, id := range want {
		if got[shape] != id {
			t.Errorf("segment %s: id %d became %d", shape, id, got[shape])
		}
	}
}

func TestIDLayout(t *testing.T) {
	segs, _ := Build(town(6, 1))
	seen := make(map[SegmentID]bool)
	for i, s := range segs {
		if seen[s.ID] || i > 0 && segs[i-1].ID >= s.ID {
			t.Errorf("id %d is double or out of order", s.ID)
		}
		seen[s.ID] = true
		tile := geo.TileAt(midpoint(s.Shape), Zoom)
		for _, against := range []bool{false, true} {
			e := s.ID.Edge(against)
			first, last := EdgeRange(tile.Quadkey())
			if e > MaxEdge || e.Tile() != tile || e.Segment() != s.ID || e.Against() != against ||
				e.Reverse() != s.ID.Edge(!against) || e < first || e > last {
				t.Errorf("edge %d of %v", e, tile)
			}
		}
	}
}

// Equal shapes hash alike, so they must share a place in any order of the ways.
func TestCollisionsAreProbedDeterministically(t *testing.T) {
	base := town(2, 1)[0]
	var ways []Way
	for class := Motorway; class < Tertiary; class++ {
		w := base
		w.Class = class
		ways = append(ways, w)
	}
	first, _ := Build(ways)
	slices.Reverse(ways)
	second, _ := Build(ways)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	for i := 1; i < len(first); i++ {
		if first[i].ID != first[0].ID+SegmentID(i) || first[i].Class != first[0].Class+Class(i) {
			t.Errorf("place %d: id %d, class %v", i, first[i].ID, first[i].Class)
		}
	}
}

// The ids are stored for years: a change of this number is a change of every id.
func TestIDGolden(t *testing.T) {
	segs, _ := Build(town(2, 1))
	var got []SegmentID
	for _, s := range segs {
		got = append(got, s.ID)
	}
	want := []SegmentID{1735682624571337, 1735682625033905, 1735682625084726, 1735682627629641}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuildCutsAtJunctions(t *testing.T) {
	p := func(i int32) geo.Point { return geo.Point{LatE7: 425000000 + i*1000, LonE7: 15000000 + i*i*100} }
	way := func(nodes ...int64) Way {
		w := Way{Nodes: nodes, Attributes: Attributes{Class: Primary, Flags: Forward}}
		for _, n := range nodes {
			w.Points = append(w.Points, p(int32(n)))
		}
		return w
	}
	tests := map[string]struct {
		ways []Way
		want int
		zero int
	}{
		"one way":            {[]Way{way(1, 2, 3)}, 1, 0},
		"crossing":           {[]Way{way(1, 2, 3), way(4, 2, 5)}, 4, 0},
		"touching an end":    {[]Way{way(1, 2, 3), way(2, 4)}, 3, 0},
		"continued":          {[]Way{way(1, 2), way(2, 3)}, 2, 0},
		"loop":               {[]Way{way(1, 2, 3, 1)}, 1, 0},
		"crossing itself":    {[]Way{way(1, 2, 3, 4, 2, 5)}, 3, 0},
		"a node twice":       {[]Way{way(1, 1, 2)}, 1, 1},
		"no extent":          {[]Way{way(7, 7)}, 0, 1},
		"not where it bends": {[]Way{way(1, 2, 3, 4, 5), way(8, 9)}, 2, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			segs, left := Build(tt.ways)
			if len(segs) != tt.want || left.ZeroLength != tt.zero {
				t.Errorf("%d segments, %d without extent; want %d, %d", len(segs), left.ZeroLength, tt.want, tt.zero)
			}
		})
	}
}
