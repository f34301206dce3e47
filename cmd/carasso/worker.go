package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/river"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/worker"
)

// workerFlags tune a worker; embedded mode has them too.
type workerFlags struct {
	FlushInterval   time.Duration `default:"500ms" help:"How long a flush gathers envelopes at most."`
	FlushBatches    int           `default:"8000" help:"Batches at which a flush ends its gathering."`
	Pipelines       int           `default:"0" help:"Flushes under way at once; 0: one per processor, at least 2."`
	UrgentInterval  time.Duration `default:"0s" help:"The same when a hazard was reported. 0s: 100 ms embedded; the flush interval on AWS, where each flush's object is billed."`
	ProjectInterval time.Duration `default:"0s" help:"Pause between two passes that publish speeds. 0s: 1 s embedded; 15 s on AWS, where each published tile is billed."`
	HazardInterval  time.Duration `default:"250ms" help:"Pause between two passes that publish hazards."`
	LimitInterval   time.Duration `default:"0s" help:"Pause between two passes that judge speed limits. 0s: 1 min embedded, 1 h on AWS."`
	ErrorInterval   time.Duration `default:"0s" help:"Pause between two passes that look for errors of the map. 0s: 1 min embedded, 1 h on AWS."`
}

// withDefaults fills in what is 0 for the embedded mode.
func (f workerFlags) withDefaults() workerFlags {
	f.UrgentInterval = cmp.Or(f.UrgentInterval, min(100*time.Millisecond, f.FlushInterval))
	f.ProjectInterval = cmp.Or(f.ProjectInterval, time.Second)
	f.LimitInterval = cmp.Or(f.LimitInterval, time.Minute)
	f.ErrorInterval = cmp.Or(f.ErrorInterval, time.Minute)
	return f
}

// withAWSDefaults fills in what is 0 where requests are billed.
func (f workerFlags) withAWSDefaults() workerFlags {
	f.UrgentInterval = cmp.Or(f.UrgentInterval, f.FlushInterval)
	f.ProjectInterval = cmp.Or(f.ProjectInterval, 15*time.Second)
	f.LimitInterval = cmp.Or(f.LimitInterval, time.Hour)
	f.ErrorInterval = cmp.Or(f.ErrorInterval, time.Hour)
	return f
}

// leaderRetry is how often a worker tries to become the one that folds or projects.
const leaderRetry = 2 * time.Second

// workers is a worker, and the tasks that one worker of all does.
type workers struct {
	worker      *worker.Worker
	housekeeper *worker.Housekeeper
	projectors  []*worker.Projector
	posted      *worker.PostedLimits
	db          *postgres.DB
	log         *slog.Logger
}

// newWorker wires a worker; the same in both modes. name is unique among running workers. What is 0 in f
// is as embedded.
func newWorker(f workerFlags, name string, p *base) (*workers, error) {
	f = f.withDefaults()
	db, maps, log := p.db, p.maps, p.log
	posted := worker.NewPostedLimits(db, log)
	w, err := worker.New(worker.Config{
		Name: name, Pipelines: f.Pipelines, FlushInterval: f.FlushInterval, UrgentInterval: f.UrgentInterval,
		FlushBatches: f.FlushBatches, Visibility: queueVisibility,
	}, worker.Deps{
		Queue: p.queue, Dead: p.queue, Objects: p.objects,
		Begin: func(ctx context.Context) (worker.Tx, error) {
			tx, err := db.BeginFlush(ctx)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
		Redrives: db, Quarantine: p.objects,
		BeginRedrive: func(ctx context.Context) (worker.RedriveTx, error) {
			tx, err := db.BeginFlush(ctx)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
		NewMatcher:    newMatcher(maps),
		NewCollectors: newCollectors(maps),
		Posted:        posted,
		MapVersion:    maps.Version,
		Logger:        log,
		Registerer:    p.reg,
	})
	if err != nil {
		return nil, err
	}
	projectors, err := newProjectors(f, p.backends, db, maps, log, p.reg)
	if err != nil {
		return nil, err
	}
	return &workers{
		worker:      w,
		housekeeper: worker.NewHousekeeper(worker.HousekeeperConfig{}, db, log, p.reg),
		projectors:  projectors,
		posted:      posted,
		db:          db,
		log:         log,
	}, nil
}

// newMatcher makes matchers on the map in use.
func newMatcher(maps *roads) func() worker.Matcher {
	return func() worker.Matcher { return match.New(maps) }
}

// newCollectors makes all learners.
func newCollectors(maps *roads) func() []learn.Collector {
	return func() []learn.Collector {
		return []learn.Collector{hazard.New(maps), limit.New(maps), maperror.New(maps)}
	}
}

// outboxGather is how often the outbox of what is projected seldom is summed up.
const outboxGather = 2 * time.Second

// hazardDuty is the share of time that hazards may be projected in: the car behind has seconds to brake.
const hazardDuty = 0.8

// newProjectors wires what publishes, layer by layer.
func newProjectors(f workerFlags, b backends, db *postgres.DB, maps *roads, log *slog.Logger, reg prometheus.Registerer) ([]*worker.Projector, error) {
	m := worker.NewProjectorMetrics(reg)
	to := tile.NewPublisher(b.objects, b.live)
	judge := limit.DefaultConfig()
	judge.K = kAnonymity
	limits, err := worker.NewLimits(worker.LimitsConfig{Judge: judge}, db, maps, limitTiles{maps}, to, m)
	if err != nil {
		return nil, err
	}
	var all []*worker.Projector
	for _, p := range []struct {
		layer  worker.Layer
		every  time.Duration
		gather time.Duration
		duty   float64
	}{
		{worker.NewHazards(worker.HazardsConfig{}, db, maps, hazardTiles{maps}, to, m), f.HazardInterval, 0, hazardDuty},
		{worker.NewSpeeds(worker.SpeedsConfig{K: kAnonymity}, db, speedTiles{maps}, to, m), f.ProjectInterval, 0, 0},
		{limits, f.LimitInterval, outboxGather, 0},
		{worker.NewErrors(worker.ErrorsConfig{}, db, maps), f.ErrorInterval, outboxGather, 0},
	} {
		all = append(all, worker.NewProjector(worker.ProjectorConfig{Interval: p.every, Gather: p.gather, Duty: p.duty, MapVersion: maps.Version}, p.layer, db, log, m))
	}
	return all, nil
}

// run works until ctx ends and the flushes in hand are finished.
func (w *workers) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.worker.Run(ctx) })
	g.Go(func() error { return w.posted.Run(ctx) })
	g.Go(func() error { return w.lead(ctx, postgres.RoleMaintainer, w.housekeeper.Run) })
	g.Go(func() error { return w.lead(ctx, postgres.RoleProjector, w.project) })
	return g.Wait()
}

// project publishes all layers, side by side.
func (w *workers) project(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range w.projectors {
		g.Go(func() error { return p.Run(ctx) })
	}
	return g.Wait()
}

// lead does what only one worker may do, whenever this one is it, until ctx ends.
func (w *workers) lead(ctx context.Context, role postgres.Role, task func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := w.db.Lead(ctx, role, leaderRetry, task); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "leadership lost", "role", role, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(leaderRetry):
			}
		}
	}
	return nil
}

// workerCmd is a worker as a service of its own; it listens for health and metrics only.
type workerCmd struct {
	serverFlags `embed:""`
	workerFlags `embed:""`
	Name        string        `env:"CARASSO_WORKER" help:"Name in manifest, objects and portal; host name and process id if empty."`
	Database    databaseFlags `embed:""`
	AWS         awsFlags      `embed:""`
}

// Run implements the subcommand.
func (c *workerCmd) Run(ctx context.Context, logs *logFlags) error {
	p, err := openWithDatabase(ctx, logs, &c.AWS, c.Database, "worker")
	if err != nil {
		return err
	}
	defer p.close()
	presence, err := river.NewPresence(p.db.Pool(), p.log, p.reg)
	if err != nil {
		return err
	}
	w, err := newWorker(c.withAWSDefaults(), cmp.Or(c.Name, processName("worker")), p)
	if err != nil {
		return err
	}
	health := p.health()
	health.Add("map", p.maps.ready)
	health.Warn("jobs", presence.Check)
	return serve(ctx, c.serverFlags, p.deps(health),
		c.emit(p, "worker"), beside(p.maps.run), beside(w.run), beside(presence.Run), beside(usage.NewRecorder(p.live, 0, p.log, p.used, processor).Run))
}

// processName is unique among the processes of a deployment; service stands in for an unknown host.
func processName(service string) string {
	host, err := os.Hostname()
	if err != nil {
		host = service
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
