package tile

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// reachM covers the tiles' buffer: mvt.Buffer units of a z14 tile are at most 38.3 m.
const reachM = 39

// cover knows which tiles of a layer of directed edges show what. Safe for concurrent use.
type cover struct {
	roads   *road.Store
	minZoom uint8

	mu       sync.Mutex // the maps are bounded by the map's tiles
	affected map[uint32][]ID
	sources  map[ID][]uint32
}

func newCover(roads *road.Store, minZoom uint8) *cover {
	return &cover{
		roads: roads, minZoom: minZoom,
		affected: make(map[uint32][]ID), sources: make(map[ID][]uint32),
	}
}

// Affected lists the tiles of the layer's zooms that show an edge owned by one of the given
// z14 tiles (quadkeys): what to publish again when those edges changed. z14 tiles
// come first.
func (s *cover) Affected(ctx context.Context, quadkeys []uint32) ([]ID, error) {
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

func (s *cover) affectedBy(ctx context.Context, q uint32) ([]ID, error) {
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
		low := max(ClassZoom(seg.Class), s.minZoom)
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
// shows: Build asks for what is known within their road.EdgeRange only.
func (s *cover) Sources(ctx context.Context, id ID) ([]uint32, error) {
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
func (s *cover) each(ctx context.Context, id ID, visit func(road.Segment)) error {
	if !id.Valid() || id.Z < s.minZoom || id.Z > MaxZoom {
		return fmt.Errorf("zoom %d is not within %d to %d, or the tile does not exist", id.Z, s.minZoom, MaxZoom)
	}
	return s.roads.InTile(ctx, id, reachM, func(seg road.Segment) error {
		if ClassZoom(seg.Class) <= id.Z {
			visit(seg)
		}
		return nil
	})
}

// owned visits the directed edges that a z14 tile owns.
func (s *cover) owned(ctx context.Context, id ID, visit func(seg road.Segment, against bool)) error {
	if !id.Valid() || id.Z != road.Zoom {
		return fmt.Errorf("records are kept for tiles of zoom %d only, not for %s", road.Zoom, id)
	}
	p, err := s.roads.Partition(ctx, id.Quadkey())
	if err != nil {
		return err
	}
	for n := range p.NumSegments() {
		seg := p.SegmentAt(n)
		if seg.Flags&road.Own == 0 {
			continue
		}
		for _, against := range [2]bool{false, true} {
			if seg.Allows(against) {
				visit(seg, against)
			}
		}
	}
	return nil
}
