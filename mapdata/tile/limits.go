package tile

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
)

// MinLimitsZoom is the lowest zoom of the limits layer.
const MinLimitsZoom = MinRoadsZoom

// Limits builds the tiles of the limits layer, from zoom 8. Safe for concurrent use.
type Limits struct {
	*cover
	enc sync.Pool // of *mvt.Encoder
}

// NewLimits builds over a road graph.
func NewLimits(roads *road.Store) *Limits {
	return &Limits{cover: newCover(roads, MinLimitsZoom), enc: sync.Pool{New: func() any { return mvt.NewEncoder() }}}
}

// limitOf is what is known of an edge: what was learned over what the map says; ok is false
// if no limit is known.
func limitOf(seg *road.Segment, against bool, learned func(road.Edge) (limit.Limit, bool)) (l limit.Limit, told state.Limit, ok bool) {
	edge := seg.ID.Edge(against)
	if l, ok = learned(edge); !ok {
		l = limit.Limit{Edge: edge}
	}
	l.MapKMH = seg.LimitKMH(against)
	told, ok = state.LimitOf(&l)
	return l, told, ok
}

// Build encodes a tile of zoom 8 to 14; learned is asked for each edge, the map's limit is
// shown where it knows nothing, or nothing that may be published. It is nil when there
// is nothing to show.
//
// There is one feature per directed edge with a known limit, in its direction of travel.
// The feature's id is the road.Edge. Properties: edge (the same); kmh, or unlimited; map_kmh, or
// map_unlimited, if the map knows one; source ("map" or "learned"); differs (learned, and the map
// says something else); of learned ones also posterior (two decimals), n (distinct vehicles)
// and variants (see state.FormatVariants) if any. Below zoom 14 the last three are left out, and a road with
// the same in both directions is one feature, as drawn, with the property both.
func (s *Limits) Build(ctx context.Context, id ID, learned func(road.Edge) (limit.Limit, bool)) ([]byte, error) {
	e, ok := s.enc.Get().(*mvt.Encoder)
	if !ok {
		e = mvt.NewEncoder()
	}
	defer s.enc.Put(e)
	e.Begin(id, tolerance(id))
	e.BeginLayer(LimitLayer)
	err := s.each(ctx, id, func(seg road.Segment) {
		if id.Z < MaxZoom && seg.Allows(false) && seg.Allows(true) {
			l, told, ok := limitOf(&seg, false, learned)
			r, reverse, other := limitOf(&seg, true, learned)
			if ok && other && l.MapKMH == r.MapKMH && told.KMH == reverse.KMH && told.Learned == reverse.Learned {
				if addLimitLine(e, &seg, false, &l, &told, false) {
					e.Bool("both", true)
				}
				return
			}
		}
		for _, against := range [2]bool{false, true} {
			if !seg.Allows(against) {
				continue
			}
			if l, told, ok := limitOf(&seg, against, learned); ok {
				addLimitLine(e, &seg, against, &l, &told, id.Z == MaxZoom)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("build limits tile %s: %w", id, err)
	}
	if e.EndLayer() == 0 {
		return nil, nil
	}
	return slices.Clone(e.Bytes()), nil
}

// addLimitLine adds a feature, if anything of it is in the tile.
func addLimitLine(e *mvt.Encoder, seg *road.Segment, against bool, l *limit.Limit, told *state.Limit, all bool) bool {
	edge := uint64(seg.ID.Edge(against))
	if !e.Line(edge, seg.Shape, against) {
		return false
	}
	e.Uint("edge", edge)
	if told.KMH == road.Unlimited {
		e.Bool("unlimited", true)
	} else {
		e.Uint("kmh", uint64(told.KMH))
	}
	switch l.MapKMH {
	case road.NoLimitKnown:
	case road.Unlimited:
		e.Bool("map_unlimited", true)
	default:
		e.Uint("map_kmh", uint64(l.MapKMH))
	}
	if !told.Learned {
		e.String("source", "map")
		e.Bool("differs", false)
		return true
	}
	e.String("source", "learned")
	e.Bool("differs", l.Differs())
	if all {
		e.Double("posterior", math.Round(100*float64(l.Posterior))/100)
		e.Uint("n", uint64(max(l.Vehicles, 0)))
		if len(told.Variants) > 0 {
			e.String("variants", state.FormatVariants(told.Variants))
		}
	}
	return true
}

// Records are what cars are told of a z14 tile, for Publisher.PublishLayer: the limit of each
// edge that the tile owns, of the map too; learned is asked as in Build.
func (s *Limits) Records(ctx context.Context, id ID, learned func(road.Edge) (limit.Limit, bool)) ([]Record, error) {
	var (
		all    []Record
		values []byte // as in Speeds.Records
	)
	err := s.owned(ctx, id, func(seg road.Segment, against bool) {
		if _, told, ok := limitOf(&seg, against, learned); ok {
			start := len(values)
			values = state.AppendLimit(values, told)
			all = append(all, Record{Key: state.EdgeKey(seg.ID.Edge(against)), Value: values[start:len(values):len(values)]})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("limit records of tile %s: %w", id, err)
	}
	return state.Prepare(all), nil
}
