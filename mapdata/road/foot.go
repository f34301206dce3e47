package road

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
)

// FootOn is the place of directed edge i between fromM and toM metres from its start that
// is nearest to p: its distance from the edge's start in the direction of travel, and from
// p. Bounds beyond the ends are clamped; fromM if the two are out of order.
func (g *Graph) FootOn(p geo.Point, i Index, fromM, toM float64) (offsetM, distM float64) {
	n := i >> 1
	length := float64(g.segs[n].lengthM)
	fromM = min(max(fromM, 0), length)
	toM = min(max(toM, fromM), length)
	lo, hi := fromM, toM
	if i.Against() {
		lo, hi = length-toM, length-fromM
	}
	first, last := int(g.shapeStart[n]), int(g.shapeStart[n+1])-1
	// The span that lo is on: the last one that starts at or before it.
	k, end := first, last
	for end-k > 1 {
		if mid := int(uint(k+end) / 2); g.alongM(n, mid) <= lo {
			k = mid
		} else {
			end = mid
		}
	}
	scale := geo.Scale(p.LatE7)
	best, at := math.Inf(1), lo
	for ; k < last && g.alongM(n, k) <= hi; k++ {
		a, b := g.points[k], g.points[k+1]
		start := g.alongM(n, k)
		size := g.alongM(n, k+1) - start
		d2, f := Foot(p, a, b, scale)
		d := start + f*size
		if c := min(max(d, lo), hi); c != d {
			if d = c; size > 0 {
				f = min(max((d-start)/size, 0), 1)
			}
			q := geo.Between(a, b, f)
			x := float64(q.LonE7-p.LonE7) * scale
			y := float64(q.LatE7-p.LatE7) * geo.MetresPerE7
			d2 = x*x + y*y
		}
		if d2 < best {
			best, at = d2, d
		}
	}
	if i.Against() {
		at = length - at
	}
	return at, math.Sqrt(best)
}
