package maperror

import (
	"context"
	"fmt"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Neighbours are the quadkeys of a z14 tile and the up to eight around it, row by row: what
// Judge needs the evidence and passes of.
func Neighbours(quadkey uint32) []uint32 {
	t := geo.FromQuadkey(road.Zoom, quadkey)
	var out []uint32
	for dy := -1; dy <= 1; dy++ {
		for dx := -1; dx <= 1; dx++ {
			n := geo.Tile{Z: road.Zoom, X: t.X + uint32(dx), Y: t.Y + uint32(dy)}
			if n.Valid() {
				out = append(out, n.Quadkey())
			}
		}
	}
	return out
}

// Area is the road graph of a z14 tile and its neighbours in one piece, as Judge needs it.
func Area(ctx context.Context, roads learn.Roads, quadkey uint32) (*road.Graph, error) {
	var segs []road.Segment
	seen := map[road.SegmentID]bool{}
	for _, q := range Neighbours(quadkey) {
		p, err := roads.Partition(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("read the roads around tile %d: %w", quadkey, err)
		}
		for n := range p.NumSegments() {
			if s := p.SegmentAt(n); !seen[s.ID] {
				seen[s.ID] = true
				segs = append(segs, s)
			}
		}
	}
	g, err := road.NewGraph(segs, geo.EmptyBox())
	if err != nil {
		return nil, fmt.Errorf("join the roads around tile %d: %w", quadkey, err)
	}
	return g, nil
}
