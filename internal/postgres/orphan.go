package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// ArchiveNames tells which of some objects of the archive the manifest names.
func (db *DB) ArchiveNames(ctx context.Context, keys []string) (map[string]bool, error) {
	return db.named(ctx, "look objects up in the manifest", `SELECT DISTINCT object_key FROM manifest WHERE object_key = ANY($1)`, keys)
}

// QuarantineNames tells which of some objects the quarantine names.
func (db *DB) QuarantineNames(ctx context.Context, keys []string) (map[string]bool, error) {
	return db.named(ctx, "look objects up in the quarantine", `SELECT DISTINCT object_key FROM quarantine WHERE object_key = ANY($1)`, keys)
}

func (db *DB) named(ctx context.Context, op, sql string, keys []string) (map[string]bool, error) {
	rows, err := db.pool.Query(ctx, sql, keys)
	if err != nil {
		return nil, wrap(op, err)
	}
	named := map[string]bool{}
	var key string
	_, err = pgx.ForEachRow(rows, []any{&key}, func() error { named[key] = true; return nil })
	return named, wrap(op, err)
}

// NoteOrphans notes objects that nothing names, unless they are noted, and tells since when each is.
func (db *DB) NoteOrphans(ctx context.Context, keys []string, bytes []int64, now time.Time) (map[string]time.Time, error) {
	rows, err := db.pool.Query(ctx, `INSERT INTO orphan AS o (object_key, bytes, seen_at) SELECT k, b, $3 FROM unnest($1::text[], $2::bigint[]) AS n (k, b) ORDER BY k
		ON CONFLICT (object_key) DO UPDATE SET bytes = excluded.bytes RETURNING o.object_key, o.seen_at`, keys, bytes, now)
	if err != nil {
		return nil, wrap("note orphans", err)
	}
	since := make(map[string]time.Time, len(keys))
	var key string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&key, &at}, func() error { since[key] = at; return nil })
	return since, wrap("note orphans", err)
}

// ForgetOrphans forgets objects that are named again or gone.
func (db *DB) ForgetOrphans(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := db.pool.Exec(ctx, `DELETE FROM orphan WHERE object_key = ANY($1)`, keys)
	return wrap("forget orphans", err)
}

// ForgetOrphansBefore forgets those noted before a time.
func (db *DB) ForgetOrphansBefore(ctx context.Context, before time.Time) error {
	_, err := db.pool.Exec(ctx, `DELETE FROM orphan WHERE seen_at < $1`, before)
	return wrap("forget orphans", err)
}
