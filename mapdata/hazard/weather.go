package hazard

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// isWeather reports whether a category is of the air, not of a road: what some edges of a tile
// tell of it holds for all of them.
func isWeather(h telemetry.Hazard) bool {
	return h == telemetry.ReducedVisibility || h == telemetry.ExceptionalWeather
}

// tileOf is the z14 tile (quadkey) that a hazard of weather fills.
func tileOf(h *Hazard) uint32 {
	if h.Edge != 0 {
		return h.Edge.Quadkey()
	}
	return geo.TileAt(h.At, road.Zoom).Quadkey()
}

// tileOfFinding is the z14 tile (quadkey) that a finding tells of.
func tileOfFinding(f *Finding, spots Spots) uint32 {
	if f.Edge != 0 {
		return f.Edge.Quadkey()
	}
	return geo.TileAt(place(f, spots), road.Zoom).Quadkey()
}

// joinTiles joins what is in the same z14 tile, however much that is.
func (g *groups) joinTiles(spots Spots) {
	first := map[uint32]int{}
	for i, f := range g.members {
		q := tileOfFinding(f, spots)
		if j, ok := first[q]; ok {
			g.join(j, i, math.MaxInt)
			continue
		}
		first[q] = i
	}
}

// stay puts a hazard of weather where it was: while anything tells of it in its tile, it does not move with the
// vehicles that do.
func stay(x, k *Hazard) {
	x.Edge, x.At, x.Edges = k.Edge, k.At, edgesOf(k.Edge)
}

// edgesOf is the list of an edge.
func edgesOf(e road.Edge) []road.Edge {
	if e == 0 {
		return nil
	}
	return []road.Edge{e}
}
