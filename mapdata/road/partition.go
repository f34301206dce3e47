package road

import (
	"github.com/carasso/carasso/mapdata/geo"
)

// MarginM is how far beyond its tile a partition's segments reach completely, in metres.
const MarginM = 100

// Partition is the part of the graph that serves one z14 tile: every segment that
// comes within MarginM of the tile, complete. Those whose midpoint is in the tile carry
// the flag Own; each segment of a map is owned by exactly one partition.
type Partition struct {
	*Graph
	Quadkey uint32
}

// NewPartition is the partition of a z14 tile with the given segments; it sets their
// Own flags.
func NewPartition(quadkey uint32, segs []Segment) (*Partition, error) {
	g, err := NewGraph(segs, partitionBox(quadkey))
	if err != nil {
		return nil, err
	}
	for i := range g.segs {
		s := &g.segs[i]
		s.flags &^= Own
		if s.id.Quadkey() == quadkey {
			s.flags |= Own
		}
	}
	return &Partition{Graph: g, Quadkey: quadkey}, nil
}

// partitionBox is what a partition's grid covers.
func partitionBox(quadkey uint32) geo.Box {
	return geo.FromQuadkey(Zoom, quadkey).Box().Expand(MarginM)
}

// TouchedTiles calls visit with the quadkey of every z14 tile that a shape comes within
// marginM of, and perhaps a neighbour of one; some repeatedly.
func TouchedTiles(shape []geo.Point, marginM float64, visit func(quadkey uint32)) {
	for i := 1; i < len(shape); i++ {
		eachTile(shape[i-1], shape[i], marginM, visit)
	}
}

// eachTile halves long spans, so that their boxes hug them.
func eachTile(a, b geo.Point, marginM float64, visit func(quadkey uint32)) {
	const longM = 1000
	if geo.DistanceM(a, b) > longM {
		mid := geo.Between(a, b, 0.5)
		eachTile(a, mid, marginM, visit)
		eachTile(mid, b, marginM, visit)
		return
	}
	for t := range geo.TilesIn(geo.BoxOf([]geo.Point{a, b}).Expand(marginM), Zoom) {
		visit(t.Quadkey())
	}
}
