package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Layer is what a Projector keeps up to date: speeds, hazards, limits or map errors. Its methods are
// called by one goroutine.
type Layer interface {
	// Name is the layer's in the outbox and in the records of freshness.
	Name() string
	// Begin forgets what is remembered, since it may be ahead of what is published, or behind, and
	// lists the z14 tiles (quadkeys) to renew whatever the outbox says.
	Begin(ctx context.Context) ([]uint32, error)
	// Due lists the z14 tiles that time alone has made dirty.
	Due(ctx context.Context, now time.Time) ([]uint32, error)
	// Project renews z14 tiles, ascending, as of now, by the database's clock: what is read later can only be newer
	// than that version. After Begin it is called even with none. It tells how many tiles it published. A
	// partialError is of tiles that the layer repeats by itself; after any other, and a panic, it has to Begin again.
	Project(ctx context.Context, quadkeys []uint32, now time.Time) (published int, err error)
}

// ProjectorConfig tunes a Projector. The zero value of each field stands for its default.
type ProjectorConfig struct {
	// Interval is the pause between the beginnings of two passes. Default 1 s.
	Interval time.Duration
	// Gather, for layers that pass seldom, is how often their rows of the outbox are summed up by
	// tile, so that they don't pile up. Default 0: the outbox is read by the passes themselves.
	Gather time.Duration
	// MapVersion names the road graph in use; when it changes, all is renewed. Default: it never does.
	MapVersion func() string
	// Duty is the greatest share of time spent in passes: after a long one the pause is
	// longer. It bounds what publishing costs when everything moves. Default 0.25.
	Duty float64
	// Batch is how many rows of the outbox one pass takes at most, or, with Gather, tiles. Default 50,000, or 200.
	// When there is more the next pass doesn't wait for Interval.
	Batch int
}

// Projector keeps a layer up to date: it takes what the flushes marked dirty and what time
// alone has changed, lets the layer publish it, and records how fresh that was. It works at least
// once and its versions are the database's time at reading, so that a repeated, late or
// second projector can't put an older state over a newer. One at a time should run for a layer.
type Projector struct {
	cfg   ProjectorConfig
	layer Layer
	store ProjectorStore
	log   *slog.Logger
	m     *ProjectorMetrics
	begun bool   // the layer remembers what is published
	drawn string // the version of the map that that is drawn on
	more  bool   // the last pass left something dirty
}

// NewProjector makes a Projector; Run starts it.
func NewProjector(cfg ProjectorConfig, layer Layer, store ProjectorStore, log *slog.Logger, m *ProjectorMetrics) *Projector {
	batch := 50_000
	if cfg.Gather > 0 {
		batch = 200 // judging takes its time, and gathering must not wait for too long
	}
	m.errors.WithLabelValues(layer.Name()) // 0 from the start, so that the first failure is a growth
	return &Projector{
		cfg: ProjectorConfig{
			Interval: cmp.Or(cfg.Interval, time.Second),
			Gather:   cfg.Gather, MapVersion: cfg.MapVersion,
			Duty:  cmp.Or(cfg.Duty, 0.25),
			Batch: cmp.Or(cfg.Batch, batch),
		},
		layer: layer, store: store, log: log, m: m,
	}
}

// Run makes passes until ctx ends; a failed one is logged and repeated. Each Run starts
// from what the database says is published, so it may follow another process's.
func (p *Projector) Run(ctx context.Context) error {
	p.begun = false
	timer := time.NewTimer(0)
	defer timer.Stop()
	var gather <-chan time.Time
	if p.cfg.Gather > 0 {
		tick := time.NewTicker(p.cfg.Gather)
		defer tick.Stop()
		gather = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-gather:
			p.failed(ctx, guarded(func() error { return p.gather(ctx) }))
			continue
		case <-timer.C:
		}
		start := time.Now()
		_, err := p.Pass(ctx)
		p.failed(ctx, err)
		interval := p.cfg.Interval
		if err != nil || p.more {
			interval = min(interval, retryInterval)
		}
		took := time.Since(start)
		p.m.pass.WithLabelValues(p.layer.Name()).Observe(took.Seconds())
		timer.Reset(max(interval-took, time.Duration(float64(took)*(1/p.cfg.Duty-1))))
	}
}

// retryInterval is the longest pause after a failed pass, or one that left something dirty.
const retryInterval = 5 * time.Second

func (p *Projector) failed(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	p.m.errors.WithLabelValues(p.layer.Name()).Inc()
	var bug *panicError
	if errors.As(err, &bug) {
		p.log.ErrorContext(ctx, "projection panicked", "layer", p.layer.Name(), "error", err, "stack", string(bug.stack))
		return
	}
	p.log.WarnContext(ctx, "projection failed", "layer", p.layer.Name(), "error", err)
}

// Pass publishes what is dirty or has aged since the last one and tells how many tiles. Not
// for concurrent use with itself or Run. If only some tiles failed, that is the error, all others
// are done, and those are repeated by the next passes; a panic is an error, too.
func (p *Projector) Pass(ctx context.Context) (published int, err error) {
	var partial *partialError
	err = guarded(func() (err error) {
		published, partial, err = p.pass(ctx)
		return err
	})
	if err != nil {
		// Memory may be ahead of what is published: begin anew.
		p.begun = false
		p.m.panicked(p.layer.Name(), err)
		return published, err
	}
	if partial != nil {
		if _, counts := p.layer.(debtor); !counts { // layers that publish count the panics of tiles themselves
			p.m.panicked(p.layer.Name(), partial)
		}
		return published, partial
	}
	return published, nil
}

// pass is Pass; partial tells of the tiles that failed.
func (p *Projector) pass(ctx context.Context) (published int, partial *partialError, err error) {
	p.more = false
	dirty := map[uint32]bool{}
	if p.cfg.MapVersion != nil {
		if v := p.cfg.MapVersion(); v != p.drawn {
			p.begun, p.drawn = false, v
			if l, ok := p.layer.(redrawn); ok {
				l.redraw()
			}
		}
	}
	if !p.begun {
		// New in office: renew all that predecessors may have left behind.
		known, err := p.layer.Begin(ctx)
		if err != nil {
			return 0, nil, err
		}
		for _, q := range known {
			dirty[q] = true
		}
	}
	rows, done, err := p.take(ctx)
	if err != nil {
		return 0, nil, err
	}
	for i := range rows {
		dirty[rows[i].Tile] = true
	}
	// The time is read before the data: what is read later can only be newer than its version.
	now, err := p.store.Now(ctx)
	if err != nil {
		return 0, nil, err
	}
	due, err := p.layer.Due(ctx, now)
	if err != nil {
		return 0, nil, err
	}
	for _, q := range due {
		dirty[q] = true
	}
	debtor, publishes := p.layer.(debtor)
	if l, ok := p.layer.(listener); ok {
		l.hear(rows)
	}
	if len(dirty) > 0 || !p.begun || publishes && debtor.waits(now) {
		published, err = p.layer.Project(ctx, slices.Sorted(maps.Keys(dirty)), now)
		if err != nil && !errors.As(err, &partial) {
			return published, nil, err
		}
	}
	p.begun = true
	if len(rows) == 0 {
		return published, partial, nil
	}
	p.more = len(rows) == p.cfg.Batch
	var owed debts
	if publishes {
		owed = debtor.debts()
	}
	fresh := slices.DeleteFunc(slices.Clone(rows), func(t learn.DirtyTile) bool { return owed.around(t.Tile) })
	if len(fresh) > 0 {
		if err = p.record(ctx, fresh, published); err != nil {
			return published, nil, err
		}
	}
	return published, partial, done(ctx)
}

// listener is a Layer that wants to know how old the news are that made tiles dirty, before Project.
type listener interface{ hear(news []learn.DirtyTile) }

// take reads what is dirty; done deletes it.
func (p *Projector) take(ctx context.Context) (rows []learn.DirtyTile, done func(context.Context) error, err error) {
	layer := p.layer.Name()
	if p.cfg.Gather > 0 {
		if err := p.gather(ctx); err != nil {
			return nil, nil, err
		}
		rows, marks, err := p.store.DirtyTiles(ctx, layer, p.cfg.Batch)
		return rows, func(ctx context.Context) error { return p.store.DeleteDirtyTiles(ctx, layer, rows, marks) }, err
	}
	ids, rows, err := p.store.Outbox(ctx, layer, p.cfg.Batch)
	return rows, func(ctx context.Context) error { return p.store.DeleteOutbox(ctx, ids) }, err
}

// gather sums the outbox up by tile until little is left.
func (p *Projector) gather(ctx context.Context) error {
	const rows = 20_000 // one transaction's
	for {
		n, err := p.store.GatherOutbox(ctx, p.layer.Name(), rows)
		if err != nil || n < rows {
			return err
		}
	}
}

// How long after its event a batch may be accepted and not be late: hazards are sent at once, all else when
// a batch is full. What comes later was the vehicle's or the network's to send sooner.
const (
	lateHazardMS = 1_000
	lateMS       = 15_000
)

// record notes how fresh the published rows are, late ones apart: they say nothing of the pipeline.
func (p *Projector) record(ctx context.Context, rows []learn.DirtyTile, published int) error {
	now := time.Now().UnixMilli()
	bound := int64(lateMS)
	if p.layer.Name() == LayerHazards {
		bound = lateHazardMS
	}
	var prompt, late []learn.DirtyTile
	for _, r := range rows {
		if r.AcceptedMS-r.EventMS > bound {
			late = append(late, r)
		} else {
			prompt = append(prompt, r)
		}
	}
	tilesLate := published * len(late) / len(rows)
	if err := p.recordGroup(ctx, prompt, false, published-tilesLate, now); err != nil {
		return err
	}
	return p.recordGroup(ctx, late, true, tilesLate, now)
}

func (p *Projector) recordGroup(ctx context.Context, rows []learn.DirtyTile, late bool, published int, now int64) error {
	if len(rows) == 0 {
		return nil
	}
	name := p.layer.Name()
	accepted, events := make([]float64, len(rows)), make([]float64, len(rows))
	for i := range rows {
		accepted[i] = max(0, float64(now-rows[i].AcceptedMS)/1000)
		events[i] = max(0, float64(now-rows[i].EventMS)/1000)
		p.m.freshness.WithLabelValues(name).Observe(accepted[i])
		if late {
			p.m.late.WithLabelValues(name).Inc()
			continue
		}
		p.m.eventFreshness.WithLabelValues(name).Observe(events[i])
	}
	slices.Sort(accepted)
	slices.Sort(events)
	at := func(ages []float64, q float64) float64 { return ages[int(q*float64(len(ages)-1)+0.5)] }
	return p.store.RecordProjection(ctx, ledger.Projection{
		Layer: name, Late: late, Tiles: int64(published),
		P50S: at(accepted, 0.5), P95S: at(accepted, 0.95), MaxS: accepted[len(accepted)-1],
		EventP50S: at(events, 0.5), EventP95S: at(events, 0.95),
	})
}
