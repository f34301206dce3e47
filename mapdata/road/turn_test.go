package road

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
)

// crossing is four two-way roads that meet in node 0, from the west, north, east and south,
// with a fifth way that runs on through node 2:
//
//	        2 — 5
//	        |
//	1 ——— 0 ——— 3
//	        |
//	        4
func crossing() []Way {
	at := map[int64]geo.Point{
		0: geo.At(42.5, 1.5), 1: geo.At(42.5, 1.499), 2: geo.At(42.501, 1.5), 3: geo.At(42.5, 1.501), 4: geo.At(42.499, 1.5), 5: geo.At(42.501, 1.501),
	}
	way := func(id int64, nodes ...int64) Way {
		w := Way{ID: id, Nodes: nodes, Attributes: Attributes{Class: Residential, Flags: Forward | Backward}}
		for _, n := range nodes {
			w.Points = append(w.Points, at[n])
		}
		return w
	}
	return []Way{way(10, 1, 0), way(20, 0, 2), way(30, 0, 3), way(40, 4, 0), way(50, 5, 2)}
}

func TestBuildRestrictions(t *testing.T) {
	tests := map[string]struct {
		restrictions []Restriction
		want         [][3]int64 // from node, over, to node
		unresolved   int
	}{
		"none":              {},
		"no":                {[]Restriction{{From: 10, Via: 0, To: 20}}, [][3]int64{{1, 0, 2}}, 0},
		"twice":             {[]Restriction{{From: 10, Via: 0, To: 20}, {From: 10, Via: 0, To: 20}}, [][3]int64{{1, 0, 2}}, 0},
		"turning round":     {[]Restriction{{From: 10, Via: 0, To: 10}}, [][3]int64{{1, 0, 1}}, 0},
		"only":              {[]Restriction{{From: 40, Via: 0, To: 20, Only: true}}, [][3]int64{{4, 0, 1}, {4, 0, 3}, {4, 0, 4}}, 0},
		"of a way unknown":  {[]Restriction{{From: 11, Via: 0, To: 20}}, nil, 1},
		"over another node": {[]Restriction{{From: 10, Via: 2, To: 20}}, nil, 1},
		"over no node":      {[]Restriction{{From: 10, Via: 77, To: 20}}, nil, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			segs, left := Build(crossing(), tt.restrictions...)
			if left.Restrictions != tt.unresolved {
				t.Errorf("%d unresolved, want %d", left.Restrictions, tt.unresolved)
			}
			p, err := NewPartition(segs[0].ID.Quadkey(), segs)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := DecodePartition(p.Encode())
			if err != nil {
				t.Fatal(err)
			}
			want := map[[3]int64]bool{}
			for _, turn := range tt.want {
				want[turn] = true
			}
			for what, g := range map[string]*Graph{"built": p.Graph, "decoded": decoded.Graph} {
				got := map[[3]int64]bool{}
				for i := range Index(g.NumIndexes()) {
					for _, to := range g.Out(g.Target(i)) {
						if g.Forbids(i, g.Edge(to)) {
							got[[3]int64{g.NodeID(g.Source(i)), g.NodeID(g.Target(i)), g.NodeID(g.Target(to))}] = true
						}
					}
				}
				if diff := cmp.Diff(want, got); diff != "" || g.NumTurns() != len(tt.want) {
					t.Errorf("%s: %s", what, diff)
				}
			}
			if diff := cmp.Diff(segments(p.Graph), segments(decoded.Graph)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A way that passes the node does not say on which side of it the turn begins.
func TestAmbiguousRestriction(t *testing.T) {
	ways := crossing()
	ways[0].Nodes, ways[0].Points = []int64{1, 0, 3}, []geo.Point{ways[0].Points[0], ways[0].Points[1], ways[2].Points[1]}
	ways = append(ways[:2], ways[3:]...)
	if _, left := Build(ways, Restriction{From: 10, Via: 0, To: 20}); left.Restrictions != 1 {
		t.Errorf("%d unresolved, want 1", left.Restrictions)
	}
}
