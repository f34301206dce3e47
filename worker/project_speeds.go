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
	// Overviews is how long a tile below zoom 14 is left as it is once it was published: cars read those of zoom
	// 14. Default 10 s.
	Overviews time.Duration
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
	belated map[uint32]bool // z14 tiles of which there is news from settled minutes
	redrawn bool            // the map is another since Begin
	listed  map[uint32]bool // z14 tiles that were drawn on another map
}

// liveTile is what is known to be live in a z14 tile.
type liveTile struct {
	minuteMS int64                         // when it was read
	shown    map[road.Edge]shownSpeed      // those that may be published
	settled  map[road.Edge]learn.LiveSpeed // sums of the minutes before settledBefore, as they were then; nil: not known
}

// settledBefore is the minute from which on speeds are read in every pass. What was before hardly changes any more,
// and is read once a minute, when the window moves, or when news are as old as that.
func settledBefore(minute time.Time) time.Time { return minute.Add(-time.Minute) }

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
		K: cmp.Or(cfg.K, learn.DefaultK), Weeks: cmp.Or(cfg.Weeks, 5), Overviews: cmp.Or(cfg.Overviews, 10*time.Second),
	}
	return &speeds{
		cfg: c, store: store, tiles: tiles, out: publisher{layer: LayerSpeeds, to: to, m: m, pause: c.Overviews},
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

// hear implements listener.
func (s *speeds) hear(news []learn.DirtyTile) {
	s.belated = map[uint32]bool{}
	for _, n := range news {
		if t := s.live[n.Tile]; t != nil && n.EventMS < settledBefore(time.UnixMilli(t.minuteMS)).UnixMilli() {
			s.belated[n.Tile] = true
		}
	}
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
		affected = withListed(affected, s.listed, tile.MinSpeedsZoom) // that may not show any of this map's edges
	}
	published, failed := s.out.publish(ctx, affected, now, renderEdges[tile.Speed](s.tiles, s.speed))
	s.redrawn, s.listed = false, nil
	var gone []uint32
	leaving := slices.DeleteFunc(slices.Concat(s.leaving, remove), func(q uint32) bool { return s.live[q] != nil })
	gone, s.leaving = s.out.unsettled().settled(leaving)
	if err := s.store.SetLiveTiles(ctx, LayerSpeeds, nil, gone); err != nil {
		return published, err
	}
	return published, failed
}

// read reads what is live in z14 tiles; tiles without anything are absent.
func (s *speeds) read(ctx context.Context, quadkeys []uint32, now time.Time) (map[uint32]*liveTile, error) {
	fresh := make(map[uint32]*liveTile, len(quadkeys))
	if len(quadkeys) == 0 {
		return fresh, nil
	}
	minute := now.UTC().Truncate(time.Minute)
	// The running minute is a part of both windows; clocks of cars may be ahead.
	since, recent, until := minute.Add(time.Minute-s.cfg.Window), minute.Add(time.Minute-s.cfg.Recent), minute.Add(5*time.Minute)
	settled := settledBefore(minute)
	if since.Day() != until.Day() || !since.Before(settled) {
		settled = since // days are not added up here; or there is nothing to save
	}
	of := func(e road.Edge) *liveTile {
		q := e.Quadkey()
		if fresh[q] == nil {
			fresh[q] = &liveTile{minuteMS: minute.UnixMilli(), shown: map[road.Edge]shownSpeed{}, settled: map[road.Edge]learn.LiveSpeed{}}
		}
		return fresh[q]
	}
	var unknown []uint32
	for _, q := range quadkeys {
		t := s.live[q]
		if t == nil || t.minuteMS != minute.UnixMilli() || t.settled == nil || s.belated[q] {
			unknown = append(unknown, q)
			continue
		}
		fresh[q] = &liveTile{minuteMS: t.minuteMS, shown: maps.Clone(t.shown), settled: t.settled}
	}
	if settled.After(since) && len(unknown) > 0 {
		err := s.store.LiveSpeeds(ctx, unknown, since, recent, settled.Add(-time.Minute), func(l learn.LiveSpeed) {
			t := of(road.Edge(l.Edge))
			t.settled[road.Edge(l.Edge)] = l
			s.show(t, &l, now)
		})
		if err != nil {
			return nil, err
		}
	}
	err := s.store.LiveSpeeds(ctx, quadkeys, settled, recent, until, func(l learn.LiveSpeed) {
		t := of(road.Edge(l.Edge))
		if before, ok := t.settled[road.Edge(l.Edge)]; ok {
			l.Add(before)
		}
		s.show(t, &l, now)
	})
	if settled.Equal(since) {
		for _, t := range fresh {
			t.settled = nil
		}
	}
	return fresh, err
}

// show puts a speed into a tile that is being read, if it may be published.
func (s *speeds) show(t *liveTile, l *learn.LiveSpeed, now time.Time) {
	e := road.Edge(l.Edge)
	usual := s.profile.of(e)
	kmh, n, ok := l.Estimate(s.cfg.K, usual.typicalKMH())
	if !ok {
		return
	}
	v := shownSpeed{usual.speed(), now.UnixMilli()}
	v.KMH, v.Vehicles = kmh, n
	if was := s.live[e.Quadkey()]; was != nil {
		if before, ok := was.shown[e]; ok && !before.outdated(&v) {
			v = before
		}
	}
	t.shown[e] = v
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
