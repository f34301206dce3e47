package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/internal/jetstream"
	"github.com/carasso/carasso/internal/pgserver"
)

// embeddedFlags say where the one-machine mode keeps its data and how durable that is.
type embeddedFlags struct {
	Data         string        `default:"carasso-data" env:"CARASSO_DATA" help:"Folder that keeps everything: keys, database, queue, archive, tiles."`
	PostgresBin  string        `env:"CARASSO_POSTGRES_BIN" help:"Folder with PostgreSQL's binaries; found by itself if empty."`
	SyncInterval time.Duration `default:"1s" help:"How often the queue is forced to disk. 0s forces every write before it is acknowledged. A power cut may lose this much; kill -9 never loses anything."`
}

// embedded is a running set of backends in a data folder, PostgreSQL included.
type embedded struct {
	backends
	dataDir string
	nats    *jetstream.Server
	pg      *pgserver.Server
}

// databaseName is the embedded PostgreSQL's one database.
const databaseName = "carasso"

// queueVisibility is how long an envelope stays with a worker that says nothing; after a
// kill -9 its successor waits that long for what the dead one held.
const queueVisibility = 30 * time.Second

// open starts PostgreSQL and the queue side by side. On error everything is stopped again.
func (f embeddedFlags) open(ctx context.Context, log *slog.Logger) (_ *embedded, err error) {
	data, err := filepath.Abs(f.Data)
	if err != nil {
		return nil, err
	}
	// Others may pass through, since PostgreSQL runs as another user when this is root, but not look.
	if err := os.MkdirAll(data, 0o711); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("data folder: %w", err)
	}
	e := &embedded{dataDir: data}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close(context.WithoutCancel(ctx)))
		}
	}()
	var g errgroup.Group
	g.Go(func() error {
		pg, err := pgserver.Start(ctx, pgserver.Config{
			DataDir: filepath.Join(data, "postgres"),
			BinDir:  f.PostgresBin,
			Logger:  log,
		})
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		e.pg = pg
		return pg.CreateDatabase(ctx, databaseName)
	})
	g.Go(func() error {
		nats, err := jetstream.Open(ctx, jetstream.Config{
			Dir:          filepath.Join(data, "queue"),
			SyncInterval: f.SyncInterval,
			Logger:       log,
		})
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		e.nats = nats
		if e.queue, err = nats.Queue(ctx, jetstream.QueueConfig{Name: "batches", Visibility: queueVisibility}); err != nil {
			return err
		}
		e.live, err = nats.LiveStore(ctx, jetstream.LiveConfig{Name: "live"})
		return err
	})
	g.Go(func() error {
		store, err := disk.Open(disk.Config{Dir: filepath.Join(data, "objects")})
		e.objects = store
		return err
	})
	if err := g.Wait(); err != nil {
		return e, err
	}
	e.backends = new(meter).metered(e.backends)
	return e, nil
}

func (e *embedded) databaseURL() string { return e.pg.URL(databaseName) }

// close stops the queue, then PostgreSQL. It may be called on a half-open set.
func (e *embedded) close(ctx context.Context) error {
	var errs []error
	if e.nats != nil {
		errs = append(errs, e.nats.Close())
	}
	if e.pg != nil {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		errs = append(errs, e.pg.Stop(ctx))
	}
	return errors.Join(errs...)
}
