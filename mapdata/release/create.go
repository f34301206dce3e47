package release

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/pmtiles"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// Source is what has been learned: the database.
type Source interface {
	// Limits lists up to most learned limits in one of the half-open ranges of edges and above
	// after, lowest first; only published ones, if publishedOnly.
	Limits(ctx context.Context, ranges [][2]uint64, publishedOnly bool, after uint64, most int) ([]limit.Limit, error)
	// MapErrors lists candidates, lowest id first.
	MapErrors(ctx context.Context, f maperror.Filter) ([]maperror.Reviewed, error)
	// StoredHistograms sums the speeds of the edges of z14 tiles over 5-minute buckets, by edge.
	StoredHistograms(ctx context.Context, tiles []uint32, bucketsMS []int64, each func(edge uint64, s *learn.Speed)) error
}

// Config says what a release is made of.
type Config struct {
	K         int       // distinct vehicles behind a published speed; default learn.DefaultK
	SpeedDays int       // days before Now that speeds are of, 1 to 28; default 7
	Now       time.Time // of the release
	Logger    *slog.Logger
}

func (c *Config) validate() error {
	if c.K == 0 {
		c.K = learn.DefaultK
	}
	if c.SpeedDays == 0 {
		c.SpeedDays = 7
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.K < 1:
		return fmt.Errorf("release: K must be at least 1, is %d", c.K)
	case c.SpeedDays < 1 || c.SpeedDays > 28:
		return fmt.Errorf("release: SpeedDays must be 1 to 28, is %d", c.SpeedDays)
	case c.Now.IsZero():
		return errors.New("release: Now must be set")
	}
	return nil
}

// Create makes a release of the current map and what has been learned on it, and makes it
// the newest one. If nothing differs from the release before, that one is returned, and
// created is false. A creation that fails leaves objects that nothing points to. Two at the same
// time both succeed, but only one of them is in the newest one's ancestry.
func Create(ctx context.Context, o Objects, src Source, cfg Config) (m *Manifest, created bool, err error) {
	if err := cfg.validate(); err != nil {
		return nil, false, err
	}
	roads, err := road.OpenStore(ctx, o, road.StoreConfig{})
	if err != nil {
		return nil, false, fmt.Errorf("create release: %w", err)
	}
	var before *Manifest
	if version, err := Current(ctx, o); err != nil {
		return nil, false, fmt.Errorf("create release: %w", err)
	} else if version != "" {
		if before, err = Read(ctx, o, version); err != nil {
			return nil, false, fmt.Errorf("create release: %w", err)
		}
	}
	c := &creation{cfg: &cfg, objects: o, source: src, roads: roads, before: before, stored: map[string]struct{}{}}
	if m, created, err = c.run(ctx); err != nil {
		return nil, false, fmt.Errorf("create release: %w", err)
	}
	return m, created, nil
}

// creation is one call of Create.
type creation struct {
	cfg     *Config
	objects Objects
	source  Source
	roads   *road.Store
	before  *Manifest
	stored  map[string]struct{} // contents that are there already
}

// rows are what a release holds besides tiles.
type rows struct {
	limits []LimitRow
	speeds []SpeedRow
	errors []ErrorRow
}

func (c *creation) run(ctx context.Context) (*Manifest, bool, error) {
	started := time.Now()
	r, err := c.gather(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, name := range layerNames(c.before) { // what earlier releases stored
		entries, err := readIndex(ctx, c.objects, c.before.layer(name))
		if err != nil {
			return nil, false, err
		}
		for _, e := range entries {
			c.stored[e.hash] = struct{}{}
		}
	}
	layers, indexes, err := c.layers(ctx, r)
	if err != nil {
		return nil, false, err
	}
	road := c.roads.Manifest()
	m := &Manifest{
		Number: 1, Format: Format, Created: c.cfg.Now.UTC().Truncate(time.Second), MapVersion: road.Version, MapSource: road.Source,
		Attribution: road.Attribution, BBox: road.BBox, Layers: layers, SpeedDays: c.cfg.SpeedDays,
	}
	if c.before != nil {
		m.Number, m.Previous = c.before.Number+1, c.before.Version
	}
	m.Hash = c.name(layers, r)
	if c.before != nil && m.Hash == c.before.Hash {
		c.cfg.Logger.InfoContext(ctx, "release_unchanged", "version", c.before.Version)
		return c.before, false, nil
	}
	m.Version = fmt.Sprintf("r%06d-%s", m.Number, m.Hash[:8])
	if err := c.write(ctx, m, r, indexes); err != nil {
		return nil, false, err
	}
	c.cfg.Logger.InfoContext(ctx, "release_created", "version", m.Version, "limits", len(r.limits), "speeds", len(r.speeds),
		"map_errors", len(r.errors), "took", time.Since(started))
	return m, true, nil
}

// name is a hash of everything, evidence included.
func (c *creation) name(layers []Layer, r *rows) string {
	all := fmt.Appendf(nil, "%s %s %s %s\n", c.roads.Version(), hashRows(r.limits), hashRows(r.speeds), hashRows(r.errors))
	for i := range layers {
		all = fmt.Appendf(all, "%s %s\n", layers[i].ID, layers[i].Hash)
	}
	return hashOf(all)
}

// write stores rows, indexes, the manifest and the pointer, in this order.
func (c *creation) write(ctx context.Context, m *Manifest, r *rows, indexes [][]byte) error {
	dir := "release/" + m.Version + "/"
	var err error
	if m.Limits, err = putRows(ctx, c.objects, dir+"limits.ndjson.gz", r.limits); err != nil {
		return err
	}
	if m.Speeds, err = putRows(ctx, c.objects, dir+"speeds.ndjson.gz", r.speeds); err != nil {
		return err
	}
	if m.MapErrors, err = putRows(ctx, c.objects, dir+"map_errors.ndjson.gz", r.errors); err != nil {
		return err
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		l.Index = dir + l.ID + ".tiles.ndjson.gz"
		body, err := zip(indexes[i])
		if err != nil {
			return fmt.Errorf("compress %s: %w", l.Index, err)
		}
		if err := c.objects.Put(ctx, l.Index, body, "application/x-ndjson", "gzip"); err != nil {
			return fmt.Errorf("write %s: %w", l.Index, err)
		}
	}
	d, err := Compare(ctx, c.objects, c.before, m)
	if err != nil {
		return err
	}
	m.Changes = d.Summary
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	key := manifestKey(m.Version)
	if err := c.objects.Put(ctx, key, b, "application/json", ""); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	if err := c.objects.Put(ctx, CurrentKey, []byte(m.Version), "text/plain", ""); err != nil {
		return fmt.Errorf("write %s: %w", CurrentKey, err)
	}
	return nil
}

// How much is asked of the source at once.
const (
	limitsPage = 10_000
	errorsPage = 5_000
	speedTiles = 32
)

// gather reads what has been learned.
func (c *creation) gather(ctx context.Context) (*rows, error) {
	r := &rows{}
	everywhere := [][2]uint64{{0, uint64(road.MaxEdge) + 1}}
	for after := uint64(0); ; {
		page, err := c.source.Limits(ctx, everywhere, true, after, limitsPage)
		if err != nil {
			return nil, fmt.Errorf("read learned limits: %w", err)
		}
		for i := range page {
			if page[i].Published() {
				r.limits = append(r.limits, limitRow(&page[i]))
			}
			after = uint64(page[i].Edge)
		}
		if len(page) < limitsPage {
			break
		}
	}
	for after := uint64(0); ; {
		page, err := c.source.MapErrors(ctx, maperror.Filter{Status: []maperror.Status{maperror.Accepted}, After: after, Most: errorsPage})
		if err != nil {
			return nil, fmt.Errorf("read accepted errors of the map: %w", err)
		}
		for i := range page {
			r.errors = append(r.errors, errorRow(&page[i]))
			after = page[i].ID
		}
		if len(page) < errorsPage {
			break
		}
	}
	return r, c.speeds(ctx, r)
}

// speeds reads what was driven on the days before now.
func (c *creation) speeds(ctx context.Context, r *rows) error {
	now := learn.BucketStart(c.cfg.Now.UnixMilli())
	var buckets []int64
	for b := now - int64(c.cfg.SpeedDays)*learn.DayMS; b <= now; b += learn.Bucket.Milliseconds() {
		buckets = append(buckets, b)
	}
	for tiles := range slices.Chunk(c.roads.Manifest().Tiles, speedTiles) {
		err := c.source.StoredHistograms(ctx, tiles, buckets, func(edge uint64, s *learn.Speed) {
			if s.N > 0 && s.Publishable(c.cfg.K) {
				r.speeds = append(r.speeds, speedRow(road.Edge(edge), s))
			}
		})
		if err != nil {
			return fmt.Errorf("read speeds: %w", err)
		}
	}
	slices.SortFunc(r.speeds, func(a, b SpeedRow) int { return cmp.Compare(a.Edge, b.Edge) })
	r.speeds = slices.CompactFunc(r.speeds, func(a, b SpeedRow) bool { return a.Edge == b.Edge })
	return nil
}

// layers makes and stores the tiles of all layers.
func (c *creation) layers(ctx context.Context, r *rows) (layers []Layer, indexes [][]byte, err error) {
	limits := make(map[road.Edge]*LimitRow, len(r.limits))
	for i := range r.limits {
		limits[r.limits[i].Edge] = &r.limits[i]
	}
	speeds := make(map[road.Edge]*SpeedRow, len(r.speeds))
	for i := range r.speeds {
		speeds[r.speeds[i].Edge] = &r.speeds[i]
	}
	limitTiles, speedTiles := tile.NewLimits(c.roads), tile.NewSpeeds(c.roads, c.cfg.K)
	build := map[string]func(context.Context, geo.Tile) ([]byte, error){
		tile.LimitLayer: func(ctx context.Context, id geo.Tile) ([]byte, error) {
			return limitTiles.Build(ctx, id, func(e road.Edge) (limit.Limit, bool) {
				if row := limits[e]; row != nil {
					return row.limit(), true
				}
				return limit.Limit{}, false
			})
		},
		tile.SpeedLayer: func(ctx context.Context, id geo.Tile) ([]byte, error) {
			return speedTiles.Build(ctx, id, func(e road.Edge) (tile.Speed, bool) {
				row := speeds[e]
				if row == nil {
					return tile.Speed{}, false
				}
				return tile.Speed{KMH: row.KMH, Vehicles: row.Vehicles, P15KMH: row.P15, P50KMH: row.P50, P85KMH: row.P85}, true
			})
		},
	}
	for _, v := range tile.VectorLayers(tile.Roads, tile.LimitLayer, tile.SpeedLayer) {
		l := Layer{VectorLayer: pmtiles.VectorLayer{ID: v.ID, Description: v.Description, MinZoom: v.MinZoom, MaxZoom: v.MaxZoom, Fields: v.Fields}}
		if v.ID == tile.SpeedLayer {
			l.Description = fmt.Sprintf("Speeds driven on the %d days before the release, one line per direction", c.cfg.SpeedDays)
		}
		index, err := c.layer(ctx, &l, build[v.ID])
		if err != nil {
			return nil, nil, fmt.Errorf("layer %s: %w", l.ID, err)
		}
		layers, indexes = append(layers, l), append(indexes, index)
	}
	return layers, indexes, nil
}

// layer makes and stores the tiles of one layer; build nil: the map's own.
func (c *creation) layer(ctx context.Context, l *Layer, build func(context.Context, geo.Tile) ([]byte, error)) ([]byte, error) {
	var entries []tileEntry
	for _, id := range c.pyramid(l.MinZoom, l.MaxZoom) {
		body, err := c.body(ctx, id, build)
		if err != nil {
			return nil, fmt.Errorf("tile %s: %w", id, err)
		}
		if len(body) == 0 {
			continue
		}
		hash := hashOf(body)[:hashDigits]
		if _, ok := c.stored[hash]; !ok {
			if err := c.objects.Put(ctx, tileKey(hash), body, tile.ContentType, "gzip"); err != nil {
				return nil, fmt.Errorf("tile %s: write %s: %w", id, tileKey(hash), err)
			}
			c.stored[hash] = struct{}{}
		}
		entries = append(entries, tileEntry{id, hash, len(body)})
		l.Bytes += int64(len(body))
	}
	index, err := encodeIndex(entries)
	if err != nil {
		return nil, err
	}
	l.Tiles, l.Hash = len(entries), hashOf(index)
	return index, nil
}

// body is a tile as it is stored; nothing for an empty one.
func (c *creation) body(ctx context.Context, id geo.Tile, build func(context.Context, geo.Tile) ([]byte, error)) ([]byte, error) {
	if build == nil {
		b, err := c.objects.Get(ctx, tile.ObjectKey(tile.Roads, id, c.roads.Version()))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return b, err
	}
	mvt, err := build(ctx, id)
	if err != nil || len(mvt) == 0 {
		return nil, err
	}
	return zip(mvt)
}

// pyramid are the tiles of some zooms over the map, by zoom and quadkey.
func (c *creation) pyramid(from, to uint8) []geo.Tile {
	set := map[geo.Tile]struct{}{}
	for _, q := range c.roads.Manifest().Tiles {
		t := geo.FromQuadkey(road.Zoom, q)
		for z := from; z <= min(to, road.Zoom); z++ {
			set[t.Ancestor(z)] = struct{}{}
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b geo.Tile) int {
		return cmp.Or(cmp.Compare(a.Z, b.Z), cmp.Compare(a.Quadkey(), b.Quadkey()))
	})
}

// hashRows is what Rows.Hash will be.
func hashRows[T any](list []T) string {
	var lines []byte
	for i := range list {
		b, err := json.Marshal(&list[i])
		if err != nil { // rows hold nothing that JSON lacks, but NaN, which round excludes
			return ""
		}
		lines = append(append(lines, b...), '\n')
	}
	return hashOf(lines)
}
