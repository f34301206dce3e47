package hazard

import (
	"context"
	"fmt"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Spot is where a directed edge is.
type Spot struct {
	At       geo.Point // its middle
	From, To int64     // OSM node ids of its ends, in the direction of travel
}

// Spots are edges by place. An edge that is not in it is drawn nowhere and touches none.
type Spots map[road.Edge]Spot

// Survey adds the places of edges that are not yet among the spots. Edges that the map does
// not have are left out. The error is transient: the road graph could not be read.
func (s Spots) Survey(ctx context.Context, roads learn.Roads, edges ...road.Edge) error {
	for _, e := range edges {
		if _, ok := s[e]; ok || e == 0 {
			continue
		}
		p, err := roads.Partition(ctx, e.Quadkey())
		if err != nil {
			return fmt.Errorf("survey edge %d: %w", e, err)
		}
		i, ok := p.Find(e)
		if !ok {
			continue
		}
		at, _ := p.PointAt(i, p.LengthM(i)/2)
		s[e] = Spot{At: at, From: p.NodeID(p.Source(i)), To: p.NodeID(p.Target(i))}
	}
	return nil
}
