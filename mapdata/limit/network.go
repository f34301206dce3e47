package limit

import (
	"context"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// network asks a road graph what follows what.
type network struct{ roads learn.Roads }

// edge is a directed edge in a graph that has it.
type edge struct {
	part  *road.Partition
	index road.Index
}

func (e edge) lengthM() float64 { return e.part.LengthM(e.index) }

func (e edge) id() road.Edge { return e.part.Edge(e.index) }

// edge looks an edge up; ok is false if the map does not have it.
func (w network) edge(ctx context.Context, e road.Edge) (found edge, ok bool, err error) {
	found.part, err = w.roads.Partition(ctx, e.Quadkey())
	if err != nil {
		return found, false, err
	}
	found.index, ok = found.part.Find(e)
	return found, ok, nil
}

// sameRoad tells whether two edges are the same road by name or number, and of one class.
// Roads without either may be.
func sameRoad(a, b edge) bool {
	x, y := a.part.SegmentAt(int(a.index>>1)), b.part.SegmentAt(int(b.index>>1))
	if x.Class != y.Class || x.Class.Link() {
		return false
	}
	if x.Name == "" && x.Ref == "" && y.Name == "" && y.Ref == "" {
		return bendDeg(a, b) <= straightDeg
	}
	return x.Name == y.Name && x.Name != "" || x.Ref == y.Ref && x.Ref != ""
}

// goesOn tells whether b is what a vehicle on a comes to if it does not turn: the same road,
// or one of the same class straight ahead.
func goesOn(a, b edge) bool {
	return sameRoad(a, b) || a.part.Class(a.index) == b.part.Class(b.index) && bendDeg(a, b) <= straightDeg
}

// bendDeg is the change of direction from one edge to the next, 0 to 180 degrees.
func bendDeg(a, b edge) float64 {
	const alongM = 15
	length := a.part.LengthM(a.index)
	before, _ := a.part.PointAt(a.index, length-alongM)
	at, _ := a.part.PointAt(a.index, length)
	after, _ := b.part.PointAt(b.index, alongM)
	return apartDeg(geo.BearingDeg(before, at), geo.BearingDeg(at, after))
}

// meets tells whether another road of the class least or a higher one meets the vehicle's
// between two edges.
func (w network) meets(ctx context.Context, a, b edge, least road.Class) (bool, error) {
	part, node, ok, err := w.start(ctx, b)
	if err != nil || !ok {
		return true, err
	}
	mine := [2]road.SegmentID{a.id().Segment(), b.id().Segment()}
	for _, list := range [2][]road.Index{part.Out(node), part.OutWrong(node)} {
		for _, i := range list {
			if id := part.Edge(i).Segment(); id != mine[0] && id != mine[1] && part.Class(i) <= least {
				return true, nil
			}
		}
	}
	return false, nil
}

// start is the node where an edge starts, in a partition that has all edges there; ok is false
// if the map has none.
func (w network) start(ctx context.Context, e edge) (part *road.Partition, node int, ok bool, err error) {
	source := e.part.Source(e.index)
	part, err = w.roads.Partition(ctx, geo.TileAt(e.part.Node(source), road.Zoom).Quadkey())
	if err != nil {
		return nil, 0, false, err
	}
	node, ok = part.FindNode(e.part.NodeID(source))
	return part, node, ok, nil
}

// into lists the edges that lead to the start of e, without its own reverse.
func (w network) into(ctx context.Context, e edge) ([]road.Edge, error) {
	part, node, ok, err := w.start(ctx, e)
	if err != nil || !ok {
		return nil, err
	}
	var out []road.Edge
	for _, list := range [2][]road.Index{part.Out(node), part.OutWrong(node)} {
		for _, i := range list {
			if part.Allowed(i.Reverse()) && part.Edge(i).Segment() != e.id().Segment() {
				out = append(out, part.Edge(i.Reverse()))
			}
		}
	}
	return out, nil
}

// outOf lists the edges that start where e ends, without its own reverse.
func (w network) outOf(ctx context.Context, e edge) ([]road.Edge, error) {
	part, node, ok, err := w.start(ctx, edge{e.part, e.index.Reverse()})
	if err != nil || !ok {
		return nil, err
	}
	var out []road.Edge
	for _, i := range part.Out(node) {
		if part.Edge(i).Segment() != e.id().Segment() {
			out = append(out, part.Edge(i))
		}
	}
	return out, nil
}

// before is the edge that leads straight to e, see goesOn; ok is false if there is none, more
// than one, or another road of a higher class meets there.
func (w network) before(ctx context.Context, e edge) (found edge, ok bool, err error) {
	part, node, ok, err := w.start(ctx, e)
	if err != nil || !ok {
		return found, false, err
	}
	var one road.Edge
	for _, list := range [2][]road.Index{part.Out(node), part.OutWrong(node)} {
		for _, i := range list {
			a := edge{part, i.Reverse()}
			if a.id().Segment() == e.id().Segment() || !part.Allowed(a.index) || !goesOn(a, e) {
				continue
			}
			if one != 0 {
				return found, false, nil
			}
			one = a.id()
		}
	}
	if one == 0 {
		return found, false, nil
	}
	if found, ok, err = w.edge(ctx, one); err != nil || !ok {
		return found, false, err
	}
	crossed, err := w.meets(ctx, found, e, e.part.Class(e.index)-1)
	return found, !crossed, err
}
