package mvt

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carasso/carasso/mapdata/geo"
)

// vec is a point in tile units, y southwards.
type vec struct{ x, y float64 }

// projection maps points to a tile's units. Within a tile of zoom 8 or deeper Mercator's
// y is taken by its third-order Taylor series around the tile's middle, which is less
// than half a unit off at any latitude below 70° and avoids a logarithm per point.
type projection struct {
	west, mid int32
	kx        float64
	c0, c1    float64
	c2, c3    float64
	exact     bool
	n, tx, ty float64
}

const exactBelow = 8

func projectionOf(t geo.Tile) projection {
	box := t.Box()
	n := float64(uint32(1) << t.Z)
	p := projection{
		west: box.West, mid: int32((int64(box.South) + int64(box.North)) / 2),
		kx: Extent * n / 3.6e9, exact: t.Z < exactBelow, n: n, tx: float64(t.X), ty: float64(t.Y),
	}
	_, y := geo.Mercator(geo.Point{LatE7: p.mid})
	rad := math.Pi / 180 * 1e-7
	phi := float64(p.mid) * rad
	sec, tan := 1/math.Cos(phi), math.Tan(phi)
	k := -Extent * n / (2 * math.Pi)
	p.c0 = (y*n - p.ty) * Extent
	p.c1 = k * sec * rad
	p.c2 = k * sec * tan / 2 * rad * rad
	p.c3 = k * (sec*tan*tan + sec*sec*sec) / 6 * rad * rad * rad
	return p
}

func (p *projection) point(q geo.Point) vec {
	if p.exact {
		x, y := geo.Mercator(q)
		return vec{(x*p.n - p.tx) * Extent, (y*p.n - p.ty) * Extent}
	}
	d := float64(int64(q.LatE7) - int64(p.mid))
	return vec{
		x: float64(int64(q.LonE7)-int64(p.west)) * p.kx,
		y: p.c0 + d*(p.c1+d*(p.c2+d*p.c3)),
	}
}

type span struct{ first, last int }

// simplify drops the points of e.line that the rest stays within tolerance of (Douglas
// and Peucker 1973).
func (e *Encoder) simplify() {
	n := len(e.line)
	if n < 3 {
		return
	}
	e.keep = append(e.keep[:0], make([]bool, n)...)
	e.keep[0], e.keep[n-1] = true, true
	e.stack = append(e.stack[:0], span{0, n - 1})
	limit := e.tolerance * e.tolerance
	for len(e.stack) > 0 {
		s := e.stack[len(e.stack)-1]
		e.stack = e.stack[:len(e.stack)-1]
		far, at := limit, -1
		for i := s.first + 1; i < s.last; i++ {
			if d := dist2(e.line[i], e.line[s.first], e.line[s.last]); d > far {
				far, at = d, i
			}
		}
		if at >= 0 {
			e.keep[at] = true
			e.stack = append(e.stack, span{s.first, at}, span{at, s.last})
		}
	}
	kept := e.line[:0]
	for i, k := range e.keep {
		if k {
			kept = append(kept, e.line[i])
		}
	}
	e.line = kept
}

// dist2 is the squared distance from p to the straight line between a and b.
func dist2(p, a, b vec) float64 {
	ux, uy := b.x-a.x, b.y-a.y
	t := 0.0
	if uu := ux*ux + uy*uy; uu > 0 {
		t = min(max(((p.x-a.x)*ux+(p.y-a.y)*uy)/uu, 0), 1)
	}
	x, y := p.x-a.x-t*ux, p.y-a.y-t*uy
	return x*x + y*y
}

const (
	lo = -Buffer
	hi = Extent + Buffer
)

// clip writes what is inside of the buffered tile as one or more line strings.
func (e *Encoder) clip() {
	e.run = e.run[:0]
	for i := 1; i < len(e.line); i++ {
		a, b, ok := clipSpan(e.line[i-1], e.line[i])
		if !ok {
			continue
		}
		p, q := a.round(), b.round()
		if n := len(e.run); n == 0 || e.run[n-1] != p {
			e.endRun()
			e.run = append(e.run, p)
		}
		if q != p {
			e.run = append(e.run, q)
		}
	}
	e.endRun()
}

// endRun writes the points of e.run as one line string, if it has any extent.
func (e *Encoder) endRun() {
	if len(e.run) > 1 {
		e.geom = append(e.geom, 1<<3|1) // MoveTo, once
		e.move(e.run[0])
		e.geom = protowire.AppendVarint(e.geom, uint64(len(e.run)-1)<<3|2) // LineTo
		for _, p := range e.run[1:] {
			e.move(p)
		}
	}
	e.run = e.run[:0]
}

// move appends a point relative to the cursor.
func (e *Encoder) move(p [2]int32) {
	e.geom = protowire.AppendVarint(e.geom, uint64(zigzag(p[0]-e.at[0])))
	e.geom = protowire.AppendVarint(e.geom, uint64(zigzag(p[1]-e.at[1])))
	e.at = p
}

func zigzag(v int32) uint32 { return uint32(v<<1) ^ uint32(v>>31) }

func (v vec) round() [2]int32 {
	return [2]int32{int32(math.Floor(v.x + 0.5)), int32(math.Floor(v.y + 0.5))}
}

// clipSpan is the part of a straight piece inside the buffered tile (Liang and Barsky 1984).
func clipSpan(a, b vec) (vec, vec, bool) {
	if inside(a) && inside(b) {
		return a, b, true
	}
	t0, t1 := 0.0, 1.0
	dx, dy := b.x-a.x, b.y-a.y
	for _, s := range [4][2]float64{{-dx, a.x - lo}, {dx, hi - a.x}, {-dy, a.y - lo}, {dy, hi - a.y}} {
		p, q := s[0], s[1]
		switch {
		case p == 0:
			if q < 0 {
				return a, b, false
			}
		case p < 0:
			t0 = max(t0, q/p)
		default:
			t1 = min(t1, q/p)
		}
	}
	if t0 > t1 {
		return a, b, false
	}
	c, d := a, b
	if t0 > 0 {
		c = vec{a.x + t0*dx, a.y + t0*dy}
	}
	if t1 < 1 {
		d = vec{a.x + t1*dx, a.y + t1*dy}
	}
	return c, d, true
}

func inside(v vec) bool { return v.x >= lo && v.x <= hi && v.y >= lo && v.y <= hi }
