package management

import (
	"slices"

	"github.com/carasso/carasso/management/region"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// A segment is in a box when its midpoint is: so that neighbouring boxes neither share nor
// miss one.

func inBox(b geo.Box, edge road.Edge, seg *road.Segment) bool {
	r := region.Box(b)
	return r.Contains(placeOf(edge, seg))
}

// midpoint is the point at half the segment's length.
func midpoint(seg *road.Segment) geo.Point {
	var total float64
	for i := 1; i < len(seg.Shape); i++ {
		total += geo.DistanceM(seg.Shape[i-1], seg.Shape[i])
	}
	rest := total / 2
	for i := 1; i < len(seg.Shape); i++ {
		d := geo.DistanceM(seg.Shape[i-1], seg.Shape[i])
		if d >= rest && d > 0 {
			return geo.Between(seg.Shape[i-1], seg.Shape[i], rest/d)
		}
		rest -= d
	}
	return seg.Shape[len(seg.Shape)-1]
}

// tileCount is the number of tiles of zoom 14 that the box touches.
func tileCount(b geo.Box) int {
	first := geo.TileAt(geo.Point{LatE7: b.North, LonE7: b.West}, road.Zoom)
	last := geo.TileAt(geo.Point{LatE7: b.South, LonE7: b.East}, road.Zoom)
	return int(last.X-first.X+1) * int(last.Y-first.Y+1)
}

// quadkeys are those of the tiles of zoom 14 that the box touches, in rising order.
func quadkeys(b geo.Box) []uint32 {
	var keys []uint32
	for t := range geo.TilesIn(b, road.Zoom) {
		keys = append(keys, t.Quadkey())
	}
	slices.Sort(keys)
	return keys
}

// edgeRanges are the half-open ranges of directed segments' ids in the tiles that the box
// touches, in rising order, neighbouring ones joined.
func edgeRanges(b geo.Box) [][2]uint64 {
	var rs [][2]uint64
	for _, q := range quadkeys(b) {
		first, last := road.EdgeRange(q)
		if n := len(rs); n > 0 && rs[n-1][1] == uint64(first) {
			rs[n-1][1] = uint64(last) + 1
			continue
		}
		rs = append(rs, [2]uint64{uint64(first), uint64(last) + 1})
	}
	return rs
}
