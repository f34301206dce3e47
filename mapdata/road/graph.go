package road

import (
	"slices"
	"sort"

	"github.com/carasso/carasso/mapdata/geo"
)

// Index numbers a directed edge within one Graph: twice the segment's place, plus 1
// against the drawing. It is dense, from 0 to NumIndexes-1; unlike Edge it means
// nothing in another Graph.
type Index int32

// NoIndex is no edge.
const NoIndex Index = -1

// Reverse is the same segment in the other direction.
func (i Index) Reverse() Index { return i ^ 1 }

// Against reports whether travel is against the direction drawn.
func (i Index) Against() bool { return i&1 == 1 }

// Graph is an immutable road network in flat arrays, with its routing data and a grid
// to search it: a whole small map (LoadGraph) or the part in one Partition. Safe for
// concurrent use.
type Graph struct {
	segs       []segment   // ascending by id
	shapeStart []uint32    // len(segs)+1: where each shape starts in points
	points     []geo.Point // all shapes, one after another
	along      []uint16    // for each point, the share of its shape before it, in 1/alongAll
	nodeID     []int64     // OSM node ids of the segments' ends, ascending
	nodeAt     []geo.Point
	outStart   numbers  // len(nodeID)+1: where each node's edges start in out
	out        []Index  // edges that may be driven, leaving each node
	wrongStart numbers  // as outStart,
	wrong      []Index  // for the edges that lead away from the node against a one-way
	text       []string // names and references; text[0] is ""
	turns      []Turn   // forbidden ones, ascending: few
	box        geo.Box
	grid       grid
	lengthM    float64
}

// segment is one row of the graph: 32 bytes.
type segment struct {
	id       SegmentID
	from, to int32  // places in nodeID
	name     uint32 // place in text
	refClass uint32 // see packRef
	lengthM  float32
	flags    Flags
	layer    int8
	limit    [2]uint8
}

// alongAll stands for a shape's whole length: along resolves 1/65,535 of it.
const alongAll = 1<<16 - 1

// alongM is how far point k is from the start of segment n, to which it belongs, in metres.
func (g *Graph) alongM(n Index, k int) float64 {
	return float64(g.along[k]) * (float64(g.segs[n].lengthM) / alongAll)
}

// maxTexts is the most texts that a graph may have.
const maxTexts = 1 << 24

// packRef joins the place of a reference in text and a class.
func packRef(ref uint32, c Class) uint32 { return ref<<8 | uint32(c) }

func (s *segment) ref() uint32  { return s.refClass >> 8 }
func (s *segment) class() Class { return Class(s.refClass) }

// NumNodes is the number of junctions and ends; nodes are numbered from 0.
func (g *Graph) NumNodes() int { return len(g.nodeID) }

// NumSegments is the number of segments; they are numbered from 0, ascending by id.
func (g *Graph) NumSegments() int { return len(g.segs) }

// NumIndexes is twice the number of segments: one-way ones have an Index in both
// directions, but only one that Allowed holds for.
func (g *Graph) NumIndexes() int { return 2 * len(g.segs) }

// Box is the extent of all shapes; empty if there is none.
func (g *Graph) Box() geo.Box { return g.box }

// LengthKM is the length of all segments, each counted once.
func (g *Graph) LengthKM() float64 { return g.lengthM / 1000 }

// Node is the position of a node.
func (g *Graph) Node(n int) geo.Point { return g.nodeAt[n] }

// NodeID is the OSM id of a node: the same junction has the same one in every
// partition of one map, so that partitions can be stitched together.
func (g *Graph) NodeID(n int) int64 { return g.nodeID[n] }

// FindNode is the place of a node by its OSM id.
func (g *Graph) FindNode(id int64) (n int, ok bool) { return slices.BinarySearch(g.nodeID, id) }

// Out lists the edges that may be driven away from a node. The slice is shared and
// must not be changed.
func (g *Graph) Out(node int) []Index { return g.out[g.outStart.at(node):g.outStart.at(node+1)] }

// OutWrong lists the edges that lead away from a node but must not be driven: one-way
// roads against their direction. The slice is shared and must not be changed.
func (g *Graph) OutWrong(node int) []Index {
	return g.wrong[g.wrongStart.at(node):g.wrongStart.at(node+1)]
}

// Edge is the id of a directed edge.
func (g *Graph) Edge(i Index) Edge { return g.segs[i>>1].id.Edge(i.Against()) }

// Find is the place of an edge by its id, regardless of whether it may be driven.
func (g *Graph) Find(e Edge) (i Index, ok bool) {
	id := e.Segment()
	n := sort.Search(len(g.segs), func(k int) bool { return g.segs[k].id >= id })
	if n == len(g.segs) || g.segs[n].id != id {
		return NoIndex, false
	}
	return Index(2*n) | Index(e&1), true
}

// Allowed reports whether traffic may drive the edge.
func (g *Graph) Allowed(i Index) bool {
	if i.Against() {
		return g.segs[i>>1].flags&Backward != 0
	}
	return g.segs[i>>1].flags&Forward != 0
}

// Source is the node where the edge starts.
func (g *Graph) Source(i Index) int {
	if i.Against() {
		return int(g.segs[i>>1].to)
	}
	return int(g.segs[i>>1].from)
}

// Target is the node where the edge ends.
func (g *Graph) Target(i Index) int { return g.Source(i ^ 1) }

// LengthM is the edge's length in metres.
func (g *Graph) LengthM(i Index) float64 { return float64(g.segs[i>>1].lengthM) }

// Class is the edge's road class.
func (g *Graph) Class(i Index) Class { return g.segs[i>>1].class() }

// Flags are the segment's flags.
func (g *Graph) Flags(i Index) Flags { return g.segs[i>>1].flags }

// LimitKMH is the posted limit; see NoLimitKnown and Unlimited.
func (g *Graph) LimitKMH(i Index) uint8 { return g.segs[i>>1].limit[i&1] }

// FreeKMH is the speed in km/h of an unhindered car; see Segment.FreeKMH.
func (g *Graph) FreeKMH(i Index) float64 { return freeKMH(g.Class(i), g.LimitKMH(i)) }

// Name is the road's name, "" if it has none.
func (g *Graph) Name(i Index) string { return g.text[g.segs[i>>1].name] }

// Shape is the course of the edge's segment in DRAWING order, whatever the direction
// of i. The slice is shared and must not be changed.
func (g *Graph) Shape(i Index) []geo.Point {
	return g.points[g.shapeStart[i>>1]:g.shapeStart[i>>1+1]]
}

// SegmentAt is the n-th segment, ascending by id.
func (g *Graph) SegmentAt(n int) Segment {
	s := &g.segs[n]
	var turns []Turn
	if s.flags&Restricted != 0 {
		turns = g.turnsOf(s.id.Edge(false), s.id.Edge(true))
	}
	return Segment{
		ID: s.id,
		Attributes: Attributes{
			Name: g.text[s.name], Ref: g.text[s.ref()],
			Class: s.class(), Flags: s.flags, Layer: s.layer, Limit: s.limit,
		},
		From: g.nodeID[s.from], To: g.nodeID[s.to],
		Shape: g.points[g.shapeStart[n]:g.shapeStart[n+1]], LengthM: float64(s.lengthM), Turns: turns,
	}
}

// Segment is the segment with an id.
func (g *Graph) Segment(id SegmentID) (Segment, bool) {
	i, ok := g.Find(id.Edge(false))
	if !ok {
		return Segment{}, false
	}
	return g.SegmentAt(int(i >> 1)), true
}

// InBox calls yield for every segment whose extent intersects the box, ascending by
// id, until yield returns false.
func (g *Graph) InBox(b geo.Box) func(yield func(Segment) bool) {
	return func(yield func(Segment) bool) {
		if !g.box.Intersects(b) {
			return
		}
		for n := range g.segs {
			shape := g.points[g.shapeStart[n]:g.shapeStart[n+1]]
			if geo.BoxOf(shape).Intersects(b) && !yield(g.SegmentAt(n)) {
				return
			}
		}
	}
}

// Hit is a place on an edge.
type Hit struct {
	Index   Index
	Edge    Edge
	OffsetM float64 // from the edge's start, in its direction of travel
	DistM   float64 // from the point that was asked for
	Point   geo.Point
}

// Nearest is the nearest place on an edge that may be driven, at most maxM metres from
// p (bounded to 1,000). On a two-way road it is the edge as drawn.
func (g *Graph) Nearest(p geo.Point, maxM float64) (Hit, bool) {
	return g.nearest(p, maxM)
}

// PointAt is the position at offsetM metres from the edge's start in its direction of
// travel, and the direction of travel there in degrees clockwise from north. Offsets
// beyond the ends are clamped.
func (g *Graph) PointAt(i Index, offsetM float64) (p geo.Point, headingDeg float64) {
	return g.pointAt(i, offsetM)
}

// MemoryBytes estimates what the graph occupies in memory.
func (g *Graph) MemoryBytes() int64 {
	n := len(g.segs)*32 + len(g.shapeStart)*4 + len(g.points)*10 + len(g.nodeID)*16 +
		g.outStart.bytes() + g.wrongStart.bytes() + (len(g.out)+len(g.wrong))*4 + len(g.turns)*16 + g.grid.bytes()
	for _, t := range g.text {
		n += 16 + len(t)
	}
	return int64(n)
}
