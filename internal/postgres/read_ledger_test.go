package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// sealed is an envelope as a simulated receiver made it, and its fate.
type sealed struct {
	telemetry.Header
	handled, voided                 bool
	archived, duplicate, quarantine int64
}

func (e *sealed) count() ledger.Count {
	return ledger.Count{Batches: int64(e.Batches), Samples: int64(e.Samples)}
}

// receiverRun seals n envelopes from start on, step apart on average. Some are voided, of which
// a few arrive all the same; some are not handled yet.
func receiverRun(r *rand.Rand, id byte, start time.Time, n int, step time.Duration, lost float64) []*sealed {
	var es []*sealed
	var total ledger.Count
	confirmed := uint64(0)
	at := start
	for i := range n {
		at = at.Add(time.Duration(r.Int64N(2 * int64(step))))
		e := &sealed{}
		e.Receiver, e.Seq, e.AcceptedAt = telemetry.ReceiverID{id}, uint64(i+1), at.UnixMilli()
		e.Batches = uint32(r.IntN(200))
		e.Samples = e.Batches * 10
		total.Add(e.count())
		e.TotalBatches, e.TotalSamples = uint64(total.Batches), uint64(total.Samples)
		confirmed = max(confirmed, uint64(max(0, i-r.IntN(6))))
		e.ConfirmedThrough = confirmed
		e.voided = r.Float64() < 0.01
		e.handled = r.Float64() >= lost
		if e.voided {
			e.handled = r.Float64() < 0.2
		}
		e.duplicate = r.Int64N(int64(e.Batches)/10 + 1)
		e.quarantine = r.Int64N(2) * min(1, int64(e.Batches)-e.duplicate)
		e.archived = int64(e.Batches) - e.duplicate - e.quarantine
		es = append(es, e)
	}
	return es
}

// store enters what was handled, and the voided envelopes.
func storeRun(t testing.TB, db *DB, es []*sealed) {
	t.Helper()
	ctx := t.Context()
	var rows [][]any
	for _, e := range es {
		if e.voided {
			if _, err := db.pool.Exec(ctx, "INSERT INTO voided_envelope VALUES ($1, $2, $3, $4)",
				[16]byte(e.Receiver), int64(e.Seq), int32(e.Batches), int32(e.Samples)); err != nil {
				t.Fatal(err)
			}
		}
		if !e.handled {
			continue
		}
		rows = append(rows, []any{
			time.UnixMilli(e.AcceptedAt), [16]byte(e.Receiver), int64(e.Seq), int32(e.Batches), int32(e.Samples),
			int64(e.TotalBatches), int64(e.TotalSamples), int64(e.ConfirmedThrough), int32(e.archived), int32(e.archived * 10),
			int32(e.duplicate), int32(e.duplicate * 10), int32(e.quarantine), int32(e.quarantine * 10), int64(1),
		})
	}
	_, err := db.pool.CopyFrom(ctx, pgx.Identifier{"envelope"}, []string{
		"accepted_at", "receiver", "seq", "batches", "samples",
		"total_batches", "total_samples", "confirmed_through", "archived", "archived_samples", "duplicate", "duplicate_samples",
		"quarantined", "quarantined_samples", "flush",
	}, pgx.CopyFromRows(rows))
	if err != nil {
		t.Fatal(err)
	}
}

// redriveRun moves some of what is quarantined, in the database by adjustments.
func redriveRun(t testing.TB, db *DB, r *rand.Rand, es []*sealed) {
	t.Helper()
	b := &pgx.Batch{}
	for i, e := range es {
		if !e.handled || e.quarantine == 0 || r.IntN(10) > 0 {
			continue
		}
		archived := r.Int64N(2)
		e.quarantine--
		e.archived += archived
		e.duplicate += 1 - archived
		b.Queue(`INSERT INTO envelope_adjustment (accepted_at, receiver, seq, flush, archived, archived_samples, duplicate, duplicate_samples,
			quarantined, quarantined_samples) VALUES ($1, $2, $3, $4, $5::int, $5 * 10, 1 - $5, 10 - $5 * 10, -1, -10)`,
			time.UnixMilli(e.AcceptedAt), [16]byte(e.Receiver), int64(e.Seq), int64(i), archived)
	}
	if err := db.pool.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
}

// oracle accounts for a run envelope by envelope. A missing one belongs to the hour of the next
// that was handled, and counts only if that is in the period.
func oracle(runs [][]*sealed, from, to time.Time) (totals ledger.Account, byHour map[string]ledger.Account) {
	byHour = map[string]ledger.Account{}
	in := func(e *sealed) bool {
		at := time.UnixMilli(e.AcceptedAt)
		return !at.Before(from) && at.Before(to)
	}
	for _, es := range runs {
		confirmed := uint64(0)
		for _, e := range es {
			if e.handled {
				confirmed = max(confirmed, e.ConfirmedThrough)
			}
		}
		var missing []*sealed
		for _, e := range es {
			if !e.handled {
				if !e.voided {
					missing = append(missing, e)
				}
				continue
			}
			// The gap's state is one for all of it: that of its last sequence number.
			unsure := e.Seq-1 > confirmed
			var a ledger.Account
			for _, m := range missing {
				if unsure {
					a.Unconfirmed.Add(m.count())
					continue
				}
				a.InFlight.Add(m.count())
				a.Accepted.Add(m.count())
			}
			missing = nil
			if !in(e) {
				continue
			}
			a.Accepted.Add(e.count())
			a.Archived = ledger.Count{Batches: e.archived, Samples: e.archived * 10}
			a.Duplicate = ledger.Count{Batches: e.duplicate, Samples: e.duplicate * 10}
			a.Quarantined = ledger.Count{Batches: e.quarantine, Samples: e.quarantine * 10}
			key := fmt.Sprintf("%s %d", time.UnixMilli(e.AcceptedAt).UTC().Format("02T15"), e.Receiver[0])
			h := byHour[key]
			h.Add(&a)
			byHour[key] = h
			totals.Add(&a)
		}
	}
	return totals, byHour
}

func TestLedgerAgainstOracle(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 7))
			db := openTest(t)
			noon := time.Now().UTC().Truncate(24 * time.Hour).Add(-12 * time.Hour)
			runs := [][]*sealed{
				receiverRun(r, 1, noon, 900, 10*time.Second, 0.02),
				receiverRun(r, 2, noon.Add(40*time.Minute), 6000, 2*time.Second, 0),
				receiverRun(r, 3, noon.Add(-2*time.Hour), 9000, time.Second, 0.05),
				receiverRun(r, 4, noon, 1, time.Second, 0),
			}
			// A clock that was set back: the sequence runs through the hours twice.
			for _, e := range runs[2][5000:] {
				e.AcceptedAt -= 50 * time.Minute.Milliseconds()
			}
			for _, es := range runs {
				storeRun(t, db, es)
				redriveRun(t, db, r, es)
			}
			for _, p := range []struct{ from, to time.Time }{
				{noon.Add(-24 * time.Hour), noon.Add(12 * time.Hour)},
				{noon.Add(30 * time.Minute), noon.Add(61 * time.Minute)},
				{noon, noon.Add(time.Hour)},
				{noon.Add(-30 * time.Hour), noon.Add(-29 * time.Hour)},
			} {
				report, err := db.Ledger(t.Context(), p.from, p.to)
				if err != nil {
					t.Fatal(err)
				}
				want, wantHours := oracle(runs, p.from, p.to)
				var got ledger.Account
				hours := map[string]ledger.Account{}
				for _, h := range report.Hours {
					got.Add(&h.Account)
					hours[fmt.Sprintf("%s %d", h.Start.Format("02T15"), h.Receiver[0])] = h.Account
					if !h.Balanced() {
						t.Errorf("hour %s of receiver %d is not balanced: %+v", h.Start, h.Receiver[0], h.Account)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("totals of %s to %s (-want +got):\n%s", p.from, p.to, diff)
				}
				if diff := cmp.Diff(wantHours, hours); diff != "" {
					t.Errorf("hours of %s to %s (-want +got):\n%s", p.from, p.to, diff)
				}
				var gaps ledger.Count
				for _, g := range report.Gaps {
					gaps.Add(g.Count)
				}
				inGaps := want.InFlight
				inGaps.Add(want.Unconfirmed)
				if gaps != inGaps {
					t.Errorf("gaps hold %+v, want %+v", gaps, inGaps)
				}
			}
		})
	}
}

// Whatever a worker miscounts must show.
func TestLedgerShowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"a batch archived twice": "UPDATE envelope SET archived = archived + 1 WHERE seq = 5",
		"a batch forgotten":      "UPDATE envelope SET archived = archived - 1, archived_samples = archived_samples - 10 WHERE seq = 5",
		"a header that lies":     "UPDATE envelope SET batches = batches - 1, archived = archived - 1 WHERE seq = 5",
		"a running total broken": "UPDATE envelope SET total_samples = total_samples + 7 WHERE seq >= 5",
		"a first total broken":   "UPDATE envelope SET total_batches = total_batches + 7, total_samples = total_samples + 70",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openTest(t)
			now := time.Now().UTC()
			r := rand.New(rand.NewPCG(1, 1))
			es := receiverRun(r, 9, now.Add(-20*time.Minute), 40, time.Second, 0)
			for _, e := range es {
				e.voided, e.handled = false, true
			}
			storeRun(t, db, es)
			balanced := func() bool {
				report, err := db.Ledger(t.Context(), now.Add(-time.Hour), now.Add(time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				ok := len(report.Hours) > 0
				for _, h := range report.Hours {
					ok = ok && h.Balanced()
				}
				return ok
			}
			if !balanced() {
				t.Fatal("not balanced before the damage")
			}
			if _, err := db.pool.Exec(t.Context(), damage); err != nil {
				t.Fatal(err)
			}
			if balanced() {
				t.Error("still balanced")
			}
		})
	}
}

func TestManifestCrosscheckAndClaims(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	ctx := t.Context()
	now := time.Now().UTC()
	id := func(n byte) telemetry.ClaimID {
		c := telemetry.ClaimID{15: n}
		ms := now.UnixMilli()
		for i := range 6 {
			c[i] = byte(ms >> (40 - 8*i))
		}
		return c
	}
	flush(t, db, now, 1, []telemetry.ClaimID{id(1), id(2), id(3)})
	flush(t, db, now, 2, []telemetry.ClaimID{id(4)})
	from, to := now.Add(-time.Hour), now.Add(time.Hour)
	report, err := db.Ledger(ctx, from, to)
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Count{Batches: 4, Samples: 40}
	claimed, err := db.ClaimedIn(ctx, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if report.Manifest != want || report.Handled != want || claimed != want {
		t.Errorf("manifest %+v, handled %+v, claimed %+v; want %+v", report.Manifest, report.Handled, claimed, want)
	}
	samples, err := db.Claimed(ctx, []telemetry.ClaimID{id(4), id(9), id(2), id(2)})
	if diff := cmp.Diff([]int{10, -1, 10, 10}, samples); err != nil || diff != "" {
		t.Errorf("claimed: %v (-want +got):\n%s", err, diff)
	}
	totals, err := db.Totals(ctx, time.Time{}, to)
	if err != nil || totals.Archived != want || totals.Envelopes != 2 {
		t.Errorf("totals %+v, %v", totals, err)
	}
}

// flush runs one worker's transaction with one envelope of 10-sample batches.
func flush(t testing.TB, db *DB, at time.Time, seq uint64, claims []telemetry.ClaimID) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	n := uint32(len(claims))
	h := telemetry.Header{
		Receiver: telemetry.ReceiverID{7}, Seq: seq, AcceptedAt: at.UnixMilli(), Batches: n, Samples: 10 * n,
		TotalBatches: uint64(n), TotalSamples: uint64(10 * n),
	}
	f, err := db.BeginFlush(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Rollback(ctx)
	fresh := make([]bool, max(1, len(claims)))
	samples := make([]int16, len(claims))
	for i := range samples {
		samples[i] = 10
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(f.Envelopes(ctx, []*telemetry.Header{&h}, fresh[:1]))
	check(f.Claim(ctx, claims, samples, fresh))
	check(f.Settle(ctx, []ledger.Envelope{{Header: h, Archived: n, ArchivedSamples: 10 * n}}, nil))
	check(f.Commit(ctx, ledger.Flush{Worker: "w1", ObjectKey: fmt.Sprint("raw/", seq), Batches: int(n), Samples: int64(10 * n), MapVersion: "m"}))
}

// BenchmarkLedger reads a million envelopes of which one in a thousand is missing.
func BenchmarkLedger(b *testing.B) {
	db := openTest(b)
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(-20 * time.Hour)
	r := rand.New(rand.NewPCG(1, 2))
	for id := range byte(4) {
		es := receiverRun(r, id, start, 250_000, 40*time.Millisecond, 0.001)
		for _, e := range es {
			e.handled, e.voided = e.handled || e.voided, false
		}
		storeRun(b, db, es)
	}
	if _, err := db.pool.Exec(b.Context(), "ANALYZE envelope"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := db.Ledger(b.Context(), start, start.Add(20*time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
}
