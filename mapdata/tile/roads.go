package tile

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
)

// MinRoadsZoom and MaxZoom are the zooms of the roads layer.
const (
	MinRoadsZoom = 8
	MaxZoom      = road.Zoom
)

// simplifyUnits is the tolerance of tiles above MaxZoom, in 1/4096 of a tile.
const simplifyUnits = 2

// ClassZoom is the lowest zoom at which roads of a class are shown.
func ClassZoom(c road.Class) uint8 {
	switch c {
	case road.Motorway, road.Trunk:
		return 8
	case road.Primary, road.MotorwayLink, road.TrunkLink:
		return 9
	case road.Secondary:
		return 10
	case road.Tertiary, road.PrimaryLink:
		return 11
	case road.SecondaryLink, road.TertiaryLink, road.Unclassified:
		return 12
	case road.Residential:
		return 13
	default:
		return MaxZoom
	}
}

func tolerance(id ID) float64 {
	if id.Z >= MaxZoom {
		return 0
	}
	return simplifyUnits
}

// EncodeRoads encodes a tile of the roads layer from the segments that may be in it;
// those of classes that its zoom does not show are left out. A feature's id is its
// road.SegmentID and one-way roads run in their direction of travel. The result is empty
// when nothing is to be seen, and valid until the encoder's next use.
//
// Properties: class; name and ref if any; limit_kmh, and limit_against_kmh where it
// differs, if known; unlimited; oneway.
func EncodeRoads(e *mvt.Encoder, id ID, segs []road.Segment) []byte {
	shown := make([]road.Segment, 0, len(segs))
	for _, s := range segs {
		if ClassZoom(s.Class) <= id.Z {
			shown = append(shown, s)
		}
	}
	// Important roads come last and so lie on top.
	slices.SortFunc(shown, func(a, b road.Segment) int {
		return cmp.Or(cmp.Compare(b.Class, a.Class), cmp.Compare(a.ID, b.ID))
	})
	e.Begin(id, tolerance(id))
	e.BeginLayer(Roads)
	for _, s := range shown {
		reverse := !s.Allows(false)
		if !e.Line(uint64(s.ID), s.Shape, reverse) {
			continue
		}
		e.String("class", s.Class.String())
		if s.Name != "" {
			e.String("name", s.Name)
		}
		if s.Ref != "" {
			e.String("ref", s.Ref)
		}
		limit := s.LimitKMH(reverse)
		addLimit(e, "limit_kmh", limit)
		if other := s.LimitKMH(!reverse); s.Allows(!reverse) && other != limit {
			addLimit(e, "limit_against_kmh", other)
		}
		e.Bool("oneway", !s.Allows(!reverse))
	}
	e.EndLayer()
	return e.Bytes()
}

func addLimit(e *mvt.Encoder, key string, limit uint8) {
	switch limit {
	case road.NoLimitKnown:
	case road.Unlimited:
		e.Bool("unlimited", true)
	default:
		e.Uint(key, uint64(limit))
	}
}
