// Package mapdata makes the map: it imports OpenStreetMap extracts into the road graph's
// partitions and the tiles of the roads layer.
package mapdata

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/osm"
	"github.com/carasso/carasso/mapdata/road"
)

// Objects is the part of the object store that an import needs. Put is atomic; Get's
// error is fs.ErrNotExist for an absent key. Safe for concurrent use.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
}

// ErrNoRoads is the error of an extract without a single drivable road.
var ErrNoRoads = errors.New("the extract has no drivable roads")

// The stages of an import, in order.
const (
	StageRead       = "read"       // bytes
	StageBuild      = "build"      // 1 step
	StagePartitions = "partitions" // partitions written
	StageTiles      = "tiles"      // roads tiles looked at
	StageDone       = "done"
)

// Progress tells how far an import is, in the stage's unit; Total is 0 while it is unknown.
type Progress struct {
	Stage string
	Done  int64
	Total int64
}

// ImportOptions adjusts an import; the zero value is usable.
type ImportOptions struct {
	Source   string         // name shown in the manifest
	Progress func(Progress) // called from one goroutine at a time; nil: none
	Logger   *slog.Logger   // nil: none
	Writers  int            // parallel writes to the object store; default 8
	// Edit changes the roads before the graph is built, to test with a map that is known to
	// be wrong; nil: none. It may change its argument. An edited import is never skipped
	// because its file was imported before.
	Edit func([]road.Way) []road.Way
}

func (o ImportOptions) withDefaults() ImportOptions {
	if o.Writers <= 0 {
		o.Writers = 8
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Import reads an OSM extract (PBF, or XML plain, gzip or bzip2, told apart by content),
// writes the partitions and roads tiles, and makes them current. It is idempotent: the
// same roads give the same version, and what is there already is not written again. The
// manifest comes after what it describes, and map/current last.
func Import(ctx context.Context, r io.Reader, objects Objects, opts ImportOptions) (road.Manifest, error) {
	return load(ctx, r, 0, objects, opts.withDefaults())
}

// ImportFile is Import of a file. A file whose very content was imported before is
// not parsed again, only made current.
func ImportFile(ctx context.Context, path string, objects Objects, opts ImportOptions) (road.Manifest, error) {
	opts = opts.withDefaults()
	if opts.Source == "" {
		opts.Source = filepath.Base(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return road.Manifest{}, fmt.Errorf("import map: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return road.Manifest{}, fmt.Errorf("import map: hash %s: %w", path, err)
	}
	// What another format of partitions or tiles made of the file does not count.
	key := fmt.Sprintf("map/source/%s-%d-%d", hex.EncodeToString(hash.Sum(nil)), road.Format, tilesFormat)
	m, known, err := imported(ctx, objects, key)
	if err != nil {
		return road.Manifest{}, fmt.Errorf("import map: %w", err)
	}
	if known && opts.Edit == nil {
		opts.Progress(Progress{Stage: StageDone, Done: 1, Total: 1})
		return m, makeCurrent(ctx, objects, m.Version)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return road.Manifest{}, fmt.Errorf("import map: rewind %s: %w", path, err)
	}
	m, err = load(ctx, f, size, objects, opts)
	if err != nil {
		return road.Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	if opts.Edit != nil { // this version is not what the file holds
		return m, nil
	}
	if err := objects.Put(ctx, key, []byte(m.Version), "text/plain", ""); err != nil {
		return road.Manifest{}, fmt.Errorf("import map: write %s: %w", key, err)
	}
	return m, nil
}

// imported is the manifest of what a source file was imported as, if it was.
func imported(ctx context.Context, objects Objects, key string) (road.Manifest, bool, error) {
	version, err := objects.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return road.Manifest{}, false, nil
	}
	if err != nil {
		return road.Manifest{}, false, fmt.Errorf("read %s: %w", key, err)
	}
	return existing(ctx, objects, string(version))
}

func existing(ctx context.Context, objects Objects, version string) (road.Manifest, bool, error) {
	m, err := road.ReadManifest(ctx, objects, version)
	if errors.Is(err, fs.ErrNotExist) {
		return road.Manifest{}, false, nil
	}
	return m, err == nil, err
}

func load(ctx context.Context, r io.Reader, size int64, objects Objects, opts ImportOptions) (road.Manifest, error) {
	started := time.Now()
	extract, stats, err := osm.Read(ctx, &counted{r: r, total: size, report: opts.Progress})
	if err != nil {
		return road.Manifest{}, fmt.Errorf("import map: %w", err)
	}
	read := time.Since(started)
	opts.Progress(Progress{Stage: StageBuild, Total: 1})
	if opts.Edit != nil {
		extract.Ways = opts.Edit(extract.Ways)
	}
	segs, left := road.Build(extract.Ways, extract.Restrictions...)
	if len(segs) == 0 {
		return road.Manifest{}, fmt.Errorf("import map: %w", ErrNoRoads)
	}
	w := newWriter(segs, objects, opts)
	m, known, err := existing(ctx, objects, w.version)
	if err != nil {
		return road.Manifest{}, fmt.Errorf("import map: %w", err)
	}
	if !known {
		m = describe(segs, stats, left)
		m.Version, m.Source = w.version, opts.Source
		if err := w.write(ctx, &m); err != nil {
			return road.Manifest{}, fmt.Errorf("import map %s: %w", m.Version, err)
		}
	}
	if err := makeCurrent(ctx, objects, m.Version); err != nil {
		return road.Manifest{}, err
	}
	opts.Progress(Progress{Stage: StageDone, Done: 1, Total: 1})
	opts.Logger.InfoContext(ctx, "map imported", "version", m.Version, "segments", m.Segments, "partitions", len(m.Tiles),
		"known", known, "dangling_nodes", stats.DanglingNodes, "forbidden_turns", m.Turns, "read", read, "took", time.Since(started))
	return m, nil
}

// describe is what can be told of the map before it is written.
func describe(segs []road.Segment, stats osm.Stats, left road.LeftOut) road.Manifest {
	m := road.Manifest{
		Format: road.Format, Created: time.Now().UTC().Truncate(time.Second), Attribution: road.Attribution,
		Segments: len(segs),
		Skipped: road.Skipped{
			DanglingNodes: stats.DanglingNodes, InvalidNodes: stats.InvalidNodes,
			EmptyWays: stats.EmptyWays, ZeroLength: left.ZeroLength,
			ViaWays: stats.ViaWayRestrictions, Conditional: stats.ConditionalRestrictions,
			Unresolved: stats.BadRestrictions + left.Restrictions,
		},
	}
	box := geo.EmptyBox()
	nodes := make(map[int64]struct{})
	for _, s := range segs {
		box = box.Union(geo.BoxOf(s.Shape))
		m.LengthKM += s.LengthM / 1000
		m.Turns += len(s.Turns)
		for _, against := range [2]bool{false, true} {
			if s.Allows(against) {
				m.Edges++
			}
		}
		nodes[s.From], nodes[s.To] = struct{}{}, struct{}{}
	}
	m.BBox, m.Nodes = box.Degrees(), len(nodes)
	return m
}

// makeCurrent points map/current at a version, if it does not already.
func makeCurrent(ctx context.Context, objects Objects, version string) error {
	current, err := road.ReadCurrent(ctx, objects)
	if err == nil && current == version {
		return nil
	}
	if err := objects.Put(ctx, road.CurrentKey, []byte(version), "text/plain", ""); err != nil {
		return fmt.Errorf("import map: write %s: %w", road.CurrentKey, err)
	}
	return nil
}

// counted reports how much was read, every few MB.
type counted struct {
	r      io.Reader
	done   int64
	next   int64
	total  int64
	report func(Progress)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.done >= c.next {
		c.report(Progress{Stage: StageRead, Done: c.done, Total: c.total})
		c.next = c.done + 1<<18
	}
	return n, err
}
