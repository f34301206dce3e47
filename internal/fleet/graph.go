package fleet

import (
	"slices"

	"github.com/carasso/carasso/mapdata/road"
)

// NewNetwork makes the Network of all roads of a graph that may be driven.
func NewNetwork(g *road.Graph) (*Network, error) {
	roads := make([]RoadSpec, 0, g.NumIndexes())
	for i := range road.Index(g.NumIndexes()) {
		if !g.Allowed(i) {
			continue
		}
		shape := g.Shape(i) // as drawn
		if i.Against() {
			shape = slices.Clone(shape)
			slices.Reverse(shape)
		}
		limit := g.LimitKMH(i)
		if limit == road.Unlimited {
			limit = road.NoLimitKnown
		}
		roads = append(roads, RoadSpec{
			Edge: uint64(g.Edge(i)), From: int32(g.Source(i)), To: int32(g.Target(i)), Shape: shape,
			LimitKMH: int(limit), FreeKMH: max(g.FreeKMH(i), 5), Weight: traffic(g.Class(i)),
		})
	}
	return Build(g.NumNodes(), roads)
}

// traffic is how much busier a class is than a residential street, per metre.
func traffic(c road.Class) float64 {
	switch c {
	case road.Motorway, road.Trunk:
		return 10
	case road.Primary, road.MotorwayLink, road.TrunkLink:
		return 8
	case road.Secondary, road.PrimaryLink:
		return 5
	case road.Tertiary, road.SecondaryLink, road.TertiaryLink:
		return 3
	case road.Service, road.LivingStreet:
		return 0.3
	default:
		return 1
	}
}
