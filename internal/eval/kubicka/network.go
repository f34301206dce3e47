package kubicka

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
)

// noArc stands for a direction that may not be driven.
const noArc int32 = -1

// Network is a case's arcs as a road graph: opposite arcs are one two-way road, and arcs
// in a row without a junction between them are one segment. Arcs without extent vanish,
// their ends become one junction; of several arcs between the same nodes the first counts.
type Network struct {
	*eval.Roads
	Segments []road.Segment
	c        *Case
	joint    []int32 // for each node the one that it is joined with over arcs without extent
	first    []int32 // for each arc the first one between the same nodes: what routes are compared by
	chains   []chain
	byID     map[road.SegmentID]int32 // place in chains
	length   []float64                // of each arc, metres
}

// chain is what became one segment: the arcs along it and against it, noArc where there
// are none. They are in drawing order, both.
type chain struct {
	forward, backward []int32
	ends              []float64 // distance from the start at which each arc ends, metres
}

// NewNetwork builds the graph of a case.
func NewNetwork(c *Case) (*Network, error) {
	n := &Network{c: c, byID: map[road.SegmentID]int32{}, length: make([]float64, len(c.Arcs)), first: make([]int32, len(c.Arcs))}
	n.join()
	arcOf := make(map[[2]int32]int32, len(c.Arcs))
	next := make([][]int32, len(c.Nodes)) // neighbours over a road in either direction
	for i, a := range c.Arcs {
		n.length[i] = geo.DistanceM(c.Nodes[a.From], c.Nodes[a.To])
		from, to := n.joint[a.From], n.joint[a.To]
		key := [2]int32{from, to}
		if f, ok := arcOf[key]; ok {
			n.first[i] = f
			continue
		}
		n.first[i] = int32(i)
		if from == to {
			continue
		}
		arcOf[key] = int32(i)
		if _, ok := arcOf[[2]int32{to, from}]; !ok {
			next[from], next[to] = append(next[from], to), append(next[to], from)
		}
	}
	ways := n.chain(arcOf, next)
	segs, left := road.Build(ways)
	if left != (road.LeftOut{}) || len(segs) != len(ways) {
		return nil, fmt.Errorf("%s: %d of %d roads lost in the graph", c.Name, len(ways)-len(segs), len(ways))
	}
	for i := range segs {
		place, err := strconv.ParseInt(segs[i].Ref, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%s: segment without a chain: %w", c.Name, err)
		}
		n.byID[segs[i].ID] = int32(place)
		segs[i].Ref = ""
	}
	n.Segments = segs
	n.Roads = eval.NewRoads(segs)
	return n, nil
}

// join finds the nodes that arcs without extent connect.
func (n *Network) join() {
	n.joint = make([]int32, len(n.c.Nodes))
	for i := range n.joint {
		n.joint[i] = int32(i)
	}
	root := func(i int32) int32 {
		for n.joint[i] != i {
			i = n.joint[i]
		}
		return i
	}
	for _, a := range n.c.Arcs {
		if n.c.Nodes[a.From] == n.c.Nodes[a.To] {
			f, t := root(a.From), root(a.To)
			n.joint[max(f, t)] = min(f, t)
		}
	}
	for i := range n.joint {
		n.joint[i] = root(int32(i))
	}
}

// chain strings arcs together up to the next junction, end, or change of direction.
func (n *Network) chain(arcOf map[[2]int32]int32, next [][]int32) []road.Way {
	arc := func(from, to int32) int32 {
		if a, ok := arcOf[[2]int32{from, to}]; ok {
			return a
		}
		return noArc
	}
	inner := func(v int32) bool {
		if len(next[v]) != 2 {
			return false
		}
		u, w := next[v][0], next[v][1]
		return (arc(u, v) != noArc) == (arc(v, w) != noArc) && (arc(w, v) != noArc) == (arc(v, u) != noArc)
	}
	done := map[[2]int32]bool{}
	var ways []road.Way
	walk := func(from, to int32) {
		ch := chain{}
		w := road.Way{ID: int64(len(ways)), Nodes: []int64{int64(from)}, Points: []geo.Point{n.c.Nodes[from]}}
		start, at := from, 0.0
		for {
			done[[2]int32{min(from, to), max(from, to)}] = true
			ch.forward, ch.backward = append(ch.forward, arc(from, to)), append(ch.backward, arc(to, from))
			at += geo.DistanceM(n.c.Nodes[from], n.c.Nodes[to])
			ch.ends = append(ch.ends, at)
			w.Nodes, w.Points = append(w.Nodes, int64(to)), append(w.Points, n.c.Nodes[to])
			if to == start || !inner(to) {
				break
			}
			from, to = to, next[to][0]+next[to][1]-from
		}
		if ch.forward[0] != noArc {
			w.Flags |= road.Forward
		}
		if ch.backward[0] != noArc {
			w.Flags |= road.Backward
		}
		w.Ref = strconv.Itoa(len(n.chains))
		n.chains = append(n.chains, ch)
		ways = append(ways, w)
	}
	for _, rings := range [2]bool{false, true} { // rings without any junction come last
		for v := range int32(len(next)) {
			if !rings && inner(v) {
				continue
			}
			for _, u := range next[v] {
				if !done[[2]int32{min(u, v), max(u, v)}] {
					walk(v, u)
				}
			}
		}
	}
	return ways
}

// touchM is up to what length a drive onto an arc does not count: positions at a node are
// on either side of it.
const touchM = 0.5

// Route is the arcs of a matched way, in the order driven: each arc of which at least
// half a metre was driven counts whole, as in the truth. What a step leaves to its
// successor of the same edge is put together first.
func (n *Network) Route(path []match.Step) []int32 {
	var route []int32
	add := func(a int32) {
		if k := len(route); k > 0 {
			if route[k-1] == a {
				return
			}
			if from, to := n.c.Arcs[route[k-1]].To, n.c.Arcs[a].From; from != to && n.joint[from] == n.joint[to] {
				route = n.bridge(route, from, to)
			}
		}
		route = append(route, a)
	}
	for i := 0; i < len(path); i++ {
		s := path[i]
		from, to := float64(s.FromM), float64(s.ToM)
		for i+1 < len(path) && path[i+1].Edge == s.Edge && !path[i+1].Break && path[i+1].FromM >= s.FromM && float64(path[i+1].FromM) <= to+touchM {
			i++
			to = max(to, float64(path[i].ToM))
		}
		place, ok := n.byID[s.Edge.Segment()]
		if !ok || to-from < touchM && len(path) > 1 && (len(route) == 0 || i == len(path)-1) {
			continue // the drive begins or ends at a node: which edge that is on is chance
		}
		for _, a := range n.chains[place].arcs(s.Edge.Against(), from, to) {
			if a != noArc {
				add(a)
			}
		}
	}
	return route
}

// bridge adds the arcs without extent that lead from one node to another, if a single one does.
func (n *Network) bridge(route []int32, from, to int32) []int32 {
	for i, a := range n.c.Arcs {
		if a.From == from && a.To == to {
			return append(route, int32(i))
		}
	}
	return route
}

// arcs are those driven between two distances from the start in the direction of travel;
// at least one.
func (c *chain) arcs(against bool, from, to float64) []int32 {
	total := c.ends[len(c.ends)-1]
	list := c.forward
	if against {
		from, to = total-to, total-from
		list = c.backward
	}
	first, last := 0, len(c.ends)-1
	for first < last && c.ends[first] <= from+touchM {
		first++
	}
	for last > first && c.ends[last-1] >= to-touchM {
		last--
	}
	out := slices.Clone(list[first : last+1])
	if against {
		slices.Reverse(out)
	}
	return out
}

// Same is the arc that stands for all those between the same nodes.
func (n *Network) Same(arc int32) int32 { return n.first[arc] }

// LengthM is an arc's length in metres.
func (n *Network) LengthM(arc int32) float64 { return n.length[arc] }
