package postgres

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// at makes a view of db whose clock stands at t: flushes go to that moment's slot.
func (db *DB) at(t time.Time) *DB {
	c := *db
	c.now = func() time.Time { return t }
	return &c
}

func randomRows(r *rand.Rand, bucket int64, edges, n int) []learn.SpeedRow {
	rows := make([]learn.SpeedRow, n)
	for i := range rows {
		rows[i].BucketMS, rows[i].Edge = bucket, uint64(r.IntN(edges)+1)<<25
		for range 1 + r.IntN(20) {
			rows[i].Add(uint16(r.IntN(5000)), r.Uint64N(200))
		}
	}
	return rows
}

func store(ctx context.Context, db *DB, rows []learn.SpeedRow, health []learn.HealthRow) error {
	f, err := db.BeginFlush(ctx)
	if err != nil {
		return err
	}
	defer f.Rollback(ctx)
	if err := f.Speeds(ctx, rows); err != nil {
		return err
	}
	if err := f.Health(ctx, health); err != nil {
		return err
	}
	return f.Commit(ctx, ledger.Flush{})
}

func readAll(t *testing.T, db *DB, table string) map[speedKey]*learn.Speed {
	t.Helper()
	sums := map[speedKey]*learn.Speed{}
	err := pgx.BeginFunc(t.Context(), db.pool, func(tx pgx.Tx) error {
		return readSpeeds(t.Context(), tx.Conn(), "SELECT bucket, edge, n, sum_cmps, v0, v1, bins FROM "+table, nil,
			func(r *rawSpeed) error { return r.mergeInto(sums) })
	})
	must(t, err)
	return sums
}

func TestFoldMergesExactly(t *testing.T) {
	db := openTest(t)
	r := rand.New(rand.NewPCG(1, 1))
	now := time.Now()
	bucket := learn.BucketStart(now.UnixMilli())
	want := map[speedKey]*learn.Speed{}
	for round := range 3 {
		for i := range 4 { // into several slots, the present one among them
			rows := randomRows(r, bucket-int64(i%2)*300_000, 50, 100)
			for j := range rows {
				k := speedKey{rows[j].BucketMS, rows[j].Edge}
				if want[k] == nil {
					want[k] = &learn.Speed{}
				}
				want[k].Merge(&rows[j].Speed)
			}
			health := []learn.HealthRow{{HealthKey: learn.HealthKey{HourMS: bucket - bucket%3_600_000, Model: "m"}, Health: learn.Health{Samples: 7}}}
			must(t, store(t.Context(), db.at(now.Add(time.Duration(i)*slotSpan)), rows, health))
		}
		if round == 1 {
			_, _, err := db.at(now).Fold(t.Context())
			must(t, err)
			if n := count(t, db, "SELECT count(DISTINCT slot) FROM segment_speed_delta"); n != 1 {
				t.Errorf("after a fold %d slots have deltas, want the current one", n)
			}
		}
	}
	deltas, written, err := db.FoldAll(t.Context())
	must(t, err)
	if deltas == 0 || written == 0 {
		t.Errorf("folded %d deltas into %d rows", deltas, written)
	}
	if n := count(t, db, "SELECT count(*) FROM segment_speed_delta"); n != 0 {
		t.Errorf("%d deltas left", n)
	}
	if diff := cmp.Diff(want, readAll(t, db, "segment_speed"), cmp.AllowUnexported(speedKey{})); diff != "" {
		t.Errorf("folded (-want +got):\n%s", diff)
	}
	if n := count(t, db, "SELECT sum(samples) FROM sensor_health"); n != 3*4*7 {
		t.Errorf("%d samples in sensor health, want %d", n, 3*4*7)
	}
}

// Base and deltas together, read in one statement, are right at every moment: never less than
// what was committed before, never more than what was begun.
func TestSumIsInvariantWhileFolding(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	bucket := learn.BucketStart(time.Now().UnixMilli())
	var begun, committed, folds, reads atomic.Int64
	stop := make(chan struct{})
	var writers, others sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(w)))
			for i := range 40 {
				rows := randomRows(r, bucket, 30, 60)
				var n int64
				for j := range rows {
					n += int64(rows[j].N)
				}
				begun.Add(n)
				// Slots pass by quickly, so that writers meet folds.
				if err := store(ctx, db.at(time.Now().Add(time.Duration(i)*slotSpan/2)), rows, nil); err != nil {
					t.Error(err)
					return
				}
				committed.Add(n)
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := db.FoldAll(ctx); err != nil {
				t.Error(err)
				return
			}
			folds.Add(1)
		}
	})
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := committed.Load()
				var got int64
				err := db.pool.QueryRow(ctx, `SELECT coalesce(sum(n), 0) FROM (SELECT n FROM segment_speed
					UNION ALL SELECT n FROM segment_speed_delta) x`).Scan(&got)
				if err != nil {
					t.Error(err)
					return
				}
				if most := begun.Load(); got < least || got > most {
					t.Errorf("read %d samples, committed before %d, begun after %d", got, least, most)
					return
				}
				reads.Add(1)
			}
		})
	}
	writers.Wait()
	close(stop)
	others.Wait()
	_, _, err := db.FoldAll(ctx)
	must(t, err)
	if got := count(t, db, "SELECT sum(n) FROM segment_speed"); got != committed.Load() {
		t.Errorf("in the end %d samples, committed %d", got, committed.Load())
	}
	t.Logf("%d folds, %d reads", folds.Load(), reads.Load())
}

func TestOutboxDeletesWhatWasRead(t *testing.T) {
	db := openTest(t)
	ctx, now := t.Context(), time.Now().UnixMilli()
	dirty := func(f *Flush, tile uint32) {
		must(t, f.Dirty(ctx, "speeds", []learn.DirtyTile{{Tile: tile, AcceptedMS: now, EventMS: now}}))
	}
	early, late := begin(t, db), begin(t, db)
	dirty(early, 1) // the lower id, committed last
	dirty(late, 2)
	must(t, late.Commit(ctx, ledger.Flush{}))
	ids, tiles, err := db.Outbox(ctx, "speeds", 10)
	must(t, err)
	if len(ids) != 1 || tiles[0] != (learn.DirtyTile{Tile: 2, AcceptedMS: now, EventMS: now}) {
		t.Fatalf("outbox = %v", tiles)
	}
	must(t, early.Commit(ctx, ledger.Flush{}))
	must(t, db.DeleteOutbox(ctx, ids))
	_, tiles, err = db.Outbox(ctx, "speeds", 10)
	must(t, err)
	if len(tiles) != 1 || tiles[0].Tile != 1 {
		t.Errorf("outbox = %v, want the tile committed meanwhile", tiles)
	}
}

func TestLiveTiles(t *testing.T) {
	db := openTest(t)
	must(t, db.SetLiveTiles(t.Context(), "speeds", []uint32{1, 2, 1 << 27}, nil))
	must(t, db.SetLiveTiles(t.Context(), "speeds", []uint32{1, 3}, []uint32{2, 9}))
	must(t, db.SetLiveTiles(t.Context(), "speeds", nil, nil))
	got, err := db.LiveTiles(t.Context(), "speeds")
	must(t, err)
	if len(got) != 3 {
		t.Errorf("live tiles = %v, want 1, 3 and 2²⁷", got)
	}
	must(t, db.RecordProjection(t.Context(), ledger.Projection{Layer: "speeds", Tiles: 3, P50S: 1, P95S: 2, MaxS: 3, EventP50S: 4, EventP95S: 5}))
	must(t, db.RecordProjection(t.Context(), ledger.Projection{Layer: "speeds", Late: true, Tiles: 1, EventP95S: 70}))
	a, err := db.Activity(t.Context(), false)
	must(t, err)
	eventP95 := map[bool]float64{}
	for _, p := range a.Freshness {
		if p.Layer == "speeds" {
			eventP95[p.Late] = p.EventP95S
		}
	}
	if len(a.Freshness) != 2 || eventP95[false] != 5 || eventP95[true] != 70 {
		t.Errorf("freshness = %+v", a.Freshness)
	}
}
