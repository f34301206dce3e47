package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// kAnonymity is the number of distinct vehicles behind whatever is published.
const kAnonymity = 3

// errNoMap is a transient error: the worker keeps what it holds until a map is there.
var errNoMap = errors.New("no map yet: import one with `carasso map import FILE`")

// roads is the map in use: the version that map/current names, followed as it changes.
// Safe for concurrent use.
type roads struct {
	objects objects
	log     *slog.Logger
	current atomic.Pointer[loadedMap]
}

type loadedMap struct {
	store   *road.Store
	speeds  *tile.Speeds
	limits  *tile.Limits
	hazards *tile.Hazards
}

func newRoads(o objects, log *slog.Logger) *roads { return &roads{objects: o, log: log} }

// refresh opens the current map if it is another than the one in use. No map is no error.
func (r *roads) refresh(ctx context.Context) error {
	version, err := road.ReadCurrent(ctx, r.objects)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	if m := r.current.Load(); m != nil && m.store.Version() == version {
		return nil
	}
	store, err := road.OpenStore(ctx, r.objects, road.StoreConfig{})
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	r.current.Store(&loadedMap{
		store: store, speeds: tile.NewSpeeds(store, kAnonymity), limits: tile.NewLimits(store), hazards: tile.NewHazards(store),
	})
	m := store.Manifest()
	r.log.InfoContext(ctx, "map in use", "version", m.Version, "source", m.Source, "segments", m.Segments, "km", int(m.LengthKM))
	return nil
}

// run follows the map until ctx ends: every 2 s while there is none, then every 30 s.
func (r *roads) run(ctx context.Context) error {
	for {
		wait := 30 * time.Second
		if r.current.Load() == nil {
			wait = 2 * time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := r.refresh(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "map not refreshed", "error", err)
		}
	}
}

// ready is a readiness check.
func (r *roads) ready(context.Context) error {
	if r.current.Load() == nil {
		return errNoMap
	}
	return nil
}

func (r *roads) get() (*loadedMap, error) {
	if m := r.current.Load(); m != nil {
		return m, nil
	}
	return nil, errNoMap
}

// Version is the map's version, "" if there is none.
func (r *roads) Version() string {
	if m := r.current.Load(); m != nil {
		return m.store.Version()
	}
	return ""
}

// Manifest is the map's; false if there is none.
func (r *roads) Manifest() (road.Manifest, bool) {
	m := r.current.Load()
	if m == nil {
		return road.Manifest{}, false
	}
	return m.store.Manifest(), true
}

// Partition serves the matcher.
func (r *roads) Partition(ctx context.Context, quadkey uint32) (*road.Partition, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.store.Partition(ctx, quadkey)
}

// Segment serves the management API; without a map there is no segment.
func (r *roads) Segment(ctx context.Context, id road.SegmentID) (road.Segment, bool, error) {
	m, err := r.get()
	if err != nil {
		return road.Segment{}, false, nil //nolint:nilerr // no map is no failure here
	}
	return m.store.Segment(ctx, id)
}

// speedTiles renders the speeds of the map in use.
type speedTiles struct{ *roads }

// Affected implements worker.SpeedTiles.
func (r speedTiles) Affected(ctx context.Context, quadkeys []uint32) ([]tile.ID, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.speeds.Affected(ctx, quadkeys)
}

// Build implements worker.SpeedTiles.
func (r speedTiles) Build(ctx context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]byte, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.speeds.Build(ctx, id, speed)
}

// Records implements worker.SpeedTiles.
func (r speedTiles) Records(ctx context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]tile.Record, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.speeds.Records(ctx, id, speed)
}

// limitTiles renders the speed limits of the map in use.
type limitTiles struct{ *roads }

// Affected implements worker.LimitTiles.
func (r limitTiles) Affected(ctx context.Context, quadkeys []uint32) ([]tile.ID, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.limits.Affected(ctx, quadkeys)
}

// Build implements worker.LimitTiles.
func (r limitTiles) Build(ctx context.Context, id tile.ID, learned func(road.Edge) (limit.Limit, bool)) ([]byte, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.limits.Build(ctx, id, learned)
}

// Records implements worker.LimitTiles.
func (r limitTiles) Records(ctx context.Context, id tile.ID, learned func(road.Edge) (limit.Limit, bool)) ([]tile.Record, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.limits.Records(ctx, id, learned)
}

// hazardTiles renders the hazards on the map in use.
type hazardTiles struct{ *roads }

// Affected implements worker.HazardTiles.
func (r hazardTiles) Affected(ctx context.Context, changed []hazard.Hazard) ([]tile.ID, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.hazards.Affected(ctx, changed)
}

// Build implements worker.HazardTiles.
func (r hazardTiles) Build(ctx context.Context, id tile.ID, all []hazard.Hazard) ([]byte, error) {
	m, err := r.get()
	if err != nil {
		return nil, err
	}
	return m.hazards.Build(ctx, id, all)
}

// Records implements worker.HazardTiles; without a map Build has failed before.
func (r hazardTiles) Records(id tile.ID, all []hazard.Hazard) []tile.Record {
	m, err := r.get()
	if err != nil {
		return nil
	}
	return m.hazards.Records(id, all)
}
