package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// driven commits random speeds of several flushes, a part of them folded, and returns them.
func driven(t testing.TB, db *DB, r *rand.Rand, from time.Time, buckets int, edges []uint64) []learn.SpeedRow {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var all []learn.SpeedRow
	for n := range 6 {
		byKey := map[[2]uint64]*learn.SpeedRow{}
		for range 400 {
			bucket := from.Add(time.Duration(r.IntN(buckets)) * learn.Bucket).UnixMilli()
			edge := edges[r.IntN(len(edges))]
			row := byKey[[2]uint64{uint64(bucket), edge}]
			if row == nil {
				row = &learn.SpeedRow{BucketMS: bucket, Edge: edge}
				byKey[[2]uint64{uint64(bucket), edge}] = row
			}
			row.Add(uint16(r.IntN(4000)), r.Uint64())
		}
		var rows []learn.SpeedRow
		for _, row := range byKey {
			rows = append(rows, *row)
		}
		f, err := db.BeginFlush(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Speeds(ctx, rows); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(ctx, ledger.Flush{Worker: "w", MapVersion: "m"}); err != nil {
			t.Fatal(err)
		}
		if n == 3 {
			if _, _, err := db.FoldAll(ctx); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, rows...)
	}
	return all
}

// sumRows adds rows up by edge and key, in order.
func sumRows(rows []learn.SpeedRow, key func(ms int64) int64, keep func(*learn.SpeedRow) bool) []learn.SpeedRow {
	sums := map[[2]int64]*learn.SpeedRow{}
	for i := range rows {
		if !keep(&rows[i]) {
			continue
		}
		k := [2]int64{int64(rows[i].Edge), key(rows[i].BucketMS)}
		if sums[k] == nil {
			sums[k] = &learn.SpeedRow{Edge: rows[i].Edge, BucketMS: k[1]}
		}
		sums[k].Merge(&rows[i].Speed)
	}
	var out []learn.SpeedRow
	for _, s := range sums {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b learn.SpeedRow) int {
		return cmp.Or(cmp.Compare(a.Edge, b.Edge), cmp.Compare(a.BucketMS, b.BucketMS))
	})
	return out
}

func TestSpeedsAgainstOracle(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	r := rand.New(rand.NewPCG(4, 2))
	const tile = uint64(123_456) << 25
	edges := []uint64{tile + 1, tile + 2, tile + 3, tile + 900, tile + 1<<25 - 1, tile + 1<<25, tile + 5<<25 + 3, 7}
	// Over midnight, so that two days of pseudonyms meet.
	midnight := time.Now().UTC().Truncate(24 * time.Hour)
	start := midnight.Add(-20 * learn.Bucket)
	rows := driven(t, db, r, start, 40, edges)

	day := func(ms int64) int64 { return time.UnixMilli(ms).UTC().Truncate(24 * time.Hour).UnixMilli() }
	from, to := start.Add(7*time.Minute), midnight.Add(8*learn.Bucket)
	ranges := [][2]uint64{{tile, tile + 1<<25}, {tile + 5<<25, tile + 6<<25}}
	want := sumRows(rows, day, func(s *learn.SpeedRow) bool {
		in := s.Edge >= tile && s.Edge < tile+1<<25 || s.Edge >= tile+5<<25 && s.Edge < tile+6<<25
		return in && s.BucketMS >= from.UnixMilli() && s.BucketMS < to.UnixMilli()
	})
	got, err := db.Speeds(t.Context(), from, to, ranges, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("speeds (-want +got):\n%s", diff)
	}
	var paged []learn.SpeedRow
	after := uint64(0)
	for {
		page, err := db.Speeds(t.Context(), from, to, ranges, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		paged, after = append(paged, page...), page[len(page)-1].Edge
	}
	if diff := gocmp.Diff(want, paged); diff != "" {
		t.Errorf("paged by two (-want +got):\n%s", diff)
	}

	edge := edges[2]
	want = sumRows(rows, func(ms int64) int64 { return ms }, func(s *learn.SpeedRow) bool {
		return s.Edge == edge && s.BucketMS >= from.UnixMilli() && s.BucketMS < to.UnixMilli()
	})
	got, err = db.EdgeSpeeds(t.Context(), edge, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("buckets of one segment (-want +got):\n%s", diff)
	}
}

func TestOnBuckets(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	from, to := onBuckets(at("2026-11-23T17:00:00Z"), at("2026-11-23T17:02:00.000000001Z"))
	if !from.Equal(at("2026-11-23T17:00:00Z")) || !to.Equal(at("2026-11-23T17:05:00Z")) {
		t.Errorf("on buckets: %s to %s", from, to)
	}
	if from, _ = onBuckets(at("2026-11-23T17:00:00.0000001Z"), to); !from.Equal(at("2026-11-23T17:05:00Z")) {
		t.Errorf("just after a bucket's start: %s", from)
	}
}

func TestActivity(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	ctx := t.Context()
	a, err := db.Activity(ctx, false)
	if err != nil || !a.NewestAccepted.IsZero() || a.Accepted60.Batches != 0 || len(a.Workers) != 0 {
		t.Fatalf("of an empty database: %+v, %v", a, err)
	}
	// 60 envelopes of 100 batches, one a second, of which one is still on its way; committed just now.
	_, err = db.pool.Exec(ctx, `INSERT INTO envelope SELECT now() - n * interval '1 s', gen, 61 - n, 100, 1000, (61 - n) * 100, (61 - n) * 1000, 0,
		100, 1000, 0, 0, 0, 0, 1, now() FROM generate_series(1, 60) n, (SELECT gen_random_uuid() gen) g WHERE n <> 5;
		INSERT INTO manifest (worker, object_bytes, batches, samples, map_version) VALUES ('w1', 1, 600, 6000, 'm'), ('w2', 1, 60, 600, 'm'), ('w1', 1, 6, 60, 'm');
		INSERT INTO outbox (layer, tile, accepted_at, event_at) SELECT 'speeds', n % 7, now(), now() FROM generate_series(1, 50) n;
		INSERT INTO projection (at, layer, tiles, p50_s, p95_s, max_s) VALUES (now(), 'speeds', 3, 1, 2, 3), (now() - interval '6 min', 'speeds', 3, 9, 9, 9);`)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = db.Activity(ctx, true); err != nil {
		t.Fatal(err)
	}
	// The window ends with the newest acceptance: 10 of one a second, the missing one included.
	if a.Accepted10 != (ledger.Rate{Batches: 100, Samples: 1000}) || a.Processed60.Batches != 5900.0/60 || a.OutboxTiles != 7 {
		t.Errorf("activity %+v", a)
	}
	if len(a.Workers) != 2 || a.Workers[0].Name != "w1" || a.Workers[0].Flushes != 2 || a.Workers[0].Rate.Batches != 606.0/60 {
		t.Errorf("workers %+v", a.Workers)
	}
	if diff := gocmp.Diff([]ledger.Projection{{Layer: "speeds", Tiles: 3, P50S: 1, P95S: 2, MaxS: 3}}, a.Freshness); diff != "" {
		t.Errorf("freshness (-want +got):\n%s", diff)
	}
}
