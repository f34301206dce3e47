package postgres

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
)

func minuteRow(at time.Time, edge uint64, vehicles ...uint64) learn.SpeedRow {
	r := learn.SpeedRow{BucketMS: at.Truncate(time.Minute).UnixMilli(), Edge: edge}
	for _, v := range vehicles {
		r.Add(1000, v)
	}
	return r
}

func liveOf(t *testing.T, db *DB, tile uint32, since, recent, until time.Time) []learn.LiveSpeed {
	t.Helper()
	var got []learn.LiveSpeed
	must(t, db.LiveSpeeds(t.Context(), []uint32{tile}, since, recent, until, func(s learn.LiveSpeed) { got = append(got, s) }))
	return got
}

func bitmap(vehicles ...uint64) (v learn.Vehicles) {
	for _, p := range vehicles {
		v.Add(p)
	}
	return v
}

func TestLiveSpeeds(t *testing.T) {
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour) // away from midnight
	db := openTest(t).at(now)
	ctx := t.Context()
	const tile = 1000
	edge := uint64(tile<<25 + 3)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	must(t, store(ctx, db, []learn.SpeedRow{
		minuteRow(now, edge, 1, 2), minuteRow(ago(4), edge, 2), minuteRow(ago(11), edge, 3), minuteRow(ago(16), edge, 4),
		minuteRow(now, (tile+1)<<25, 5), minuteRow(now, tile<<25-1, 6),
	}, nil))
	want := []learn.LiveSpeed{{
		Edge: edge, OldestMS: ago(11).UnixMilli(),
		Recent: learn.SpeedSum{N: 3, SumCMPS: 3000, Vehicles: bitmap(1, 2)},
		Whole:  learn.SpeedSum{N: 4, SumCMPS: 4000, Vehicles: bitmap(1, 2, 3)},
	}}
	wantPasses := []learn.Pass{
		{MinuteMS: ago(11).UnixMilli(), Vehicles: bitmap(3)},
		{MinuteMS: ago(4).UnixMilli(), Vehicles: bitmap(2)},
		{MinuteMS: now.UnixMilli(), Vehicles: bitmap(1, 2)},
	}
	for _, from := range []string{"deltas", "base"} {
		if diff := cmp.Diff(want, liveOf(t, db, tile, ago(15), ago(5), now)); diff != "" {
			t.Errorf("live speeds from the %s (-want +got):\n%s", from, diff)
		}
		var passes []learn.Pass
		must(t, db.Passes(ctx, []uint64{edge, edge + 1}, ago(15), now, func(e uint64, p learn.Pass) {
			if e != edge {
				t.Errorf("a pass of segment %d", e)
			}
			passes = append(passes, p)
		}))
		if diff := cmp.Diff(wantPasses, passes); diff != "" {
			t.Errorf("passes from the %s (-want +got):\n%s", from, diff)
		}
		_, _, err := db.FoldAll(ctx)
		must(t, err)
	}
}

// Pseudonyms change at midnight: the same two cars, before and after, are not four.
func TestLiveSpeedsOverMidnight(t *testing.T) {
	midnight := time.Now().UTC().Truncate(24 * time.Hour)
	db := openTest(t).at(midnight.Add(time.Minute))
	const edge = 7<<25 + 2
	must(t, store(t.Context(), db, []learn.SpeedRow{minuteRow(midnight.Add(-time.Minute), edge, 1, 2, 3), minuteRow(midnight, edge, 11, 12)}, nil))
	got := liveOf(t, db, 7, midnight.Add(-10*time.Minute), midnight.Add(-5*time.Minute), midnight)
	if len(got) != 1 || got[0].Whole.N != 5 || got[0].Whole.Vehicles.AtLeast() > 3 || got[0].OldestMS != midnight.Add(-time.Minute).UnixMilli() {
		t.Errorf("live speeds = %+v, want 5 samples of at most 3 vehicles", got)
	}
}

// Minutes go round a ring of hours: hours that have gone by leave room, late and early data goes
// elsewhere, and what is live is never lost.
func TestLiveRing(t *testing.T) {
	db := openTest(t)
	start := time.Now().UTC().Truncate(time.Hour).Add(30 * time.Minute)
	const edge = 9<<25 + 2
	for hour := range 6 {
		now := start.Add(time.Duration(hour) * time.Hour)
		at := db.at(now)
		must(t, store(t.Context(), at, []learn.SpeedRow{
			minuteRow(now, edge, 1), minuteRow(now.Add(-3*time.Hour), edge, 2), minuteRow(now.Add(20*time.Minute), edge, 3),
		}, nil))
		_, _, err := at.FoldAll(t.Context())
		must(t, err)
		want := int64(min(hour, 2) + 1)
		if n := count(t, db, "SELECT count(*) FROM live_speed"); n != want {
			t.Errorf("hour %d: %d live rows, want %d", hour, n, want)
		}
		got := liveOf(t, at, 9, now.Add(-LivePast), now, now)
		if len(got) != 1 || got[0].Whole.N != want || got[0].Recent.N != 1 {
			t.Errorf("hour %d: live speeds = %+v, want %d samples", hour, got, want)
		}
	}
	for _, table := range []string{"segment_speed", "edge_day"} {
		if n := count(t, db, "SELECT sum(n) FROM "+table); n != 6*3 {
			t.Errorf("%d samples in %s, want all 18", n, table)
		}
	}
}

// Minutes of one bucket, folded or not, are one bucket to readers of buckets.
func TestMinutesAreFloored(t *testing.T) {
	db := openTest(t)
	bucket := time.UnixMilli(learn.BucketStart(time.Now().UnixMilli())).UTC()
	const edge = 11<<25 + 2
	for m := range 5 {
		must(t, store(t.Context(), db, []learn.SpeedRow{minuteRow(bucket.Add(time.Duration(m)*time.Minute), edge, uint64(m))}, nil))
		if m == 2 {
			_, _, err := db.FoldAll(t.Context())
			must(t, err)
		}
	}
	rows, err := db.EdgeSpeeds(t.Context(), edge, bucket, bucket.Add(learn.Bucket))
	must(t, err)
	if len(rows) != 1 || rows[0].N != 5 || rows[0].BucketMS != bucket.UnixMilli() || rows[0].Vehicles.AtLeast() != 5 {
		t.Errorf("the segment's buckets = %+v, want one of 5 samples", rows)
	}
	if got, err := db.EdgeSpeeds(t.Context(), edge, bucket.Add(learn.Bucket), bucket.Add(time.Hour)); err != nil || len(got) != 0 {
		t.Errorf("the buckets after: %+v, %v", got, err)
	}
}

func TestStoredHistograms(t *testing.T) {
	db := openTest(t)
	bucket := time.UnixMilli(learn.BucketStart(time.Now().Add(-2 * 24 * time.Hour).UnixMilli())).UTC()
	r := rand.New(rand.NewPCG(11, 11))
	const edge = 13<<25 + 4
	var buckets []int64
	want := learn.Speed{}
	most := 0
	for d := range 2 {
		day := learn.SpeedRow{BucketMS: bucket.AddDate(0, 0, d).UnixMilli(), Edge: edge}
		buckets = append(buckets, day.BucketMS)
		for range 50 {
			day.Add(uint16(r.IntN(3000)), r.Uint64())
		}
		most = max(most, day.Vehicles.AtLeast())
		want.Merge(&day.Speed)
		must(t, store(t.Context(), db, []learn.SpeedRow{day, {BucketMS: day.BucketMS + 3_600_000, Edge: edge, Speed: day.Speed}}, nil))
	}
	_, _, err := db.FoldAll(t.Context())
	must(t, err)
	seen := 0
	must(t, db.StoredHistograms(t.Context(), []uint32{13}, buckets, func(e uint64, s *learn.Speed) {
		seen++
		if e != edge || s.N != 100 || s.SumCMPS != want.SumCMPS || s.Bins != want.Bins || s.Vehicles.AtLeast() != most {
			t.Errorf("histograms of segment %d: %d samples of %d vehicles; want %d of %d", e, s.N, s.Vehicles.AtLeast(), 100, most)
		}
	}))
	if seen != 1 {
		t.Errorf("%d answers, want 1", seen)
	}
}

func TestGatherOutbox(t *testing.T) {
	db := openTest(t)
	ctx, now := t.Context(), time.Now().UnixMilli()
	flush := func(tiles ...learn.DirtyTile) {
		t.Helper()
		f := begin(t, db)
		must(t, errors.Join(f.Dirty(ctx, "limits", tiles), f.Dirty(ctx, "speeds", tiles[:1]), f.Commit(ctx, ledgerFlush())))
	}
	flush(learn.DirtyTile{Tile: 1, AcceptedMS: now, EventMS: now}, learn.DirtyTile{Tile: 2, AcceptedMS: now, EventMS: now})
	flush(learn.DirtyTile{Tile: 1, AcceptedMS: now - 5, EventMS: now - 9}, learn.DirtyTile{Tile: 1, AcceptedMS: now + 5, EventMS: now + 9})
	gather := func(want int) {
		t.Helper()
		if n, err := db.GatherOutbox(ctx, "limits", 3); err != nil || n != want {
			t.Errorf("took %d rows, %v; want %d", n, err, want)
		}
	}
	gather(3)
	gather(1)
	gather(0)
	tiles, marks, err := db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	want := []learn.DirtyTile{{Tile: 1, AcceptedMS: now - 5, EventMS: now - 9}, {Tile: 2, AcceptedMS: now, EventMS: now}}
	if diff := cmp.Diff(want, tiles); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := count(t, db, "SELECT count(*) FROM outbox WHERE layer = 'speeds'"); n != 2 {
		t.Errorf("%d rows of another layer left, want 2", n)
	}
	// What becomes dirty after the reading stays.
	flush(learn.DirtyTile{Tile: 2, AcceptedMS: now, EventMS: now})
	gather(1)
	must(t, db.DeleteDirtyTiles(ctx, "limits", tiles, marks))
	tiles, _, err = db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	if len(tiles) != 1 || tiles[0].Tile != 2 {
		t.Errorf("left dirty: %+v, want tile 2", tiles)
	}

	// A row that is made anew never looks like the one that was read.
	tiles, marks, err = db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	must(t, db.DeleteDirtyTiles(ctx, "limits", tiles, marks))
	flush(learn.DirtyTile{Tile: 2, AcceptedMS: now, EventMS: now})
	gather(1)
	_, first, err := db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	for range 2 {
		read, again, err := db.DirtyTiles(ctx, "limits", 10)
		must(t, err)
		must(t, db.DeleteDirtyTiles(ctx, "limits", read, again))
		flush(learn.DirtyTile{Tile: 2, AcceptedMS: now, EventMS: now})
		gather(1)
		must(t, db.DeleteDirtyTiles(ctx, "limits", read, first))
	}
	if n := count(t, db, "SELECT count(*) FROM dirty_tile"); n != 1 {
		t.Errorf("%d dirty tiles, want the one marked after the reading", n)
	}
	// A postponed tile goes behind the others, and stays dirty.
	tiles, marks, err = db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	must(t, db.MarkDirty(ctx, "limits", []uint32{3, 3}, time.UnixMilli(now+5), false))
	must(t, db.MarkDirty(ctx, "limits", []uint32{2}, time.UnixMilli(now+9), true))
	must(t, db.DeleteDirtyTiles(ctx, "limits", tiles, marks))
	tiles, _, err = db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	if len(tiles) != 2 || tiles[0].Tile != 3 || tiles[1].Tile != 2 {
		t.Errorf("dirty: %+v, want tile 3, then the postponed 2", tiles)
	}
}

func TestLimitsAreWrittenWhenTheyChange(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	at := time.Now().UTC().Truncate(time.Second)
	l := limit.Limit{Edge: 5 << 25, KMH: 50, MapKMH: 70, Posterior: 0.97, Vehicles: 6, Readings: 9, SinceMS: at.UnixMilli()}
	row := func() int64 { return count(t, db, "SELECT xmin::text::bigint FROM learned_limit") }
	must(t, db.StoreLimits(ctx, []limit.Limit{l}, at))
	first := row()
	must(t, db.StoreLimits(ctx, []limit.Limit{l}, at.Add(time.Hour)))
	if row() != first {
		t.Error("written again though nothing changed")
	}
	must(t, db.StoreLimits(ctx, []limit.Limit{l}, at.Add(25*time.Hour)))
	second := row()
	if second == first {
		t.Error("not written for more than a day: it would expire")
	}
	l.Vehicles++
	must(t, db.StoreLimits(ctx, []limit.Limit{l}, at.Add(25*time.Hour)))
	if row() == second {
		t.Error("a change was not written")
	}
}
