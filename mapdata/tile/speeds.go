package tile

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
)

// MinSpeedsZoom is the lowest zoom of the speeds layer.
const MinSpeedsZoom = 10

// reachM covers the tiles' buffer: mvt.Buffer units of a z14 tile are at most 38.3 m.
const reachM = 39

// Speed is the present state of traffic on one edge.
type Speed struct {
	KMH      float64 // mean speed
	Vehicles int     // distinct vehicles behind it
}

// The levels of the speeds layer, by the ratio of speed to free flow.
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

// Speeds builds the tiles of the speeds layer. Safe for concurrent use.
type Speeds struct {
	roads *road.Store
	k     int
	enc   sync.Pool // of *mvt.Encoder

	mu       sync.Mutex // the maps are bounded by the map's tiles
	affected map[uint32][]ID
	sources  map[ID][]uint32
}

// NewSpeeds builds over a road graph; edges with fewer than k distinct vehicles are left
// out (k-anonymity).
func NewSpeeds(roads *road.Store, k int) *Speeds {
	return &Speeds{
		roads: roads, k: k, enc: sync.Pool{New: func() any { return mvt.NewEncoder() }},
		affected: make(map[uint32][]ID), sources: make(map[ID][]uint32),
	}
}

// Affected lists the tiles of zoom 10 to 14 that show an edge owned by one of the given
// z14 tiles (quadkeys): what to publish again when those edges' speeds changed. z14 tiles
// come first.
func (s *Speeds) Affected(ctx context.Context, quadkeys []uint32) ([]ID, error) {
	all := make(map[ID]struct{})
	for _, q := range quadkeys {
		ids, err := s.affectedBy(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("tiles affected by %s: %w", geo.FromQuadkey(road.Zoom, q), err)
		}
		for _, id := range ids {
			all[id] = struct{}{}
		}
	}
	return ordered(all), nil
}

// ordered are the keys, deepest zoom first, then by quadkey.
func ordered(set map[ID]struct{}) []ID {
	ids := make([]ID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int {
		if a.Z != b.Z {
			return int(b.Z) - int(a.Z)
		}
		return int(int64(a.Quadkey()) - int64(b.Quadkey()))
	})
	return ids
}

func (s *Speeds) affectedBy(ctx context.Context, q uint32) ([]ID, error) {
	s.mu.Lock()
	ids, ok := s.affected[q]
	s.mu.Unlock()
	if ok {
		return ids, nil
	}
	p, err := s.roads.Partition(ctx, q)
	if err != nil {
		return nil, err
	}
	set := make(map[ID]struct{})
	for n := range p.NumSegments() {
		seg := p.SegmentAt(n)
		if seg.Flags&road.Own == 0 {
			continue
		}
		low := max(ClassZoom(seg.Class), MinSpeedsZoom)
		road.TouchedTiles(seg.Shape, reachM, func(t uint32) {
			leaf := geo.FromQuadkey(road.Zoom, t)
			for z := low; z <= MaxZoom; z++ {
				set[leaf.Ancestor(z)] = struct{}{}
			}
		})
	}
	ids = ordered(set)
	if p.NumSegments() > 0 {
		s.mu.Lock()
		s.affected[q] = ids
		s.mu.Unlock()
	}
	return ids, nil
}

// Sources lists the z14 tiles (quadkeys, ascending) that own the edges which the tile
// shows: Build asks for speeds within their road.EdgeRange only.
func (s *Speeds) Sources(ctx context.Context, id ID) ([]uint32, error) {
	s.mu.Lock()
	tiles, ok := s.sources[id]
	s.mu.Unlock()
	if ok {
		return tiles, nil
	}
	err := s.each(ctx, id, func(seg road.Segment) {
		q := seg.ID.Quadkey()
		if n, found := slices.BinarySearch(tiles, q); !found {
			tiles = slices.Insert(tiles, n, q)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("sources of tile %s: %w", id, err)
	}
	if len(tiles) > 0 {
		s.mu.Lock()
		s.sources[id] = tiles
		s.mu.Unlock()
	}
	return tiles, nil
}

// each visits the segments that the tile may show.
func (s *Speeds) each(ctx context.Context, id ID, visit func(road.Segment)) error {
	if !id.Valid() || id.Z < MinSpeedsZoom || id.Z > MaxZoom {
		return fmt.Errorf("zoom %d is not within %d to %d, or the tile does not exist", id.Z, MinSpeedsZoom, MaxZoom)
	}
	return s.roads.InTile(ctx, id, reachM, func(seg road.Segment) error {
		if ClassZoom(seg.Class) <= id.Z {
			visit(seg)
		}
		return nil
	})
}

// Build encodes a tile of zoom 10 to 14; speed is asked for each edge. It is nil when
// there is nothing to show.
//
// There is one feature per directed edge with data, in its direction of travel, so that a
// style can offset it to its own side. The feature's id is the road.Edge. Properties:
// edge (the same), class, kmh (whole), ratio of kmh to free flow (two decimals; to the
// posted limit where there is one), n (distinct vehicles), level (see LevelFree).
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
			if !ok || v.Vehicles < s.k || !(v.KMH >= 0) || math.IsInf(v.KMH, 1) {
				continue
			}
			if !e.Line(uint64(edge), seg.Shape, against) {
				continue
			}
			ratio := math.Round(100*v.KMH/seg.FreeKMH(against)) / 100
			e.Uint("edge", uint64(edge))
			e.String("class", seg.Class.String())
			e.Uint("kmh", uint64(math.Round(v.KMH)))
			e.Double("ratio", ratio)
			e.Uint("n", uint64(v.Vehicles))
			e.Uint("level", uint64(Level(ratio)))
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
