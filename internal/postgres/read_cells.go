package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// mostProbes bounds how many stretches of the index are looked up one by one; beyond, reading all between is cheaper.
const mostProbes = 2000

// SpeedCells sums speeds up by directed segment and group of time; c is valid during the call. Whole UTC days of long ranges
// come from speed_day. Of those that fall into two groups, as the days of other time zones do, the smaller part is read from five
// minutes and the rest is the difference, of which vehicles are counted that were not in the smaller part, too. Where there are
// no five minutes any more, days are wholly in the group, and the range, that their larger part is in. An error of each ends it and is
// returned; it wraps learn.ErrTooMuch if there are too many cells.
func (db *DB) SpeedCells(ctx context.Context, q learn.CellQuery, each func(c *learn.SpeedCell) error) error {
	const op = "read speeds by group"
	from, to := onBuckets(q.From, q.To)
	sums := newCellSums(&q.Grouping)
	err := db.inTx(ctx, op, func(tx pgx.Tx) error {
		var rolled rolledDays
		if q.ByDay() {
			var err error
			oldest := db.now().UTC().Truncate(day).Add(-db.retention.Speeds)
			if rolled, err = readRolledDays(ctx, tx, from, to, oldest); err != nil {
				return err
			}
			sums.parts = rolled.split(sums.clock, oldest)
		}
		sql, args := cellRows(&q, from, to, &rolled)
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

// rolledDays are a run of UTC days that speed_day has, and which five minutes of them are another group's than their day is.
type rolledDays struct {
	from, to           time.Time
	partsFrom, partsTo []time.Time
}

// readRolledDays are the first run of whole days within [from, to), and, unless that is less than a day, of those before oldest that are
// so for the larger part; none if from is zero.
func readRolledDays(ctx context.Context, tx pgx.Tx, from, to, oldest time.Time) (r rolledDays, err error) {
	rows, err := tx.Query(ctx, `SELECT day FROM speed_day_done WHERE day >= $1 AND day + interval '24 hours' <= $2
		OR day < $3 AND $2 - $1 >= interval '24 hours' AND day + interval '12 hours' >= $1 AND day + interval '12 hours' < $2 ORDER BY day`, from, to, oldest)
	if err != nil {
		return r, err
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	for _, d := range days {
		switch {
		case r.from.IsZero():
			r.from, r.to = d.UTC(), d.UTC().Add(day)
		case d.Equal(r.to):
			r.to = r.to.Add(day)
		}
	}
	return r, err
}

// split sorts the days into groups, and forgets them if one falls into more than two. There are no five minutes before oldest.
func (r *rolledDays) split(clock *learn.Clock, oldest time.Time) map[int64]learn.DayPart {
	parts := map[int64]learn.DayPart{}
	for d := r.from; d.Before(r.to); d = d.Add(day) {
		p, ok := clock.Part(d.UnixMilli())
		if !ok {
			*r = rolledDays{}
			return nil
		}
		parts[d.UnixMilli()] = p
		if p.From < p.To && !d.Before(oldest) {
			r.partsFrom, r.partsTo = append(r.partsFrom, msTime(p.From)), append(r.partsTo, msTime(p.To))
		}
	}
	return parts
}

// cellRows is a query for the rows of a question, and its arguments: days from speed_day, with the five minutes that are another
// group's, the rest from segment_speed, and in the same statement the deltas (see the package's comment), which may be of any day.
func cellRows(q *learn.CellQuery, from, to time.Time, rolled *rolledDays) (sql string, args []any) {
	lo, hi := make([]int64, len(q.Ranges)), make([]int64, len(q.Ranges))
	for i, r := range q.Ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
	}
	args = []any{from, to, lo, hi}
	var parts []string
	if rolled.from.IsZero() {
		parts = append(parts, bucketRows(q, "$1", "$2", to.Sub(from)))
	} else {
		args = append(args, rolled.from, rolled.to)
		parts = append(parts, daysRows, bucketRows(q, "$1", "$5", rolled.from.Sub(from)), bucketRows(q, "$6", "$2", to.Sub(rolled.to)))
		if len(rolled.partsFrom) > 0 {
			args = append(args, rolled.partsFrom, rolled.partsTo)
			parts = append(parts, partRows)
		}
	}
	sql = strings.Join(append(parts, deltaRows), " UNION ALL ")
	if q.Counts {
		sql = strings.ReplaceAll(sql, "s.bins", "''::bytea AS bins")
	}
	if q.Edges > 0 {
		args = append(args, int64(q.After), q.Edges)
		page, most := "$"+strconv.Itoa(len(args)-1), "$"+strconv.Itoa(len(args))
		sql = "WITH rows AS NOT MATERIALIZED (" + sql + "), page AS MATERIALIZED (SELECT DISTINCT edge FROM rows WHERE edge > " + page +
			" ORDER BY edge LIMIT " + most + ") SELECT r.* FROM rows r WHERE r.edge IN (SELECT edge FROM page)"
	}
	if q.Sorted {
		sql += " ORDER BY edge"
	}
	return sql, args
}

const speedColumns = "s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins"

const (
	inRanges = "EXISTS (SELECT FROM unnest($3::bigint[], $4::bigint[]) r (lo, hi) WHERE s.edge >= r.lo AND s.edge < r.hi)"
	daysRows = `SELECT s.bucket + interval '1 ms' AS bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM speed_day s
		WHERE s.bucket >= $5 AND s.bucket < $6 AND ` + inRanges
	partRows = `SELECT s.bucket + interval '2 ms' AS bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM unnest($7::timestamptz[], $8::timestamptz[]) p (lo, hi)
		CROSS JOIN LATERAL (SELECT * FROM segment_speed s WHERE s.bucket >= p.lo AND s.bucket < p.hi AND ` + inRanges + ` OFFSET 0) s`
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
