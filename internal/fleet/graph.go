package fleet

import (
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
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
		limit, usual := g.LimitKMH(i), usualLimits(g.Class(i))
		if limit == road.Unlimited {
			limit, usual = road.NoLimitKnown, [2]uint8{}
		}
		segment := g.SegmentAt(int(i >> 1))
		var notTo []uint64
		for _, t := range g.Turns(i) {
			notTo = append(notTo, uint64(t.To))
		}
		roads = append(roads, RoadSpec{
			Edge: uint64(g.Edge(i)), From: int32(g.Source(i)), To: int32(g.Target(i)), Shape: shape,
			LimitKMH: int(limit), FreeKMH: max(g.FreeKMH(i), 5), Weight: traffic(g.Class(i)), JunctionM: g.JunctionM(i), NotTo: notTo,
			Stretch: stretch(&segment, limit), Usual: usual,
			Main:   g.Class(i) <= road.SecondaryLink && g.Class(i) != road.UnknownClass,
			OneWay: !g.Allowed(i.Reverse()) && g.Class(i) <= road.TertiaryLink && g.Flags(i)&road.Roundabout == 0,
		})
	}
	return Build(g.NumNodes(), roads)
}

// stretch names the roads that one decision about a limit was made for: those of one class
// and limit within about a kilometre, so that no short piece between two junctions, and no
// roundabout, has a limit of its own.
func stretch(s *road.Segment, limitKMH uint8) uint64 {
	cell := geo.TileAt(s.Shape[len(s.Shape)/2], stretchZoom)
	return max(mix(uint64(cell.Quadkey())<<16|uint64(s.Class)<<8|uint64(limitKMH)), 1)
}

// stretchZoom is the zoom of the tiles that bound a stretch.
const stretchZoom = 15

// usualLimits are what is posted on roads whose limit the map does not know.
func usualLimits(c road.Class) [2]uint8 {
	switch c {
	case road.Motorway:
		return [2]uint8{120, 130}
	case road.Trunk:
		return [2]uint8{90, 100}
	case road.Primary:
		return [2]uint8{60, 80}
	case road.Secondary:
		return [2]uint8{50, 70}
	case road.MotorwayLink, road.TrunkLink, road.Tertiary:
		return [2]uint8{50, 60}
	case road.PrimaryLink, road.SecondaryLink, road.TertiaryLink, road.Unclassified:
		return [2]uint8{40, 50}
	case road.Residential:
		return [2]uint8{30, 50}
	case road.LivingStreet:
		return [2]uint8{20, 20}
	default:
		return [2]uint8{}
	}
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
