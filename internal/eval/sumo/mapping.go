package sumo

import (
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// How SUMO's edges are laid over the graph's.
const (
	stepM     = 4.0  // between the places that are looked at
	asideM    = 6.0  // how far beside the graph's edge SUMO's may run
	alongCos  = 0.77 // cosine of the greatest angle between them, 40°
	leastLen  = 0.25 // share of the shorter of the two that must run together
	splitM    = 5.0  // a car this near to where one edge passes into the next is on either
	joiningM  = 40.0 // longest edge that may lie wholly within a junction
	unmatched = road.NoIndex
)

// Mapping says which of the graph's directed edges each of SUMO's edges is. SUMO splits
// roads elsewhere and merges junctions, so it may be several, and several of SUMO's may be one.
type Mapping struct {
	graph *road.Graph
	of    map[string][]road.Index
	shape map[string][]geo.Point
}

// NewMapping lays the edges over the graph by their courses: by place and direction,
// not by any id.
func NewMapping(g *road.Graph, edges []SEdge) *Mapping {
	m := &Mapping{graph: g, of: map[string][]road.Index{}, shape: map[string][]geo.Point{}}
	var buf []road.Span
	for i := range edges {
		e := &edges[i]
		m.shape[e.ID] = e.Shape
		metres := map[road.Index]float64{}
		var length float64
		for k := 1; k < len(e.Shape); k++ {
			a, b := e.Shape[k-1], e.Shape[k]
			d := geo.DistanceM(a, b)
			length += d
			steps := max(int(math.Ceil(d/stepM)), 1)
			for s := range steps {
				p := geo.Between(a, b, (float64(s)+0.5)/float64(steps))
				if i := m.beside(p, a, b, &buf); i != unmatched {
					metres[i] += d / float64(steps)
				}
			}
		}
		var of []road.Index
		for i, d := range metres {
			if d >= leastLen*min(length, g.LengthM(i)) {
				of = append(of, i)
			}
		}
		slices.Sort(of)
		if len(of) > 0 {
			m.of[e.ID] = of
		}
	}
	return m
}

// beside is the graph's edge at p that runs in the direction from a to b.
func (m *Mapping) beside(p, a, b geo.Point, buf *[]road.Span) road.Index {
	scale := geo.Scale(p.LatE7)
	*buf = m.graph.Near(p, asideM, (*buf)[:0])
	best, bestD := unmatched, asideM*asideM
	ux, uy := float64(b.LonE7-a.LonE7)*scale, float64(b.LatE7-a.LatE7)*geo.MetresPerE7
	for _, s := range *buf {
		c, d := m.graph.SpanEnds(s)
		dist2, _ := road.Foot(p, c, d, scale)
		if dist2 >= bestD {
			continue
		}
		vx, vy := float64(d.LonE7-c.LonE7)*scale, float64(d.LatE7-c.LatE7)*geo.MetresPerE7
		l := math.Hypot(ux, uy) * math.Hypot(vx, vy)
		if l == 0 {
			continue
		}
		cos := (ux*vx + uy*vy) / l
		if s.Forward() && cos >= alongCos {
			best, bestD = m.graph.SpanEdge(s, false), dist2
		} else if s.Backward() && cos <= -alongCos {
			best, bestD = m.graph.SpanEdge(s, true), dist2
		}
	}
	return best
}

// Of are the graph's edges that one of SUMO's is; none if it could not be laid over.
func (m *Mapping) Of(edge string) []road.Index { return m.of[edge] }

// Right reports whether a car at a true place on one of SUMO's edges is on edge i.
func (m *Mapping) Right(edge string, at geo.Point, i road.Index) bool {
	of := m.of[edge]
	if !slices.Contains(of, i) {
		return false
	}
	if len(of) == 1 {
		return true
	}
	best := math.Inf(1)
	for _, o := range of {
		best = min(best, m.distance(o, at))
	}
	return m.distance(i, at) <= best+splitM
}

// RightInJunction reports whether edge i is right for a car within a junction, between
// two of SUMO's edges ("" if the drive begins or ends there): it is either of them, or a
// short one that lies wholly within the junction and touches one of them.
func (m *Mapping) RightInJunction(before, after string, i road.Index) bool {
	if slices.Contains(m.of[before], i) || slices.Contains(m.of[after], i) {
		return true
	}
	if m.graph.LengthM(i) > joiningM {
		return false
	}
	for _, b := range m.of[before] {
		if m.graph.Target(b) == m.graph.Source(i) {
			return true
		}
	}
	for _, a := range m.of[after] {
		if m.graph.Source(a) == m.graph.Target(i) {
			return true
		}
	}
	return false
}

// distance is that of a place from an edge, metres.
func (m *Mapping) distance(i road.Index, p geo.Point) float64 {
	shape := m.graph.Shape(i)
	scale := geo.Scale(p.LatE7)
	best := math.Inf(1)
	for k := 1; k < len(shape); k++ {
		d, _ := road.Foot(p, shape[k-1], shape[k], scale)
		best = min(best, d)
	}
	return math.Sqrt(best)
}

// Groups are what speeds are compared by: sets of SUMO's edges and of the graph's that are
// the same road, none of either in two of them.
func (m *Mapping) Groups() (sumo map[string]int, graph map[road.Index]int, n int) {
	sumo, graph = map[string]int{}, map[road.Index]int{}
	edges := make([]string, 0, len(m.of))
	back := map[road.Index][]string{}
	for e, of := range m.of {
		edges = append(edges, e)
		for _, i := range of {
			back[i] = append(back[i], e)
		}
	}
	slices.Sort(edges)
	for _, e := range edges {
		if _, ok := sumo[e]; ok {
			continue
		}
		sumo[e] = n
		for todo := []string{e}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for _, i := range m.of[at] {
				graph[i] = n
				for _, o := range back[i] {
					if _, ok := sumo[o]; !ok {
						sumo[o] = n
						todo = append(todo, o)
					}
				}
			}
		}
		n++
	}
	return sumo, graph, n
}
