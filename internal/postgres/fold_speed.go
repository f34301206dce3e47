package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// speedKey names a row of segment_speed.
type speedKey struct {
	bucketMS int64
	edge     uint64
}

// foldSpeeds merges a slot's minutes into the buckets of segment_speed and the days of edge_day.
func foldSpeeds(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error) {
	sums := map[speedKey]*learn.Speed{}
	add := func(r *rawSpeed) error {
		deltas++
		r.key.bucketMS = learn.BucketStart(r.key.bucketMS)
		return r.mergeInto(sums)
	}
	if err := readSpeeds(ctx, tx.Conn(), "SELECT minute, edge, n, sum_cmps, v0, v1, bins FROM "+table, nil, add); err != nil {
		return 0, 0, err
	}
	if len(sums) == 0 {
		return 0, 0, nil
	}
	lo, hi, keys := speedKeys(sums)
	const base = `SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM segment_speed s
		JOIN unnest($1::timestamptz[], $2::bigint[]) AS k (bucket, edge) ON s.bucket = k.bucket AND s.edge = k.edge
		WHERE s.bucket BETWEEN $3 AND $4`
	err = readSpeeds(ctx, tx.Conn(), base, append(keys, lo, hi), func(r *rawSpeed) error { return r.mergeInto(sums) })
	if err != nil {
		return 0, 0, err
	}
	if written, err = storeSpeeds(ctx, tx, "segment_speed", sums); err != nil {
		return 0, 0, err
	}
	return deltas, written, foldDays(ctx, tx, table)
}

// storeSpeeds writes rows of segment_speed, or of a table like it, in place of those that are there.
func storeSpeeds(ctx context.Context, tx pgx.Tx, table string, sums map[speedKey]*learn.Speed) (written int, err error) {
	// The sums go through a temporary table: COPY takes them cheaper than arrays would.
	const temp = "CREATE TEMP TABLE IF NOT EXISTS folded_speed (LIKE segment_speed) ON COMMIT DELETE ROWS"
	if _, err := tx.Exec(ctx, temp); err != nil {
		return 0, err
	}
	c := copier{buf: takeBuffer()}
	defer func() { giveBuffer(c.buf) }()
	c.begin()
	for k, s := range sums {
		c.row(7)
		c.time(k.bucketMS)
		c.int64(int64(k.edge))
		c.int32(int32(min(s.N, 1<<31-1)))
		c.int64(s.SumCMPS)
		c.int64(int64(s.Vehicles[0]))
		c.int64(int64(s.Vehicles[1]))
		c.variable(s.Bins.AppendEncoded)
	}
	if err := c.send(ctx, tx.Conn(), "folded_speed"); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO `+table+` SELECT * FROM folded_speed ON CONFLICT (bucket, edge) DO UPDATE SET
		n = excluded.n, sum_cmps = excluded.sum_cmps, v0 = excluded.v0, v1 = excluded.v1, bins = excluded.bins`)
	if err != nil {
		return 0, err
	}
	return int(tag.RowsAffected()), nil
}

// foldDays adds a slot's minutes to the days of edge_day.
func foldDays(ctx context.Context, tx pgx.Tx, table string) error {
	_, err := tx.Exec(ctx, `INSERT INTO edge_day AS d SELECT date_trunc('day', minute, 'UTC') AS day, edge, sum(n), bit_or(v0), bit_or(v1)
			FROM `+table+` GROUP BY 1, 2
		ON CONFLICT (day, edge) DO UPDATE SET n = d.n + excluded.n, v0 = d.v0 | excluded.v0, v1 = d.v1 | excluded.v1`)
	return err
}

// speedKeys are the keys as two arrays for unnest, and the bounds of the buckets.
func speedKeys(sums map[speedKey]*learn.Speed) (lo, hi time.Time, arrays []any) {
	buckets, edges := make([]time.Time, 0, len(sums)), make([]int64, 0, len(sums))
	for k := range maps.Keys(sums) {
		t := time.UnixMilli(k.bucketMS).UTC()
		if lo.IsZero() || t.Before(lo) {
			lo = t
		}
		if t.After(hi) {
			hi = t
		}
		buckets, edges = append(buckets, t), append(edges, int64(k.edge))
	}
	return lo, hi, []any{buckets, edges}
}

// rawSpeed is a row of segment_speed or its deltas. Bins is valid only until the next row.
type rawSpeed struct {
	key      speedKey
	n        uint32
	sumCMPS  int64
	vehicles learn.Vehicles
	bins     []byte
}

func (r *rawSpeed) mergeInto(sums map[speedKey]*learn.Speed) error {
	s := sums[r.key]
	if s == nil {
		s = new(learn.Speed)
		sums[r.key] = s
	}
	return s.MergeEncoded(r.n, r.sumCMPS, r.vehicles, r.bins)
}

// readSpeeds runs a query whose columns are those of segment_speed and reads the rows in
// binary form, without an allocation for each.
func readSpeeds(ctx context.Context, conn *pgx.Conn, sql string, args []any, each func(*rawSpeed) error) error {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var r rawSpeed
	for rows.Next() {
		v := rows.RawValues()
		if len(v) != 7 || len(v[0]) != 8 || len(v[1]) != 8 || len(v[2]) != 4 || len(v[3]) != 8 || len(v[4]) != 8 || len(v[5]) != 8 {
			return errors.New("unexpected form of speed rows")
		}
		be := binary.BigEndian
		r.key = speedKey{int64(be.Uint64(v[0]))/1000 + epochMS, be.Uint64(v[1])}
		r.n, r.sumCMPS = be.Uint32(v[2]), int64(be.Uint64(v[3]))
		r.vehicles = learn.Vehicles{be.Uint64(v[4]), be.Uint64(v[5])}
		r.bins = v[6]
		if err := each(&r); err != nil {
			return err
		}
	}
	return rows.Err()
}
