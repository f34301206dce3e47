package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/river"
	"github.com/carasso/carasso/internal/service"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/mapdata"
)

// upCmd runs everything in one process, on one port.
//
//	cars ─ POST /v1/batches ─> receiver ─> JetStream ─> worker ─> PostgreSQL, files
//	cars, portal <─ tiles, management API, portal page ──────────────┤
//	                                                    jobs ────────┘
type upCmd struct {
	serverFlags   `embed:""`
	embeddedFlags `embed:""`
	receiverFlags `embed:""`
	workerFlags   `embed:""`
	feedFlags     `embed:""`
	jobsFlags     `embed:""`
	webhookFlags  `embed:""`
	OIDC          oidcFlags `embed:""`
	Map           string    `type:"path" env:"CARASSO_MAP" help:"OpenStreetMap extract to import (PBF, or XML plain, .gz, .bz2); needed at the first start only."`
	Fleet         int       `default:"2000" help:"Simulated cars, which drive as on a morning from 8 o'clock; 0 starts none."`
	FleetRate     float64   `default:"0" help:"Batches a second of all simulated cars together; 0: each samples at 1 Hz."`
	Quiet         bool      `help:"No live status line."`
	// Parts is for measuring one part by itself; the data folder still has one process at a time.
	Parts []string `default:"receiver,worker,management,jobs" enum:"receiver,worker,management,jobs" help:"Parts that run: ${enum}."`
}

// Run implements the subcommand. It returns when ctx has ended and everything has stopped:
// first the fleet, then the receiver (drained), then the worker, then PostgreSQL and queue.
func (c *upCmd) Run(ctx context.Context, logs *logFlags) (err error) {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	started := time.Now()
	e, err := c.open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()

	id, issuer, err := embeddedIdentity(e.dataDir, e.live, log)
	if err != nil {
		return err
	}
	p := &base{backends: e.backends, log: log, reg: service.NewRegistry()}
	defer p.close()
	if err := p.openDatabase(ctx, databaseFlags{DatabaseURL: e.databaseURL()}, "up", cmp.Or(c.Pipelines, runtime.GOMAXPROCS(0))); err != nil {
		return err
	}
	health := p.health()
	health.Add("queue", func(context.Context) error { return e.nats.Healthy() })

	deps := p.deps(health)
	j, err := newJobs(c.jobsFlags, "up", p)
	if err != nil {
		return err
	}
	presence, err := river.NewPresence(p.db.Pool(), log, p.reg)
	if err != nil {
		return err
	}
	health.Warn("jobs", presence.Check)
	used := []usage.Source{e.used, processor}
	background := []func(context.Context, string) error{beside(id.run), beside(p.maps.run), beside(presence.Run)}
	if slices.Contains(c.Parts, "jobs") {
		hooks, err := newWebhooks(c.webhookFlags, p, id.sealer)
		if err != nil {
			return err
		}
		background = append(background, beside(j.Run), beside(hooks))
	}
	if slices.Contains(c.Parts, "worker") {
		w, err := newWorker(c.workerFlags, "up", p)
		if err != nil {
			return err
		}
		background = append(background, beside(w.run))
	}
	if slices.Contains(c.Parts, "management") {
		auth, err := c.OIDC.people(id)
		if err != nil {
			return err
		}
		publisher := c.publisher()
		publisher.Test = c.Fleet > 0
		m, err := newManagement(p, id, auth, j, publisher, c.webhookFlags)
		if err != nil {
			return err
		}
		deps.Handler, deps.Drain = m, append(deps.Drain, m.Drain)
		used = append(used, answered(m))
	}
	if slices.Contains(c.Parts, "receiver") {
		notes, err := newNotebook(p, id)
		if err != nil {
			return err
		}
		background = append(background, beside(notes.Run))
		rc, err := newReceiver(c.receiverFlags.config(), p, id, notes)
		if err != nil {
			return err
		}
		health.Add("receiver", rc.Ready)
		deps.Handler, deps.Drain = chain("/v1/batches", rc.Routes(), deps.Handler), append(deps.Drain, rc.Shutdown)
	}
	background = append(background, beside(usage.NewRecorder(e.live, 0, log, used...).Run))
	running := &upRun{upCmd: c, started: started, issuer: issuer, maps: p.maps, db: p.db, e: e, log: log}
	return serve(ctx, c.serverFlags, deps, append(background, func(bg context.Context, url string) error {
		running.url = url
		return running.demo(ctx, bg)
	})...)
}

// upRun is what the embedded mode does beside serving.
type upRun struct {
	*upCmd
	started time.Time
	url     string // of the service
	issuer  *credential.Issuer
	maps    *roads
	db      *postgres.DB
	e       *embedded
	log     *slog.Logger
}

// demo imports the map if there is none or another was named, says where to look, and lets
// the simulated cars drive until fg ends, which is before bg does.
func (u *upRun) demo(fg, bg context.Context) error {
	ctx, cancel := context.WithCancel(fg)
	defer cancel()
	defer context.AfterFunc(bg, cancel)()
	if err := u.importMap(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := u.welcome(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	if !u.Quiet {
		g.Go(func() error { return u.status(ctx) })
	}
	if u.Fleet > 0 {
		g.Go(func() error { return u.drive(ctx) })
	}
	if err := g.Wait(); err != nil && fg.Err() == nil && bg.Err() == nil {
		return err
	}
	return nil
}

func (u *upRun) importMap(ctx context.Context) error {
	if u.Map == "" && u.maps.Version() != "" {
		return nil
	}
	file, err := findMap(u.Map)
	if err != nil {
		return err
	}
	m, err := mapdata.ImportFile(ctx, file, u.e.objects, mapdata.ImportOptions{Source: filepath.Base(file), Logger: u.log})
	if err != nil {
		return fmt.Errorf("map %s: %w", file, err)
	}
	if m.Version == u.maps.Version() {
		return nil
	}
	return u.maps.refresh(ctx)
}

func (u *upRun) drive(ctx context.Context) error {
	network, err := loadNetwork(ctx, u.e.objects)
	if err != nil {
		return err
	}
	deps, err := fleetDeps(network, u.issuer)
	if err != nil {
		return err
	}
	deps.Logger = u.log
	cfg := fleet.DefaultConfig()
	cfg.Target, cfg.Vehicles, cfg.Rate = u.url, u.Fleet, u.FleetRate
	cfg.Duration, cfg.Verify = 0, false
	cfg.Seed = uint64(time.Now().UnixNano()) // each start is another day in traffic
	_, err = fleet.Run(ctx, cfg, deps)
	return err
}

// welcome says where to look. The token in the portal's address is in the fragment, which
// browsers do not send.
func (u *upRun) welcome() error {
	token, err := u.issuer.Role("portal", credential.Operator, tokenLife)
	if err != nil {
		return err
	}
	m, _ := u.maps.Manifest()
	_, err = fmt.Fprintf(os.Stdout, `
  Carasso is up (%.1f s). %d road segments, %.0f km. %s

  Portal     %s/#token=%s
  Cars       POST %s/v1/batches   (credential: carasso token --vehicle ID --data %s)
  Metrics    %s/metrics
  Data       %s

  %d simulated cars are driving. Ctrl-C stops everything; the data stays.

`, time.Since(u.started).Seconds(), m.Segments, m.LengthKM, m.Attribution,
		u.url, token, u.url, u.Data, u.url, u.e.dataDir, u.Fleet)
	return err
}
