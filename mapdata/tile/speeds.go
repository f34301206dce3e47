package tile

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
)

// MinSpeedsZoom is the lowest zoom of the speeds layer.
const MinSpeedsZoom = 10

// Speed is the state of traffic on one edge. Speeds are km/h; 0: not known, but for KMH.
type Speed struct {
	KMH        float64 // mean speed now
	Vehicles   int     // distinct vehicles behind it
	TypicalKMH float64 // usual at this time of the week
	FreeKMH    float64 // driven when nothing is in the way; without it the posted limit is taken
	P15KMH     float64 // percentiles of the speeds driven
	P50KMH     float64
	P85KMH     float64
}

// The levels of service of the speeds layer, by the ratio of speed to free flow.
const (
	LevelFree      = 0 // from 0.8
	LevelSlow      = 1 // from 0.6
	LevelCongested = 2 // from 0.35
	LevelJam       = 3
)

// Level is the level of a ratio of speed to free flow.
func Level(ratio float64) int {
	switch {
	case ratio >= 0.8:
		return LevelFree
	case ratio >= 0.6:
		return LevelSlow
	case ratio >= 0.35:
		return LevelCongested
	default:
		return LevelJam
	}
}

// Speeds builds the tiles of the speeds layer, from zoom 10. Safe for concurrent use.
type Speeds struct {
	*cover
	k   int
	enc sync.Pool // of *mvt.Encoder
}

// NewSpeeds builds over a road graph; edges with fewer than k distinct vehicles are left
// out (k-anonymity).
func NewSpeeds(roads *road.Store, k int) *Speeds {
	return &Speeds{cover: newCover(roads, MinSpeedsZoom), k: k, enc: sync.Pool{New: func() any { return mvt.NewEncoder() }}}
}

// shows reports whether a speed may be published, and has sense.
func (s *Speeds) shows(v *Speed) bool {
	return v.Vehicles >= s.k && v.KMH >= 0 && !math.IsInf(v.KMH, 1)
}

// ratio is the speed to free flow, rounded to two decimals.
func (v *Speed) ratio(seg *road.Segment, against bool) float64 {
	free := v.FreeKMH
	if !known(free) {
		free = seg.FreeKMH(against)
	}
	return math.Round(100*v.KMH/free) / 100
}

// known reports whether a speed is one.
func known(kmh float64) bool { return kmh >= 0.5 && !math.IsInf(kmh, 1) }

// Build encodes a tile of zoom 10 to 14; speed is asked for each edge. It is nil when
// there is nothing to show.
//
// There is one feature per directed edge with data, in its direction of travel, so that a
// style can offset it to its own side. The feature's id is the road.Edge. Properties:
// edge (the same), class, kmh (whole), ratio of kmh to free flow (two decimals; to the
// posted limit where free flow is not known), n (distinct vehicles), level (see
// LevelFree); typical and free (whole km/h) where known, and p15, p50 and p85 at zoom 14.
func (s *Speeds) Build(ctx context.Context, id ID, speed func(road.Edge) (Speed, bool)) ([]byte, error) {
	e, ok := s.enc.Get().(*mvt.Encoder)
	if !ok {
		e = mvt.NewEncoder()
	}
	defer s.enc.Put(e)
	e.Begin(id, tolerance(id))
	e.BeginLayer(SpeedLayer)
	err := s.each(ctx, id, func(seg road.Segment) {
		for _, against := range [2]bool{false, true} {
			if !seg.Allows(against) {
				continue
			}
			edge := seg.ID.Edge(against)
			v, ok := speed(edge)
			if !ok || !s.shows(&v) || !e.Line(uint64(edge), seg.Shape, against) {
				continue
			}
			ratio := v.ratio(&seg, against)
			e.Uint("edge", uint64(edge))
			e.String("class", seg.Class.String())
			e.Uint("kmh", uint64(math.Round(v.KMH)))
			e.Double("ratio", ratio)
			e.Uint("n", uint64(v.Vehicles))
			e.Uint("level", uint64(Level(ratio)))
			addSpeed(e, "typical", v.TypicalKMH)
			addSpeed(e, "free", v.FreeKMH)
			if id.Z == MaxZoom {
				addSpeed(e, "p15", v.P15KMH)
				addSpeed(e, "p50", v.P50KMH)
				addSpeed(e, "p85", v.P85KMH)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("build speeds tile %s: %w", id, err)
	}
	if e.EndLayer() == 0 {
		return nil, nil
	}
	return slices.Clone(e.Bytes()), nil
}

func addSpeed(e *mvt.Encoder, key string, kmh float64) {
	if known(kmh) {
		e.Uint(key, uint64(math.Round(kmh)))
	}
}

// Records are what cars are told of a z14 tile, for Publisher.PublishLayer: whole km/h and
// level of each edge that the tile owns; speed is asked as in Build. They change whenever
// what speed says does, rounded: hysteresis is the caller's.
func (s *Speeds) Records(ctx context.Context, id ID, speed func(road.Edge) (Speed, bool)) ([]Record, error) {
	var (
		all    []Record
		values []byte // of many records: their slices stay where they are when it grows
	)
	err := s.owned(ctx, id, func(seg road.Segment, against bool) {
		edge := seg.ID.Edge(against)
		v, ok := speed(edge)
		if !ok || !s.shows(&v) {
			return
		}
		told := state.Speed{
			KMH:   uint16(min(math.Round(v.KMH), state.MaxKMH)),
			Level: uint8(Level(v.ratio(&seg, against))),
		}
		start := len(values)
		values = state.AppendSpeed(values, told)
		all = append(all, Record{Key: state.EdgeKey(edge), Value: values[start:len(values):len(values)]})
	})
	if err != nil {
		return nil, fmt.Errorf("speed records of tile %s: %w", id, err)
	}
	return state.Prepare(all), nil
}
