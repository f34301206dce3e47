package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/river"
	"github.com/carasso/carasso/internal/service"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/management/datex"
	"github.com/carasso/carasso/mapdata/tile"
)

// databaseFlags find PostgreSQL.
type databaseFlags struct {
	DatabaseURL string `env:"CARASSO_DATABASE_URL" required:"" help:"PostgreSQL, as a libpq connection string."`
}

// managementCmd is the management API with the portal and the tiles, as a service of its own.
type managementCmd struct {
	serverFlags `embed:""`
	Database    databaseFlags `embed:""`
	AWS         awsFlags      `embed:""`
	Identity    identityFlags `embed:""`
	OIDC        oidcFlags     `embed:""`
	Feeds       feedFlags     `embed:""`
}

// Run implements the subcommand.
func (c *managementCmd) Run(ctx context.Context, logs *logFlags) error {
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
	id, err := c.Identity.open(b.live, log)
	if err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: c.Database.DatabaseURL, ApplicationName: "carasso-management"}, log)
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
	auth, err := c.OIDC.people(id)
	if err != nil {
		return err
	}
	j, err := newJobs(jobsFlags{}, "", b, db, maps, log, reg)
	if err != nil {
		return err
	}
	presence, err := river.NewPresence(db.Pool(), log, reg)
	if err != nil {
		return err
	}
	m, err := newManagement(b, db, id, auth, maps, j, c.Feeds.publisher(), log, reg)
	if err != nil {
		return err
	}
	health := service.NewHealth()
	health.Add("database", db.Ping)
	health.Warn("jobs", presence.Check)
	return serve(ctx, c.serverFlags, service.Deps{
		Handler: m, Logger: log, Gatherer: reg, Health: health,
		Drain: []func(context.Context) error{m.Drain},
	}, beside(id.run), beside(maps.run), beside(presence.Run), beside(usage.NewRecorder(b.live, 0, log, b.used, processor, answered(m)).Run))
}

// answered is what management has sent, as a usage.Source.
func answered(m *management.Server) usage.Source {
	return func() usage.Counts { return usage.Counts{usage.EgressBytes: float64(m.Sent())} }
}

// newManagement wires the management API, the portal and the tiles; the same in both modes.
func newManagement(b backends, db *postgres.DB, id identity, auth credential.Authenticator, maps *roads, jobs management.Jobs, publisher datex.Publisher, log *slog.Logger, reg prometheus.Registerer) (*management.Server, error) {
	cfg := management.DefaultConfig()
	cfg.K, cfg.Publisher = kAnonymity, publisher
	return management.New(cfg, management.Deps{
		Store: db, Queue: b.queue, Ring: id.ring, Roads: maps, Objects: b.objects, Live: b.live, Verifier: auth, Jobs: jobs,
		Tiles: tile.NewHandler(tile.HandlerConfig{
			Objects: b.objects, Live: b.live, Manifest: maps.Manifest, Hazards: hazardFeed{db}, Logger: log,
		}),
		Logger: log, Registerer: reg,
	})
}
