package fleet

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
)

// RoadSpec is one directed segment as Build takes it.
type RoadSpec struct {
	Edge     uint64      // road.Edge
	From, To int32       // junctions, 0 to nodes-1
	Shape    []geo.Point // in driving direction, ≥ 2 points
	LimitKMH int         // what the map says is posted, 0 to 250; 0 = unknown or none
	FreeKMH  float64     // what an unhindered car drives: the limit, or what is usual on the class; > 0
	Weight   float64     // traffic of the class per metre; > 0
	NotTo    []uint64    // edges that must not be turned into from its end
	// JunctionM is how far the junction at its start reaches into it, m: a speed within counts for the road before.
	JunctionM float64

	// What follows is for the truth that differs from the map, see Config; zero is usable.
	Stretch uint64   // roads of a stretch have the same limits, wrong or right; 0 = alone, with its reverse
	Usual   [2]uint8 // what may be posted where the map knows no limit; 0 = nothing
	Main    bool     // signs are repeated, limits may vary
	OneWay  bool     // may be driven the wrong way
}

// Network is the roads that vehicles can drive without getting stuck: the biggest
// strongly connected component of the graph, in flat arrays. It is immutable and safe
// for concurrent use.
type Network struct {
	arcs  []arc
	edges []uint64 // road.Edge by arc
	specs []spec   // by arc: what the simulation needs only at its start
	nodes int32    // junctions

	gates  []gate
	gateAt []int32 // by junction: a gate of it; -1 = none

	proper  int32   // arcs from here on are one-way roads in the wrong direction: routes avoid them
	wrongAt []int32 // by junction: such an arc that leaves it; -1 = none

	first  []int32 // arcs leaving junction n: out[first[n]:first[n+1]]
	out    []int32
	points []shapePoint // of all arcs, one after another

	cumulative []float64 // of weight × length, to draw arcs from
	south, west,
	north, east float64 // degrees
}

// arc is a directed segment. 48 B: the simulation touches one to three a step.
type arc struct {
	from, to       int32 // a junction; a node: a junction, or a gate of one
	point          int32 // first of its points
	pieces         int32 // points - 1
	lengthM        float32
	freeMPS        float32
	metresPerLonE7 float32
	headingIn      uint16 // 0.01°, of the first and the last piece
	headingOut     uint16
	limitKMH       uint16
	junctionCM     uint16
}

// spec is what the truth of an arc is made of.
type spec struct {
	stretch uint64
	usual   [2]uint8
	main    bool
}

type shapePoint struct {
	lat, lon int32
	alongM   float32 // from the arc's start
	heading  uint16  // of the piece that starts here, 0.01°
}

// Build makes a Network of the roads. It returns an error if a road is malformed or
// no two roads lead back to one another.
func Build(nodes int, roads []RoadSpec) (*Network, error) {
	for i := range roads {
		r := &roads[i]
		switch {
		case r.From < 0 || r.To < 0 || int(r.From) >= nodes || int(r.To) >= nodes:
			return nil, fmt.Errorf("fleet: road %d: junction outside 0 to %d", r.Edge, nodes-1)
		case len(r.Shape) < 2:
			return nil, fmt.Errorf("fleet: road %d: shape of %d points", r.Edge, len(r.Shape))
		case r.FreeKMH <= 0 || r.Weight <= 0:
			return nil, fmt.Errorf("fleet: road %d: speed and weight must be positive", r.Edge)
		}
	}
	component, best := strongComponents(nodes, roads)
	n := &Network{south: 90, west: 180, north: -90, east: -180}
	renumber := make([]int32, nodes)
	for i := range renumber {
		if component[i] == best {
			renumber[i] = n.nodes
			n.nodes++
		} else {
			renumber[i] = -1
		}
	}
	notTo := map[int32][]uint64{}
	total := 0.0
	for i := range roads {
		r := &roads[i]
		from, to := renumber[r.From], renumber[r.To]
		if from < 0 || to < 0 {
			continue
		}
		a := n.addArc(r, from, to)
		total += float64(a.lengthM) * r.Weight
		if len(r.NotTo) > 0 {
			notTo[int32(len(n.arcs)-1)] = r.NotTo
		}
		n.cumulative = append(n.cumulative, total)
	}
	if len(n.arcs) == 0 || n.nodes < 2 {
		return nil, errors.New("fleet: no two junctions of the map lead to one another")
	}
	n.proper = int32(len(n.arcs))
	n.addWrongWays(roads, renumber)
	n.indexOut()
	n.addGates(notTo)
	return n, nil
}

// minWrongWayM is the shortest one-way road that is driven the wrong way: shorter ones are
// passed in a second or two.
const minWrongWayM = 80

// addWrongWays adds the reverse of one-way roads, at most one a node.
func (n *Network) addWrongWays(roads []RoadSpec, renumber []int32) {
	n.wrongAt = make([]int32, n.nodes)
	for i := range n.wrongAt {
		n.wrongAt[i] = -1
	}
	for i := range roads {
		r := &roads[i]
		from, to := renumber[r.From], renumber[r.To]
		if !r.OneWay || from < 0 || to < 0 || from == to || n.wrongAt[to] >= 0 {
			continue
		}
		back := *r
		back.Edge ^= 1
		back.Shape = slices.Clone(r.Shape)
		slices.Reverse(back.Shape)
		before := len(n.points)
		if a := n.addArc(&back, to, from); a.lengthM < minWrongWayM {
			n.points = n.points[:before]
			n.arcs, n.edges, n.specs = n.arcs[:len(n.arcs)-1], n.edges[:len(n.edges)-1], n.specs[:len(n.specs)-1]
			continue
		}
		n.wrongAt[to] = int32(len(n.arcs) - 1)
	}
}

func (n *Network) addArc(r *RoadSpec, from, to int32) *arc {
	a := arc{from: from, to: to, point: int32(len(n.points)), limitKMH: uint16(min(max(r.LimitKMH, 0), 300)), junctionCM: uint16(min(max(r.JunctionM, 0), 100) * 100)}
	a.freeMPS = float32(r.FreeKMH / 3.6)
	perLon := geo.Scale(r.Shape[len(r.Shape)/2].LatE7)
	a.metresPerLonE7 = float32(perLon)
	along := 0.0
	for i, p := range r.Shape {
		if i > 0 && p == r.Shape[i-1] && i < len(r.Shape)-1 {
			continue // no piece of length 0, but an arc keeps two points
		}
		if k := len(n.points) - int(a.point); k > 0 {
			q := &n.points[len(n.points)-1]
			north := float64(p.LatE7-q.lat) * geo.MetresPerE7
			east := float64(p.LonE7-q.lon) * perLon
			along += math.Hypot(north, east)
			q.heading = headingCDeg(east, north)
		}
		n.points = append(n.points, shapePoint{lat: p.LatE7, lon: p.LonE7, alongM: float32(along)})
		n.south, n.north = min(n.south, float64(p.LatE7)*1e-7), max(n.north, float64(p.LatE7)*1e-7)
		n.west, n.east = min(n.west, float64(p.LonE7)*1e-7), max(n.east, float64(p.LonE7)*1e-7)
	}
	a.lengthM = float32(math.Max(along, 0.1))
	a.pieces = int32(len(n.points)) - a.point - 1
	last := len(n.points) - 1
	n.points[last].heading = n.points[last-1].heading
	a.headingIn, a.headingOut = n.points[a.point].heading, n.points[last].heading
	n.arcs = append(n.arcs, a)
	n.edges = append(n.edges, r.Edge)
	s := spec{stretch: r.Stretch, usual: r.Usual, main: r.Main}
	if s.stretch == 0 {
		s.stretch = r.Edge >> 1
	}
	n.specs = append(n.specs, s)
	return &n.arcs[len(n.arcs)-1]
}

func (n *Network) indexOut() {
	n.first = make([]int32, n.nodes+1)
	for i := range n.proper {
		n.first[n.arcs[i].from+1]++
	}
	for i := range n.nodes {
		n.first[i+1] += n.first[i]
	}
	n.out = make([]int32, n.proper)
	at := append([]int32(nil), n.first...)
	for i := range n.proper {
		f := n.arcs[i].from
		n.out[at[f]] = i
		at[f]++
	}
}

// leaving lists the arcs that leave a node's junction, forbidden turns included.
func (n *Network) leaving(node int32) []int32 {
	node = n.junction(node)
	return n.out[n.first[node]:n.first[node+1]]
}

// Arcs is the number of directed segments, one-way roads in the wrong direction included.
func (n *Network) Arcs() int { return len(n.arcs) }

// Edge is the road.Edge of arc i, 0 ≤ i < Arcs.
func (n *Network) Edge(i int32) uint64 { return n.edges[i] }

// MapKMH is the limit of arc i as the map has it; 0 = unknown or none.
func (n *Network) MapKMH(i int32) int { return int(n.arcs[i].limitKMH) }

// LengthM is the length of arc i in metres.
func (n *Network) LengthM(i int32) float64 { return float64(n.arcs[i].lengthM) }

// WrongWay reports whether arc i is a one-way road in the wrong direction.
func (n *Network) WrongWay(i int32) bool { return i >= n.proper }

// Bounds is the bounding box of all roads, in degrees.
func (n *Network) Bounds() (west, south, east, north float64) {
	return n.west, n.south, n.east, n.north
}

// headingCDeg is the direction of a vector in 0.01° clockwise from north, 0 to 35,999.
func headingCDeg(east, north float64) uint16 {
	h := math.Atan2(east, north) * 18000 / math.Pi
	if h < 0 {
		h += 36000
	}
	return uint16(h) % 36000
}

// turnDeg is the angle between two headings in 0.01°, 0 to 180 whole degrees.
func turnDeg(a, b uint16) int {
	d := int(a) - int(b)
	if d < 0 {
		d = -d
	}
	if d > 18000 {
		d = 36000 - d
	}
	return d / 100
}

// shape is an arc's points, in the direction of travel.
func (n *Network) shape(i int32) []geo.Point {
	a := &n.arcs[i]
	out := make([]geo.Point, 0, a.pieces+1)
	for _, p := range n.points[a.point : a.point+a.pieces+1] {
		out = append(out, geo.Point{LatE7: p.lat, LonE7: p.lon})
	}
	return out
}
