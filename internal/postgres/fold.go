package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// The ring of delta slots. A flush writes to the slot of the moment, so a slot is left alone
// for (slots − 1) × slotSpan before it is written to again: time enough to fold it without
// a writer waiting. A flush that comes late to its slot waits for the fold and then
// finds it empty: nothing is lost, only folded a round later.
const (
	slots    = 8
	slotSpan = 10 * time.Second
)

func slotAt(t time.Time) int { return int(t.Unix() / int64(slotSpan/time.Second) % slots) }

func (db *DB) currentSlot() int { return slotAt(db.now()) }

// Fold merges the deltas of all slots but the current one into their base tables and tells
// how many rows it merged, and wrote. Writers don't wait (see slots); readers do only for
// the moment between the TRUNCATE and its commit. A second Fold at the same time, by
// whomever, has nothing to do.
func (db *DB) Fold(ctx context.Context) (deltas, written int, err error) {
	return db.fold(ctx, db.currentSlot())
}

// FoldAll is Fold for every slot, the current one too: writers wait meanwhile. For tools
// and tests that look at the base tables alone.
func (db *DB) FoldAll(ctx context.Context) (deltas, written int, err error) {
	return db.fold(ctx, -1)
}

func (db *DB) fold(ctx context.Context, but int) (deltas, written int, err error) {
	s := &foldStats{}
	for i := range slots {
		if i == but {
			continue
		}
		if err := db.foldSlot(ctx, i, s); err != nil {
			return s.deltas, s.written, err
		}
	}
	return s.deltas, s.written, nil
}

// foldStats adds up rows.
type foldStats struct{ deltas, written int }

func (db *DB) foldSlot(ctx context.Context, slot int, s *foldStats) error {
	if err := db.foldTable(ctx, fmt.Sprintf("segment_speed_delta_%d", slot), s, foldSpeeds); err != nil {
		return err
	}
	return db.foldTable(ctx, fmt.Sprintf("sensor_health_delta_%d", slot), s, foldHealth)
}

var errFolding = errors.New("somebody else folds")

// foldTable merges one slot's table in one transaction. The table is locked against writers
// and other folds, not against readers; merge reads it and writes the base table.
func (db *DB) foldTable(ctx context.Context, table string, s *foldStats,
	merge func(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error),
) error {
	// An empty slot costs a look at its size: TRUNCATE leaves no page.
	var size int64
	if err := db.pool.QueryRow(ctx, "SELECT pg_relation_size($1::text::regclass)", table).Scan(&size); err != nil {
		return wrap("look at "+table, err)
	}
	if size == 0 {
		return nil
	}
	var deltas, written int
	err := db.inTx(ctx, "fold "+table, func(tx pgx.Tx) error {
		// The base is read, merged and written back: only one may do that, leader or not.
		var alone bool
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(lockFold)).Scan(&alone); err != nil {
			return err
		}
		if !alone {
			return errFolding
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		var err error
		if deltas, written, err = merge(ctx, tx, table); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "TRUNCATE "+table)
		return err
	})
	if errors.Is(err, errFolding) {
		return nil
	}
	if err == nil {
		s.deltas += deltas
		s.written += written
	}
	return err
}

// speedKey names a row of segment_speed.
type speedKey struct {
	bucketMS int64
	edge     uint64
}

func foldSpeeds(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error) {
	sums := map[speedKey]*learn.Speed{}
	add := func(r *rawSpeed) error {
		deltas++
		return r.mergeInto(sums)
	}
	if err := readSpeeds(ctx, tx.Conn(), "SELECT bucket, edge, n, sum_cmps, v0, v1, bins FROM "+table, nil, add); err != nil {
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
	// The sums go through a temporary table: COPY takes them cheaper than arrays would.
	const temp = "CREATE TEMP TABLE IF NOT EXISTS folded_speed (LIKE segment_speed) ON COMMIT DELETE ROWS"
	if _, err := tx.Exec(ctx, temp); err != nil {
		return 0, 0, err
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
		return 0, 0, err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO segment_speed SELECT * FROM folded_speed ON CONFLICT (bucket, edge) DO UPDATE SET
		n = excluded.n, sum_cmps = excluded.sum_cmps, v0 = excluded.v0, v1 = excluded.v1, bins = excluded.bins`)
	return deltas, int(tag.RowsAffected()), err
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

func foldHealth(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error) {
	// Only sums: PostgreSQL can do that itself, and there are few keys.
	tag, err := tx.Exec(ctx, `INSERT INTO sensor_health AS b SELECT hour, model, software, sum(batches), sum(samples), sum(with_speed),
		sum(with_heading), sum(with_accuracy), sum(sum_accuracy_cm), sum(unmatched), sum(abs_active), sum(esc_active),
		sum(tcs_active), sum(signs), sum(signs_missing), sum(hazards) FROM `+table+` GROUP BY hour, model, software
		ON CONFLICT (hour, model, software) DO UPDATE SET batches = b.batches + excluded.batches,
		samples = b.samples + excluded.samples, with_speed = b.with_speed + excluded.with_speed,
		with_heading = b.with_heading + excluded.with_heading, with_accuracy = b.with_accuracy + excluded.with_accuracy,
		sum_accuracy_cm = b.sum_accuracy_cm + excluded.sum_accuracy_cm, unmatched = b.unmatched + excluded.unmatched,
		abs_active = b.abs_active + excluded.abs_active, esc_active = b.esc_active + excluded.esc_active,
		tcs_active = b.tcs_active + excluded.tcs_active, signs = b.signs + excluded.signs,
		signs_missing = b.signs_missing + excluded.signs_missing, hazards = b.hazards + excluded.hazards`)
	return 0, int(tag.RowsAffected()), err
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
