package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// ProjectorConfig tunes a Projector. The zero value of each field stands for its default.
type ProjectorConfig struct {
	// Interval is the pause between the beginnings of two passes. Default 1 s.
	Interval time.Duration
	// Duty is the greatest share of time spent in passes: after a long one the pause is
	// longer. It bounds what publishing costs when everything moves. Default 0.25.
	Duty float64
	// Window is how long a speed is live; in whole buckets, rounded up. Default 15 min.
	Window time.Duration
	// K is how many distinct vehicles must stand behind a published speed. Default 3.
	K int
	// Batch is how many rows of the outbox one pass takes at most. Default 50,000.
	Batch int
	// Parallel is how many tiles are built and published at once. Default 8: publishing waits for
	// the stores.
	Parallel int
}

// Projector keeps the tiles of live speeds up to date: it takes what the flushes marked dirty
// and what aged out of the window, reads the speeds, and publishes the tiles that show
// them. It works at least once and its versions are the database's time at reading,
// so that a repeated, late or second projector can't put an older state over a newer.
// One at a time should run.
type Projector struct {
	cfg   ProjectorConfig
	store ProjectorStore
	tiles SpeedTiles
	to    TilePublisher
	log   *slog.Logger
	m     *projectorMetrics

	live map[uint32]*liveTile // z14 tiles that may show something, by quadkey
}

// liveTile is what is known to be live in a z14 tile.
type liveTile struct {
	speeds   map[road.Edge]tile.Speed // those that may be published
	oldestMS int64                    // start of the oldest bucket behind any of its data
}

type projectorMetrics struct {
	freshness prometheus.Histogram
	pass      prometheus.Histogram
	tiles     *prometheus.CounterVec
	errors    prometheus.Counter
}

// NewProjector makes a Projector; Run starts it.
func NewProjector(cfg ProjectorConfig, store ProjectorStore, tiles SpeedTiles, to TilePublisher, log *slog.Logger, r prometheus.Registerer) *Projector {
	p := &Projector{
		cfg: ProjectorConfig{
			Interval: cmp.Or(cfg.Interval, time.Second),
			Duty:     cmp.Or(cfg.Duty, 0.25),
			Window:   cmp.Or(cfg.Window, 15*time.Minute),
			K:        cmp.Or(cfg.K, learn.DefaultK),
			Batch:    cmp.Or(cfg.Batch, 50_000),
			Parallel: cmp.Or(cfg.Parallel, 8),
		},
		store: store, tiles: tiles, to: to, log: log,
		m: &projectorMetrics{
			freshness: prometheus.NewHistogram(prometheus.HistogramOpts{
				Namespace: "carasso", Subsystem: "projector", Name: "freshness_seconds",
				Help: "From a receiver's acceptance to readable in a tile.", Buckets: prometheus.ExponentialBuckets(0.125, 2, 14),
			}),
			pass: prometheus.NewHistogram(prometheus.HistogramOpts{
				Namespace: "carasso", Subsystem: "projector", Name: "pass_seconds", Help: "Duration of a pass.",
				Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
			}),
			tiles: prometheus.NewCounterVec(prometheus.CounterOpts{
				Namespace: "carasso", Subsystem: "projector", Name: "tiles_total", Help: "Tiles by result: published, outdated.",
			}, []string{"result"}),
			errors: prometheus.NewCounter(prometheus.CounterOpts{
				Namespace: "carasso", Subsystem: "projector", Name: "errors_total", Help: "Failed passes.",
			}),
		},
	}
	r.MustRegister(p.m.freshness, p.m.pass, p.m.tiles, p.m.errors)
	return p
}

// Run makes passes until ctx ends; a failed one is logged and repeated. Each Run starts
// from what the database says is published, so it may follow another process's.
func (p *Projector) Run(ctx context.Context) error {
	p.live = nil
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		start := time.Now()
		if _, err := p.Pass(ctx); err != nil && ctx.Err() == nil {
			p.m.errors.Inc()
			p.log.WarnContext(ctx, "projection failed", "error", err)
		}
		took := time.Since(start)
		p.m.pass.Observe(took.Seconds())
		timer.Reset(max(p.cfg.Interval-took, time.Duration(float64(took)*(1/p.cfg.Duty-1))))
	}
}

// Pass publishes what is dirty or has aged since the last one and tells how many tiles. Not
// for concurrent use with itself or Run.
func (p *Projector) Pass(ctx context.Context) (published int, err error) {
	dirty := map[uint32]bool{}
	if p.live == nil {
		// New in office: renew all that predecessors may have left behind.
		known, err := p.store.LiveTiles(ctx, layerSpeeds)
		if err != nil {
			return 0, err
		}
		p.live = map[uint32]*liveTile{}
		for _, q := range known {
			p.live[q] = &liveTile{}
			dirty[q] = true
		}
	}
	ids, rows, err := p.store.Outbox(ctx, layerSpeeds, p.cfg.Batch)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		dirty[rows[i].Tile] = true
	}
	// The time is read before the speeds: what is read later can only be newer than its version.
	now, err := p.store.Now(ctx)
	if err != nil {
		return 0, err
	}
	since := time.UnixMilli(learn.BucketStart(now.Add(-p.cfg.Window).UnixMilli())).UTC()
	for q, t := range p.live {
		if t.oldestMS != 0 && t.oldestMS < since.UnixMilli() {
			dirty[q] = true
		}
	}
	if len(dirty) == 0 {
		return 0, nil
	}
	quadkeys := slices.Sorted(maps.Keys(dirty))
	defer func() {
		if err != nil {
			// Memory may be ahead of what is published: begin anew.
			p.live = nil
		}
	}()
	if published, err = p.publish(ctx, quadkeys, since, now); err != nil {
		return published, err
	}
	if err = p.record(ctx, rows, published); err != nil {
		return published, err
	}
	return published, p.store.DeleteOutbox(ctx, ids)
}

// publish reads the speeds of z14 tiles and publishes all tiles that show them.
func (p *Projector) publish(ctx context.Context, quadkeys []uint32, since, now time.Time) (published int, err error) {
	add, remove, err := p.read(ctx, quadkeys, since, now)
	if err != nil {
		return 0, err
	}
	// Entered before the first publication and taken off only after an empty one: whatever
	// happens in between, a successor renews it.
	if err := p.store.SetLiveTiles(ctx, layerSpeeds, add, nil); err != nil {
		return 0, err
	}
	affected, err := p.tiles.Affected(ctx, quadkeys)
	if err != nil {
		return 0, fmt.Errorf("find tiles affected by %d others: %w", len(quadkeys), err)
	}
	var won atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.cfg.Parallel)
	for _, id := range affected {
		g.Go(func() error {
			ok, err := p.publishTile(gctx, id, now.UnixMilli())
			if ok {
				won.Add(1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return int(won.Load()), err
	}
	return int(won.Load()), p.store.SetLiveTiles(ctx, layerSpeeds, nil, remove)
}

// publishTile tells whether it made the tile the current one.
func (p *Projector) publishTile(ctx context.Context, id tile.ID, version int64) (bool, error) {
	body, err := p.tiles.Build(ctx, id, p.speed)
	if err != nil {
		return false, fmt.Errorf("build tile %s: %w", id, err)
	}
	ok, err := p.to.Publish(ctx, layerSpeeds, id, version, body)
	if err != nil {
		return false, fmt.Errorf("publish tile %s: %w", id, err)
	}
	result := "outdated"
	if ok {
		result = "published"
	}
	p.m.tiles.WithLabelValues(result).Inc()
	return ok, nil
}

// read renews what is known of z14 tiles and tells which became live, and which no longer are.
func (p *Projector) read(ctx context.Context, quadkeys []uint32, since, now time.Time) (add, remove []uint32, err error) {
	fresh := make(map[uint32]*liveTile, len(quadkeys))
	until := time.UnixMilli(learn.BucketStart(now.Add(learn.Bucket).UnixMilli())).UTC() // clocks of cars may be ahead
	err = p.store.LiveSpeeds(ctx, quadkeys, since, until, func(s learn.LiveSpeed) {
		e := road.Edge(s.Edge)
		t := fresh[e.Quadkey()]
		if t == nil {
			t = &liveTile{oldestMS: s.OldestMS, speeds: map[road.Edge]tile.Speed{}}
			fresh[e.Quadkey()] = t
		}
		t.oldestMS = min(t.oldestMS, s.OldestMS)
		if n := s.Vehicles.AtLeast(); n >= p.cfg.K && s.N > 0 {
			t.speeds[e] = tile.Speed{KMH: float64(s.SumCMPS) / float64(s.N) * learn.CMPSToKMH, Vehicles: n}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	for _, q := range quadkeys {
		_, was := p.live[q]
		t := fresh[q]
		switch {
		case t != nil && !was:
			add = append(add, q)
		case t == nil && was:
			remove = append(remove, q)
		}
		if t == nil {
			delete(p.live, q)
		} else {
			p.live[q] = t
		}
	}
	return add, remove, nil
}

func (p *Projector) speed(e road.Edge) (tile.Speed, bool) {
	t := p.live[e.Quadkey()]
	if t == nil {
		return tile.Speed{}, false
	}
	s, ok := t.speeds[e]
	return s, ok
}

// record notes how fresh the published rows of the outbox are.
func (p *Projector) record(ctx context.Context, rows []learn.DirtyTile, published int) error {
	if len(rows) == 0 {
		return nil
	}
	now := time.Now().UnixMilli()
	ages := make([]float64, len(rows))
	for i := range rows {
		ages[i] = max(0, float64(now-rows[i].AcceptedMS)/1000)
		p.m.freshness.Observe(ages[i])
	}
	slices.Sort(ages)
	at := func(q float64) float64 { return ages[int(q*float64(len(ages)-1)+0.5)] }
	return p.store.RecordProjection(ctx, layerSpeeds, published, at(0.5), at(0.95), ages[len(ages)-1])
}
