package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// rollUpSegments is how many segments of a day are added up at a time: about 600 bytes each.
const rollUpSegments = 20_000

// AddUpDays brings speed_day up to date: of the days that are over and may still get deltas, also from backfills, it adds those segments up
// again of which edge_day has another number of samples. So it makes good what comes late or what a crash left, and costs
// little when nothing changed. It tells how many segments' days it wrote. Safe to run at any time, by any number of processes.
func (db *DB) AddUpDays(ctx context.Context) (written int64, err error) {
	today := db.now().UTC().Truncate(day)
	days, err := db.backfilledDays(ctx, today.Add(-PastDays*day))
	if err != nil {
		return 0, err
	}
	for d := today.Add(-PastDays * day); d.Before(today); d = d.Add(day) {
		days = append(days, d)
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
		if _, err := db.pool.Exec(ctx, "INSERT INTO speed_day_done (day) VALUES ($1) ON CONFLICT DO NOTHING", d); err != nil {
			return written, wrap("note a day as added up", err)
		}
	}
	_, err = db.pool.Exec(ctx, "DELETE FROM speed_day_done WHERE day < $1", today.Add(-db.retention.History))
	return written, wrap("forget days that were added up", err)
}

// backfilledDays lists the days before one that backfills of late may have changed, or still do.
func (db *DB) backfilledDays(ctx context.Context, before time.Time) ([]time.Time, error) {
	rows, err := db.pool.Query(ctx, `SELECT DISTINCT d FROM backfill, generate_series(from_day - interval '1 day', to_day, interval '1 day') d
		WHERE touched_at > $1 AND d < $2 ORDER BY d`, db.now().Add(-2*day), before)
	if err != nil {
		return nil, wrap("list backfilled days", err)
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for i := range days {
		days[i] = days[i].UTC()
	}
	return days, wrap("list backfilled days", err)
}

// rollUpDay adds up to rollUpSegments segments of a day up again and tells how many.
func (db *DB) rollUpDay(ctx context.Context, d time.Time) (n int, err error) {
	err = db.inTx(ctx, "add up the speeds of a day", func(tx pgx.Tx) error {
		// Folding changes edge_day and segment_speed together, and has this lock.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockFold)); err != nil {
			return err
		}
		n, err = rollUp(ctx, tx, d)
		return err
	})
	return n, err
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
