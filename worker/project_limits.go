package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// LimitStore is the database's side of the limits layer. Safe for concurrent use.
type LimitStore interface {
	LiveTileStore
	// Evidence is HazardStore's.
	Evidence(ctx context.Context, kinds []learn.Kind, tiles []uint32, since, until time.Time, each func(learn.Evidence)) error
	// FullestDays tells how many distinct vehicles drove on the directed segments of z14 tiles on the UTC day with
	// the most, of those from since's to until's.
	FullestDays(ctx context.Context, tiles []uint32, since, until time.Time, each func(edge uint64, vehicles int)) error
	// StoredHistograms is SpeedStore's.
	StoredHistograms(ctx context.Context, tiles []uint32, bucketsMS []int64, each func(edge uint64, s *learn.Speed)) error
	// Limits lists up to most learned limits in ranges of edges, above after.
	Limits(ctx context.Context, ranges [][2]uint64, publishedOnly bool, after uint64, most int) ([]limit.Limit, error)
	// StoreLimits stores what was judged at a time, DeleteLimits forgets.
	StoreLimits(ctx context.Context, ls []limit.Limit, at time.Time) error
	DeleteLimits(ctx context.Context, edges []uint64, at time.Time) error
	// MarkDirty makes z14 tiles dirty as of a time; postponed ones go behind all that wait.
	MarkDirty(ctx context.Context, layer string, tiles []uint32, at time.Time, postponed bool) error
}

// LimitTiles renders the limits layer: *tile.Limits. Safe for concurrent use.
type LimitTiles interface {
	// Affected lists the tiles that show an edge owned by one of the z14 tiles (quadkeys).
	Affected(ctx context.Context, quadkeys []uint32) ([]tile.ID, error)
	// Build encodes a tile; nil when there is nothing to show.
	Build(ctx context.Context, id tile.ID, learned func(road.Edge) (limit.Limit, bool)) ([]byte, error)
	// Records are what cars are told of a z14 tile.
	Records(ctx context.Context, id tile.ID, learned func(road.Edge) (limit.Limit, bool)) ([]tile.Record, error)
}

// LimitsConfig tunes the limits layer. The zero value of each field stands for its default.
type LimitsConfig struct {
	// Judge says when a limit is published.
	Judge limit.Config
	// Days is how many days of evidence are judged. Default 35: as long as evidence is kept.
	Days int
	// Driven is of how much time the driven speeds are taken. Default 2 h.
	Driven time.Duration
	// Sweep is how often a learned limit is judged without new evidence, for what is old fades. Default 24 h.
	Sweep time.Duration
}

// limits is the layer of speed limits. A tile is published from the first time on that evidence in or near it is
// judged; elsewhere the map's limits hold, which the roads layer shows. The published limits are in memory,
// some 150 bytes each.
//
// A sign holds on along the road: with a tile its neighbours are judged, and where that changes
// something, theirs in the next pass, and so on.
type limits struct {
	cfg   LimitsConfig
	store LimitStore
	roads learn.Roads
	tiles LimitTiles
	out   publisher

	learned map[uint32]map[road.Edge]limit.Limit // that are published, by z14 tile; no candidates
	shown   map[uint32]bool                      // z14 tiles that were published
	renew   bool                                 // all of them are to be published again
	redrawn bool                                 // on another map, where they may not show an edge any more
	sweep   sweep
}

// NewLimits is the layer of speed limits.
func NewLimits(cfg LimitsConfig, store LimitStore, roads learn.Roads, tiles LimitTiles, to TilePublisher, m *ProjectorMetrics) (Layer, error) {
	if err := cfg.Judge.Validate(); err != nil {
		return nil, err
	}
	cfg.Days, cfg.Driven = cmp.Or(cfg.Days, 35), cmp.Or(cfg.Driven, 2*time.Hour)
	cfg.Sweep = cmp.Or(cfg.Sweep, 24*time.Hour)
	return &limits{cfg: cfg, store: store, roads: roads, tiles: tiles, out: publisher{layer: LayerLimits, to: to, m: m}}, nil
}

// Name implements Layer.
func (*limits) Name() string { return LayerLimits }

// Begin implements Layer.
func (l *limits) Begin(ctx context.Context) ([]uint32, error) {
	listed, err := l.store.LiveTiles(ctx, LayerLimits)
	if err != nil {
		return nil, err
	}
	l.learned, l.shown, l.renew = map[uint32]map[road.Edge]limit.Limit{}, map[uint32]bool{}, true
	for _, q := range listed {
		l.shown[q] = true
	}
	after := uint64(0)
	for {
		const most = 10_000
		page, err := l.store.Limits(ctx, [][2]uint64{{0, uint64(road.MaxEdge) + 1}}, true, after, most)
		if err != nil {
			return nil, err
		}
		for i := range page {
			l.set(&page[i])
			after = uint64(page[i].Edge)
		}
		if len(page) < most {
			return nil, nil // what was judged is stored: it is only published again
		}
	}
}

// redraw implements redrawn.
func (l *limits) redraw() { l.redrawn, l.sweep = true, sweep{} }

// Due implements Layer.
func (l *limits) Due(_ context.Context, now time.Time) ([]uint32, error) {
	return l.sweep.next(now, l.cfg.Sweep, func() ([]uint32, error) { return sortedKeys(l.shown), nil })
}

// set remembers a limit if it is published, or else forgets it, and tells whether that changes what is
// published.
func (l *limits) set(x *limit.Limit) (changed bool) {
	q := x.Edge.Quadkey()
	was, had := l.learned[q][x.Edge]
	if !x.Published() {
		delete(l.learned[q], x.Edge)
		return had
	}
	if l.learned[q] == nil {
		l.learned[q] = map[road.Edge]limit.Limit{}
	}
	kept := *x
	kept.Candidates = nil
	l.learned[q][x.Edge] = kept
	return !had || was.KMH != x.KMH || !slices.EqualFunc(was.Variants, x.Variants, func(a, b limit.Variant) bool {
		return a.KMH == b.KMH && a.Wet == b.Wet && a.FromHour == b.FromHour && a.ToHour == b.ToHour
	})
}

// Project implements Layer.
func (l *limits) Project(ctx context.Context, quadkeys []uint32, now time.Time) (published int, err error) {
	region := map[uint32]bool{}
	for _, q := range quadkeys {
		for _, n := range maperror.Neighbours(q) {
			region[n] = true
		}
	}
	var changed []uint32
	var failed partialError
	var repeat []uint32
	for part := range slices.Chunk(sortedKeys(region), judgedTiles) { // bounds the evidence in memory
		tiles, missed, err := l.judge(ctx, part, region, now)
		var some *partialError
		if err != nil && !errors.As(err, &some) {
			return 0, err
		}
		changed, repeat = append(changed, tiles...), append(repeat, missed...)
		if some != nil {
			failed = partialError{failed.failed + some.failed, some.first}
		}
	}
	if err := l.store.MarkDirty(ctx, LayerLimits, repeat, now, true); err != nil {
		return 0, err
	}
	l.sweep.done()
	if l.renew {
		changed = sortedKeys(l.shown)
	}
	var ids []tile.ID
	if len(changed) > 0 {
		if ids, err = l.tiles.Affected(ctx, changed); err != nil {
			return 0, fmt.Errorf("find tiles affected by %d others: %w", len(changed), err)
		}
	}
	if l.redrawn {
		ids = withListed(ids, l.shown, tile.MinLimitsZoom)
	}
	published, err = l.out.publish(ctx, ids, now, renderEdges[limit.Limit](l.tiles, l.at))
	l.renew, l.redrawn = false, false // what failed is owed
	if err == nil && failed.failed > 0 {
		return published, &failed
	}
	return published, err
}

// judgedTiles is how many tiles are judged at once.
const judgedTiles = 200

// judge judges the limits of z14 tiles, stores them, and tells which tiles are to be published. What is next to a
// change and not in the region that this pass judges is left dirty for the next. A partialError is of
// those that it missed.
func (l *limits) judge(ctx context.Context, quadkeys []uint32, region map[uint32]bool, now time.Time) (changed, missed []uint32, err error) {
	known := &limitKnowledge{store: l.store, cfg: &l.cfg, now: now, published: l.at, tiles: map[uint32]map[road.Edge]limit.Known{}}
	if err := known.load(ctx, quadkeys); err != nil {
		return nil, nil, err
	}
	chain := limit.NewChain(l.roads, known.look, now, l.cfg.Judge)
	var judged []limit.Limit
	var gone []uint64
	dirty := map[uint32]bool{}
	var add []uint32
	var failed partialError
	for i, q := range quadkeys {
		edges := map[road.Edge]bool{}
		said := false
		for e, k := range known.tiles[q] {
			edges[e] = true
			said = said || len(k.Evidence) > 0
		}
		for e := range l.learned[q] {
			edges[e] = true
		}
		var found []limit.Limit
		err := ctx.Err()
		if err == nil && !hopeless(len(missed), i-len(missed)) {
			err = guarded(func() error {
				for e := range edges {
					x, err := chain.Limit(ctx, e)
					if err != nil {
						return fmt.Errorf("judge limits of tile %d: %w", q, err)
					}
					found = append(found, x)
				}
				return nil
			})
		} else if err == nil {
			err = failed.first
		}
		if err != nil {
			if ctx.Err() != nil || !tileAtFault(err) {
				return nil, nil, err
			}
			l.out.m.panicked(LayerLimits, err)
			missed = append(missed, q)
			failed = partialError{len(missed), cmp.Or(failed.first, err)}
			continue
		}
		for i := range found {
			x := &found[i]
			e := x.Edge
			_, was := l.learned[q][e]
			switch {
			case x.Published() || len(known.tiles[q][e].Evidence) > 0:
				judged = append(judged, *x)
			case was: // nothing speaks for it any more
				gone = append(gone, uint64(e))
			}
			if l.set(x) {
				dirty[q] = true
			}
		}
		if !l.shown[q] && (said || len(l.learned[q]) > 0) {
			l.shown[q], dirty[q] = true, true
			add = append(add, q)
		}
	}
	slices.SortFunc(judged, func(a, b limit.Limit) int { return cmp.Compare(a.Edge, b.Edge) })
	slices.Sort(gone)
	// Before the change is stored: a successor doesn't see it as one any more.
	onward := map[uint32]bool{}
	for q := range dirty {
		for _, n := range maperror.Neighbours(q) {
			if !region[n] {
				onward[n] = true
			}
		}
	}
	if err := l.store.MarkDirty(ctx, LayerLimits, sortedKeys(onward), now, false); err != nil {
		return nil, nil, err
	}
	if err := l.store.StoreLimits(ctx, judged, now); err != nil {
		return nil, nil, err
	}
	if err := l.store.DeleteLimits(ctx, gone, now); err != nil {
		return nil, nil, err
	}
	if err := l.store.SetLiveTiles(ctx, LayerLimits, add, nil); err != nil {
		return nil, nil, err
	}
	if failed.failed > 0 {
		return sortedKeys(dirty), missed, &failed
	}
	return sortedKeys(dirty), nil, nil
}

func (l *limits) at(e road.Edge) (limit.Limit, bool) {
	x, ok := l.learned[e.Quadkey()][e]
	return x, ok
}

// limitKnowledge is what was learned of edges, read tile by tile as it is asked for.
type limitKnowledge struct {
	store     LimitStore
	cfg       *LimitsConfig
	now       time.Time
	published func(road.Edge) (limit.Limit, bool)
	tiles     map[uint32]map[road.Edge]limit.Known // edges that were driven, or of which something was said
}

// look serves a limit.Chain.
func (k *limitKnowledge) look(ctx context.Context, e road.Edge) (limit.Known, error) {
	q := e.Quadkey()
	if _, ok := k.tiles[q]; !ok {
		if err := k.load(ctx, []uint32{q}); err != nil {
			return limit.Known{}, err
		}
	}
	x := k.tiles[q][e]
	if l, ok := k.published(e); ok {
		x.Told = l.KMH
	}
	return x, nil
}

// load reads tiles.
func (k *limitKnowledge) load(ctx context.Context, quadkeys []uint32) error {
	for _, q := range quadkeys {
		k.tiles[q] = map[road.Edge]limit.Known{}
	}
	change := func(edge uint64, f func(*limit.Known)) {
		e := road.Edge(edge)
		x := k.tiles[e.Quadkey()][e]
		f(&x)
		k.tiles[e.Quadkey()][e] = x
	}
	since := k.now.AddDate(0, 0, -k.cfg.Days).UTC().Truncate(24 * time.Hour)
	err := k.store.Evidence(ctx, []learn.Kind{learn.LimitEvidence}, quadkeys, since, k.now.Add(24*time.Hour), func(e learn.Evidence) {
		change(e.Key, func(x *limit.Known) { x.Evidence = append(x.Evidence, e) })
	})
	if err != nil {
		return err
	}
	err = k.store.FullestDays(ctx, quadkeys, since, k.now, func(edge uint64, vehicles int) {
		change(edge, func(x *limit.Known) { x.Passes = vehicles })
	})
	if err != nil {
		return err
	}
	var buckets []int64
	last := learn.BucketStart(k.now.UnixMilli())
	for b := learn.BucketStart(k.now.Add(-k.cfg.Driven).UnixMilli()); b <= last; b += learn.Bucket.Milliseconds() {
		buckets = append(buckets, b)
	}
	return k.store.StoredHistograms(ctx, quadkeys, buckets, func(edge uint64, s *learn.Speed) {
		bins := s.Bins
		change(edge, func(x *limit.Known) { x.Driven = &bins })
	})
}
