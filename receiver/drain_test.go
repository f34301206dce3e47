package receiver

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carasso/carasso/telemetry"
)

func TestDrainFlushesAtOnceAndRefusesNew(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = time.Second }, func(t *testing.T, f *fixture) {
		var wg sync.WaitGroup
		start := time.Now()
		for range 10 {
			body := f.body(t, "", "")
			wg.Go(func() {
				if a := f.post(t, request{token: f.vehicleToken(t, car), body: body}); a.code != http.StatusAccepted {
					t.Errorf("answer = %d %s", a.code, a.body)
				}
			})
		}
		synctest.Wait()
		if err := f.rc.Ready(t.Context()); err != nil {
			t.Errorf("not ready before: %v", err)
		}
		if err := f.rc.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v of the linger", waited)
		}
		if f.rc.Ready(t.Context()) == nil {
			t.Error("ready after the shutdown")
		}
		a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")})
		if a.code != http.StatusServiceUnavailable || a.kind() != "draining" || a.header.Get("Connection") != "close" {
			t.Errorf("answer = %d %v", a.code, a.header)
		}
		es := f.queue.envelopes(t)
		last := es[len(es)-1]
		if last.Batches != 0 || last.ConfirmedThrough != last.Seq-1 || last.TotalBatches != 10 {
			t.Errorf("the closing envelope is %+v", last.Header)
		}
	})
}

// When the time for draining is over, what the queue did not accept is answered 503.
func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.SendTimeout = time.Minute })
		f.queue.setAnswer(func(ctx context.Context, call int, bodies [][]byte) []error {
			<-ctx.Done()
			return refuseAll(ctx.Err())(ctx, call, bodies)
		})
		var wg sync.WaitGroup
		body := f.body(t, "", "")
		wg.Go(func() {
			if a := f.post(t, request{token: f.vehicleToken(t, car), body: body}); a.code != http.StatusServiceUnavailable {
				t.Errorf("answer = %d", a.code)
			}
		})
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := f.rc.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v", err)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("shut down after %v", waited)
		}
		wg.Wait()
	})
}

// Under load, with a queue that fails now and then and a shutdown in the middle: every
// acknowledged batch is in the queue, and headers account for every envelope.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	f := newFixture(t, func(c *Config) {
		c.Linger, c.SendTimeout, c.Target = 200*time.Microsecond, 100*time.Millisecond, 4<<10
		c.BackoffMin, c.BackoffMax, c.CloseAfter = time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
		c.Shards = 4
	})
	f.queue.setAnswer(func(_ context.Context, _ int, bodies [][]byte) []error {
		errs := make([]error, len(bodies))
		for i, body := range bodies {
			e, err := telemetry.OpenEnvelope(body, 1<<20)
			// Some envelopes never get through, others only now and then.
			if err != nil || e.Header.Seq%17 == 0 || rand.IntN(4) == 0 {
				errs[i] = errRefused
			}
		}
		return errs
	})
	const cars = 48
	acked := make([]map[telemetry.ClaimID]bool, cars)
	refused := make([]int, cars)
	enough := make(chan struct{})
	var total sync.WaitGroup
	total.Add(2000)
	go func() { total.Wait(); close(enough) }()
	var wg sync.WaitGroup
	var count sync.Mutex
	left := 2000
	for i := range cars {
		acked[i] = make(map[telemetry.ClaimID]bool)
		id := "car-" + strconv.Itoa(i)
		token := f.vehicleToken(t, id)
		wg.Go(func() {
			for {
				b := newBatch(t, 5)
				a := f.post(t, request{token: token, media: "application/x-protobuf", body: telemetry.AppendProto(nil, b)})
				switch {
				case a.code == http.StatusAccepted:
					acked[i][f.ring.ClaimID(id, b.ID)] = true
				case a.kind() == "draining":
					return
				case a.code == http.StatusServiceUnavailable:
					refused[i]++
				default:
					t.Errorf("answer = %d %s", a.code, a.body)
					return
				}
				count.Lock()
				if left > 0 {
					left--
					total.Done()
				}
				count.Unlock()
			}
		})
	}
	<-enough
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.rc.Shutdown(ctx); err != nil {
		t.Logf("Shutdown = %v", err) // the closing envelope may be refused too
	}
	wg.Wait()

	inQueue := make(map[telemetry.ClaimID]bool)
	r := &reader{seen: make(map[uint64]telemetry.Header), voided: make(map[uint64]telemetry.Void)}
	for _, e := range f.queue.envelopes(t) {
		r.read(e.Header)
		if int(e.Batches) != len(e.records) {
			t.Errorf("envelope %d says %d batches, has %d", e.Seq, e.Batches, len(e.records))
		}
		for _, rec := range e.records {
			inQueue[rec.Claim] = true
		}
	}
	n, failures := 0, 0
	for i := range acked {
		failures += refused[i]
		for claim := range acked[i] {
			n++
			if !inQueue[claim] {
				t.Errorf("batch %v was acknowledged and is not in the queue", claim)
			}
		}
	}
	if len(inQueue) != n { // this queue never takes what it refuses
		t.Errorf("%d batches in the queue, %d acknowledged", len(inQueue), n)
	}
	if got := f.counter(t, "carasso_receiver_accepted_batches_total"); int(got) != n {
		t.Errorf("%v counted, %d acknowledged", got, n)
	}
	if failures == 0 || len(r.voided) == 0 {
		t.Error("no envelope was given up: the test shows too little")
	}
	checkTotals(t, r)
	t.Logf("%d acknowledged, %d refused, %d envelopes, %d voided", n, failures, len(r.seen), len(r.voided))
}

// checkTotals proves from headers alone that totals are the sums over seq.
func checkTotals(t *testing.T, r *reader) {
	t.Helper()
	var batches, samples uint64
	for seq := uint64(1); seq <= r.confirmed; seq++ {
		h, seen := r.seen[seq]
		v, voided := r.voided[seq]
		switch {
		case seen == voided:
			t.Fatalf("envelope %d: seen %v, voided %v", seq, seen, voided)
		case seen:
			batches, samples = batches+uint64(h.Batches), samples+uint64(h.Samples)
			if h.TotalBatches != batches || h.TotalSamples != samples {
				t.Fatalf("envelope %d: totals %d and %d, want %d and %d", seq, h.TotalBatches, h.TotalSamples, batches, samples)
			}
		default:
			batches, samples = batches+uint64(v.Batches), samples+uint64(v.Samples)
		}
	}
}
