package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// cellMemory is what one query of cells may take to sort and hash before it uses the disk.
const cellMemory = "64MB"

// mostProbes bounds how many stretches of the index are looked up one by one; beyond, reading all between is cheaper.
const mostProbes = 20_000

// SpeedCells sums speeds up by directed segment and group of time; c is valid during the call. Base and deltas are read
// in one statement: see the package's comment. An error of each ends it and is returned.
func (db *DB) SpeedCells(ctx context.Context, q learn.CellQuery, each func(c *learn.SpeedCell) error) error {
	sql, args := cellsSQL(&q)
	var stop error
	err := db.inTx(ctx, "read speeds by group", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL work_mem = '"+cellMemory+"'"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		var c learn.SpeedCell
		var edge, n int64
		var bins []byte
		_, err = pgx.ForEachRow(rows, []any{&edge, &c.Key, &n, &c.Sum.SumCMPS, &c.AtLeast, (*borrowed)(&bins)}, func() error {
			c.Edge, c.Sum.N, c.Sum.Bins = uint64(edge), uint32(min(n, 1<<32-1)), learn.SpeedBins{}
			if err := c.Sum.Bins.MergeConcatenated(bins); err != nil {
				return fmt.Errorf("segment %d: %w", edge, err)
			}
			stop = each(&c)
			return stop
		})
		return err
	})
	if stop != nil {
		return stop
	}
	return err
}

// borrowed takes a bytea without a copy; it is valid until the next row.
type borrowed []byte

// ScanBytes implements pgtype.BytesScanner.
func (b *borrowed) ScanBytes(v []byte) error {
	*b = v
	return nil
}

// cellsSQL is the query and its arguments: $1 and $2 the period, $3 and $4 the ranges of ids, $5 the time zone.
func cellsSQL(q *learn.CellQuery) (sql string, args []any) {
	from, to := onBuckets(q.From, q.To)
	lo, hi := make([]int64, len(q.Ranges)), make([]int64, len(q.Ranges))
	for i, r := range q.Ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
	}
	zone := time.UTC
	if q.Zone != nil {
		zone = q.Zone
	}
	args = []any{from, to, lo, hi, zone.String()}
	rows := cellRows(q, from, to)
	with := ""
	if q.Edges > 0 {
		args = append(args, int64(q.After), q.Edges)
		with = "WITH page AS MATERIALIZED (SELECT DISTINCT edge FROM (" + rows + ") e WHERE edge > $6 ORDER BY edge LIMIT $7) "
		rows = "SELECT r.* FROM (" + rows + ") r JOIN page USING (edge)"
	}
	key := cellKey(q)
	if oneDay(q, zone) {
		sql = with + "SELECT edge, " + key + " AS key, sum(n)::bigint, sum(sum_cmps)::bigint, " +
			"bit_count(bit_or(v0)::bit(64)) + bit_count(bit_or(v1)::bit(64)), string_agg(bins, '') FROM (" + rows + ") r GROUP BY edge, key"
	} else {
		sql = with + "SELECT edge, key, sum(n)::bigint, sum(sum_cmps)::bigint, max(bit_count(v0::bit(64)) + bit_count(v1::bit(64))), string_agg(bins, '') " +
			"FROM (SELECT edge, " + key + " AS key, sum(n) AS n, sum(sum_cmps) AS sum_cmps, bit_or(v0) AS v0, bit_or(v1) AS v1, string_agg(bins, '') AS bins " +
			"FROM (" + rows + ") r GROUP BY edge, key, date_trunc('day', bucket, 'UTC')) d GROUP BY edge, key"
	}
	if q.Edges > 0 {
		sql += " ORDER BY edge, key"
	}
	return sql, args
}

// cellRows are the rows of base and deltas. The base's key is (bucket, edge): a range of segments within one bucket
// is one stretch of the index.
func cellRows(q *learn.CellQuery, from, to time.Time) string {
	base := `SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM segment_speed s
		WHERE s.bucket >= $1 AND s.bucket < $2 AND EXISTS (SELECT FROM unnest($3::bigint[], $4::bigint[]) r (lo, hi) WHERE s.edge >= r.lo AND s.edge < r.hi)`
	if int(to.Sub(from)/learn.Bucket)*len(q.Ranges) <= mostProbes {
		base = `SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins
			FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 ms', interval '5 min') b (bucket)
			CROSS JOIN unnest($3::bigint[], $4::bigint[]) r (lo, hi)
			CROSS JOIN LATERAL (SELECT * FROM segment_speed s WHERE s.bucket = b.bucket AND s.edge >= r.lo AND s.edge < r.hi
				AND s.bucket >= $1 AND s.bucket < $2 OFFSET 0) s`
	}
	return base + `
		UNION ALL
		SELECT date_bin('5 min', d.minute, 'epoch'), d.edge, d.n, d.sum_cmps, d.v0, d.v1, d.bins FROM segment_speed_delta d
		JOIN unnest($3::bigint[], $4::bigint[]) r (lo, hi) ON d.edge >= r.lo AND d.edge < r.hi
		WHERE d.minute >= $1 AND d.minute < $2 AND $5::text <> ''` // every parameter must be used
}

// cellKey is the group of a bucket, as learn.TimeBy has it.
func cellKey(q *learn.CellQuery) string {
	const ms = "(extract(epoch FROM %s) * 1000)::bigint"
	switch q.By {
	case learn.ByHour:
		return "extract(hour FROM bucket AT TIME ZONE $5)::bigint"
	case learn.ByWeekday:
		return "extract(isodow FROM bucket AT TIME ZONE $5)::bigint"
	case learn.BySteps:
	default:
		return "0::bigint"
	}
	switch q.Step {
	case learn.FiveMinutes:
		return fmt.Sprintf(ms, "date_bin('5 min', bucket, 'epoch')")
	case learn.QuarterHours:
		return fmt.Sprintf(ms, "date_bin('15 min', bucket, 'epoch')")
	case learn.Hours, learn.Days, learn.Weeks, learn.CalendarMonths:
	}
	return fmt.Sprintf(ms, "date_trunc('"+string(q.Step)+"', bucket, $5)")
}

// oneDay tells whether no group reaches over more than one UTC day.
func oneDay(q *learn.CellQuery, zone *time.Location) bool {
	if q.By != learn.BySteps {
		return false
	}
	switch q.Step {
	case learn.FiveMinutes, learn.QuarterHours:
		return true
	case learn.Hours, learn.Days:
		return zone.String() == "UTC"
	default:
		return false
	}
}
