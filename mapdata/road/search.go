package road

import (
	"context"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
)

// TilesIn lists the z14 tiles (quadkeys, ascending) within the box that have a partition.
func (s *Store) TilesIn(b geo.Box) []uint32 {
	if b.Empty() {
		return nil
	}
	nw := geo.TileAt(geo.Point{LatE7: b.North, LonE7: b.West}, Zoom)
	se := geo.TileAt(geo.Point{LatE7: b.South, LonE7: b.East}, Zoom)
	var in []uint32
	for _, q := range s.manifest.Tiles {
		if t := geo.FromQuadkey(Zoom, q); t.X >= nw.X && t.X <= se.X && t.Y >= nw.Y && t.Y <= se.Y {
			in = append(in, q)
		}
	}
	return in
}

// Within lists the z14 tiles (quadkeys, ascending) inside a tile of zoom ≤ 14 that have
// a partition.
func (s *Store) Within(t geo.Tile) []uint32 {
	if !t.Valid() || t.Z > Zoom {
		return nil
	}
	first, last := t.Descendants(Zoom)
	from, _ := slices.BinarySearch(s.manifest.Tiles, first)
	to, found := slices.BinarySearch(s.manifest.Tiles, last)
	if found {
		to++
	}
	return s.manifest.Tiles[from:to:to]
}

// InBox calls each once for every segment that crosses the box; among those may be some
// of which only the extent does. They come tile by tile. An error from each ends the
// search and is returned as it is.
func (s *Store) InBox(ctx context.Context, b geo.Box, each func(Segment) error) error {
	return s.search(ctx, s.TilesIn(b), b, each)
}

// InTile calls each once for every segment that comes within marginM (≤ MarginM) metres
// of a tile of zoom ≤ 14; see InBox.
func (s *Store) InTile(ctx context.Context, t geo.Tile, marginM float64, each func(Segment) error) error {
	return s.search(ctx, s.Within(t), t.Box().Expand(marginM), each)
}

func (s *Store) search(ctx context.Context, tiles []uint32, b geo.Box, each func(Segment) error) error {
	foreign := make(map[SegmentID]struct{}) // seen, and owned by a tile that is not searched
	for _, q := range tiles {
		p, err := s.Partition(ctx, q)
		if err != nil {
			return fmt.Errorf("search segments: %w", err)
		}
		for seg := range p.InBox(b) {
			if owner := seg.ID.Quadkey(); owner != q {
				if _, ok := slices.BinarySearch(tiles, owner); ok {
					continue
				}
				if _, ok := foreign[seg.ID]; ok {
					continue
				}
				foreign[seg.ID] = struct{}{}
			}
			if err := each(seg); err != nil {
				return err
			}
		}
	}
	return nil
}
