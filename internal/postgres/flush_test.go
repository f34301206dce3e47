package postgres

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

func header(receiver byte, seq uint64, at time.Time) *telemetry.Header {
	return &telemetry.Header{Receiver: telemetry.ReceiverID{receiver}, Seq: seq, AcceptedAt: at.UnixMilli(), Batches: 3, Samples: 30}
}

func claimIDs(r *rand.Rand, at time.Time, n int) []telemetry.ClaimID {
	ids := make([]telemetry.ClaimID, n)
	for i := range ids {
		binary.BigEndian.PutUint64(ids[i][:8], uint64(at.UnixMilli())<<16|uint64(r.IntN(1<<16)))
		binary.BigEndian.PutUint64(ids[i][8:], r.Uint64())
	}
	slices.SortFunc(ids, compareClaims)
	return ids
}

func begin(t *testing.T, db *DB) *Flush {
	t.Helper()
	f, err := db.BeginFlush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Rollback(t.Context()) })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFlushStoresEverything(t *testing.T) {
	db := openTest(t)
	ctx, now := t.Context(), time.Now()
	ids := claimIDs(rand.New(rand.NewPCG(1, 1)), now, 3)
	h := header(1, 7, now)
	h.Voided = []telemetry.Void{{Seq: 5, Batches: 2, Samples: 20}, {Seq: 3, Batches: 1, Samples: 10}}

	f := begin(t, db)
	fresh := make([]bool, 3)
	must(t, f.Envelopes(ctx, []*telemetry.Header{h}, fresh[:1]))
	if !fresh[0] {
		t.Error("a new envelope is fresh")
	}
	must(t, f.Claim(ctx, ids, []int16{10, 10, 10}, fresh))
	if !fresh[0] || !fresh[1] || !fresh[2] {
		t.Errorf("fresh = %v, want all", fresh)
	}
	row := learn.SpeedRow{BucketMS: learn.BucketStart(now.UnixMilli()), Edge: 77 << 25}
	row.Add(1400, 1)
	row.Add(1500, 2)
	must(t, f.Speeds(ctx, []learn.SpeedRow{row, row}))
	health := learn.HealthRow{
		HealthKey: learn.HealthKey{HourMS: now.Truncate(time.Hour).UnixMilli(), Model: "G30", Software: "1"},
		Health:    learn.Health{Batches: 3, Samples: 30, SumAccuracyCM: 99},
	}
	must(t, f.Health(ctx, []learn.HealthRow{health, health}))
	key := learn.EvidenceKey{Kind: learn.LimitEvidence, BucketMS: now.UnixMilli() / learn.DayMS * learn.DayMS, Key: 77 << 25}
	must(t, f.Evidence(ctx, []learn.Evidence{{EvidenceKey: key, Votes: learn.Votes{{Code: 50, N: 1}}}, {EvidenceKey: key}}))
	must(t, f.Dirty(ctx, "speeds", []learn.DirtyTile{{Tile: 77, AcceptedMS: now.UnixMilli(), EventMS: now.UnixMilli()}}))
	must(t, f.Settle(ctx, []ledger.Envelope{{Header: *h, Archived: 2, ArchivedSamples: 20, Quarantined: 1, QuarantinedSamples: 10}},
		[]ledger.Quarantined{
			{HasEnvelope: true, Receiver: h.Receiver, Seq: h.Seq, HasClaim: true, Reason: ledger.ReasonBatch, Detail: "bad\x00\xff", ObjectKey: "q/1", Batches: 1},
			{Reason: ledger.ReasonHeader, ObjectKey: "q/0"},
		}))
	must(t, f.Commit(ctx, ledger.Flush{Worker: "w", ObjectKey: "raw/1", Batches: 2, Samples: 20, TMin: 1, TMax: now.UnixMilli()}))
	f.Rollback(ctx) // no effect

	for sql, want := range map[string]int64{
		"SELECT id FROM manifest": f.ID(),
		"SELECT archived*1000 + archived_samples*10 + quarantined FROM envelope WHERE seq = 7": 2201,
		"SELECT count(*) FROM claim WHERE samples = 10":                                        3,
		"SELECT sum(n) FROM segment_speed_delta":                                               4,
		"SELECT sum(sum_accuracy_cm) FROM sensor_health_delta":                                 198,
		"SELECT count(*) FROM evidence_delta WHERE kind = 1 AND key = 77::bigint << 25":        2,
		"SELECT count(*) FROM outbox WHERE layer = 'speeds' AND tile = 77":                     1,
		"SELECT count(*) FROM quarantine":                                                      2,
		"SELECT sum(batches) FROM voided_envelope":                                             3,
	} {
		if got := count(t, db, sql); got != want {
			t.Errorf("%s = %d, want %d", sql, got, want)
		}
	}

	// Again: a redelivery, one batch resent, one new.
	f = begin(t, db)
	must(t, f.Envelopes(ctx, []*telemetry.Header{h, header(1, 8, now)}, fresh[:2]))
	if fresh[0] || !fresh[1] {
		t.Errorf("fresh = %v, want the second only", fresh[:2])
	}
	more := append(claimIDs(rand.New(rand.NewPCG(2, 2)), now.Add(-time.Hour), 1), ids[1])
	must(t, f.Claim(ctx, more, []int16{10, 10}, fresh[:2]))
	if !fresh[0] || fresh[1] {
		t.Errorf("fresh = %v, want the first only", fresh[:2])
	}
	f.Rollback(ctx)
	if n := count(t, db, "SELECT count(*) FROM claim"); n != 3 {
		t.Errorf("%d claims after a rollback, want 3", n)
	}
}

// Many flushes over the same envelopes and batches: each is fresh exactly once, none deadlocks.
func TestRacingFlushes(t *testing.T) {
	db := openTest(t)
	ctx, now := t.Context(), time.Now()
	r := rand.New(rand.NewPCG(3, 3))
	ids := claimIDs(r, now, 400)
	const workers = 8
	var mu sync.Mutex
	got := map[telemetry.ClaimID]int{}
	envelopes := map[uint64]int{}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(4, uint64(w)))
			for range 6 {
				f, err := db.BeginFlush(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				var hs []*telemetry.Header
				for s := range uint64(12) {
					if r.IntN(2) == 0 {
						hs = append(hs, header(1, s+1, now))
					}
				}
				var mine []telemetry.ClaimID
				for _, id := range ids {
					if r.IntN(3) > 0 {
						mine = append(mine, id)
					}
				}
				freshE, freshC := make([]bool, len(hs)), make([]bool, len(mine))
				err = f.Envelopes(ctx, hs, freshE)
				if err == nil {
					err = f.Claim(ctx, mine, make([]int16, len(mine)), freshC)
				}
				if err == nil && r.IntN(4) == 0 {
					f.Rollback(ctx)
					continue
				}
				if err == nil {
					err = f.Commit(ctx, ledger.Flush{})
				}
				if err != nil {
					t.Error(err)
					f.Rollback(ctx)
					return
				}
				mu.Lock()
				for i, ok := range freshC {
					if ok {
						got[mine[i]]++
					}
				}
				for i, ok := range freshE {
					if ok {
						envelopes[hs[i].Seq]++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, n := range got {
		if n != 1 {
			t.Errorf("batch %s was claimed %d times", id, n)
		}
	}
	for s, n := range envelopes {
		if n != 1 {
			t.Errorf("envelope %d was handled %d times", s, n)
		}
	}
	if n := count(t, db, "SELECT count(*) FROM claim"); int(n) != len(got) {
		t.Errorf("%d claims stored, %d reported", n, len(got))
	}
}

func TestErrorKinds(t *testing.T) {
	db := openTest(t)
	f := begin(t, db)
	old := claimIDs(rand.New(rand.NewPCG(5, 5)), time.Now().Add(-400*day), 1)
	if err := f.Claim(t.Context(), old, []int16{1}, []bool{false}); !isPermanent(err) {
		t.Errorf("claim without a partition: %v, want a permanent error", err)
	}
	f.Rollback(t.Context())
	f = begin(t, db)
	if err := f.conn.Conn().Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Claim(t.Context(), old, []int16{1}, []bool{false}); err == nil || isPermanent(err) {
		t.Errorf("claim on a lost connection: %v, want a transient error", err)
	}
}

func TestUUIDBoundMatchesClaims(t *testing.T) {
	d := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	first, last := claimIDs(rand.New(rand.NewPCG(6, 6)), d, 1)[0], claimIDs(rand.New(rand.NewPCG(6, 6)), d.Add(day-time.Millisecond), 1)[0]
	lo, hi := uuidBound(d), uuidBound(d.Add(day))
	for _, id := range []telemetry.ClaimID{first, last} {
		if s := "'" + id.String() + "'"; bytes.Compare([]byte(s), []byte(lo)) < 0 || s >= hi {
			t.Errorf("%s lies outside %s to %s", s, lo, hi)
		}
	}
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(9, 9)) }
