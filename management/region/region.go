// Package region is the areas that people ask about: everywhere, a box, or polygons.
package region

import (
	"github.com/carasso/carasso/mapdata/geo"
)

// Region is a part of the earth's surface. The zero value is everywhere. Safe for concurrent use.
type Region struct {
	box     geo.Box
	rings   [][]geo.Point // closed; empty: the box
	bounded bool
}

// Box is a rectangle: its west and south border belong to it, the other two do not, so that
// neighbouring boxes neither share nor miss a point.
func Box(b geo.Box) Region { return Region{box: b, bounded: true} }

// Everywhere reports whether the region has no border.
func (r *Region) Everywhere() bool { return !r.bounded }

// Bounds is the smallest box around the region.
func (r *Region) Bounds() geo.Box {
	if !r.bounded {
		return geo.BoxOf([]geo.Point{geo.At(-90, -180), geo.At(90, 180)})
	}
	return r.box
}

// Contains reports whether a point is in the region. A point is inside polygons when a ray from it crosses
// their rings an odd number of times (even-odd rule): so holes are outside, and of two polygons that share a
// border exactly one has a point on it.
func (r *Region) Contains(p geo.Point) bool {
	if !r.bounded {
		return true
	}
	if len(r.rings) == 0 {
		return p.LonE7 >= r.box.West && p.LonE7 < r.box.East && p.LatE7 >= r.box.South && p.LatE7 < r.box.North
	}
	if !r.box.Contains(p) {
		return false
	}
	inside := false
	for _, ring := range r.rings {
		for i := 1; i < len(ring); i++ {
			if crosses(ring[i-1], ring[i], p) {
				inside = !inside
			}
		}
	}
	return inside
}

// crosses reports whether the ray eastwards from p crosses the line from a to b. Exact: products of
// differences of 1e-7 degrees fit 64 bits.
func crosses(a, b, p geo.Point) bool {
	if (a.LatE7 > p.LatE7) == (b.LatE7 > p.LatE7) {
		return false
	}
	// p lies west of the line where it has p's latitude.
	left := (int64(p.LonE7) - int64(a.LonE7)) * (int64(b.LatE7) - int64(a.LatE7))
	right := (int64(p.LatE7) - int64(a.LatE7)) * (int64(b.LonE7) - int64(a.LonE7))
	if b.LatE7 > a.LatE7 {
		return left < right
	}
	return left > right
}
