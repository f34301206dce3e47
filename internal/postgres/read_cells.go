package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// mostProbes bounds how many stretches of the index are looked up one by one; beyond, reading all between is cheaper.
const mostProbes = 2000

// SpeedCells sums speeds up by directed segment and group of time; c is valid during the call. Whole days of long ranges
// come from speed_day: what cars told late of them may be missing for an hour. An error of each ends it and is
// returned; it wraps learn.ErrTooMuch if there are too many cells.
func (db *DB) SpeedCells(ctx context.Context, q learn.CellQuery, each func(c *learn.SpeedCell) error) error {
	const op = "read speeds by group"
	from, to := onBuckets(q.From, q.To)
	sums := newCellSums(&q.Grouping)
	err := db.inTx(ctx, op, func(tx pgx.Tx) error {
		var rolledFrom, rolledTo time.Time
		if q.ByDay() {
			var err error
			if rolledFrom, rolledTo, err = rolledDays(ctx, tx, from, to); err != nil {
				return err
			}
		}
		sql, args := cellRows(&q, from, to, rolledFrom, rolledTo)
		add := sums.add
		if q.Sorted {
			add = sums.segmentwise(each)
		}
		return readSpeeds(ctx, tx.Conn(), sql, args, add)
	})
	if err != nil {
		return err
	}
	return sums.each(q.Edges > 0 || q.Sorted, each)
}

// rolledDays is the first run of whole days within [from, to) that speed_day has; empty if there is none.
func rolledDays(ctx context.Context, tx pgx.Tx, from, to time.Time) (first, end time.Time, err error) {
	rows, err := tx.Query(ctx, "SELECT day FROM speed_day_done WHERE day >= $1 AND day + interval '1 day' <= $2 ORDER BY day", from, to)
	if err != nil {
		return first, end, err
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for _, d := range days {
		switch {
		case first.IsZero():
			first, end = d.UTC(), d.UTC().Add(day)
		case d.Equal(end):
			end = end.Add(day)
		}
	}
	return first, end, err
}

// cellRows is a query for the rows of a question, and its arguments: days in [rolledFrom, rolledTo) from speed_day, the
// rest from segment_speed, and in the same statement the deltas (see the package's comment), which may be of any day.
func cellRows(q *learn.CellQuery, from, to, rolledFrom, rolledTo time.Time) (sql string, args []any) {
	lo, hi := make([]int64, len(q.Ranges)), make([]int64, len(q.Ranges))
	for i, r := range q.Ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
	}
	args = []any{from, to, lo, hi}
	var parts []string
	if rolledFrom.IsZero() {
		parts = append(parts, bucketRows(q, "$1", "$2", to.Sub(from)))
	} else {
		args = append(args, rolledFrom, rolledTo)
		parts = append(parts, daysRows, bucketRows(q, "$1", "$5", rolledFrom.Sub(from)), bucketRows(q, "$6", "$2", to.Sub(rolledTo)))
	}
	sql = strings.Join(append(parts, deltaRows), " UNION ALL ")
	if q.Counts {
		sql = strings.ReplaceAll(sql, "s.bins", "''::bytea AS bins")
	}
	if q.Edges > 0 {
		args = append(args, int64(q.After), q.Edges)
		n := len(args)
		sql = "WITH rows AS NOT MATERIALIZED (" + sql + "), page AS MATERIALIZED (SELECT DISTINCT edge FROM rows WHERE edge > $" + itoa(n-1) +
			" ORDER BY edge LIMIT $" + itoa(n) + ") SELECT r.* FROM rows r WHERE r.edge IN (SELECT edge FROM page)"
	}
	if q.Sorted {
		sql += " ORDER BY edge"
	}
	return sql, args
}

const speedColumns = "s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins"

const (
	inRanges = "EXISTS (SELECT FROM unnest($3::bigint[], $4::bigint[]) r (lo, hi) WHERE s.edge >= r.lo AND s.edge < r.hi)"
	daysRows = "SELECT " + speedColumns + " FROM speed_day s WHERE s.bucket >= $5 AND s.bucket < $6 AND " + inRanges
	// The minute stands for its bucket: groups never begin within one.
	deltaRows = `SELECT s.minute, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM segment_speed_delta s WHERE s.minute >= $1 AND s.minute < $2 AND ` + inRanges
)

// bucketRows are those of segment_speed from one parameter to another. Its key is (bucket, edge): a range of
// segments within one bucket is one stretch of the index.
func bucketRows(q *learn.CellQuery, from, to string, span time.Duration) string {
	everywhere := len(q.Ranges) == 1 && q.Ranges[0][0] == 0
	if !everywhere && int(span/learn.Bucket)*len(q.Ranges) <= mostProbes {
		return `SELECT ` + speedColumns + ` FROM generate_series(` + from + `::timestamptz, ` + to + `::timestamptz - interval '1 ms', interval '5 min') b (bucket)
			CROSS JOIN unnest($3::bigint[], $4::bigint[]) r (lo, hi)
			CROSS JOIN LATERAL (SELECT * FROM segment_speed s WHERE s.bucket = b.bucket AND s.edge >= r.lo AND s.edge < r.hi
				AND s.bucket >= ` + from + ` AND s.bucket < ` + to + ` OFFSET 0) s`
	}
	sql := "SELECT " + speedColumns + " FROM segment_speed s WHERE s.bucket >= " + from + " AND s.bucket < " + to
	if everywhere {
		return sql
	}
	return sql + " AND " + inRanges
}

func itoa(n int) string { return string(rune('0' + n)) }
