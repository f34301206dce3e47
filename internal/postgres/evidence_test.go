package postgres

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

func ledgerFlush() ledger.Flush { return ledger.Flush{} }

// randomEvidence is a flush's evidence, of a few keys, so that flushes meet.
func randomEvidence(r *rand.Rand, dayMS int64) []learn.Evidence {
	var s learn.EvidenceSet
	for range 1 + r.IntN(40) {
		k := learn.EvidenceKey{Kind: learn.Kind(1 + r.IntN(3)), BucketMS: dayMS + int64(r.IntN(3))*learn.MinuteMS, Key: uint64(r.IntN(4))<<25 | uint64(r.IntN(3))}
		v := learn.Vote{Code: uint64(r.IntN(5)), N: 1, Sum: [2]int64{int64(r.IntN(100)), -int64(r.IntN(100))}}
		v.Vehicles.Add(r.Uint64N(50))
		s.Add(k, v)
	}
	return s.Rows()
}

func storeEvidence(ctx context.Context, db *DB, rows []learn.Evidence) error {
	f, err := db.BeginFlush(ctx)
	if err != nil {
		return err
	}
	defer f.Rollback(ctx)
	if err := f.Evidence(ctx, rows); err != nil {
		return err
	}
	return f.Commit(ctx, ledger.Flush{})
}

var allKinds = []learn.Kind{1, 2, 3}

func TestEvidenceAddsUp(t *testing.T) {
	db := openTest(t)
	ctx, now := t.Context(), time.Now()
	day := now.UTC().Truncate(24 * time.Hour)
	r := rand.New(rand.NewPCG(21, 1))
	want := map[learn.EvidenceKey]learn.Votes{}
	read := func(tiles ...uint32) map[learn.EvidenceKey]learn.Votes {
		t.Helper()
		got := map[learn.EvidenceKey]learn.Votes{}
		var order []learn.EvidenceKey
		must(t, db.Evidence(ctx, allKinds, tiles, day, day.Add(time.Hour), func(e learn.Evidence) {
			got[e.EvidenceKey] = e.Votes
			order = append(order, e.EvidenceKey)
		}))
		if len(order) != len(got) || !slices.IsSortedFunc(order, func(a, b learn.EvidenceKey) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key), cmp.Compare(a.BucketMS, b.BucketMS))
		}) {
			t.Error("evidence came twice or out of order")
		}
		return got
	}
	for i := range 30 {
		rows := randomEvidence(r, day.UnixMilli())
		for _, e := range rows {
			v := want[e.EvidenceKey]
			v.Merge(e.Votes)
			want[e.EvidenceKey] = v
		}
		must(t, storeEvidence(ctx, db.at(now.Add(time.Duration(i%5)*slotSpan)), rows))
		if i%11 == 10 {
			_, _, err := db.at(now).Fold(ctx)
			must(t, err)
		}
	}
	if diff := gocmp.Diff(want, read(0, 1, 2, 3)); diff != "" {
		t.Errorf("base and deltas (-want +got):\n%s", diff)
	}
	_, _, err := db.FoldAll(ctx)
	must(t, err)
	if n := count(t, db, "SELECT count(*) FROM evidence_delta"); n != 0 {
		t.Errorf("%d deltas left", n)
	}
	if diff := gocmp.Diff(want, read(0, 1, 2, 3)); diff != "" {
		t.Errorf("folded (-want +got):\n%s", diff)
	}
	for k := range read(2) {
		if k.Key>>25 != 2 {
			t.Errorf("evidence of key %d for tile 2", k.Key)
		}
	}
	tiles, err := db.EvidenceTiles(ctx, allKinds, day, day.Add(time.Hour))
	must(t, err)
	slices.Sort(tiles)
	if diff := gocmp.Diff([]uint32{0, 1, 2, 3}, tiles); diff != "" {
		t.Errorf("tiles with evidence (-want +got):\n%s", diff)
	}
}

// What readers see of evidence and of live minutes never falls short of what was committed before nor
// exceeds what was begun, while folding goes on.
func TestLearnedIsInvariantWhileFolding(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	now := time.Now()
	day := now.UTC().Truncate(24 * time.Hour)
	minute := now.UTC().Truncate(time.Minute)
	const tile = 3
	var begun, committed atomic.Int64
	stop := make(chan struct{})
	var writers, others sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range 30 {
				votes := learn.Votes{{Code: uint64(i % 7), N: 2}}
				row := minuteRow(minute, tile<<25+2, uint64(w), uint64(i))
				begun.Add(2)
				f, err := db.at(now.Add(time.Duration(i) * slotSpan / 2)).BeginFlush(ctx)
				if err == nil {
					err = f.Speeds(ctx, []learn.SpeedRow{row})
				}
				if err == nil {
					err = f.Evidence(ctx, []learn.Evidence{{EvidenceKey: learn.EvidenceKey{Kind: 2, BucketMS: day.UnixMilli(), Key: tile << 25}, Votes: votes}})
				}
				if err == nil {
					err = f.Commit(ctx, ledger.Flush{})
				}
				if err != nil {
					t.Error(err)
					return
				}
				committed.Add(2)
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
		}
	})
	look := func(what string, read func() (int64, error)) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := committed.Load()
				got, err := read()
				if err != nil {
					t.Error(err)
					return
				}
				if most := begun.Load(); got < least || got > most {
					t.Errorf("%s: read %d, committed before %d, begun after %d", what, got, least, most)
					return
				}
			}
		})
	}
	votes := func() (n int64, err error) {
		err = db.Evidence(ctx, []learn.Kind{2}, []uint32{tile}, day, day, func(e learn.Evidence) {
			for _, v := range e.Votes {
				n += int64(v.N)
			}
		})
		return n, err
	}
	live := func() (n int64, err error) {
		err = db.LiveSpeeds(ctx, []uint32{tile}, minute.Add(-5*time.Minute), minute, minute, func(s learn.LiveSpeed) { n += s.Whole.N })
		return n, err
	}
	look("evidence", votes)
	look("live speeds", live)
	writers.Wait()
	close(stop)
	others.Wait()
	for what, read := range map[string]func() (int64, error){"evidence": votes, "live speeds": live} {
		if n, err := read(); err != nil || n != committed.Load() {
			t.Errorf("%s in the end: %d, %v; committed %d", what, n, err, committed.Load())
		}
	}
}
