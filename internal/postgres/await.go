package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// schemaWait is how long AwaitSchema waits: longer than a deployment's migrations should take.
const schemaWait = 10 * time.Minute

// AwaitSchema waits until the schema is at least as new as this program's, which another process sees to; at most 10
// minutes.
func (db *DB) AwaitSchema(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, schemaWait)
	defer cancel()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("open the migrations: %w", err)
	}
	sql := stdlib.OpenDBFromPool(db.pool)
	defer sql.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, sql, files)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	sources := provider.ListSources()
	want := sources[len(sources)-1].Version
	told := false
	var last error
	for {
		have, err := db.schemaVersion(ctx)
		if err == nil && have >= want {
			return nil
		}
		if ctx.Err() == nil { // else that is why
			last = err
		}
		if !told {
			told = true
			db.log.InfoContext(ctx, "waiting for the schema", "have", have, "want", want, "error", err)
		}
		select {
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("waiting for the schema: %w", last)
			}
			return fmt.Errorf("the schema is at version %d, this program needs %d: run carasso migrate (%w)", have, want, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// schemaVersion is 0 before the first migration. It changes nothing.
func (db *DB) schemaVersion(ctx context.Context) (version int64, err error) {
	err = pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass('"+goose.DefaultTablename+"') IS NOT NULL").Scan(&there); err != nil || !there {
			return err
		}
		return tx.QueryRow(ctx, "SELECT coalesce(max(version_id), 0) FROM "+goose.DefaultTablename+" WHERE is_applied").Scan(&version)
	})
	return version, wrap("read the schema's version", err)
}
