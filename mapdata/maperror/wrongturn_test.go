package maperror_test

import (
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

// cross is a crossroads with a side road that ends, and perhaps a restriction on turning
// from the west into the north.
//
//	        4
//	        |
//	1 ----- 2 --- 5 ---- 3
//	        |
//	        6
func cross(t *testing.T, forbidden bool) (memoryRoads, func(a, b int64) road.Edge) {
	t.Helper()
	places := map[int64]geo.Point{1: at(0, 0), 2: at(400, 0), 3: at(900, 0), 4: at(400, 400), 5: at(460, 0), 6: at(400, -300)}
	way := func(id int64, nodes ...int64) road.Way {
		w := road.Way{ID: id, Nodes: nodes, Attributes: road.Attributes{Class: road.Secondary, Flags: directions}}
		for _, n := range nodes {
			w.Points = append(w.Points, places[n])
		}
		return w
	}
	ways := []road.Way{way(1, 1, 2), way(2, 2, 5), way(3, 5, 3), way(4, 2, 4), way(5, 2, 6)}
	var restrictions []road.Restriction
	if forbidden {
		restrictions = append(restrictions, road.Restriction{From: 1, Via: 2, To: 4})
	}
	segs, _ := road.Build(ways, restrictions...)
	return cut(t, segs), func(a, b int64) road.Edge {
		for _, s := range segs {
			switch {
			case s.From == a && s.To == b:
				return s.ID.Edge(false)
			case s.From == b && s.To == a:
				return s.ID.Edge(true)
			}
		}
		t.Fatalf("no road from %d to %d", a, b)
		return 0
	}
}

func TestTurns(t *testing.T) {
	var (
		straight = []geo.Point{at(0, 0), at(900, 0)}
		left     = []geo.Point{at(0, 0), at(400, 0), at(400, 400)}
		detour   = []geo.Point{at(0, 0), at(460, 0), at(400, 0), at(400, 400)}
		errand   = []geo.Point{at(0, 0), at(460, 0), at(0, 0)}
		fromEast = []geo.Point{at(900, 0), at(400, 0), at(400, 400)}
		westward = []geo.Point{at(900, 0), at(0, 0)}
		toSouth  = []geo.Point{at(0, 0), at(400, 0), at(400, -300)}
	)
	type some struct {
		n    int
		line []geo.Point
	}
	tests := map[string]struct {
		forbidden bool
		drives    []some
		want      maperror.Type // 0: nothing
	}{
		"many do what is forbidden":         {true, []some{{12, left}, {30, straight}}, maperror.MissingTurn},
		"few do what is forbidden":          {true, []some{{3, left}, {30, straight}}, 0},
		"all keep to what is forbidden":     {true, []some{{12, detour}, {30, straight}}, 0},
		"those who want to make a detour":   {false, []some{{12, detour}, {30, straight}}, maperror.WrongTurn},
		"few of them":                       {false, []some{{4, detour}, {30, straight}}, 0},
		"nobody wants to":                   {false, []some{{60, straight}, {30, toSouth}, {40, fromEast}}, 0},
		"a few who miss it, others make it": {false, []some{{8, detour}, {20, left}, {30, straight}}, 0},
		"errands, from where one goes back": {false, []some{{20, errand}, {6, detour}, {30, straight}}, 0},
		"errands, from where all go on":     {false, []some{{12, detour}, {30, straight}, {30, fromEast}}, 0},
		"others go on another way":          {false, []some{{12, detour}, {30, straight}, {30, westward}}, maperror.WrongTurn},
		"errands don't bring most back":     {false, []some{{40, detour}, {20, straight}, {30, fromEast}}, maperror.WrongTurn},
		"it is allowed and made":            {false, []some{{20, left}, {30, straight}}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			roads, edge := cross(t, tt.forbidden)
			var all []trip
			for k, s := range tt.drives {
				all = append(all, trips(1000*k+1, s.n, 0, s.line...)...)
			}
			found := judge(t, roads, all, maperror.Config{})
			if tt.want == 0 {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Type != tt.want || found[0].Edge != edge(1, 2) || found[0].To != edge(2, 4) || found[0].Vehicles < 10 ||
				geo.DistanceM(found[0].At, at(400, 0)) > 2 || len(found[0].Geometry) != 3 {
				t.Errorf("found %+v, want the turn from %d to %d", found, edge(1, 2), edge(2, 4))
			}
		})
	}
}
