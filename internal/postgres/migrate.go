package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema, that of River before our own, to the newest version and makes the partitions of the days
// around now. Any number of processes may call it at once: an advisory lock lets one
// migrate while the others wait. Retention is enforced by EndRetention, not here.
func (db *DB) Migrate(ctx context.Context) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("open the migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("make the migrations' lock: %w", err)
	}
	sql := stdlib.OpenDBFromPool(db.pool)
	defer func() {
		if cerr := sql.Close(); err == nil {
			err = wrap("close the migrations' connection", cerr)
		}
	}()
	provider, err := goose.NewProvider(goose.DialectPostgres, sql, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if err := db.migrateRiver(ctx); err != nil {
		return err
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return wrap("migrate the schema", err)
	}
	for _, m := range applied {
		db.log.InfoContext(ctx, "schema migrated", "version", m.Source.Version, "took", m.Duration)
	}
	_, err = db.CreatePartitions(ctx)
	return err
}

// migrateRiver brings the tables of the job queue to the version that the library expects.
func (db *DB) migrateRiver(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(db.pool), &rivermigrate.Config{Logger: db.log})
	if err != nil {
		return fmt.Errorf("read the job queue's migrations: %w", err)
	}
	return db.alone(ctx, lockRiver, "migrate the job queue's schema", func(ctx context.Context) error {
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
}

// alone runs f while no other process holds the lock; it waits for its turn.
func (db *DB) alone(ctx context.Context, lock Role, op string, f func(context.Context) error) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return wrap(op, err)
	}
	defer conn.Release()
	// Waiting here is no sign of trouble: others may be migrating.
	if _, err := conn.Exec(ctx, "SET lock_timeout = 0"); err != nil {
		return wrap(op, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(ctx, fmt.Sprintf("SELECT pg_advisory_unlock(%d); RESET lock_timeout", lock)); err != nil {
			_ = conn.Conn().Close(ctx) // the lock goes with its session
		}
	}()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
		return wrap(op, err)
	}
	return wrap(op, f(ctx))
}
