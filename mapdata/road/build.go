package road

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
)

// Way is a road as it was mapped: a run of nodes with one set of attributes.
type Way struct {
	ID     int64
	Nodes  []int64     // ≥ 2 node ids
	Points []geo.Point // where they are, one for one
	Attributes
}

// Build cuts the ways at junctions and gives every segment its id. The segments come
// ascending by id, and do not depend on the order of the ways or on their ids, which only
// the restrictions refer to.
func Build(ways []Way, restrictions ...Restriction) ([]Segment, LeftOut) {
	var (
		segs []Segment
		of   []int64 // the way of each
		left LeftOut
	)
	uses := make(map[int64]uint8)
	for _, w := range ways {
		for i, n := range w.Nodes {
			c := uses[n] + 1
			if i == 0 || i == len(w.Nodes)-1 {
				c = 2
			}
			uses[n] = min(c, 2)
		}
	}
	for _, w := range ways {
		first := 0
		for i := 1; i < len(w.Nodes); i++ {
			if uses[w.Nodes[i]] < 2 {
				continue
			}
			shape := slices.Compact(slices.Clone(w.Points[first : i+1]))
			if len(shape) < 2 {
				left.ZeroLength++
			} else {
				segs = append(segs, Segment{
					Attributes: w.Attributes, From: w.Nodes[first], To: w.Nodes[i],
					Shape: shape, LengthM: lengthM(shape),
				})
				of = append(of, w.ID)
			}
			first = i
		}
	}
	assignIDs(segs)
	left.Restrictions = restrict(segs, of, restrictions)
	slices.SortFunc(segs, func(a, b Segment) int { return cmp.Compare(a.ID, b.ID) })
	return segs, left
}

// LeftOut counts what Build had no use for.
type LeftOut struct {
	ZeroLength   int // segments without extent
	Restrictions int // that name no turn that there is
}

func lengthM(shape []geo.Point) float64 {
	var d float64
	for i := 1; i < len(shape); i++ {
		d += geo.DistanceM(shape[i-1], shape[i])
	}
	return d
}

// midpoint is the place at half the shape's length.
func midpoint(shape []geo.Point) geo.Point {
	rest := lengthM(shape) / 2
	for i := 1; i < len(shape); i++ {
		d := geo.DistanceM(shape[i-1], shape[i])
		if d > 0 && rest <= d {
			return geo.Between(shape[i-1], shape[i], rest/d)
		}
		rest -= d
	}
	return shape[len(shape)-1]
}

// hashShape is FNV-1a over the coordinates in drawing order, finished with the mix of
// SplitMix64, because FNV's upper bits are weak on short input.
func hashShape(shape []geo.Point) uint64 {
	h := uint64(14695981039346656037)
	add := func(v int32) {
		for s := 0; s < 32; s += 8 {
			h = (h ^ uint64(uint8(v>>s))) * 1099511628211
		}
	}
	for _, p := range shape {
		add(p.LatE7)
		add(p.LonE7)
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// assignIDs fills in the ids. Where two shapes of a tile hash alike,
// the one that comes first by full hash, then by coordinates, then by attributes, keeps
// the hash's place; the others, in that order, take the next free one.
func assignIDs(segs []Segment) {
	type keyed struct {
		tile uint32
		hash uint64
		seg  *Segment
	}
	keys := make([]keyed, len(segs))
	for i := range segs {
		s := &segs[i]
		keys[i] = keyed{geo.TileAt(midpoint(s.Shape), Zoom).Quadkey(), hashShape(s.Shape), s}
	}
	slices.SortFunc(keys, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.tile, b.tile), cmp.Compare(a.hash, b.hash), compare(a.seg, b.seg))
	})
	for i := 0; i < len(keys); {
		end := i + 1
		for end < len(keys) && keys[end].tile == keys[i].tile {
			end++
		}
		taken := make(map[uint32]struct{}, end-i)
		var rest []keyed
		for _, k := range keys[i:end] {
			slot := uint32(k.hash >> (64 - hashBits))
			if _, busy := taken[slot]; busy || (k.tile == 0 && slot == 0) {
				rest = append(rest, k)
				continue
			}
			taken[slot] = struct{}{}
			k.seg.ID = SegmentID(k.tile)<<hashBits | SegmentID(slot)
		}
		for _, k := range rest {
			slot := uint32(k.hash >> (64 - hashBits))
			for busy := true; busy; {
				slot = (slot + 1) & (1<<hashBits - 1)
				_, busy = taken[slot]
				busy = busy || (k.tile == 0 && slot == 0)
			}
			taken[slot] = struct{}{}
			k.seg.ID = SegmentID(k.tile)<<hashBits | SegmentID(slot)
		}
		i = end
	}
}

// compare orders segments whose shapes hash alike.
func compare(a, b *Segment) int {
	return cmp.Or(
		slices.CompareFunc(a.Shape, b.Shape, func(p, q geo.Point) int {
			return cmp.Or(cmp.Compare(p.LatE7, q.LatE7), cmp.Compare(p.LonE7, q.LonE7))
		}),
		cmp.Compare(a.Class, b.Class), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Flags, b.Flags),
		cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To),
	)
}

// NewGraph is a graph of the given segments, which must have distinct ids. box is what
// its grid covers; the segments' own extent if empty.
func NewGraph(segs []Segment, box geo.Box) (*Graph, error) {
	segs = slices.Clone(segs)
	slices.SortFunc(segs, func(a, b Segment) int { return cmp.Compare(a.ID, b.ID) })
	points := 0
	g := &Graph{segs: make([]segment, len(segs)), shapeStart: make([]uint32, len(segs)+1), text: []string{""}}
	for i, s := range segs {
		points += len(s.Shape)
		if len(s.Shape) < 2 || i > 0 && s.ID == segs[i-1].ID {
			return nil, fmt.Errorf("segment %d: a duplicate, or fewer than two points", s.ID)
		}
		g.nodeID = append(g.nodeID, s.From, s.To)
		g.turns = append(g.turns, s.Turns...)
	}
	if points >= maxPoints || len(segs) > math.MaxInt32/2 {
		return nil, fmt.Errorf("%d segments with %d points are too many for one graph", len(segs), points)
	}
	slices.Sort(g.nodeID)
	g.nodeID = slices.Clip(slices.Compact(g.nodeID))
	g.points = make([]geo.Point, 0, points)
	intern := map[string]uint32{"": 0}
	text := func(s string) uint32 {
		n, ok := intern[s]
		if !ok {
			n = uint32(len(g.text))
			intern[s] = n
			g.text = append(g.text, s)
		}
		return n
	}
	for i, s := range segs {
		from, _ := slices.BinarySearch(g.nodeID, s.From)
		to, _ := slices.BinarySearch(g.nodeID, s.To)
		g.segs[i] = segment{
			id: s.ID, from: int32(from), to: int32(to), name: text(s.Name), refClass: packRef(text(s.Ref), s.Class),
			flags: s.Flags, layer: s.Layer, limit: s.Limit,
		}
		g.points = append(g.points, s.Shape...)
		g.shapeStart[i+1] = uint32(len(g.points))
	}
	if len(g.text) > maxTexts {
		return nil, fmt.Errorf("%d names are too many for one graph", len(g.text))
	}
	g.finish(box)
	return g, nil
}

// finish derives lengths, extent, node places, adjacency and grid from the columns.
func (g *Graph) finish(box geo.Box) {
	g.box = geo.BoxOf(g.points)
	g.along = make([]uint16, len(g.points))
	g.nodeAt = make([]geo.Point, len(g.nodeID))
	for n := range g.segs {
		s := &g.segs[n]
		shape := g.points[g.shapeStart[n]:g.shapeStart[n+1]]
		along := g.along[g.shapeStart[n]:g.shapeStart[n+1]]
		var d float64
		for k := 1; k < len(shape); k++ {
			d += geo.DistanceM(shape[k-1], shape[k])
		}
		s.lengthM = float32(d)
		var at float64
		for k := 1; k < len(shape) && d > 0; k++ {
			at += geo.DistanceM(shape[k-1], shape[k])
			along[k] = uint16(math.Round(min(at/d, 1) * alongAll))
		}
		g.lengthM += d
		g.nodeAt[s.from], g.nodeAt[s.to] = shape[0], shape[len(shape)-1]
	}
	g.outStart, g.out = g.leaving(true)
	g.wrongStart, g.wrong = g.leaving(false)
	if box.Empty() {
		box = g.box
	}
	g.buildGrid(box)
}

// leaving lists, node by node, the edges that lead away and may be driven, or may not.
func (g *Graph) leaving(allowed bool) (starts numbers, edges []Index) {
	start := make([]uint32, len(g.nodeID)+1)
	for i := range Index(g.NumIndexes()) {
		if g.Allowed(i) == allowed {
			start[g.Source(i)+1]++
		}
	}
	for n := 1; n < len(start); n++ {
		start[n] += start[n-1]
	}
	edges = make([]Index, start[len(start)-1])
	next := slices.Clone(start)
	for i := range Index(g.NumIndexes()) {
		if g.Allowed(i) == allowed {
			n := g.Source(i)
			edges[next[n]] = i
			next[n]++
		}
	}
	return numbersOf(start), edges
}
