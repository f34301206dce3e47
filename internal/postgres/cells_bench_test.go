package postgres

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// seedSpeeds fills 30 days of segment_speed with rows of 20,000 segments in 400 tiles, and tells since when.
func seedSpeeds(b *testing.B, db *DB, rows int) time.Time {
	b.Helper()
	ctx := context.WithoutCancel(b.Context())
	today := db.now().UTC().Truncate(day)
	past := db.at(today.Add(-22 * day)) // its partitions reach from 30 days ago on
	for _, d := range []*DB{past, db.at(today.Add(-15 * day)), db.at(today.Add(-9 * day))} {
		if _, err := d.CreatePartitions(ctx); err != nil {
			b.Fatal(err)
		}
	}
	start := today.Add(-30 * day)
	const buckets = 30 * 288
	each := max(rows/buckets, 1) // segments a bucket, spread over all
	_, err := db.pool.Exec(ctx, `INSERT INTO segment_speed SELECT $1::timestamptz + i * interval '5 min', ((1000 + e % 400)::bigint << 25) + (e / 400),
		40, 40 * 1300, (e * 7919 + i)::bigint * 104729, (e + i * 31)::bigint * 15485863, '\x1205130814061502160117011901'
		FROM generate_series(0, $2 - 1) i, LATERAL (SELECT DISTINCT (i * 977 + j * 20000 / $3) % 20000 AS e FROM generate_series(0, $3 - 1) j) s`,
		start, buckets, each)
	if err != nil {
		b.Fatal(err)
	}
	started := time.Now()
	_, err = db.pool.Exec(ctx, `ANALYZE segment_speed; INSERT INTO edge_day
		SELECT date_bin('1 day', bucket, 'epoch') AS day, edge, sum(n), bit_or(v0), bit_or(v1) FROM segment_speed GROUP BY 1, 2`)
	if err != nil {
		b.Fatal(err)
	}
	for d := start; d.Before(today); d = d.Add(day) {
		if _, err := db.rollUpDay(ctx, d); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d rows, 30 days added up in %v", each*buckets, time.Since(started))
	return start
}

func andorra(tb testing.TB) *time.Location {
	tb.Helper()
	zone, err := time.LoadLocation("Europe/Andorra")
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

// BenchmarkSpeedCells asks for trends of 100,000 rows, or of CARASSO_TREND_ROWS.
func BenchmarkSpeedCells(b *testing.B) {
	rows := 100_000
	if v := os.Getenv("CARASSO_TREND_ROWS"); v != "" {
		var err error
		if rows, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	db := openTest(b)
	start := seedSpeeds(b, db, rows)
	end := start.Add(30 * day)
	all := [][2]uint64{{0, 1 << 53}}
	town := [][2]uint64{{1000 << 25, 1010 << 25}} // 10 of 400 tiles
	for _, q := range []struct {
		name string
		learn.CellQuery
	}{
		{"all/day by hour", learn.CellQuery{Grouping: learn.Grouping{From: end.Add(-day), To: end, By: learn.BySteps, Step: learn.Hours}, Ranges: all}},
		{"all/day by 5min", learn.CellQuery{Grouping: learn.Grouping{From: end.Add(-day), To: end, By: learn.BySteps, Step: learn.FiveMinutes}, Ranges: all}},
		{"town/week by hour", learn.CellQuery{Grouping: learn.Grouping{From: end.Add(-7 * day), To: end, By: learn.BySteps, Step: learn.Hours}, Ranges: town}},
		{"all/month by day", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.BySteps, Step: learn.Days}, Ranges: all}},
		{"all/month whole", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end}, Ranges: all}},
		{"all/month by day of Andorra", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.BySteps, Step: learn.Days, Zone: andorra(b)}, Ranges: all}},
		{"all/month by week of Andorra", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.BySteps, Step: learn.Weeks, Zone: andorra(b)}, Ranges: all}},
		{"all/month by weekday of Andorra", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.ByWeekday, Zone: andorra(b)}, Ranges: all}},
		{"all/month by hour of day", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.ByHour}, Ranges: all}},
		{"town/day by 5min", learn.CellQuery{Grouping: learn.Grouping{From: end.Add(-day), To: end, By: learn.BySteps, Step: learn.FiveMinutes}, Ranges: town}},
		{"town/month by day", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.BySteps, Step: learn.Days}, Ranges: town}},
		{"town/month by hour of day", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end, By: learn.ByHour}, Ranges: town}},
		{"page/month", learn.CellQuery{Grouping: learn.Grouping{From: start, To: end}, Ranges: all, Edges: 1000}},
	} {
		b.Run(q.name, func(b *testing.B) {
			var took []time.Duration
			cells := 0
			for b.Loop() {
				cells = 0
				started := time.Now()
				err := db.SpeedCells(b.Context(), q.CellQuery, func(*learn.SpeedCell) error { cells++; return nil })
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(started))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Milliseconds()), "p95-ms")
			b.ReportMetric(float64(cells), "cells")
		})
	}
}

// BenchmarkMoment asks for five minutes of a day in which 6,000 segments of 400 tiles were driven on in each five: all of them, by the
// ranges of an area's tiles, every other one of which neighbours no other.
func BenchmarkMoment(b *testing.B) {
	db := openTest(b)
	ctx := context.WithoutCancel(b.Context())
	start := db.now().UTC().Truncate(day).Add(-day)
	if _, err := db.pool.Exec(ctx, `INSERT INTO segment_speed SELECT $1::timestamptz + i * interval '5 min', ((1000 + e % 400)::bigint << 25) + (e / 400),
		40, 40 * 1300, (e * 7919 + i)::bigint * 104729, (e + i * 31)::bigint * 15485863, '\x1205130814061502160117011901'
		FROM generate_series(0, 287) i, generate_series(0, 5999) e; ANALYZE segment_speed`, pgx.QueryExecModeSimpleProtocol, start); err != nil {
		b.Fatal(err)
	}
	var ranges [][2]uint64
	for t := uint64(1000); t < 1400; t += 2 {
		ranges = append(ranges, [2]uint64{t << 25, (t + 1) << 25}, [2]uint64{(t + 1) << 25, (t+1)<<25 + 1<<24})
	}
	cells, at := 0, 0
	for b.Loop() {
		cells = 0
		at = (at + 7) % 288
		from := start.Add(time.Duration(at) * learn.Bucket)
		q := learn.CellQuery{Grouping: learn.Grouping{From: from, To: from.Add(learn.Bucket)}, Ranges: ranges}
		if err := db.SpeedCells(b.Context(), q, func(*learn.SpeedCell) error { cells++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cells), "cells")
}
