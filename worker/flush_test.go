package worker

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// memoryTx takes everything as new and remembers what was committed.
type memoryTx struct {
	bursts     bool // panics while speeds are stored
	speeds     []learn.SpeedRow
	committed  bool
	rolledBack bool
}

func (*memoryTx) Envelopes(_ context.Context, _ []*telemetry.Header, fresh []bool) error {
	return allFresh(fresh)
}

func (*memoryTx) Claim(_ context.Context, _ []telemetry.ClaimID, _ []int16, fresh []bool) error {
	return allFresh(fresh)
}

func allFresh(fresh []bool) error {
	for i := range fresh {
		fresh[i] = true
	}
	return nil
}

func (*memoryTx) Erased(context.Context, []uint64, []int64, []bool) error { return nil }

func (m *memoryTx) Speeds(_ context.Context, rows []learn.SpeedRow) error {
	if m.bursts {
		panic("bug")
	}
	m.speeds = rows
	return nil
}

func (*memoryTx) Health(context.Context, []learn.HealthRow) error                       { return nil }
func (*memoryTx) Evidence(context.Context, []learn.Evidence) error                      { return nil }
func (*memoryTx) Dirty(context.Context, string, []learn.DirtyTile) error                { return nil }
func (*memoryTx) Settle(context.Context, []ledger.Envelope, []ledger.Quarantined) error { return nil }

func (m *memoryTx) Commit(context.Context, ledger.Flush) error {
	m.committed = true
	return nil
}

func (m *memoryTx) Rollback(context.Context) { m.rolledBack = !m.committed }

// memoryObjects remembers the last object.
type memoryObjects struct{ last []byte }

func (m *memoryObjects) Put(_ context.Context, _ string, body []byte, _, _ string) error {
	m.last = bytes.Clone(body)
	return nil
}

// Wherever a flush panics, it undoes the transaction, says that the data is at fault, and leaves
// nothing behind: the next flush archives and sums up the same as a first one.
func TestFlushIsCleanAfterAPanic(t *testing.T) {
	now := time.Now()
	flushed := func(t *testing.T, spoil func(*flusher, *work, *memoryTx)) (*memoryTx, []byte) {
		t.Helper()
		var tx *memoryTx
		var objects memoryObjects
		cfg := Config{Name: "test"}.withDefaults()
		archive, err := newArchiver(byPlace)
		if err != nil {
			t.Fatal(err)
		}
		f := &flusher{
			cfg: &cfg, objects: &objects, mapVersion: func() string { return "map" }, m: newMetrics(prometheus.NewRegistry()),
			begin: func(context.Context) (Tx, error) { return tx, nil },
			now:   func() time.Time { return now }, archive: archive,
			newSums: func() *aggregate { return newAggregate(nil, nil) }, sums: newAggregate(nil, nil),
		}
		var w work
		first, _ := road.EdgeRange(4711)
		for i := range int32(600) { // more than two blocks of the archive
			w.samples = append(w.samples, telemetry.Sample{T: now.UnixMilli(), LatE7: i, SpeedCMPS: uint16(i), Has: telemetry.HasSpeed})
			w.edges = append(w.edges, first+road.Edge(i%7))
			w.matches = append(w.matches, match.Result{OK: true, Edge: first + road.Edge(i%7)})
			w.batches = append(w.batches, batch{
				claim: telemetry.ClaimID{byte(i >> 8), byte(i)}, vehicle: uint64(i), s0: i, s1: i + 1,
				kind: w.kinds.of(telemetry.Vehicle{Model: "model"}),
			})
		}
		w.envelopes = []envelope{{header: telemetry.Header{Seq: 1, AcceptedAt: now.UnixMilli(), Batches: 600}, inLedger: true, last: 600}}
		if spoil != nil {
			tx = &memoryTx{}
			edges := w.edges
			spoil(f, &w, tx)
			if _, err := f.flush(t.Context(), &w, []int{0}); !permanent(err) || !tx.rolledBack || tx.committed {
				t.Fatalf("error %v, rolled back %v, committed %v; want a permanent error and all undone", err, tx.rolledBack, tx.committed)
			}
			w.edges = edges
		}
		tx = &memoryTx{}
		if res, err := f.flush(t.Context(), &w, []int{0}); err != nil || res.archived != 600 || !tx.committed {
			t.Fatalf("a flush after a panic: %+v, %v", res, err)
		}
		return tx, objects.last
	}
	wantTx, wantObject := flushed(t, nil)
	for name, spoil := range map[string]func(*flusher, *work, *memoryTx){
		"aggregate": func(_ *flusher, w *work, _ *memoryTx) { w.edges = w.edges[:300:300] },
		"archive": func(f *flusher, _ *work, _ *memoryTx) {
			calls := 0
			f.archive.columns[1] = &archiveColumn{batch: func(*work, *batch) parquet.Value {
				if calls++; calls > 300 {
					panic("bug")
				}
				return parquet.NullValue()
			}}
		},
		"store": func(_ *flusher, _ *work, tx *memoryTx) { tx.bursts = true },
	} {
		t.Run(name, func(t *testing.T) {
			tx, object := flushed(t, spoil)
			if got, want := fmt.Sprint(tx.speeds), fmt.Sprint(wantTx.speeds); got != want {
				t.Errorf("summed up %s, want %s", got, want)
			}
			if !bytes.Equal(object, wantObject) {
				t.Error("the archived object differs from one that nothing preceded")
			}
		})
	}
}
