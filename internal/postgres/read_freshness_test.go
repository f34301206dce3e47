package postgres

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// freshnessOracle tells the same as DB.Freshness from the rows, without a database.
func freshnessOracle(rows []learn.SpeedRow, q *learn.FreshnessQuery) map[uint64]int64 {
	fine := q.Until.Add(-day).Truncate(day)
	out := map[uint64]int64{}
	for edge := range edgesOf(rows) {
		for at := q.Until.Add(-learn.Bucket); !at.Before(q.Since); at = at.Add(-learn.Bucket) {
			if at.Before(fine) && !at.Equal(at.Truncate(day)) {
				continue
			}
			var v learn.Vehicles
			for i := range rows {
				r := &rows[i]
				if r.Edge == edge && r.BucketMS >= at.UnixMilli() && r.BucketMS < q.Until.UnixMilli() && r.BucketMS/learn.DayMS == at.UnixMilli()/learn.DayMS {
					v.Merge(r.Vehicles)
				}
			}
			if v.AtLeast() >= q.K {
				out[edge] = at.UnixMilli()
				break
			}
		}
	}
	return out
}

func edgesOf(rows []learn.SpeedRow) map[uint64]bool {
	edges := map[uint64]bool{}
	for i := range rows {
		edges[rows[i].Edge] = true
	}
	return edges
}

// Every folded day counts, and what is not folded yet of the last two days.
func TestFreshnessAgainstOracle(t *testing.T) {
	db := openTest(t)
	ctx := context.WithoutCancel(t.Context())
	today := time.Now().UTC().Truncate(day)
	r := rand.New(rand.NewPCG(7, 8))
	edges := []uint64{1<<25 + 2, 1<<25 + 3, 2<<25 + 8, 3 << 25, 9 << 25}
	rows := driven(t, db, r, today.Add(-5*day), 2*288, edges[:3])
	if _, _, err := db.FoldAll(ctx); err != nil {
		t.Fatal(err)
	}
	rows = append(rows, driven(t, db, r, today.Add(-2*day), 2*288, edges[1:])...)
	for name, q := range map[string]learn.FreshnessQuery{
		"week":     {Since: today.Add(-7 * day), Until: today, K: 3},
		"many":     {Since: today.Add(-7 * day), Until: today.Add(-3 * time.Hour), K: 60},
		"hours":    {Since: today.Add(-9 * time.Hour), Until: today.Add(-3 * time.Hour), K: 3},
		"nobody":   {Since: today.Add(-7 * day), Until: today, K: 129},
		"one tile": {Since: today.Add(-7 * day), Until: today, K: 3, Ranges: [][2]uint64{{1 << 25, 2 << 25}}},
	} {
		t.Run(name, func(t *testing.T) {
			among := rows
			if q.Ranges == nil {
				q.Ranges = [][2]uint64{{0, 1 << 53}}
			} else {
				among = nil
				for i := range rows {
					if rows[i].Edge < q.Ranges[0][1] {
						among = append(among, rows[i])
					}
				}
			}
			got := map[uint64]int64{}
			if err := db.Freshness(ctx, q, func(edge uint64, since int64) { got[edge] = since }); err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(freshnessOracle(among, &q), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSampleTime(t *testing.T) {
	db := openTest(t)
	ctx := context.WithoutCancel(t.Context())
	hour := time.Now().UTC().Truncate(time.Hour)
	if _, ok, err := db.SampleTime(ctx, hour.Add(-day), hour); ok || err != nil {
		t.Fatalf("an empty table tells: %v, %v", ok, err)
	}
	f, err := db.BeginFlush(ctx)
	if err != nil {
		t.Fatal(err)
	}
	rows := []learn.HealthRow{
		{HealthKey: learn.HealthKey{HourMS: hour.UnixMilli(), Model: "a"}, Health: learn.Health{DistanceM: 3000, StepCMPS: 100_000}},
		{HealthKey: learn.HealthKey{HourMS: hour.UnixMilli(), Model: "b"}, Health: learn.Health{DistanceM: 1000, StepCMPS: 100_000}},
		{HealthKey: learn.HealthKey{HourMS: hour.UnixMilli(), Model: "before steps were kept"}, Health: learn.Health{DistanceM: 9_000_000}},
	}
	if err := f.Health(ctx, rows); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(ctx, ledger.Flush{Worker: "w", MapVersion: "m"}); err != nil {
		t.Fatal(err)
	}
	for _, folded := range []bool{false, true} {
		if folded {
			if _, _, err := db.FoldAll(ctx); err != nil {
				t.Fatal(err)
			}
		}
		got, ok, err := db.SampleTime(ctx, hour.Add(time.Minute), hour.Add(time.Hour))
		if err != nil || !ok || got != 2*time.Second { // 4,000 m at a sum of 2,000 m/s
			t.Errorf("folded %v: %v, %v, %v, want 2 s", folded, got, ok, err)
		}
	}
}
