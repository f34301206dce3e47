package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// rollUpSegments is how many segments of a day are added up at a time: about 600 bytes each.
const rollUpSegments = 20_000

// AddUpDays brings speed_day up to date: of the days that are over and are not in it, may still get deltas or got a backfill, it adds those
// segments up of which edge_day has another number of samples. Folding adds to a day's sums from then on. It costs
// little when nothing changed, and tells how many segments' days it wrote. Safe to run at any time, by any number of processes.
func (db *DB) AddUpDays(ctx context.Context) (written int64, err error) {
	today := db.now().UTC().Truncate(day)
	days, err := db.daysToAddUp(ctx, today)
	if err != nil {
		return 0, err
	}
	for _, d := range days {
		for {
			n, err := db.rollUpDay(ctx, d)
			if err != nil {
				return written, err
			}
			written += int64(n)
			if n < rollUpSegments {
				break
			}
		}
	}
	// Of older days speed_day has all that there will ever be.
	_, err = db.pool.Exec(ctx, `WITH forgotten AS (DELETE FROM speed_day_done WHERE day < $1)
		INSERT INTO speed_day_done (day) SELECT generate_series($1::timestamptz, $2::timestamptz - interval '24 hours', interval '24 hours')
		ON CONFLICT DO NOTHING`, today.Add(-db.retention.History), today.Add(-db.retention.Speeds))
	return written, wrap("note days as added up", err)
}

// daysToAddUp lists the days before today that speed_day may lack something of, as long as there are five minutes to add up.
func (db *DB) daysToAddUp(ctx context.Context, today time.Time) ([]time.Time, error) {
	rows, err := db.pool.Query(ctx, `SELECT d FROM generate_series($1::timestamptz, $2::timestamptz - interval '24 hours', interval '24 hours') d
		WHERE d >= $3 OR NOT EXISTS (SELECT FROM speed_day_done WHERE day = d)
			OR EXISTS (SELECT FROM backfill WHERE touched_at > $4 AND d >= from_day - interval '24 hours' AND d <= to_day) ORDER BY d`,
		today.Add(-db.retention.Speeds), today, today.Add(-PastDays*day), db.now().Add(-2*day))
	if err != nil {
		return nil, wrap("list days to add up", err)
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for i := range days {
		days[i] = days[i].UTC()
	}
	return days, wrap("list days to add up", err)
}

// rollUpDay adds up to rollUpSegments segments of a day up again and tells how many. If those were all, the day is noted as added up.
func (db *DB) rollUpDay(ctx context.Context, d time.Time) (n int, err error) {
	err = db.inTx(ctx, "add up the speeds of a day", func(tx pgx.Tx) error {
		// Folding changes edge_day and segment_speed together, and has this lock.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockFold)); err != nil {
			return err
		}
		if n, err = rollUp(ctx, tx, d); err != nil || n == rollUpSegments {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO speed_day_done (day) VALUES ($1) ON CONFLICT DO NOTHING", d)
		return err
	})
	return n, err
}

// foldLate adds what a slot has of days that are added up to their sums, so that they lack nothing of what cars told late.
func foldLate(ctx context.Context, tx pgx.Tx, table string) error {
	sums := map[speedKey]*learn.Speed{}
	merge := func(r *rawSpeed) error { return r.mergeInto(sums) }
	late := "SELECT d.day, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM " + table + " s JOIN speed_day_done d ON d.day = date_trunc('day', s.minute, 'UTC')"
	if err := readSpeeds(ctx, tx.Conn(), late, nil, merge); err != nil || len(sums) == 0 {
		return err
	}
	lo, hi, keys := speedKeys(sums)
	const base = `SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM speed_day s
		JOIN unnest($1::timestamptz[], $2::bigint[]) AS k (bucket, edge) ON s.bucket = k.bucket AND s.edge = k.edge
		WHERE s.bucket BETWEEN $3 AND $4`
	if err := readSpeeds(ctx, tx.Conn(), base, append(keys, lo, hi), merge); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "TRUNCATE pg_temp.folded_speed"); err != nil { // which the fold of five minutes used
		return err
	}
	_, err := storeSpeeds(ctx, tx, "speed_day", sums)
	return err
}

// rollUp is rollUpDay in a transaction in which nobody else changes the speeds.
func rollUp(ctx context.Context, tx pgx.Tx, d time.Time) (n int, err error) {
	rows, err := tx.Query(ctx, `SELECT e.edge FROM edge_day e LEFT JOIN speed_day s ON s.bucket = $1 AND s.edge = e.edge
		WHERE e.day = $1 AND e.n IS DISTINCT FROM s.n ORDER BY e.edge LIMIT $2`, d, rollUpSegments)
	if err != nil {
		return 0, err
	}
	edges, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if n = len(edges); err != nil || n == 0 {
		return n, err
	}
	sums := make(map[speedKey]*learn.Speed, n)
	const base = `SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM segment_speed s
		WHERE s.bucket >= $1 AND s.bucket < $2 AND s.edge + 0 = ANY ($3)` // + 0: else the index is gone through once a segment
	err = readSpeeds(ctx, tx.Conn(), base, []any{d, d.Add(day), edges}, func(r *rawSpeed) error {
		r.key.bucketMS = d.UnixMilli()
		return r.mergeInto(sums)
	})
	if err != nil {
		return 0, err
	}
	_, err = storeSpeeds(ctx, tx, "speed_day", sums)
	return n, err
}
