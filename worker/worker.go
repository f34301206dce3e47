// Package worker turns envelopes from the queue into knowledge: it decodes and matches them,
// archives each batch exactly once, adds up what it says about roads and sensors, and keeps the
// ledger that proves it.
//
//	queue ─► pipeline × n: receive ─► decode ─► match ─┐ gathered until a target or a time
//	                                                   ▼
//	   one transaction:  enter envelopes ─► claim batches ─► archive object ─► deltas ─► commit
//	                                                                                      │
//	   delete from the queue ◄────────────────────────────────────────────────────────────┘
//
// A Worker can run any number of times, in any number of processes. Housekeeper and Projector
// do what only one may: folding deltas, and publishing tiles.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/mapdata/learn"
)

// Deps is what a Worker works with. All but Dead, Redrives and NewCollectors are required.
type Deps struct {
	Queue   Queue
	Dead    DeadLetters // nil: nobody looks after dead letters here
	Objects Objects
	// Begin begins a flush's transaction.
	Begin func(ctx context.Context) (Tx, error)
	// Redrives, Quarantine and BeginRedrive let the worker try again what is in quarantine; without the first
	// nobody does here.
	Redrives     Redrives
	Quarantine   StoredObjects
	BeginRedrive func(ctx context.Context) (RedriveTx, error)
	// NewMatcher makes a matcher; each pipeline has its own.
	NewMatcher func() Matcher
	// NewCollectors makes the learners; each pipeline has its own. nil: nothing is learned but speeds.
	NewCollectors func() []learn.Collector
	// Posted is what sensor health holds signs against; nil: they are not compared. Its Run is the caller's.
	Posted *PostedLimits
	// MapVersion names the road graph in use.
	MapVersion func() string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Worker processes envelopes.
type Worker struct {
	cfg       Config
	pipelines []*pipeline
	dead      *undertaker
	redrives  *redriver
}

// New makes a Worker; Run starts it.
func New(cfg Config, d Deps) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if d.Queue == nil || d.Objects == nil || d.Begin == nil || d.NewMatcher == nil || d.MapVersion == nil ||
		d.Logger == nil || d.Registerer == nil {
		return nil, errors.New("worker: a dependency is missing")
	}
	w := &Worker{cfg: cfg.withDefaults()}
	m := newMetrics(d.Registerer)
	for range w.cfg.Pipelines {
		f, err := w.flusher(d, m)
		if err != nil {
			return nil, err
		}
		w.pipelines = append(w.pipelines, &pipeline{
			cfg: &w.cfg, queue: d.Queue, m: m, log: d.Logger, prepare: w.preparer(d, m), flush: f,
			hold: &hold{queue: d.Queue, visibility: w.cfg.Visibility, m: m, log: d.Logger},
		})
	}
	if d.Dead != nil {
		f, err := w.flusher(d, m)
		if err != nil {
			return nil, err
		}
		w.dead = &undertaker{cfg: &w.cfg, queue: d.Dead, prepare: w.preparer(d, m), flush: f, m: m, log: d.Logger}
	}
	if d.Redrives != nil {
		if d.Quarantine == nil || d.BeginRedrive == nil {
			return nil, errors.New("worker: Redrives needs Quarantine and BeginRedrive")
		}
		f, err := w.flusher(d, m)
		if err != nil {
			return nil, err
		}
		w.redrives = &redriver{
			cfg: &w.cfg, store: d.Redrives, objects: d.Quarantine, begin: d.BeginRedrive, prepare: w.preparer(d, m), flush: f, m: m, log: d.Logger,
		}
	}
	return w, nil
}

func (w *Worker) preparer(d Deps, m *metrics) *preparer {
	return &preparer{cfg: &w.cfg, match: d.NewMatcher(), m: m, now: time.Now}
}

func (w *Worker) flusher(d Deps, m *metrics) (*flusher, error) {
	a, err := newArchiver(byPlace)
	if err != nil {
		return nil, err
	}
	newSums := func() *aggregate {
		if d.NewCollectors == nil {
			return newAggregate(nil, d.Posted)
		}
		return newAggregate(d.NewCollectors(), d.Posted)
	}
	return &flusher{
		cfg: &w.cfg, begin: d.Begin, objects: d.Objects, mapVersion: d.MapVersion, m: m, now: time.Now,
		newSums: newSums, sums: newSums(), archive: a,
	}, nil
}

// Run processes envelopes until ctx ends. Then it takes no more, brings the flushes in hand to
// their end within SoftStop, gives back what it could not finish, and returns nil.
// Call it once.
func (w *Worker) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopping := context.AfterFunc(ctx, func() {
		t := time.NewTimer(w.cfg.SoftStop)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-hard.Done():
		}
	})
	defer stopping()

	beat, stopBeat := context.WithCancel(context.WithoutCancel(ctx))
	var beats, work sync.WaitGroup
	for _, p := range w.pipelines {
		beats.Go(func() { p.hold.run(beat) })
		work.Go(func() { p.run(ctx, hard) })
	}
	if w.dead != nil {
		work.Go(func() { w.dead.run(ctx, hard) })
	}
	if w.redrives != nil {
		work.Go(func() { w.redrives.run(ctx, hard) })
	}
	work.Wait()
	stopBeat()
	beats.Wait()
	return nil
}
