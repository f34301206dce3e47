package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// Minutes are joined one by one, because (minute, edge) is the key: a tile's segments within one
// minute are one stretch of the index. OFFSET 0, here and below, keeps the planner from turning that into a
// join of all rows of the time with all tiles, which it likes when it underestimates the rows.
const liveRows = `SELECT s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.minute FROM unnest($1::bigint[]) AS t (tile)
		CROSS JOIN unnest($2::timestamptz[], $3::smallint[]) AS m (minute, ring)
		CROSS JOIN LATERAL (SELECT * FROM live_speed x WHERE x.ring = m.ring AND x.minute = m.minute
			AND x.edge >= t.tile << 25 AND x.edge < (t.tile + 1) << 25 OFFSET 0) s
	UNION ALL
	SELECT d.edge, d.n, d.sum_cmps, d.v0, d.v1, d.minute FROM segment_speed_delta d
		WHERE d.minute BETWEEN $4 AND $5 AND d.edge >> 25 = ANY ($1)`

const liveSpeeds = `SELECT edge, sum(n)::bigint, sum(sum_cmps)::bigint, bit_or(v0), bit_or(v1), min(minute),
	coalesce(sum(n) FILTER (WHERE minute >= $6), 0)::bigint, coalesce(sum(sum_cmps) FILTER (WHERE minute >= $6), 0)::bigint,
	coalesce(bit_or(v0) FILTER (WHERE minute >= $6), 0), coalesce(bit_or(v1) FILTER (WHERE minute >= $6), 0)
FROM (` + liveRows + `) AS live GROUP BY edge, (minute AT TIME ZONE 'UTC')::date ORDER BY edge`

// liveArgs are the first arguments of a query over the minutes from since to until, both included.
func liveArgs(tiles []uint32, since, until time.Time) []any {
	since, until = since.UTC().Truncate(time.Minute), until.UTC().Truncate(time.Minute)
	var minutes []time.Time
	var rings []int16
	for t := since; !t.After(until); t = t.Add(time.Minute) {
		minutes, rings = append(minutes, t), append(rings, liveRing(t))
	}
	return []any{quadkeys(tiles), minutes, rings, since, until}
}

func quadkeys(tiles []uint32) []int64 {
	out := make([]int64, len(tiles))
	for i, t := range tiles {
		out[i] = int64(t)
	}
	return out
}

// LiveSpeeds sums the speeds of all directed segments of the given z14 tiles (quadkeys) over
// the minutes that start from since to until, not yet folded ones included, by edge; Recent is the
// part from recent on. since is at most LivePast ago. Pseudonyms change at midnight
// UTC, so Vehicles are those of the day that saw most: a union over two days would count each car
// twice.
func (db *DB) LiveSpeeds(ctx context.Context, tiles []uint32, since, recent, until time.Time, each func(learn.LiveSpeed)) error {
	args := append(liveArgs(tiles, since, until), recent.UTC())
	rows, err := db.pool.Query(ctx, liveSpeeds, args...)
	if err != nil {
		return wrap("read live speeds", err)
	}
	var edge, v0, v1, r0, r1 int64
	var oldest time.Time
	var day, sofar learn.LiveSpeed // sofar: of the edge that is being read; its rows come together
	_, err = pgx.ForEachRow(rows, []any{
		&edge, &day.Whole.N, &day.Whole.SumCMPS, &v0, &v1, &oldest, &day.Recent.N, &day.Recent.SumCMPS, &r0, &r1,
	}, func() error {
		day.Edge, day.OldestMS = uint64(edge), oldest.UnixMilli()
		day.Whole.Vehicles = learn.Vehicles{uint64(v0), uint64(v1)}
		day.Recent.Vehicles = learn.Vehicles{uint64(r0), uint64(r1)}
		switch {
		case sofar.Whole.N == 0:
			sofar = day
		case sofar.Edge == day.Edge:
			sofar.AddDay(day)
		default:
			each(sofar)
			sofar = day
		}
		return nil
	})
	if err == nil && sofar.Whole.N > 0 {
		each(sofar)
	}
	return wrap("read live speeds", err)
}

const whoDrove = `SELECT edge, minute, bit_or(v0), bit_or(v1) FROM (
	SELECT s.edge, s.minute, s.v0, s.v1 FROM unnest($1::bigint[]) AS e (edge) CROSS JOIN unnest($2::timestamptz[], $3::smallint[]) AS m (minute, ring)
		CROSS JOIN LATERAL (SELECT * FROM live_speed x WHERE x.ring = m.ring AND x.minute = m.minute AND x.edge = e.edge OFFSET 0) s
	UNION ALL
	SELECT d.edge, d.minute, d.v0, d.v1 FROM segment_speed_delta d WHERE d.minute BETWEEN $4 AND $5 AND d.edge = ANY ($1)
) AS live GROUP BY edge, minute ORDER BY edge, minute`

// Passes tells who drove on directed segments in each minute that starts from since to until, by edge
// and minute, not yet folded ones included. since is at most LivePast ago.
func (db *DB) Passes(ctx context.Context, edges []uint64, since, until time.Time, each func(edge uint64, p learn.Pass)) error {
	if len(edges) == 0 {
		return nil
	}
	args := liveArgs(nil, since, until)
	args[0] = signed(edges)
	rows, err := db.pool.Query(ctx, whoDrove, args...)
	if err != nil {
		return wrap("read passes", err)
	}
	var edge, v0, v1 int64
	var minute time.Time
	_, err = pgx.ForEachRow(rows, []any{&edge, &minute, &v0, &v1}, func() error {
		each(uint64(edge), learn.Pass{MinuteMS: minute.UnixMilli(), Vehicles: learn.Vehicles{uint64(v0), uint64(v1)}})
		return nil
	})
	return wrap("read passes", err)
}

// signed are ids as PostgreSQL takes them.
func signed(ids []uint64) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}

const whoDroveByDay = `SELECT s.edge, s.day, s.n, s.v0, s.v1 FROM unnest($1::bigint[]) AS t (tile) CROSS JOIN unnest($2::timestamptz[]) AS b (day)
	CROSS JOIN LATERAL (SELECT * FROM edge_day x WHERE x.day = b.day AND x.edge >= t.tile << 25 AND x.edge < (t.tile + 1) << 25 OFFSET 0) s
	ORDER BY s.edge, s.day`

// DayPasses tells who drove on the directed segments of z14 tiles on each UTC day from since's to
// until's, by edge and day; only what is folded.
func (db *DB) DayPasses(ctx context.Context, tiles []uint32, since, until time.Time, each func(edge uint64, dayMS, n int64, v learn.Vehicles)) error {
	rows, err := db.pool.Query(ctx, whoDroveByDay, quadkeys(tiles), daysBetween(since, until))
	if err != nil {
		return wrap("read passes by day", err)
	}
	var edge, n, v0, v1 int64
	var start time.Time
	_, err = pgx.ForEachRow(rows, []any{&edge, &start, &n, &v0, &v1}, func() error {
		each(uint64(edge), start.UnixMilli(), n, learn.Vehicles{uint64(v0), uint64(v1)})
		return nil
	})
	return wrap("read passes by day", err)
}

const fullestDays = `SELECT s.edge, max(bit_count(s.v0::bit(64)) + bit_count(s.v1::bit(64))) FROM unnest($1::bigint[]) AS t (tile)
	CROSS JOIN unnest($2::timestamptz[]) AS b (day)
	CROSS JOIN LATERAL (SELECT * FROM edge_day x WHERE x.day = b.day AND x.edge >= t.tile << 25 AND x.edge < (t.tile + 1) << 25 OFFSET 0) s
	GROUP BY s.edge`

// FullestDays tells how many distinct vehicles, a lower bound, drove on the directed segments of z14 tiles on the
// UTC day with the most, of those from since's to until's; only what is folded.
func (db *DB) FullestDays(ctx context.Context, tiles []uint32, since, until time.Time, each func(edge uint64, vehicles int)) error {
	rows, err := db.pool.Query(ctx, fullestDays, quadkeys(tiles), daysBetween(since, until))
	if err != nil {
		return wrap("read the fullest days", err)
	}
	var edge, n int64
	_, err = pgx.ForEachRow(rows, []any{&edge, &n}, func() error {
		each(uint64(edge), int(n))
		return nil
	})
	return wrap("read the fullest days", err)
}

// daysBetween are the starts of the UTC days from since's to until's.
func daysBetween(since, until time.Time) (days []time.Time) {
	for d := since.UTC().Truncate(day); !d.After(until); d = d.Add(day) {
		days = append(days, d)
	}
	return days
}

// DrivenTiles lists the z14 tiles that were driven in on a UTC day from since's on, in no order; only what is
// folded.
func (db *DB) DrivenTiles(ctx context.Context, since time.Time) ([]uint32, error) {
	return db.tileList(ctx, "list tiles driven in", "SELECT DISTINCT edge >> 25 FROM edge_day WHERE day >= $1", since.UTC().Truncate(day))
}

// storedRows are of the folded buckets alone: history is folded.
const storedRows = `FROM unnest($1::bigint[]) AS t (tile) CROSS JOIN unnest($2::timestamptz[]) AS b (bucket)
	CROSS JOIN LATERAL (SELECT * FROM segment_speed x WHERE x.bucket = b.bucket AND x.bucket BETWEEN $3 AND $4
		AND x.edge >= t.tile << 25 AND x.edge < (t.tile + 1) << 25 OFFSET 0) s`

func storedArgs(tiles []uint32, bucketsMS []int64) []any {
	buckets := make([]time.Time, len(bucketsMS))
	var lo, hi time.Time
	for i, ms := range bucketsMS {
		buckets[i] = msTime(ms)
		if i == 0 || buckets[i].Before(lo) {
			lo = buckets[i]
		}
		if buckets[i].After(hi) {
			hi = buckets[i]
		}
	}
	return []any{quadkeys(tiles), buckets, lo, hi}
}

const storedHistograms = `SELECT s.bucket, s.edge, s.n, s.sum_cmps, s.v0, s.v1, s.bins ` + storedRows + ` ORDER BY s.edge, s.bucket`

// StoredHistograms sums the folded speeds of all directed segments of z14 tiles over the given buckets
// (starts, ms since the epoch), by edge; s is valid during the call. Its Vehicles are those of the fullest day.
func (db *DB) StoredHistograms(ctx context.Context, tiles []uint32, bucketsMS []int64, each func(edge uint64, s *learn.Speed)) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return wrap("read stored histograms", err)
	}
	defer conn.Release()
	var of uint64
	var dayNo int64
	var day learn.Vehicles
	var sum learn.Speed
	endDay := func() {
		if day.AtLeast() > sum.Vehicles.AtLeast() {
			sum.Vehicles = day
		}
		day = learn.Vehicles{}
	}
	err = readSpeeds(ctx, conn.Conn(), storedHistograms, storedArgs(tiles, bucketsMS), func(r *rawSpeed) error {
		if d := r.key.bucketMS / learn.DayMS; r.key.edge != of || d != dayNo {
			endDay()
			dayNo = d
		}
		if r.key.edge != of {
			if sum.N > 0 {
				each(of, &sum)
			}
			sum, of = learn.Speed{}, r.key.edge
		}
		day.Merge(r.vehicles)
		return sum.MergeEncoded(r.n, r.sumCMPS, learn.Vehicles{}, r.bins)
	})
	if err == nil && sum.N > 0 {
		endDay()
		each(of, &sum)
	}
	return wrap("read stored histograms", err)
}
