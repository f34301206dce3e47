package worker_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/worker"
)

// endless is a queue that always has the next envelope, and counts what was deleted.
type endless struct {
	mu      sync.Mutex
	bodies  [][]byte
	next    int
	deleted atomic.Int64
}

func (q *endless) Receive(ctx context.Context, most int, wait time.Duration) ([]telemetry.Delivery, error) {
	q.mu.Lock()
	n := min(most, len(q.bodies)-q.next)
	ds := make([]telemetry.Delivery, n)
	for i := range ds {
		ds[i] = telemetry.Delivery{Body: q.bodies[q.next+i], SentAt: time.Now(), Attempts: 1}
	}
	q.next += n
	q.mu.Unlock()
	if n > 0 {
		return ds, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(wait):
		return nil, nil
	}
}

func (q *endless) Extend(context.Context, []telemetry.Delivery, time.Duration) error  { return nil }
func (q *endless) Release(context.Context, []telemetry.Delivery, time.Duration) error { return nil }
func (q *endless) Delete(_ context.Context, ds []telemetry.Delivery) error {
	q.deleted.Add(int64(len(ds)))
	return nil
}

// BenchmarkWorker processes envelopes of 250 batches of 10 samples with a real PostgreSQL, the
// map matcher replaced by a look-up by position. One operation is one envelope. cpu-µs is
// this process's; the database's comes on top.
func BenchmarkWorker(b *testing.B) {
	w := newWorld(b)
	const perEnvelope = 250
	cars := w.drivers(20_000)
	q := &endless{}
	var ew telemetry.EnvelopeWriter
	next := 0
	var payload []byte
	for range b.N {
		ew.Reset()
		samples := 0
		for range perEnvelope {
			c := cars[next%len(cars)]
			next++
			id, batch := c.Batch(10)
			payload = telemetry.AppendCanonical(payload[:0], &batch)
			ew.Append(telemetry.Record{Claim: id, Vehicle: c.ID(), Payload: payload})
			samples += batch.Counted()
		}
		body, err := ew.Seal(w.header(perEnvelope, samples))
		if err != nil {
			b.Fatal(err)
		}
		q.bodies = append(q.bodies, slices.Clone(body))
	}
	d := w.deps()
	d.Queue, d.Dead = q, nil
	var before, after syscall.Rusage
	var m0, m1 runtime.MemStats
	b.ReportAllocs()
	runtime.GC()
	runtime.ReadMemStats(&m0)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	stop := w.start(worker.Config{PollWait: 100 * time.Millisecond}, d)
	for q.deleted.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	runtime.ReadMemStats(&m1)
	stop()
	batches := float64(b.N * perEnvelope)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(batches/b.Elapsed().Seconds(), "batches/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/batches, "cpu-µs/batch")
	b.ReportMetric(float64(m1.Mallocs-m0.Mallocs)/batches, "allocs/batch")
	b.ReportMetric(float64(w.number("SELECT sum(object_bytes)::bigint FROM manifest"))/batches/10, "archive-B/sample")
	b.ReportMetric(float64(w.number("SELECT sum(archived) FROM envelope")), "archived")
}

// BenchmarkLearn is what a flush does with a drive that says nothing remarkable: trust and the three
// collectors, on a drive of 25 samples.
func BenchmarkLearn(b *testing.B) {
	s := newStreet(b)
	m := match.New(s)
	batch := streetBatch(time.Now())
	matches := make([]match.Result, len(batch.Samples))
	if err := m.Match(b.Context(), batch.Samples, matches); err != nil {
		b.Fatal(err)
	}
	d := &learn.Drive{Vehicle: 1, Samples: batch.Samples, Matches: matches, Path: m.Path(), Events: batch.Events}
	collectors := []learn.Collector{hazard.New(s), limit.New(s), maperror.New(s)}
	var set learn.EvidenceSet
	b.ReportAllocs()
	for b.Loop() {
		set.Reset()
		if learn.Trust(d) < learn.TrustEnough {
			b.Fatal("not trusted")
		}
		for _, c := range collectors {
			if err := c.Collect(b.Context(), d, &set); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(set.Rows())), "rows")
}
