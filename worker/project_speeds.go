package worker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// SpeedsConfig tunes the speeds layer. The zero value of each field stands for its default.
type SpeedsConfig struct {
	// Window is how long a speed is live, and Recent how long it is fresh: enough vehicles within
	// Recent count alone. In whole minutes. Defaults 15 min and 5 min.
	Window, Recent time.Duration
	// K is how many distinct vehicles must stand behind a published speed. Default 3.
	K int
	// Weeks is how many weeks back typical speeds are made of. Default 5; as long as speeds are kept.
	Weeks int
}

// speeds is the layer of live speeds.
type speeds struct {
	cfg     SpeedsConfig
	store   SpeedStore
	tiles   SpeedTiles
	out     publisher
	live    map[uint32]*liveTile // z14 tiles that may show something, by quadkey
	profile *profiles
	leaving []uint32        // z14 tiles that show nothing any more, but may not be published as such yet
	redrawn bool            // the map is another since Begin
	listed  map[uint32]bool // z14 tiles that were drawn on another map
}

// liveTile is what is known to be live in a z14 tile.
type liveTile struct {
	minuteMS int64                    // when it was read
	shown    map[road.Edge]shownSpeed // those that may be published
}

// shownSpeed is a speed as it is published. Small changes don't make a tile new, or every tile
// would be new all the time.
type shownSpeed struct {
	tile.Speed
	sinceMS int64
}

// Changes that are published at once; smaller ones when what is shown is older than staleMS.
const (
	changeKMH = 2
	staleMS   = 5 * learn.MinuteMS
)

// NewSpeeds is the layer of live speeds.
func NewSpeeds(cfg SpeedsConfig, store SpeedStore, tiles SpeedTiles, to TilePublisher, m *ProjectorMetrics) Layer {
	c := SpeedsConfig{
		Window: cmp.Or(cfg.Window, 15*time.Minute), Recent: cmp.Or(cfg.Recent, 5*time.Minute),
		K: cmp.Or(cfg.K, learn.DefaultK), Weeks: cmp.Or(cfg.Weeks, 5),
	}
	return &speeds{
		cfg: c, store: store, tiles: tiles, out: publisher{layer: LayerSpeeds, to: to, m: m},
		profile: &profiles{store: store, k: c.K, weeks: c.Weeks, tiles: map[uint32]*profile{}},
	}
}

// Name implements Layer.
func (*speeds) Name() string { return LayerSpeeds }

// Begin implements Layer.
func (s *speeds) Begin(ctx context.Context) ([]uint32, error) {
	s.live = map[uint32]*liveTile{}
	s.profile.tiles = map[uint32]*profile{}
	s.leaving = nil
	known, err := s.store.LiveTiles(ctx, LayerSpeeds)
	for _, q := range known {
		s.live[q] = &liveTile{}
		if s.redrawn {
			s.listed[q] = true
		}
	}
	return known, err
}

// redraw implements redrawn.
func (s *speeds) redraw() { s.redrawn, s.listed = true, map[uint32]bool{} }

// Due implements Layer: with each minute the window moves.
func (s *speeds) Due(_ context.Context, now time.Time) ([]uint32, error) {
	minute := learn.MinuteStart(now.UnixMilli())
	var due []uint32
	for q, t := range s.live {
		if t.minuteMS < minute {
			due = append(due, q)
		}
	}
	for _, id := range s.out.owed.due(now) {
		if id.Z == road.Zoom {
			due = append(due, id.Quadkey()) // who won may know more
		}
	}
	return due, nil
}

// Project implements Layer.
func (s *speeds) Project(ctx context.Context, quadkeys []uint32, now time.Time) (published int, err error) {
	if err := s.profile.read(ctx, quadkeys, now); err != nil {
		return 0, err
	}
	fresh, err := s.read(ctx, quadkeys, now)
	if err != nil {
		return 0, err
	}
	var add, remove, changed []uint32
	for _, q := range quadkeys {
		was, t := s.live[q], fresh[q]
		switch {
		case t == nil && was == nil:
			changed = append(changed, q) // nothing, but who knows what is published
		case t == nil:
			remove, changed = append(remove, q), append(changed, q)
			delete(s.live, q)
		default:
			if was == nil {
				add = append(add, q)
			}
			if was == nil || was.shown == nil || !maps.Equal(was.shown, t.shown) {
				changed = append(changed, q)
			}
			s.live[q] = t
		}
	}
	s.profile.keep(s.live)
	// On the list before the first publication, off it after the last that shows none: whatever
	// happens in between, a successor renews it.
	if err := s.store.SetLiveTiles(ctx, LayerSpeeds, add, nil); err != nil {
		return 0, err
	}
	var affected []tile.ID
	if len(changed) > 0 {
		if affected, err = s.tiles.Affected(ctx, changed); err != nil {
			return 0, fmt.Errorf("find tiles affected by %d others: %w", len(changed), err)
		}
	}
	if s.redrawn {
		affected = withListed(affected, s.listed) // that may not show any of this map's edges
	}
	published, failed := s.out.publish(ctx, affected, now, renderEdges[tile.Speed](s.tiles, s.speed))
	s.redrawn, s.listed = false, nil
	var gone []uint32
	leaving := slices.DeleteFunc(slices.Concat(s.leaving, remove), func(q uint32) bool { return s.live[q] != nil })
	gone, s.leaving = s.out.owed.settled(leaving)
	if err := s.store.SetLiveTiles(ctx, LayerSpeeds, nil, gone); err != nil {
		return published, err
	}
	return published, failed
}

// read reads what is live in z14 tiles; tiles without anything are absent.
func (s *speeds) read(ctx context.Context, quadkeys []uint32, now time.Time) (map[uint32]*liveTile, error) {
	fresh := make(map[uint32]*liveTile, len(quadkeys))
	minute := now.UTC().Truncate(time.Minute)
	// The running minute is a part of both windows; clocks of cars may be ahead.
	since, recent, until := minute.Add(time.Minute-s.cfg.Window), minute.Add(time.Minute-s.cfg.Recent), minute.Add(5*time.Minute)
	err := s.store.LiveSpeeds(ctx, quadkeys, since, recent, until, func(l learn.LiveSpeed) {
		e := road.Edge(l.Edge)
		q := e.Quadkey()
		t := fresh[q]
		if t == nil {
			t = &liveTile{minuteMS: minute.UnixMilli(), shown: map[road.Edge]shownSpeed{}}
			fresh[q] = t
		}
		usual := s.profile.of(e)
		kmh, n, ok := l.Estimate(s.cfg.K, usual.typicalKMH())
		if !ok {
			return
		}
		v := shownSpeed{usual.speed(), now.UnixMilli()}
		v.KMH, v.Vehicles = kmh, n
		if was := s.live[q]; was != nil {
			if before, ok := was.shown[e]; ok && !before.outdated(&v) {
				v = before
			}
		}
		t.shown[e] = v
	})
	return fresh, err
}

// outdated reports whether a newer speed is to be shown in s's place.
func (s *shownSpeed) outdated(newer *shownSpeed) bool {
	level := func(v *shownSpeed) int { return tile.Level(v.KMH / v.FreeKMH) }
	return math.Abs(math.Round(s.KMH)-math.Round(newer.KMH)) >= changeKMH || newer.sinceMS-s.sinceMS >= staleMS ||
		s.FreeKMH > 0 && newer.FreeKMH > 0 && level(s) != level(newer)
}

func (s *speeds) speed(e road.Edge) (tile.Speed, bool) {
	t := s.live[e.Quadkey()]
	if t == nil {
		return tile.Speed{}, false
	}
	v, ok := t.shown[e]
	return v.Speed, ok
}
