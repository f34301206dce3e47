package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/pmtiles"
)

// Exported is what an archive holds.
type Exported struct {
	Tiles, Contents int
	Layers          []string
}

// Export writes a release's layers (none named: all) as one PMTiles archive: a tile of it holds
// the layers of that place. spool is an empty temporary file, the caller's to remove.
func Export(ctx context.Context, o Objects, m *Manifest, out io.Writer, spool io.ReadWriteSeeker, layers ...string) (Exported, error) {
	var e Exported
	meta := &pmtiles.Metadata{
		Name: "Carasso", Description: "Roads, speed limits and speeds, learned from vehicles", Attribution: m.Attribution, Kind: "overlay", Version: m.Version,
		VectorLayers: []pmtiles.VectorLayer{}, Extra: map[string]any{"map_version": m.MapVersion, "created": m.Created, "speed_days": m.SpeedDays},
	}
	tiles := map[geo.Tile][]string{} // the contents' hashes, in order of layers
	for _, name := range layers {
		if m.layer(name) == nil {
			return e, fmt.Errorf("export %s: it has no layer %q", m.Version, name)
		}
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		if len(layers) > 0 && !slices.Contains(layers, l.ID) {
			continue
		}
		entries, err := readIndex(ctx, o, l)
		if err != nil {
			return e, fmt.Errorf("export %s: %w", m.Version, err)
		}
		for _, t := range entries {
			tiles[t.id] = append(tiles[t.id], t.hash)
		}
		e.Layers = append(e.Layers, l.ID)
		meta.VectorLayers = append(meta.VectorLayers, l.VectorLayer)
	}
	if len(tiles) == 0 {
		return e, fmt.Errorf("export %s: %w", m.Version, errors.New("it has no tiles"))
	}
	type numbered struct {
		id     uint64
		tile   geo.Tile
		hashes []string
	}
	order := make([]numbered, 0, len(tiles))
	for t, hashes := range tiles {
		order = append(order, numbered{pmtiles.ID(t.Z, t.X, t.Y), t, hashes})
	}
	slices.SortFunc(order, func(a, b numbered) int { return cmp.Compare(a.id, b.id) })
	w := pmtiles.NewWriter(spool, pmtiles.Gzip)
	for _, t := range order {
		body, err := joined(ctx, o, t.hashes)
		if err != nil {
			return e, fmt.Errorf("export %s: tile %s: %w", m.Version, t.tile, err)
		}
		if err := w.Add(t.tile.Z, t.tile.X, t.tile.Y, body); err != nil {
			return e, fmt.Errorf("export %s: %w", m.Version, err)
		}
	}
	e.Tiles, e.Contents = w.Counts()
	if err := w.Finish(out, meta, m.Box(), openAt); err != nil {
		return e, fmt.Errorf("export %s: %w", m.Version, err)
	}
	return e, nil
}

// openAt is the zoom at which viewers should open an archive.
const openAt = 10

// joined is one tile of several: a vector tile is a list of layers, so that tiles written one
// after another are a tile.
func joined(ctx context.Context, o Objects, hashes []string) ([]byte, error) {
	var all []byte
	for _, h := range hashes {
		b, err := o.Get(ctx, tileKey(h))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", tileKey(h), err)
		}
		if got := hashOf(b)[:hashDigits]; got != h {
			return nil, fmt.Errorf("read %s: its content is not what was released", tileKey(h))
		}
		if len(hashes) == 1 {
			return b, nil
		}
		if b, err = unzip(b); err != nil {
			return nil, fmt.Errorf("read %s: %w", tileKey(h), err)
		}
		all = append(all, b...)
	}
	return zip(all)
}
