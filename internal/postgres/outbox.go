package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
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

const liveSpeeds = `SELECT edge, sum(n)::bigint, sum(sum_cmps)::bigint, bit_or(v0), bit_or(v1), min(bucket) FROM (
	SELECT s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bucket FROM unnest($1::bigint[]) AS t (tile)
		CROSS JOIN unnest($2::timestamptz[]) AS b (bucket)
		CROSS JOIN LATERAL (SELECT * FROM segment_speed x WHERE x.bucket = b.bucket
			AND x.edge >= t.tile << 25 AND x.edge < (t.tile + 1) << 25 AND x.bucket BETWEEN $3 AND $4) s
	UNION ALL
	SELECT d.edge, d.n, d.sum_cmps, d.v0, d.v1, d.bucket FROM segment_speed_delta d
		WHERE d.bucket BETWEEN $3 AND $4 AND d.edge >> 25 = ANY ($1)
) AS live GROUP BY edge, (bucket AT TIME ZONE 'UTC')::date ORDER BY edge`

// LiveSpeeds sums the speeds of all directed segments of the given z14 tiles (quadkeys) over
// the buckets that start from since to until, both starts of buckets, not yet folded ones
// included. Pseudonyms change at midnight UTC, so Vehicles are those of the day that saw
// most: a union over two days would count each car twice.
func (db *DB) LiveSpeeds(ctx context.Context, tiles []uint32, since, until time.Time, each func(learn.LiveSpeed)) error {
	quadkeys := make([]int64, len(tiles))
	for i, t := range tiles {
		quadkeys[i] = int64(t)
	}
	var buckets []time.Time
	for t := since; !t.After(until); t = t.Add(learn.Bucket) {
		buckets = append(buckets, t)
	}
	rows, err := db.pool.Query(ctx, liveSpeeds, quadkeys, buckets, since, until)
	if err != nil {
		return wrap("read live speeds", err)
	}
	var edge, n, sum, v0, v1 int64
	var oldest time.Time
	var sofar learn.LiveSpeed // of the edge that is being read; its rows come together
	_, err = pgx.ForEachRow(rows, []any{&edge, &n, &sum, &v0, &v1, &oldest}, func() error {
		day := learn.LiveSpeed{
			Edge: uint64(edge), N: n, SumCMPS: sum, Vehicles: learn.Vehicles{uint64(v0), uint64(v1)},
			OldestMS: oldest.UnixMilli(),
		}
		switch {
		case sofar.N == 0:
			sofar = day
		case sofar.Edge == day.Edge:
			sofar.AddDay(day)
		default:
			each(sofar)
			sofar = day
		}
		return nil
	})
	if err == nil && sofar.N > 0 {
		each(sofar)
	}
	return wrap("read live speeds", err)
}

// LiveTiles lists the tiles that may be published with content that ages.
func (db *DB) LiveTiles(ctx context.Context, layer string) ([]uint32, error) {
	rows, err := db.pool.Query(ctx, "SELECT tile FROM live_tile WHERE layer = $1", layer)
	if err != nil {
		return nil, wrap("list live tiles", err)
	}
	tiles, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (uint32, error) {
		var t int64
		err := r.Scan(&t)
		return uint32(t), err
	})
	return tiles, wrap("list live tiles", err)
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

// RecordProjection notes how fresh what a pass of the projector published was, in seconds
// from acceptance by the receiver to readable.
func (db *DB) RecordProjection(ctx context.Context, layer string, tiles int, p50, p95, most float64) error {
	_, err := db.pool.Exec(ctx, `INSERT INTO projection (layer, tiles, p50_s, p95_s, max_s) VALUES ($1, $2, $3, $4, $5)`,
		layer, tiles, p50, p95, most)
	return wrap("record a projection", err)
}
