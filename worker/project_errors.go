package worker

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

// ErrorStore is the database's side of the map errors. Safe for concurrent use.
type ErrorStore interface {
	// Evidence is HazardStore's.
	Evidence(ctx context.Context, kinds []learn.Kind, tiles []uint32, since, until time.Time, each func(learn.Evidence)) error
	// DayPasses tells who drove on the directed segments of z14 tiles on each UTC day from since's to until's, as
	// far as it is folded; DrivenTiles lists the tiles driven in since.
	DayPasses(ctx context.Context, tiles []uint32, since, until time.Time, each func(edge uint64, dayMS, n int64, v learn.Vehicles)) error
	DrivenTiles(ctx context.Context, since time.Time) ([]uint32, error)
	// KnownMapErrors are the candidates of z14 tiles, in whatever state.
	KnownMapErrors(ctx context.Context, tiles []uint32) ([]maperror.Candidate, error)
	// StoreMapErrors stores the candidates of a z14 tile as they were judged at a time.
	StoreMapErrors(ctx context.Context, tile uint32, cs []maperror.Candidate, at time.Time) error
	// MarkDirty is LimitStore's.
	MarkDirty(ctx context.Context, layer string, tiles []uint32, at time.Time, postponed bool) error
}

// ErrorsConfig tunes the search for map errors. The zero value of each field stands for its default.
type ErrorsConfig struct {
	// Judge says what makes a candidate.
	Judge maperror.Config
	// Days is how many days of evidence are judged. Default 30.
	Days int
	// Sweep is how often tiles are judged without new evidence: where nobody drives any more there is
	// none. Default 24 h.
	Sweep time.Duration
}

// mapErrors is the layer of map errors: a list for review, no tiles.
type mapErrors struct {
	cfg   ErrorsConfig
	store ErrorStore
	roads learn.Roads

	sweep sweep
}

// foldedMS is how long folding may take to bring a pass into a day.
const foldedMS = int64(10 * time.Minute / time.Millisecond)

var errorKinds = [...]learn.Kind{learn.OffRoadEvidence, learn.EdgeFaultEvidence, learn.TurnEvidence, learn.TrailEvidence}

// NewErrors is the layer of map errors.
func NewErrors(cfg ErrorsConfig, store ErrorStore, roads learn.Roads) Layer {
	cfg.Days, cfg.Sweep = cmp.Or(cfg.Days, 30), cmp.Or(cfg.Sweep, 24*time.Hour)
	return &mapErrors{cfg: cfg, store: store, roads: roads}
}

// Name implements Layer.
func (*mapErrors) Name() string { return LayerErrors }

// Begin implements Layer: nothing is remembered that a failure could spoil.
func (m *mapErrors) Begin(context.Context) ([]uint32, error) { return nil, nil }

// redraw implements redrawn: on another map there are other errors.
func (m *mapErrors) redraw() { m.sweep = sweep{} }

// Due implements Layer.
func (m *mapErrors) Due(ctx context.Context, now time.Time) (due []uint32, err error) {
	return m.sweep.next(now, m.cfg.Sweep, func() ([]uint32, error) {
		return m.store.DrivenTiles(ctx, now.AddDate(0, 0, -m.cfg.Days))
	})
}

// Project implements Layer; published counts the tiles judged.
func (m *mapErrors) Project(ctx context.Context, quadkeys []uint32, now time.Time) (published int, err error) {
	// Evidence tells on candidates next door, too.
	region := map[uint32]bool{}
	for _, q := range quadkeys {
		for _, n := range maperror.Neighbours(q) {
			region[n] = true
		}
	}
	var failed partialError
	var missed []uint32
	for _, q := range sortedKeys(region) {
		err := failed.first
		if !hopeless(len(missed), published) {
			err = guarded(func() error { return m.judge(ctx, q, now) })
		}
		switch {
		case err == nil:
			published++
		case ctx.Err() != nil || !tileAtFault(err):
			return published, fmt.Errorf("judge the map of tile %d: %w", q, err)
		default:
			missed = append(missed, q)
			failed = partialError{len(missed), cmp.Or(failed.first, fmt.Errorf("judge the map of tile %d: %w", q, err))}
		}
	}
	if err := m.store.MarkDirty(ctx, LayerErrors, missed, now, true); err != nil {
		return published, err
	}
	m.sweep.done()
	if failed.failed > 0 {
		return published, &failed
	}
	return published, nil
}

func (m *mapErrors) judge(ctx context.Context, quadkey uint32, now time.Time) error {
	around := maperror.Neighbours(quadkey)
	since := now.AddDate(0, 0, -m.cfg.Days).UTC().Truncate(24 * time.Hour)
	in := maperror.Input{Tile: quadkey, ThroughMS: now.UnixMilli() - foldedMS, Passes: map[road.Edge][]maperror.DayPasses{}}
	err := m.store.Evidence(ctx, errorKinds[:], around, since, now.Add(24*time.Hour), func(e learn.Evidence) { in.Evidence = append(in.Evidence, e) })
	if err != nil {
		return err
	}
	err = m.store.DayPasses(ctx, around, since, now, func(edge uint64, dayMS, n int64, v learn.Vehicles) {
		e := road.Edge(edge)
		in.Passes[e] = append(in.Passes[e], maperror.DayPasses{DayMS: dayMS, N: n, Vehicles: v})
	})
	if err != nil {
		return err
	}
	if in.Known, err = m.store.KnownMapErrors(ctx, around); err != nil {
		return err
	}
	if len(in.Evidence) == 0 && len(in.Passes) == 0 && len(in.Known) == 0 {
		return nil
	}
	if in.Map, err = maperror.Area(ctx, m.roads, quadkey); err != nil {
		return err
	}
	return m.store.StoreMapErrors(ctx, quadkey, maperror.Judge(in, m.cfg.Judge), now)
}
