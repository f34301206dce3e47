package main

import (
	"context"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/river"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/management/datex"
	"github.com/carasso/carasso/mapdata/tile"
)

// managementCmd is the management API with the portal and the tiles, as a service of its own.
type managementCmd struct {
	serverFlags `embed:""`
	Database    databaseFlags `embed:""`
	AWS         awsFlags      `embed:""`
	Identity    identityFlags `embed:""`
	OIDC        oidcFlags     `embed:""`
	Feeds       feedFlags     `embed:""`
	Webhooks    webhookFlags  `embed:""`
}

// Run implements the subcommand.
func (c *managementCmd) Run(ctx context.Context, logs *logFlags) error {
	p, err := openWithDatabase(ctx, logs, &c.AWS, c.Database, "management")
	if err != nil {
		return err
	}
	defer p.close()
	id, err := c.Identity.open(p.live, p.log)
	if err != nil {
		return err
	}
	auth, err := c.OIDC.people(id)
	if err != nil {
		return err
	}
	j, err := newJobs(jobsFlags{}, "", p)
	if err != nil {
		return err
	}
	presence, err := river.NewPresence(p.db.Pool(), p.log, p.reg)
	if err != nil {
		return err
	}
	m, err := newManagement(p, id, auth, j, c.Feeds.publisher(), c.Webhooks)
	if err != nil {
		return err
	}
	health := p.health()
	health.Warn("jobs", presence.Check)
	deps := p.deps(health)
	deps.Handler, deps.Drain = m, []func(context.Context) error{m.Drain}
	return serve(ctx, c.serverFlags, deps,
		c.emit(p, "management"), beside(id.run), beside(p.maps.run), beside(presence.Run), beside(usage.NewRecorder(p.live, 0, p.log, p.used, processor, answered(m)).Run))
}

// answered is what management has sent, as a usage.Source.
func answered(m *management.Server) usage.Source {
	return func() usage.Counts { return usage.Counts{usage.EgressBytes: float64(m.Sent())} }
}

// newManagement wires the management API, the portal and the tiles; the same in both modes.
func newManagement(p *base, id identity, auth credential.Authenticator, jobs management.Jobs, publisher datex.Publisher, hooks webhookFlags) (*management.Server, error) {
	cfg := management.DefaultConfig()
	cfg.K, cfg.Publisher = kAnonymity, publisher
	cfg.Webhooks, cfg.WebhookSource = hooks.guard(), hooks.WebhookSource
	return management.New(cfg, management.Deps{
		Store: p.db, Queue: p.queue, Ring: id.ring, Roads: p.maps, Objects: p.objects, Live: p.live, Verifier: auth, Jobs: jobs, Secrets: id.sealer,
		Tiles: tile.NewHandler(tile.HandlerConfig{
			Objects: p.objects, Live: p.live, Manifest: p.maps.Manifest, Hazards: hazardFeed{p.db}, Logger: p.log,
		}),
		Logger: p.log, Registerer: p.reg,
	})
}
