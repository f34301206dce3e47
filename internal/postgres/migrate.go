package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema to the newest version and makes the partitions of the days
// around now. Any number of processes may call it at once: an advisory lock lets one
// migrate while the others wait. Retention is enforced by Maintain, not here.
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
	applied, err := provider.Up(ctx)
	if err != nil {
		return wrap("migrate the schema", err)
	}
	for _, m := range applied {
		db.log.InfoContext(ctx, "schema migrated", "version", m.Source.Version, "took", m.Duration)
	}
	return db.createPartitions(ctx)
}
