package road

import (
	"math"
	"slices"
	"sort"

	"github.com/carasso/carasso/mapdata/geo"
)

const (
	cellM    = 64
	minCells = 1 << 8 // beyond it, or one a point if that is more, cells get larger
)

// Span is a straight piece of a shape, between two neighbouring points, with the
// directions in which it may be driven.
type Span uint32

const (
	spanForward  Span = 1
	spanBackward Span = 2
	spanShift         = 2
	maxPoints         = 1 << (32 - spanShift)
)

// Forward reports whether the span may be driven as drawn.
func (s Span) Forward() bool { return s&spanForward != 0 }

// Backward reports whether the span may be driven against the drawing.
func (s Span) Backward() bool { return s&spanBackward != 0 }

// grid finds spans by place: square cells of about 64 m (more where roads are sparse)
// over a box, row by row, each with the list of spans that pass through it.
type grid struct {
	west, south      int32
	cellLat, cellLon float64 // size of a cell, 1e-7 degrees
	nx, ny           int
	start            numbers // nx*ny+1: where each cell's list starts in spans
	spans            numbers // Span
}

func (r *grid) bytes() int { return r.start.bytes() + r.spans.bytes() }

// buildGrid indexes all spans that pass through the box.
func (g *Graph) buildGrid(box geo.Box) {
	if box.Empty() || len(g.segs) == 0 {
		return
	}
	r := &g.grid
	r.west, r.south = box.West, box.South
	mid := int32((int64(box.South) + int64(box.North)) / 2)
	r.cellLat = cellM / geo.MetresPerE7
	r.cellLon = cellM / max(geo.Scale(mid), 1e-3*geo.MetresPerE7)
	for {
		r.nx = int((float64(box.East)-float64(box.West))/r.cellLon) + 1
		r.ny = int((float64(box.North)-float64(box.South))/r.cellLat) + 1
		if r.nx*r.ny <= max(minCells, len(g.points)) {
			break
		}
		r.cellLat *= 2
		r.cellLon *= 2
	}
	start := make([]uint32, r.nx*r.ny+1)
	g.eachCell(func(cell int, _ Span) { start[cell+1]++ })
	for i := 1; i < len(start); i++ {
		start[i] += start[i-1]
	}
	spans := make([]Span, start[len(start)-1])
	next := slices.Clone(start)
	g.eachCell(func(cell int, s Span) {
		spans[next[cell]] = s
		next[cell]++
	})
	r.start, r.spans = numbersOf(start), numbersOf(spans)
}

// eachCell visits every cell that a span passes through.
func (g *Graph) eachCell(visit func(cell int, s Span)) {
	r := &g.grid
	for n := range g.segs {
		var dirs Span
		if g.segs[n].flags&Forward != 0 {
			dirs |= spanForward
		}
		if g.segs[n].flags&Backward != 0 {
			dirs |= spanBackward
		}
		for i := g.shapeStart[n]; i+1 < g.shapeStart[n+1]; i++ {
			r.trace(g.points[i], g.points[i+1], Span(i)<<spanShift|dirs, visit)
		}
	}
}

// trace visits the cells between a and b, row by row.
func (r *grid) trace(a, b geo.Point, s Span, visit func(cell int, s Span)) {
	ax, ay := r.place(a)
	bx, by := r.place(b)
	if ay > by {
		ax, ay, bx, by = bx, by, ax, ay
	}
	first := int(math.Floor(math.Max(ay, 0)))
	last := int(math.Floor(math.Min(by, float64(r.ny-1))))
	for y := first; y <= last; y++ {
		lo, hi := ax, bx
		if by > ay {
			lo = ax + (bx-ax)*math.Max(0, (float64(y)-ay)/(by-ay))
			hi = ax + (bx-ax)*math.Min(1, (float64(y+1)-ay)/(by-ay))
		}
		if lo > hi {
			lo, hi = hi, lo
		}
		from := int(math.Floor(math.Max(lo, 0)))
		to := int(math.Floor(math.Min(hi, float64(r.nx-1))))
		for x := from; x <= to; x++ {
			visit(y*r.nx+x, s)
		}
	}
}

// place is a point in cells from the grid's south-west corner.
func (r *grid) place(p geo.Point) (x, y float64) {
	return (float64(p.LonE7) - float64(r.west)) / r.cellLon, (float64(p.LatE7) - float64(r.south)) / r.cellLat
}

// Near appends to buf every span within radiusM metres of p, some that are farther, and
// some of them repeatedly. It allocates only to grow buf.
func (g *Graph) Near(p geo.Point, radiusM float64, buf []Span) []Span {
	r := &g.grid
	if r.start.len() == 0 {
		return buf
	}
	x, y := r.place(p)
	dy := radiusM / (r.cellLat * geo.MetresPerE7)
	dx := radiusM / (r.cellLon * max(geo.Scale(p.LatE7), 1e-3*geo.MetresPerE7))
	if x+dx < 0 || y+dy < 0 || x-dx >= float64(r.nx) || y-dy >= float64(r.ny) {
		return buf
	}
	x0, x1 := max(int(x-dx), 0), min(int(x+dx), r.nx-1)
	y0, y1 := max(int(y-dy), 0), min(int(y+dy), r.ny-1)
	for cy := y0; cy <= y1; cy++ {
		row := cy * r.nx
		// A row's cells lie next to one another, and so do their lists.
		buf = r.spans.appendSpans(buf, r.start.at(row+x0), r.start.at(row+x1+1))
	}
	return buf
}

// SpanEnds are the ends of a span in drawing order.
func (g *Graph) SpanEnds(s Span) (a, b geo.Point) {
	i := s >> spanShift
	return g.points[i], g.points[i+1]
}

// SpanEdge is the directed edge that a span is part of.
func (g *Graph) SpanEdge(s Span, against bool) Index {
	point := uint32(s >> spanShift)
	n := sort.Search(len(g.segs), func(k int) bool { return g.shapeStart[k+1] > point })
	if against {
		return Index(2*n + 1)
	}
	return Index(2 * n)
}

// SpanOf reports whether the span is part of the edge's segment.
func (g *Graph) SpanOf(s Span, i Index) bool {
	point, n := uint32(s>>spanShift), i>>1
	return point >= g.shapeStart[n] && point < g.shapeStart[n+1]
}

// OffsetM is the distance along directed edge i from its start to the place at fraction
// f (0 to 1, in drawing order) of span s, which must be part of it.
func (g *Graph) OffsetM(s Span, i Index, f float64) float64 {
	n := i >> 1
	k := uint32(s >> spanShift)
	d := (float64(g.along[k]) + f*(float64(g.along[k+1])-float64(g.along[k]))) * (float64(g.segs[n].lengthM) / alongAll)
	length := float64(g.segs[n].lengthM)
	if i.Against() {
		d = length - d
	}
	return min(max(d, 0), length)
}

// Foot is the place of a span that is nearest to p: the squared distance in m² and the
// fraction of the span from a, 0 to 1. scale is geo.Scale at p.
func Foot(p, a, b geo.Point, scale float64) (dist2, f float64) {
	ax := float64(a.LonE7-p.LonE7) * scale
	ay := float64(a.LatE7-p.LatE7) * geo.MetresPerE7
	ux := float64(b.LonE7-a.LonE7) * scale
	uy := float64(b.LatE7-a.LatE7) * geo.MetresPerE7
	if uu := ux*ux + uy*uy; uu > 0 {
		f = -(ax*ux + ay*uy) / uu
		f = min(max(f, 0), 1)
	}
	x, y := ax+f*ux, ay+f*uy
	return x*x + y*y, f
}

func (g *Graph) nearest(p geo.Point, maxM float64) (Hit, bool) {
	maxM = min(maxM, 1000)
	scale := geo.Scale(p.LatE7)
	var buf []Span
	for radius := min(32, maxM); ; radius = min(2*radius, maxM) {
		buf = g.Near(p, radius, buf[:0])
		best, bestF, bestD := Span(0), 0.0, math.Inf(1)
		for _, s := range buf {
			if s&(spanForward|spanBackward) == 0 {
				continue
			}
			a, b := g.SpanEnds(s)
			if d, f := Foot(p, a, b, scale); d < bestD {
				best, bestF, bestD = s, f, d
			}
		}
		if d := math.Sqrt(bestD); d <= radius {
			i := g.SpanEdge(best, !best.Forward())
			a, b := g.SpanEnds(best)
			return Hit{
				Index: i, Edge: g.Edge(i), OffsetM: g.OffsetM(best, i, bestF), DistM: d,
				Point: geo.Between(a, b, bestF),
			}, true
		}
		if radius >= maxM {
			return Hit{Index: NoIndex}, false
		}
	}
}

func (g *Graph) pointAt(i Index, offsetM float64) (geo.Point, float64) {
	shape := g.Shape(i)
	rest := offsetM
	if i.Against() {
		rest = g.LengthM(i) - offsetM
	}
	k, f := 0, 0.0
	for ; ; k++ {
		d := geo.DistanceM(shape[k], shape[k+1])
		if rest <= d || k == len(shape)-2 {
			if d > 0 {
				f = min(max(rest/d, 0), 1)
			}
			break
		}
		rest -= d
	}
	a, b := shape[k], shape[k+1]
	p := geo.Between(a, b, f)
	if i.Against() {
		return p, geo.BearingDeg(b, a)
	}
	return p, geo.BearingDeg(a, b)
}
