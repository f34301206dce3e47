package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// Base and deltas are read in one statement: see the package's comment. The first part finds
// the page's segments from the index alone, the second fetches their aggregates. Buckets
// are joined one by one, because (bucket, edge) is the key: a range of segments within
// one bucket is one stretch of the index. Deltas are by the minute; from and to are on buckets.
const speedsPage = `WITH page AS MATERIALIZED (
	SELECT DISTINCT edge FROM (
		SELECT x.edge FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 ms', interval '5 min') b (bucket)
			CROSS JOIN unnest($3::bigint[], $4::bigint[]) r (lo, hi)
			CROSS JOIN LATERAL (SELECT edge FROM segment_speed s WHERE s.bucket = b.bucket AND s.edge >= r.lo AND s.edge < r.hi
				AND s.edge > $5 AND s.bucket >= $1 AND s.bucket < $2) x
		UNION ALL
		SELECT d.edge FROM segment_speed_delta d JOIN unnest($3::bigint[], $4::bigint[]) r (lo, hi) ON d.edge >= r.lo AND d.edge < r.hi
			WHERE d.minute >= $1 AND d.minute < $2 AND d.edge > $5
	) e ORDER BY edge LIMIT $6
)
SELECT edge, date_trunc('day', bucket, 'UTC') AS day, sum(n)::bigint, sum(sum_cmps)::bigint, bit_or(v0), bit_or(v1), array_agg(bins)
FROM (
	SELECT s.* FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 ms', interval '5 min') b (bucket)
		CROSS JOIN page p JOIN LATERAL (SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM segment_speed s
			WHERE s.bucket = b.bucket AND s.edge = p.edge AND s.bucket >= $1 AND s.bucket < $2) s ON true
	UNION ALL
	SELECT d.minute, d.edge, d.n, d.sum_cmps, d.v0, d.v1, d.bins FROM segment_speed_delta d JOIN page p ON p.edge = d.edge
		WHERE d.minute >= $1 AND d.minute < $2
) a GROUP BY edge, day ORDER BY edge, day`

// Speeds returns the aggregates of up to limit directed segments, each summed over the buckets
// that start in [from, to) and separately per UTC day (BucketMS is the day's start), by edge
// and day. The segments are those with data in one of the half-open ranges of ids and
// above after, lowest first.
func (db *DB) Speeds(ctx context.Context, from, to time.Time, ranges [][2]uint64, after uint64, limit int) ([]learn.SpeedRow, error) {
	from, to = onBuckets(from, to)
	lo, hi := make([]int64, len(ranges)), make([]int64, len(ranges))
	for i, r := range ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
	}
	rows, err := db.pool.Query(ctx, speedsPage, from, to, lo, hi, int64(after), limit)
	if err != nil {
		return nil, wrap("read speeds", err)
	}
	out, err := collectSpeeds(rows)
	return out, wrap("read speeds", err)
}

const edgeSpeeds = `SELECT edge, bucket, sum(n)::bigint, sum(sum_cmps)::bigint, bit_or(v0), bit_or(v1), array_agg(bins)
FROM (
	SELECT s.* FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 ms', interval '5 min') b (bucket)
		JOIN LATERAL (SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins FROM segment_speed s
			WHERE s.bucket = b.bucket AND s.edge = $3 AND s.bucket >= $1 AND s.bucket < $2) s ON true
	UNION ALL
	SELECT date_bin('5 min', d.minute, 'epoch'), d.edge, d.n, d.sum_cmps, d.v0, d.v1, d.bins FROM segment_speed_delta d
		WHERE d.edge = $3 AND d.minute >= $1 AND d.minute < $2
) a GROUP BY edge, bucket ORDER BY bucket`

// EdgeSpeeds returns one directed segment's aggregates by bucket, for those that start in
// [from, to), oldest first.
func (db *DB) EdgeSpeeds(ctx context.Context, edge uint64, from, to time.Time) ([]learn.SpeedRow, error) {
	from, to = onBuckets(from, to)
	rows, err := db.pool.Query(ctx, edgeSpeeds, from, to, int64(edge))
	if err != nil {
		return nil, wrap("read a segment's speeds", err)
	}
	out, err := collectSpeeds(rows)
	return out, wrap("read a segment's speeds", err)
}

// onBuckets moves both ends up to the next start of a bucket: the same buckets start between
// them.
func onBuckets(from, to time.Time) (time.Time, time.Time) {
	up := func(t time.Time) time.Time {
		start := learn.BucketStart(t.UnixMilli())
		if start < t.UnixMilli() || t.Nanosecond()%int(time.Millisecond) != 0 {
			start += learn.Bucket.Milliseconds()
		}
		return time.UnixMilli(start).UTC()
	}
	return up(from), up(to)
}

func collectSpeeds(rows pgx.Rows) ([]learn.SpeedRow, error) {
	var out []learn.SpeedRow
	var edge, n, sum, v0, v1 int64
	var at time.Time
	var bins [][]byte
	_, err := pgx.ForEachRow(rows, []any{&edge, &at, &n, &sum, &v0, &v1, &bins}, func() error {
		r := learn.SpeedRow{BucketMS: at.UnixMilli(), Edge: uint64(edge)}
		r.N, r.SumCMPS, r.Vehicles = uint32(n), sum, learn.Vehicles{uint64(v0), uint64(v1)}
		for _, b := range bins {
			if err := r.Bins.MergeEncoded(b); err != nil {
				return fmt.Errorf("segment %d at %s: %w", edge, at.UTC().Format(time.RFC3339), err)
			}
		}
		out = append(out, r)
		return nil
	})
	return out, err
}
