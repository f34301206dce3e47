package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// freshRows are who drove where, newest first: by five minutes from $3 on, by day before. Days older than edge_day are in speed_day.
const freshRows = `SELECT at, edge, v0, v1 FROM (
	SELECT s.bucket AS at, s.edge, s.v0, s.v1 FROM segment_speed s WHERE s.bucket >= $3 AND s.bucket < $2
	UNION ALL SELECT s.minute, s.edge, s.v0, s.v1 FROM segment_speed_delta s WHERE s.minute >= $1 AND s.minute < $2
	UNION ALL SELECT s.day, s.edge, s.v0, s.v1 FROM edge_day s WHERE s.day >= $1 AND s.day < $3
	UNION ALL SELECT s.bucket, s.edge, s.v0, s.v1 FROM speed_day s WHERE s.bucket >= $1 AND s.bucket < $3
		AND s.bucket < (SELECT coalesce(min(day), 'infinity') FROM edge_day)
) s WHERE $4 OR EXISTS (SELECT FROM unnest($5::bigint[], $6::bigint[]) r (lo, hi) WHERE s.edge >= r.lo AND s.edge < r.hi) ORDER BY at DESC`

// Freshness tells for each directed segment since when, within [q.Since, q.Until), k distinct vehicles drove on it within one UTC day: the
// start (ms since the epoch) of the latest five minutes, or before the day that began 24 h before q.Until of the latest day, from
// which on to the end of its day or the range there were as many. Segments with fewer are left out.
func (db *DB) Freshness(ctx context.Context, q learn.FreshnessQuery, each func(edge uint64, sinceMS int64)) error {
	since, until := onBuckets(q.Since, q.Until)
	fine := until.Add(-day).Truncate(day)
	if fine.Before(since) {
		fine = since
	}
	lo, hi := make([]int64, len(q.Ranges)), make([]int64, len(q.Ranges))
	for i, r := range q.Ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
	}
	everywhere := len(q.Ranges) == 1 && q.Ranges[0][0] == 0
	rows, err := db.pool.Query(ctx, freshRows, since, until, fine, everywhere, lo, hi)
	if err != nil {
		return wrap("read when segments were driven on", err)
	}
	type seen struct {
		day      int64
		vehicles learn.Vehicles
		told     bool
	}
	segments := map[int64]seen{}
	var at time.Time
	var edge, v0, v1 int64
	_, err = pgx.ForEachRow(rows, []any{&at, &edge, &v0, &v1}, func() error {
		s, known := segments[edge]
		switch d := at.UnixMilli() / learn.DayMS; {
		case s.told:
			return nil
		case !known && len(segments) >= mostCells:
			return learn.ErrTooMuch
		case s.day != d:
			s = seen{day: d}
		}
		s.vehicles.Merge(learn.Vehicles{uint64(v0), uint64(v1)})
		if s.vehicles.AtLeast() >= q.K {
			s.told = true
			each(uint64(edge), learn.BucketStart(at.UnixMilli()))
		}
		segments[edge] = s
		return nil
	})
	return wrap("read when segments were driven on", err)
}

// SampleTime is what a sample with a speed stands for in time, on average over the whole fleet in the hours that start within [from, to): so
// a sum of speeds is a distance. ok is false if nothing tells.
func (db *DB) SampleTime(ctx context.Context, from, to time.Time) (t time.Duration, ok bool, err error) {
	var metres, cmps int64
	// Base and deltas in one statement: see the package's comment.
	err = db.pool.QueryRow(ctx, `SELECT coalesce(sum(distance_m), 0)::bigint, coalesce(sum(step_cmps), 0)::bigint FROM (
			SELECT distance_m, step_cmps FROM sensor_health WHERE hour >= $1 AND hour < $2 AND step_cmps > 0
			UNION ALL SELECT distance_m, step_cmps FROM sensor_health_delta WHERE hour >= $1 AND hour < $2 AND step_cmps > 0
		) h`, from.UTC().Truncate(time.Hour), to.UTC()).Scan(&metres, &cmps)
	if err != nil || cmps <= 0 {
		return 0, false, wrap("read what samples stand for", err)
	}
	return time.Duration(float64(metres) / (float64(cmps) / 100) * float64(time.Second)), true, nil
}
