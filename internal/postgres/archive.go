package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry/ledger"
)

// compacted is what keys of objects that were put together look like, as an SQL pattern (package worker makes them).
const compacted = `%/compacted-%`

// ArchiveGroups lists what may be put together of the hours that begin in [from, to), by commit: at least two objects that
// were not, under one version of the map.
func (db *DB) ArchiveGroups(ctx context.Context, from, to time.Time) ([]ledger.ArchiveGroup, error) {
	rows, err := db.pool.Query(ctx, `SELECT date_trunc('hour', committed_at), map_version, count(*) FROM manifest
		WHERE committed_at >= $1 AND committed_at < $2 AND object_key NOT LIKE $3
		GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 1, 2`, from, to, compacted)
	if err != nil {
		return nil, wrap("list archive groups", err)
	}
	groups, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.ArchiveGroup])
	return groups, wrap("list archive groups", err)
}

// ArchiveObjects lists the objects of a group that were not put together yet, oldest first.
func (db *DB) ArchiveObjects(ctx context.Context, g ledger.ArchiveGroup) ([]ledger.ArchiveObject, error) {
	rows, err := db.pool.Query(ctx, `SELECT id, object_key, object_bytes, batches - erased_batches, samples - erased_samples FROM manifest
		WHERE committed_at >= $1 AND committed_at < $1 + interval '1 hour' AND map_version = $2 AND object_key NOT LIKE $3 ORDER BY id`,
		g.Hour, g.MapVersion, compacted)
	if err != nil {
		return nil, wrap("list archive objects", err)
	}
	objects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.ArchiveObject])
	return objects, wrap("list archive objects", err)
}

// SwapArchive makes the manifest name one object instead of the given ones, all at once, or fails if it names
// others by now. The object's bytes are shared among the rows by their samples.
func (db *DB) SwapArchive(ctx context.Context, old []ledger.ArchiveObject, key string, bytes int64) error {
	var samples int64
	for _, o := range old {
		samples += o.Samples
	}
	ids, keys, shares := make([]int64, len(old)), make([]string, len(old)), make([]int64, len(old))
	left := bytes
	for i, o := range old {
		ids[i], keys[i] = o.Flush, o.Key
		shares[i] = int64(float64(bytes) * float64(o.Samples) / float64(max(samples, 1)))
		if i == len(old)-1 {
			shares[i] = left
		}
		left -= shares[i]
	}
	return db.inTx(ctx, "swap archive objects", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE manifest m SET object_key = $1, object_bytes = o.share
			FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS o (id, key, share) WHERE m.id = o.id AND m.object_key = o.key`, key, ids, keys, shares)
		if err != nil {
			return err
		}
		if n := tag.RowsAffected(); n != int64(len(old)) {
			return fmt.Errorf("%w: %d of %d objects are as they were", ledger.ErrArchiveChanged, n, len(old))
		}
		return nil
	})
}

// LockArchive keeps all others from changing which objects the manifest names for what is archived already, until unlock or the end of
// its session. It waits for those who do.
func (db *DB) LockArchive(ctx context.Context) (unlock func(), err error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, wrap("lock the archive", err)
	}
	release, err := lockAlone(ctx, conn, lockArchive)
	if err != nil {
		conn.Release()
		return nil, wrap("lock the archive", err)
	}
	return func() {
		release()
		conn.Release()
	}, nil
}
