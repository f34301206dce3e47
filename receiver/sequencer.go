package receiver

import (
	"slices"
	"sync"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// maxVoids bounds how many voided envelopes one header lists; the rest follow in
// later ones.
const maxVoids = 512

// sequencer numbers the envelopes of one receiver run and knows what became of each.
// Its headers let a reader prove what is missing; see telemetry.Header. Safe for
// concurrent use.
type sequencer struct {
	mu       sync.Mutex
	receiver telemetry.ReceiverID
	seq      uint64 // last assigned
	batches  uint64 // in 1…seq
	samples  uint64
	lastData uint64 // last seq with batches in it

	confirmed uint64              // each of 1…confirmed was accepted or voided
	above     map[uint64]struct{} // the ones above confirmed that were

	voids []telemetry.Void // not yet in an accepted header, oldest first
	gone  uint64           // how many voids were removed from the front so far

	told uint64 // highest ConfirmedThrough in an accepted header
}

// ticket is what the sequencer wants to hear again about an envelope.
type ticket struct {
	header telemetry.Header
	// voidsThrough counts the voids since the start up to the last one in the header.
	voidsThrough uint64
}

func newSequencer(id telemetry.ReceiverID) *sequencer {
	return &sequencer{receiver: id, above: make(map[uint64]struct{})}
}

// assign gives the next number to an envelope. Whoever calls it must report the
// outcome once, by accepted or voided.
func (s *sequencer) assign(batches, samples int, at time.Time) ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.batches += uint64(batches)
	s.samples += uint64(samples)
	if batches > 0 {
		s.lastData = s.seq
	}
	listed := s.voids[:min(len(s.voids), maxVoids)]
	return ticket{
		header: telemetry.Header{
			Receiver: s.receiver, Seq: s.seq, AcceptedAt: at.UnixMilli(),
			Batches: uint32(batches), Samples: uint32(samples),
			TotalBatches: s.batches, TotalSamples: s.samples,
			ConfirmedThrough: s.confirmed, Voided: slices.Clone(listed),
		},
		voidsThrough: s.gone + uint64(len(listed)),
	}
}

// accepted records that the queue has the envelope, and with it all its header says.
func (s *sequencer) accepted(t ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirm(t.header.Seq)
	s.told = max(s.told, t.header.ConfirmedThrough)
	if n := t.voidsThrough; n > s.gone {
		s.voids = slices.Delete(s.voids, 0, int(n-s.gone))
		s.gone = n
	}
}

// voided records that the envelope was given up.
func (s *sequencer) voided(t ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirm(t.header.Seq)
	s.voids = append(s.voids, telemetry.Void{Seq: t.header.Seq, Batches: t.header.Batches, Samples: t.header.Samples})
}

// confirm advances confirmed over seq and what follows it; mu is held.
func (s *sequencer) confirm(seq uint64) {
	s.above[seq] = struct{}{}
	for {
		if _, ok := s.above[s.confirmed+1]; !ok {
			return
		}
		delete(s.above, s.confirmed+1)
		s.confirmed++
	}
}

// news reports whether readers of the queue would learn something from one more
// header: voids, or that envelopes with batches in them are confirmed.
func (s *sequencer) news() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.voids) > 0 || min(s.confirmed, s.lastData) > s.told
}
