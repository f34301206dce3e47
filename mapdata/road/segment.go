package road

import "github.com/carasso/carasso/mapdata/geo"

// Flags is a set of a segment's yes/no properties.
type Flags uint8

// The flags.
const (
	Forward    Flags = 1 << iota // may be driven as drawn
	Backward                     // may be driven against the drawing
	Tunnel                       // runs through a tunnel
	Bridge                       // runs over a bridge
	Roundabout                   // part of a roundabout
	Own                          // its midpoint is in the partition's tile
	Restricted                   // some turns at its ends are forbidden: see Segment.Turns
)

// A speed limit in km/h; the values that are no number of km/h.
const (
	NoLimitKnown uint8 = 0   // no posted limit is known
	Unlimited    uint8 = 255 // posted: no limit
)

// Attributes are what is known of a road besides its course.
type Attributes struct {
	Name, Ref string
	Class     Class
	Flags     Flags
	Layer     int8 // OSM's layer: above or below other roads
	// Limit is the posted limit in km/h, as drawn and against; see NoLimitKnown and
	// Unlimited.
	Limit [2]uint8
}

// Segment is a road between two junctions: nodes shared by at least two ways, or ways'
// ends. It is a view; Shape is shared and must not be changed.
type Segment struct {
	ID SegmentID
	Attributes
	From, To int64       // OSM node ids of its ends, in drawing order
	Shape    []geo.Point // ≥ 2 points in drawing order
	LengthM  float64     // > 0
	Turns    []Turn      // from its ends, forbidden; ascending, shared like Shape
}

// Allows reports whether the segment may be driven in a direction.
func (s Segment) Allows(against bool) bool {
	if against {
		return s.Flags&Backward != 0
	}
	return s.Flags&Forward != 0
}

// LimitKMH is the posted limit in a direction; see NoLimitKnown and Unlimited.
func (s Segment) LimitKMH(against bool) uint8 {
	if against {
		return s.Limit[1]
	}
	return s.Limit[0]
}

// FreeKMH is the speed in km/h at which an unhindered car drives in a direction: the
// posted limit, but never above what is usual on a motorway; the class's usual speed
// where no limit is posted.
func (s Segment) FreeKMH(against bool) float64 { return freeKMH(s.Class, s.LimitKMH(against)) }

func freeKMH(c Class, limit uint8) float64 {
	switch limit {
	case NoLimitKnown:
		return c.FreeKMH()
	case Unlimited:
		return 130
	default:
		return min(float64(limit), 130)
	}
}
