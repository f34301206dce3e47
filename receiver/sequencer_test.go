package receiver

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// reader replays headers as someone who reads the queue would.
type reader struct {
	seen      map[uint64]telemetry.Header
	voided    map[uint64]telemetry.Void
	confirmed uint64
}

func (r *reader) read(h telemetry.Header) {
	r.seen[h.Seq] = h
	r.confirmed = max(r.confirmed, h.ConfirmedThrough)
	for _, v := range h.Voided {
		r.voided[v.Seq] = v
	}
}

// Whatever order outcomes come in: numbers and totals are contiguous, nothing is
// confirmed before its outcome, and in the end every number is explained.
func TestSequencerInvariants(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newSequencer(telemetry.ReceiverID{1})
		r := &reader{seen: make(map[uint64]telemetry.Header), voided: make(map[uint64]telemetry.Void)}
		var open []ticket
		settled := make(map[uint64]bool)
		var seq, batches, samples uint64
		settle := func(accept bool) {
			i := rnd.IntN(len(open))
			tk := open[i]
			open = append(open[:i], open[i+1:]...)
			settled[tk.header.Seq] = true
			if accept {
				s.accepted(tk)
				r.read(tk.header)
			} else {
				s.voided(tk)
			}
		}
		assign := func(n int) {
			tk := s.assign(n, 10*n, time.UnixMilli(5))
			seq, batches, samples = seq+1, batches+uint64(n), samples+uint64(10*n)
			h := tk.header
			if h.Seq != seq || h.TotalBatches != batches || h.TotalSamples != samples {
				t.Fatalf("seed %d: header %+v, want seq %d totals %d %d", seed, h, seq, batches, samples)
			}
			for n := range h.ConfirmedThrough {
				if !settled[n+1] {
					t.Fatalf("seed %d: %d is confirmed without an outcome", seed, n+1)
				}
			}
			open = append(open, tk)
		}
		for range 100 {
			if len(open) > 0 && rnd.IntN(2) == 0 {
				settle(rnd.IntN(3) > 0)
			} else {
				assign(1 + rnd.IntN(5))
			}
		}
		for len(open) > 0 {
			settle(rnd.IntN(3) > 0)
		}
		for s.news() { // what closing envelopes do
			assign(0)
			settle(rnd.IntN(2) > 0)
		}
		last := seq
		for last > 0 && r.seen[last].Batches == 0 && r.voided[last].Batches == 0 {
			last--
		}
		if r.confirmed < last {
			t.Fatalf("seed %d: confirmed through %d, data up to %d", seed, r.confirmed, last)
		}
		for n := uint64(1); n <= last; n++ {
			_, seen := r.seen[n]
			_, voided := r.voided[n]
			if seen == voided {
				t.Fatalf("seed %d: envelope %d seen %v, voided %v", seed, n, seen, voided)
			}
		}
	}
}

func TestHeadersListBoundedVoids(t *testing.T) {
	s := newSequencer(telemetry.ReceiverID{1})
	for range 2*maxVoids + 1 {
		s.voided(s.assign(1, 1, time.Now()))
	}
	for want := range 3 {
		tk := s.assign(0, 0, time.Now())
		if len(tk.header.Voided) > maxVoids || tk.header.Voided[0].Seq != uint64(want*maxVoids+1) {
			t.Fatalf("header %d lists %d voids from %d", want, len(tk.header.Voided), tk.header.Voided[0].Seq)
		}
		s.accepted(tk)
	}
	if s.news() {
		t.Error("voids are left")
	}
}
