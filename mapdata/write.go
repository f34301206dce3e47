package mapdata

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// tilesFormat is the version of what the roads tiles hold; part of the map's version, so
// that a change of it is served.
const tilesFormat = 1

// writer writes one version of the map.
type writer struct {
	segs    []road.Segment
	objects Objects
	opts    ImportOptions
	version string
	touched map[uint32][]int32 // z14 quadkey → places in segs, ascending

	mu    sync.Mutex // guards what follows and calls of opts.Progress
	done  int64
	bytes int64
	tiles int
}

func newWriter(segs []road.Segment, objects Objects, opts ImportOptions) *writer {
	w := &writer{
		segs: segs, objects: objects, opts: opts,
		version: contentHash(segs), touched: make(map[uint32][]int32),
	}
	for i, s := range segs {
		add := func(q uint32) {
			if in := w.touched[q]; len(in) == 0 || in[len(in)-1] != int32(i) {
				w.touched[q] = append(in, int32(i))
			}
		}
		road.TouchedTiles(s.Shape, road.MarginM, add)
		add(s.ID.Quadkey())
	}
	return w
}

// contentHash names a map by all that readers can see of it.
func contentHash(segs []road.Segment) string {
	h := sha256.New()
	b := fmt.Appendf(nil, "carasso map %d %d\n", road.Format, tilesFormat)
	for _, s := range segs {
		b = binary.AppendUvarint(b, uint64(s.ID))
		b = binary.AppendVarint(binary.AppendVarint(b, s.From), s.To)
		b = append(b, byte(s.Class), byte(s.Flags), byte(s.Layer), s.Limit[0], s.Limit[1])
		for _, t := range [2]string{s.Name, s.Ref} {
			b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
		}
		b = binary.AppendUvarint(b, uint64(len(s.Shape)))
		for _, p := range s.Shape {
			b = binary.AppendVarint(binary.AppendVarint(b, int64(p.LatE7)), int64(p.LonE7))
		}
		b = binary.AppendUvarint(b, uint64(len(s.Turns)))
		for _, t := range s.Turns {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(t.From)), uint64(t.To))
		}
		if len(b) > 1<<16 {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// write stores partitions, tiles and then the manifest, whose remaining fields it sets.
func (w *writer) write(ctx context.Context, m *road.Manifest) error {
	m.Tiles = slices.Sorted(maps.Keys(w.touched))
	if err := w.partitions(ctx, m.Tiles); err != nil {
		return err
	}
	if err := w.roads(ctx); err != nil {
		return err
	}
	m.Bytes, m.RoadTiles = w.bytes, w.tiles
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	key := road.ManifestKey(m.Version)
	if err := w.objects.Put(ctx, key, b, "application/json", ""); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

func (w *writer) pick(places []int32) []road.Segment {
	in := make([]road.Segment, len(places))
	for i, n := range places {
		in[i] = w.segs[n]
	}
	return in
}

// step counts one object of a stage.
func (w *writer) step(stage string, total int, bytes, tiles int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done++
	w.bytes += int64(bytes)
	w.tiles += tiles
	w.opts.Progress(Progress{Stage: stage, Done: w.done, Total: int64(total)})
}

func (w *writer) partitions(ctx context.Context, tiles []uint32) error {
	w.done = 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.opts.Writers)
	for _, q := range tiles {
		g.Go(func() error {
			p, err := road.NewPartition(q, w.pick(w.touched[q]))
			if err != nil {
				return fmt.Errorf("partition %d: %w", q, err)
			}
			b := p.Encode()
			key := road.PartitionKey(w.version, q)
			if err := w.objects.Put(ctx, key, b, "application/octet-stream", ""); err != nil {
				return fmt.Errorf("write %s: %w", key, err)
			}
			w.step(StagePartitions, len(tiles), len(b), 0)
			return nil
		})
	}
	return g.Wait()
}

// roads writes the tiles of the roads layer that have content.
func (w *writer) roads(ctx context.Context) error {
	w.done = 0
	work := w.pyramid()
	ids := slices.SortedFunc(maps.Keys(work), func(a, b tile.ID) int {
		if a.Z != b.Z {
			return int(a.Z) - int(b.Z)
		}
		return int(int64(a.Quadkey()) - int64(b.Quadkey()))
	})
	encoders := sync.Pool{New: func() any { return &tileEncoder{mvt.NewEncoder(), gzip.NewWriter(nil)} }}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.opts.Writers)
	for _, id := range ids {
		g.Go(func() error {
			e, ok := encoders.Get().(*tileEncoder)
			if !ok {
				return fmt.Errorf("tile %s: no encoder", id)
			}
			defer encoders.Put(e)
			stored, err := w.road(ctx, e, id, work[id])
			if err != nil {
				return fmt.Errorf("tile %s: %w", id, err)
			}
			w.step(StageTiles, len(ids), 0, stored)
			return nil
		})
	}
	return g.Wait()
}

type tileEncoder struct {
	mvt *mvt.Encoder
	zip *gzip.Writer
}

// road writes one tile unless it is empty, and returns the number of tiles written.
func (w *writer) road(ctx context.Context, e *tileEncoder, id tile.ID, places []int32) (int, error) {
	b := tile.EncodeRoads(e.mvt, id, w.pick(places))
	if len(b) == 0 {
		return 0, nil
	}
	body, err := tile.Compress(e.zip, b)
	if err != nil {
		return 0, fmt.Errorf("compress: %w", err)
	}
	key := tile.ObjectKey(tile.Roads, id, w.version)
	if err := w.objects.Put(ctx, key, body, tile.ContentType, "gzip"); err != nil {
		return 0, fmt.Errorf("write %s: %w", key, err)
	}
	return 1, nil
}

// pyramid lists for each tile of the roads layer the segments that may be in it.
func (w *writer) pyramid() map[tile.ID][]int32 {
	work := make(map[tile.ID][]int32)
	for q, places := range w.touched {
		leaf := geo.FromQuadkey(road.Zoom, q)
		for z := uint8(tile.MinRoadsZoom); z <= tile.MaxZoom; z++ {
			id := leaf.Ancestor(z)
			for _, n := range places {
				if tile.ClassZoom(w.segs[n].Class) <= z {
					work[id] = append(work[id], n)
				}
			}
		}
	}
	for id, places := range work {
		slices.Sort(places)
		work[id] = slices.Compact(places)
	}
	return work
}
