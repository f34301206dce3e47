package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Outbox reads up to limit rows of the outbox for a layer, oldest first: their ids, and in
// the same order the tiles, each named as often as it was marked.
func (db *DB) Outbox(ctx context.Context, layer string, limit int) (ids []int64, tiles []learn.DirtyTile, err error) {
	rows, err := db.pool.Query(ctx, "SELECT id, tile, accepted_at, event_at FROM outbox WHERE layer = $1 ORDER BY id LIMIT $2", layer, limit)
	if err != nil {
		return nil, nil, wrap("read the outbox", err)
	}
	var id, tile int64
	var accepted, event time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &tile, &accepted, &event}, func() error {
		ids = append(ids, id)
		tiles = append(tiles, learn.DirtyTile{Tile: uint32(tile), AcceptedMS: accepted.UnixMilli(), EventMS: event.UnixMilli()})
		return nil
	})
	return ids, tiles, wrap("read the outbox", err)
}

// DeleteOutbox deletes exactly these rows. Not "all up to an id": ids are given before
// the commit, so a lower one may become visible later.
func (db *DB) DeleteOutbox(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := db.pool.Exec(ctx, "DELETE FROM outbox WHERE id = ANY($1)", ids)
	return wrap("delete from the outbox", err)
}

// Now is the database's clock. Versions of what is projected come from it: one clock for
// all projectors.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var t time.Time
	err := db.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&t)
	return t, wrap("read the database's clock", err)
}

// LiveTiles lists the tiles that may be published with content that ages.
func (db *DB) LiveTiles(ctx context.Context, layer string) ([]uint32, error) {
	return db.tileList(ctx, "list live tiles", "SELECT tile FROM live_tile WHERE layer = $1", layer)
}

// tileList is the quadkeys that a query finds.
func (db *DB) tileList(ctx context.Context, op, sql string, args ...any) ([]uint32, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, wrap(op, err)
	}
	tiles, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (uint32, error) {
		var t int64
		err := r.Scan(&t)
		return uint32(t), err
	})
	return tiles, wrap(op, err)
}

// SetLiveTiles enters tiles into that list, and takes others off it.
func (db *DB) SetLiveTiles(ctx context.Context, layer string, add, remove []uint32) error {
	b := &pgx.Batch{}
	if len(add) > 0 {
		b.Queue("INSERT INTO live_tile (layer, tile) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING", layer, add)
	}
	if len(remove) > 0 {
		b.Queue("DELETE FROM live_tile WHERE layer = $1 AND tile = ANY ($2::bigint[])", layer, remove)
	}
	if b.Len() == 0 {
		return nil
	}
	return wrap("set live tiles", db.pool.SendBatch(ctx, b).Close())
}

// lateSuffix marks a layer's rows of what vehicles sent late.
const lateSuffix = "/late"

// RecordProjection notes how fresh what a pass of the projector published was.
func (db *DB) RecordProjection(ctx context.Context, p ledger.Projection) error {
	layer := p.Layer
	if p.Late {
		layer += lateSuffix
	}
	_, err := db.pool.Exec(ctx, `INSERT INTO projection (layer, tiles, p50_s, p95_s, max_s, event_p50_s, event_p95_s)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, layer, p.Tiles, p.P50S, p.P95S, p.MaxS, p.EventP50S, p.EventP95S)
	return wrap("record a projection", err)
}

const gatherOutbox = `WITH taken AS (
	DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE layer = $1 ORDER BY id LIMIT $2)
	RETURNING tile, accepted_at, event_at
), summed AS (
	INSERT INTO dirty_tile AS d (layer, tile, accepted_at, event_at)
	SELECT $1, tile, min(accepted_at), min(event_at) FROM taken GROUP BY tile
	ON CONFLICT (layer, tile) DO UPDATE SET accepted_at = least(d.accepted_at, excluded.accepted_at),
		event_at = least(d.event_at, excluded.event_at), mark = excluded.mark
) SELECT count(*) FROM taken`

// GatherOutbox sums up to limit rows of the outbox for a layer up by tile, for layers that are
// projected seldom, and tells how many it took.
func (db *DB) GatherOutbox(ctx context.Context, layer string, limit int) (taken int, err error) {
	err = db.pool.QueryRow(ctx, gatherOutbox, layer, limit).Scan(&taken)
	return taken, wrap("gather the outbox", err)
}

// DirtyTiles are a layer's tiles as GatherOutbox summed them up, the longest waiting first, at most
// limit, and the mark of each, which no later one equals. EventMS is the oldest of the rows' events.
func (db *DB) DirtyTiles(ctx context.Context, layer string, limit int) (tiles []learn.DirtyTile, marks []int64, err error) {
	rows, err := db.pool.Query(ctx, "SELECT tile, accepted_at, event_at, mark FROM dirty_tile WHERE layer = $1 ORDER BY accepted_at LIMIT $2", layer, limit)
	if err != nil {
		return nil, nil, wrap("read dirty tiles", err)
	}
	var tile, n int64
	var accepted, event time.Time
	_, err = pgx.ForEachRow(rows, []any{&tile, &accepted, &event, &n}, func() error {
		tiles = append(tiles, learn.DirtyTile{Tile: uint32(tile), AcceptedMS: accepted.UnixMilli(), EventMS: event.UnixMilli()})
		marks = append(marks, n)
		return nil
	})
	return tiles, marks, wrap("read dirty tiles", err)
}

// DeleteDirtyTiles takes tiles off that list as they were read: one that was marked again since stays.
func (db *DB) DeleteDirtyTiles(ctx context.Context, layer string, tiles []learn.DirtyTile, marks []int64) error {
	if len(tiles) == 0 {
		return nil
	}
	keys := make([]int64, len(tiles))
	for i := range tiles {
		keys[i] = int64(tiles[i].Tile)
	}
	_, err := db.pool.Exec(ctx, `DELETE FROM dirty_tile d USING unnest($2::bigint[], $3::bigint[]) AS t (tile, mark)
		WHERE d.layer = $1 AND d.tile = t.tile AND d.mark = t.mark`, layer, keys, marks)
	return wrap("delete dirty tiles", err)
}

// MarkDirty enters z14 tiles into that list as of a time, or marks them again. If they are postponed, they
// go behind all that have waited.
func (db *DB) MarkDirty(ctx context.Context, layer string, tiles []uint32, at time.Time, postponed bool) error {
	if len(tiles) == 0 {
		return nil
	}
	_, err := db.pool.Exec(ctx, `INSERT INTO dirty_tile AS d (layer, tile, accepted_at, event_at)
		SELECT DISTINCT $1, t, $3::timestamptz, $3::timestamptz FROM unnest($2::bigint[]) t
		ON CONFLICT (layer, tile) DO UPDATE SET mark = excluded.mark,
			accepted_at = CASE WHEN $4 THEN excluded.accepted_at ELSE least(d.accepted_at, excluded.accepted_at) END`, layer, tiles, at.UTC(), postponed)
	return wrap("mark tiles dirty", err)
}
