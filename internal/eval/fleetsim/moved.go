package fleetsim

import (
	"math"
	"slices"

	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

const (
	movedLot   = 0x6d6f766564   // what lots are for
	closedLot  = 0x636c6f736564 // …
	movedAtM   = 150.0          // a stretch between junctions is moved if it is at least so long,
	movedByM   = 11.0           // by this to its right,
	movedRampM = 30.0           // but less towards its ends
	movedStepM = 15.0
)

// move puts ways of the map beside their place, far from other errors.
func (g *ground) move(ways []road.Way, cfg *Config) []road.Way {
	uses := map[int64]int{}
	for _, w := range ways {
		for i, n := range w.Nodes {
			if uses[n]++; i == 0 || i == len(w.Nodes)-1 {
				uses[n]++
			}
		}
	}
	out := slices.Clone(ways)
	fresh := int64(-1 << 40) // ids of new nodes
	for i := range out {
		w := &out[i]
		const both = road.Forward | road.Backward // a carriageway would come to lie on the other one
		if w.Flags&both != both || lot(cfg.Seed^movedLot, uint64(w.ID)) >= cfg.Moved || g.spoiled.near(w.Points) {
			continue
		}
		moved := road.Way{ID: w.ID, Attributes: w.Attributes, Nodes: w.Nodes[:1:1], Points: w.Points[:1:1]}
		any := false
		for first, k := 0, 1; k < len(w.Nodes); k++ {
			if k < len(w.Nodes)-1 && uses[w.Nodes[k]] < 2 {
				continue
			}
			run := w.Points[first : k+1]
			if total := lineM(run); total >= movedAtM {
				any = true
				for d := movedStepM; d < total-movedStepM/2; d += movedStepM {
					p, heading := pointOn(run, d)
					by := movedByM * min(1, d/movedRampM, (total-d)/movedRampM)
					sin, cos := math.Sincos((heading + 90) * math.Pi / 180)
					p.LatE7 += int32(by * cos / geo.MetresPerE7)
					p.LonE7 += int32(by * sin / geo.Scale(p.LatE7))
					moved.Nodes, moved.Points = append(moved.Nodes, fresh), append(moved.Points, p)
					fresh--
				}
			} else {
				moved.Nodes, moved.Points = append(moved.Nodes, w.Nodes[first+1:k]...), append(moved.Points, w.Points[first+1:k]...)
			}
			moved.Nodes, moved.Points = append(moved.Nodes, w.Nodes[k]), append(moved.Points, w.Points[k])
			first = k
		}
		if any {
			g.moved = append(g.moved, brokenWay{id: w.ID, within: func(s road.Segment) bool { return s.LengthM >= movedAtM }})
			g.spoiled.mark(w.Points)
			*w = moved
		}
	}
	return out
}

// close picks ways of main roads that are closed in truth, far from other errors, such that
// all other roads still lead to one another.
func (g *ground) close(ways []road.Way, segs []road.Segment, cfg *Config) {
	for i := range ways {
		w := &ways[i]
		if w.Class > road.TertiaryLink || lot(cfg.Seed^closedLot, uint64(w.ID)) >= cfg.Closed || g.spoiled.near(w.Points) {
			continue
		}
		var edges []uint64
		nodes := map[int64]bool{}
		for _, n := range w.Nodes {
			nodes[n] = true
		}
		without := func(s road.Segment) bool {
			of := s.Name == w.Name && s.Class == w.Class && nodes[s.From] && nodes[s.To] && slices.Contains(w.Points, s.Shape[1]) && slices.Contains(w.Points, s.Shape[0])
			if of {
				edges = append(edges, uint64(s.ID.Edge(false)), uint64(s.ID.Edge(true)))
			}
			return of
		}
		var rest []road.Segment
		for _, s := range segs {
			if !without(s) && !slices.Contains(g.closedEdges, uint64(s.ID.Edge(false))) {
				rest = append(rest, s)
			}
		}
		if !connected(segs, rest, g.closedEdges, edges) {
			continue
		}
		g.closed = append(g.closed, brokenWay{id: w.ID})
		g.closedEdges = append(g.closedEdges, edges...)
		g.spoiled.mark(w.Points)
	}
}

// connected reports whether all roads that lead to one another still do without some.
func connected(all, rest []road.Segment, closed ...[]uint64) bool {
	before, after := networkOf(all), networkOf(rest)
	if before == nil || after == nil {
		return false
	}
	kept := map[uint64]bool{}
	for i := range int32(after.Arcs()) {
		kept[after.Edge(i)] = true
	}
	for i := range int32(before.Arcs()) {
		e := before.Edge(i)
		gone := slices.ContainsFunc(closed, func(list []uint64) bool { return slices.Contains(list, e) })
		if !kept[e] && !gone && !before.WrongWay(i) {
			return false
		}
	}
	return true
}

func networkOf(segs []road.Segment) *fleet.Network {
	graph, err := road.NewGraph(segs, geo.EmptyBox())
	if err != nil {
		return nil
	}
	n, err := fleet.NewNetwork(graph)
	if err != nil {
		return nil
	}
	return n
}

func lineM(line []geo.Point) float64 {
	d := 0.0
	for i := 1; i < len(line); i++ {
		d += geo.DistanceM(line[i-1], line[i])
	}
	return d
}

// pointOn is a place along a line, and the direction there.
func pointOn(line []geo.Point, m float64) (geo.Point, float64) {
	for i := 1; i < len(line); i++ {
		d := geo.DistanceM(line[i-1], line[i])
		if m <= d || i == len(line)-1 {
			return geo.Between(line[i-1], line[i], min(m/max(d, 1e-6), 1)), geo.BearingDeg(line[i-1], line[i])
		}
		m -= d
	}
	return line[0], 0
}
