package worker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// LimitStore is the database's side of the limits layer. Safe for concurrent use.
type LimitStore interface {
	LiveTileStore
	// Evidence is HazardStore's.
	Evidence(ctx context.Context, kinds []learn.Kind, tiles []uint32, since, until time.Time, each func(learn.Evidence)) error
	// StoredHistograms is SpeedStore's.
	StoredHistograms(ctx context.Context, tiles []uint32, bucketsMS []int64, each func(edge uint64, s *learn.Speed)) error
	// Limits lists up to most learned limits in ranges of edges, above after.
	Limits(ctx context.Context, ranges [][2]uint64, publishedOnly bool, after uint64, most int) ([]limit.Limit, error)
	// StoreLimits stores what was judged at a time, DeleteLimits forgets.
	StoreLimits(ctx context.Context, ls []limit.Limit, at time.Time) error
	DeleteLimits(ctx context.Context, edges []uint64, at time.Time) error
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

// limits is the layer of speed limits. Tiles are published from the first evidence in them on; elsewhere
// the map's limits hold, which the roads layer shows. The published limits are in memory, some 150 bytes
// each.
type limits struct {
	cfg   LimitsConfig
	store LimitStore
	roads learn.Roads
	tiles LimitTiles
	out   publisher

	learned map[uint32]map[road.Edge]limit.Limit // that are published, by z14 tile; no candidates
	shown   map[uint32]bool                      // z14 tiles that were published
	renew   bool                                 // all of them are to be published again
	swept   time.Time
	sweep   []uint32 // still to be judged in this sweep
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
	l.learned, l.shown, l.renew, l.sweep = map[uint32]map[road.Edge]limit.Limit{}, map[uint32]bool{}, true, nil
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
			return listed, nil
		}
	}
}

// sweepTiles is how many tiles of a sweep a pass judges.
const sweepTiles = 200

// Due implements Layer.
func (l *limits) Due(_ context.Context, now time.Time) ([]uint32, error) {
	if l.swept.IsZero() {
		l.swept = now
	}
	if len(l.sweep) == 0 && now.Sub(l.swept) >= l.cfg.Sweep {
		l.swept, l.sweep = now, sortedKeys(l.shown)
	}
	n := min(len(l.sweep), sweepTiles)
	due := l.sweep[:n]
	l.sweep = l.sweep[n:]
	return due, nil
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
	var changed []uint32
	for part := range slices.Chunk(quadkeys, sweepTiles) { // bounds the evidence in memory
		tiles, err := l.judge(ctx, part, now)
		if err != nil {
			return 0, err
		}
		changed = append(changed, tiles...)
	}
	if l.renew {
		changed = sortedKeys(l.shown)
	}
	ids, err := l.tiles.Affected(ctx, changed)
	if err != nil {
		return 0, fmt.Errorf("find tiles affected by %d others: %w", len(changed), err)
	}
	if published, err = l.out.publish(ctx, ids, now.UnixMilli(), renderEdges[limit.Limit](l.tiles, l.at)); err == nil {
		l.renew = false
	}
	return published, err
}

// judge judges the limits of z14 tiles, stores them, and tells which tiles are to be published.
func (l *limits) judge(ctx context.Context, quadkeys []uint32, now time.Time) (changed []uint32, err error) {
	said := map[road.Edge][]learn.Evidence{}
	since := now.AddDate(0, 0, -l.cfg.Days).UTC().Truncate(24 * time.Hour)
	err = l.store.Evidence(ctx, []learn.Kind{learn.LimitEvidence}, quadkeys, since, now.Add(24*time.Hour), func(e learn.Evidence) {
		said[road.Edge(e.Key)] = append(said[road.Edge(e.Key)], e)
	})
	if err != nil {
		return nil, err
	}
	driven, err := l.driven(ctx, quadkeys, said, now)
	if err != nil {
		return nil, err
	}
	var judged []limit.Limit
	for e, evidence := range said {
		prior, err := l.prior(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("judge the limit of segment %d: %w", e, err)
		}
		judged = append(judged, limit.Judge(e, evidence, driven[e], prior, now, l.cfg.Judge))
	}
	slices.SortFunc(judged, func(a, b limit.Limit) int { return cmp.Compare(a.Edge, b.Edge) })
	if err := l.store.StoreLimits(ctx, judged, now); err != nil {
		return nil, err
	}
	dirty := map[uint32]bool{}
	var add []uint32
	for i := range judged {
		q := judged[i].Edge.Quadkey()
		if l.set(&judged[i]) {
			dirty[q] = true
		}
		if !l.shown[q] {
			l.shown[q], dirty[q] = true, true
			add = append(add, q)
		}
	}
	if err := l.forget(ctx, quadkeys, said, dirty, now); err != nil {
		return nil, err
	}
	return sortedKeys(dirty), l.store.SetLiveTiles(ctx, LayerLimits, add, nil)
}

// forget drops what was learned from evidence that there is no more.
func (l *limits) forget(ctx context.Context, quadkeys []uint32, said map[road.Edge][]learn.Evidence, dirty map[uint32]bool, now time.Time) error {
	var gone []uint64
	for _, q := range quadkeys {
		for e := range l.learned[q] {
			if said[e] == nil {
				gone = append(gone, uint64(e))
			}
		}
	}
	for _, e := range gone {
		q := road.Edge(e).Quadkey()
		delete(l.learned[q], road.Edge(e))
		dirty[q] = true
	}
	return l.store.DeleteLimits(ctx, gone, now)
}

// driven reads the speeds that were driven lately on the edges that something was said of.
func (l *limits) driven(ctx context.Context, quadkeys []uint32, said map[road.Edge][]learn.Evidence, now time.Time) (map[road.Edge]*learn.SpeedBins, error) {
	out := map[road.Edge]*learn.SpeedBins{}
	if len(said) == 0 {
		return out, nil
	}
	var buckets []int64
	last := learn.BucketStart(now.UnixMilli())
	for b := learn.BucketStart(now.Add(-l.cfg.Driven).UnixMilli()); b <= last; b += learn.Bucket.Milliseconds() {
		buckets = append(buckets, b)
	}
	err := l.store.StoredHistograms(ctx, quadkeys, buckets, func(edge uint64, s *learn.Speed) {
		if e := road.Edge(edge); said[e] != nil {
			bins := s.Bins
			out[e] = &bins
		}
	})
	return out, err
}

func (l *limits) at(e road.Edge) (limit.Limit, bool) {
	x, ok := l.learned[e.Quadkey()][e]
	return x, ok
}

// prior is what is known of an edge besides what vehicles said.
func (l *limits) prior(ctx context.Context, e road.Edge) (limit.Prior, error) {
	p, err := l.roads.Partition(ctx, e.Quadkey())
	if err != nil {
		return limit.Prior{}, err
	}
	i, ok := p.Find(e)
	if !ok {
		return limit.Prior{}, nil // of another version of the map
	}
	prior := limit.Prior{MapKMH: p.LimitKMH(i), Class: p.Class(i)}
	if up, ok := upstream(p.Graph, i); ok {
		prior.UpstreamKMH = p.LimitKMH(up)
		if x, ok := l.at(p.Edge(up)); ok {
			prior.UpstreamKMH = x.KMH
		}
	}
	return prior, nil
}

// upstream is the edge that leads to an edge: the one of the same road if there is one, else the straightest of the
// same class.
func upstream(g *road.Graph, i road.Index) (best road.Index, ok bool) {
	_, heading := g.PointAt(i, 0)
	least := 60.0 // beyond that it is a turn
	for _, out := range [2][]road.Index{g.Out(g.Source(i)), g.OutWrong(g.Source(i))} {
		for _, j := range out {
			in := j.Reverse()
			if in>>1 == i>>1 || !g.Allowed(in) || g.Class(in) != g.Class(i) {
				continue
			}
			_, h := g.PointAt(in, g.LengthM(in))
			turn := degreesApart(h, heading)
			if g.Name(in) != "" && g.Name(in) == g.Name(i) {
				turn /= 2
			}
			if turn < least {
				best, least, ok = in, turn, true
			}
		}
	}
	return best, ok
}

func degreesApart(a, b float64) float64 {
	d := a - b
	for d > 180 {
		d -= 360
	}
	for d < -180 {
		d += 360
	}
	return max(d, -d)
}
