package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// typicalSegments is how many segments a day is added to in a transaction: up to 3 kB each.
const typicalSegments = 2_000

// AddTypicalDays adds the days that are not in typical_speed yet, the oldest first, as soon as they are PastDays old: what cars tell
// late has come by then. It tells progress of how many of the days are done, and returns how many it completed and how many segments' rows it
// wrote. Every row knows up to which day it goes, and is written in one transaction with that: so this may end at any point and be run again, by
// any number of processes. What is folded for a day after it was completed stays out of the profiles.
func (db *DB) AddTypicalDays(ctx context.Context, progress func(done, total int64, message string)) (days, segments int64, err error) {
	return db.addTypicalDays(ctx, typicalSegments, progress)
}

func (db *DB) addTypicalDays(ctx context.Context, batch int, progress func(done, total int64, message string)) (days, segments int64, err error) {
	const next = `SELECT greatest((SELECT max(day) + interval '1 day' FROM typical_speed_done), (SELECT min(day) FROM edge_day))
		WHERE EXISTS (SELECT FROM edge_day)`
	var from time.Time
	if err := db.pool.QueryRow(ctx, next).Scan(&from); errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, wrap("find the next day of typical speeds", err)
	}
	end := db.now().UTC().Truncate(day).Add(-(PastDays - 1) * day)
	total := max(0, int64(end.Sub(from)/day))
	for d := from.UTC(); d.Before(end); d = d.Add(day) {
		progress(days, total, "adding "+d.Format(time.DateOnly))
		for whole := false; !whole; {
			var n int
			if n, whole, err = db.addTypical(ctx, d, batch); err != nil {
				return days, segments, err
			}
			segments += int64(n)
		}
		days++
	}
	return days, segments, nil
}

// addTypical adds a day to up to batch segments that don't have it yet, and tells how many; whole if no other is left, which is noted then.
func (db *DB) addTypical(ctx context.Context, d time.Time, batch int) (n int, whole bool, err error) {
	weekday := learn.Weekday(learn.Day(d.UnixMilli()))
	err = db.inTx(ctx, "add a day to typical speeds", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockTypical)); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT e.edge FROM edge_day e LEFT JOIN typical_speed t ON t.weekday = $2 AND t.edge = e.edge
			WHERE e.day = $1 AND (t.day IS NULL OR t.day < $1) ORDER BY e.edge LIMIT $3`, d, weekday, batch)
		if err != nil {
			return err
		}
		edges, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if n, whole = len(edges), len(edges) < batch; n > 0 {
			if err := addTypicalDay(ctx, tx, d, weekday, edges); err != nil {
				return err
			}
		}
		if whole {
			return completeTypicalDay(ctx, tx, d, weekday, db.retention.History)
		}
		return nil
	})
	return n, whole, err
}

// addTypicalDay adds a day to the profiles of edges, in rising order.
func addTypicalDay(ctx context.Context, tx pgx.Tx, d time.Time, weekday int, edges []int64) error {
	encoded := make(map[int64][]byte, len(edges))
	for _, e := range edges {
		encoded[e] = nil
	}
	rows, err := tx.Query(ctx, "SELECT edge, slots FROM typical_speed WHERE weekday = $1 AND edge = ANY ($2)", weekday, edges)
	if err != nil {
		return err
	}
	var edge int64
	var slots []byte
	if _, err := pgx.ForEachRow(rows, []any{&edge, &slots}, func() error {
		encoded[edge] = slots
		slots = nil
		return nil
	}); err != nil {
		return err
	}
	var profile learn.DayProfile
	var speeds learn.DaySpeeds
	add := func(edge int64) error {
		profile = learn.DayProfile{}
		if old := encoded[edge]; old != nil {
			if err := profile.Decode(old); err != nil {
				return fmt.Errorf("segment %d on weekday %d: %w", edge, weekday, err)
			}
		}
		profile.AddDay(learn.Day(d.UnixMilli()), &speeds)
		encoded[edge] = profile.AppendEncoded(nil)
		return nil
	}
	if err := daySpeeds(ctx, tx, d, edges, &speeds, add); err != nil {
		return err
	}
	values := make([][]byte, len(edges))
	for i, e := range edges {
		values[i] = encoded[e]
	}
	_, err = tx.Exec(ctx, `INSERT INTO typical_speed (weekday, edge, day, slots) SELECT $1, u.edge, $2, u.slots
			FROM unnest($3::bigint[], $4::bytea[]) AS u (edge, slots)
		ON CONFLICT (weekday, edge) DO UPDATE SET day = excluded.day, slots = excluded.slots`, weekday, d, edges, values)
	return err
}

// daySpeeds reads a day of edges (in rising order) and calls each for every one of them, in order, when speeds holds its.
func daySpeeds(ctx context.Context, tx pgx.Tx, d time.Time, edges []int64, speeds *learn.DaySpeeds, each func(edge int64) error) error {
	// The key is (bucket, edge): each bucket's stretch of segments is one of the index.
	const sql = `SELECT s.edge, s.bucket, s.n::bigint, s.sum_cmps, s.v0, s.v1 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 ms', interval '5 min') b (bucket)
		CROSS JOIN LATERAL (SELECT * FROM segment_speed x WHERE x.bucket = b.bucket AND x.bucket >= $1 AND x.bucket < $2
			AND x.edge BETWEEN $3 AND $4 OFFSET 0) s ORDER BY s.edge`
	rows, err := tx.Query(ctx, sql, d, d.Add(day), edges[0], edges[len(edges)-1])
	if err != nil {
		return err
	}
	// next ends the segments up to edge, exclusively.
	i := 0
	next := func(edge int64) error {
		for ; i < len(edges) && edges[i] < edge; i++ {
			if err := each(edges[i]); err != nil {
				return err
			}
			*speeds = learn.DaySpeeds{}
		}
		return nil
	}
	var edge, v0, v1 int64
	var bucket time.Time
	var sum learn.SpeedSum
	_, err = pgx.ForEachRow(rows, []any{&edge, &bucket, &sum.N, &sum.SumCMPS, &v0, &v1}, func() error {
		if err := next(edge); err != nil {
			return err
		}
		if i < len(edges) && edges[i] == edge { // those between them have the day already
			sum.Vehicles = learn.Vehicles{uint64(v0), uint64(v1)}
			speeds[learn.DaySlot(bucket.UnixMilli())] = sum
		}
		return nil
	})
	if err != nil {
		return err
	}
	return next(edges[len(edges)-1] + 1)
}

// completeTypicalDay notes that every segment has a day, and forgets those that were not driven on such days for long.
func completeTypicalDay(ctx context.Context, tx pgx.Tx, d time.Time, weekday int, keep time.Duration) error {
	for _, s := range []struct {
		sql  string
		args []any
	}{
		{"INSERT INTO typical_speed_done (day) VALUES ($1) ON CONFLICT DO NOTHING", []any{d}},
		{"DELETE FROM typical_speed_done WHERE day < $1", []any{d}},
		{"DELETE FROM typical_speed WHERE weekday = $1 AND day < $2", []any{weekday, d.Add(-keep)}},
	} {
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}
