package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/service"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/worker"
)

// workerFlags tune a worker; embedded mode has them too.
type workerFlags struct {
	FlushInterval   time.Duration `default:"500ms" help:"How long a flush gathers envelopes at most."`
	FlushBatches    int           `default:"8000" help:"Batches at which a flush ends its gathering."`
	Pipelines       int           `default:"0" help:"Flushes under way at once; 0: one per processor, at least 2."`
	ProjectInterval time.Duration `default:"0s" help:"Pause between two passes that publish tiles. 0s: 1 s embedded; 15 s on AWS, where each published tile is billed."`
}

// leaderRetry is how often a worker tries to become the one that folds or projects.
const leaderRetry = 2 * time.Second

// workers is a worker, and the two tasks that one worker of all does.
type workers struct {
	worker      *worker.Worker
	housekeeper *worker.Housekeeper
	projector   *worker.Projector
	db          *postgres.DB
	log         *slog.Logger
}

// newWorker wires a worker; the same in both modes. name is unique among running workers.
func newWorker(f workerFlags, name string, b backends, db *postgres.DB, maps *roads, log *slog.Logger, reg prometheus.Registerer) (*workers, error) {
	w, err := worker.New(worker.Config{
		Name: name, Pipelines: f.Pipelines, FlushInterval: f.FlushInterval, FlushBatches: f.FlushBatches,
		Visibility: queueVisibility,
	}, worker.Deps{
		Queue: b.queue, Dead: b.queue, Objects: b.objects,
		Begin: func(ctx context.Context) (worker.Tx, error) {
			tx, err := db.BeginFlush(ctx)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
		NewMatcher: func() worker.Matcher { return match.New(maps) },
		MapVersion: maps.Version,
		Logger:     log,
		Registerer: reg,
	})
	if err != nil {
		return nil, err
	}
	pm := worker.NewProjectorMetrics(reg)
	to := tile.NewPublisher(b.objects, b.live)
	projector := worker.NewProjector(worker.ProjectorConfig{Interval: f.ProjectInterval},
		worker.NewSpeeds(worker.SpeedsConfig{K: kAnonymity}, db, speedTiles{maps}, to, pm), db, log, pm)
	return &workers{
		worker:      w,
		housekeeper: worker.NewHousekeeper(worker.HousekeeperConfig{}, db, log, reg),
		projector:   projector,
		db:          db,
		log:         log,
	}, nil
}

// run works until ctx ends and the flushes in hand are finished.
func (w *workers) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.worker.Run(ctx) })
	g.Go(func() error { return w.lead(ctx, postgres.RoleMaintainer, w.housekeeper.Run) })
	g.Go(func() error { return w.lead(ctx, postgres.RoleProjector, w.projector.Run) })
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
	log, err := logs.logger()
	if err != nil {
		return err
	}
	reg := service.NewRegistry()
	b, closeBackends, err := c.AWS.open(ctx, log, reg)
	if err != nil {
		return err
	}
	defer closeBackends()
	db, err := postgres.Open(ctx, postgres.Config{URL: c.Database.DatabaseURL, ApplicationName: "carasso-worker"}, log)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	maps := newRoads(b.objects, log)
	if err := maps.refresh(ctx); err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if c.ProjectInterval == 0 {
		c.ProjectInterval = 15 * time.Second
	}
	w, err := newWorker(c.workerFlags, name, b, db, maps, log, reg)
	if err != nil {
		return err
	}
	health := service.NewHealth()
	health.Add("database", db.Ping)
	health.Add("map", maps.ready)
	return serve(ctx, c.serverFlags, service.Deps{Logger: log, Gatherer: reg, Health: health, Handler: noRoutes()},
		beside(maps.run), beside(w.run))
}
