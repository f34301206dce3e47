package worker

import (
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// work is what a pipeline has gathered for a flush: decoded and matched, in flat arrays that
// are reused from flush to flush. One goroutine uses it.
type work struct {
	envelopes []envelope
	batches   []batch
	samples   []telemetry.Sample
	edges     []road.Edge    // of samples, 0 for none
	matches   []match.Result // of samples
	steps     []match.Step   // the ways driven, batch by batch
	events    []telemetry.Event
	kinds     kinds
	bytes     int  // of the envelopes as received
	urgent    bool // something in it should not wait for more

	// Scratch for decoding.
	opened  telemetry.Envelope
	decoded telemetry.Batch
}

// envelope is one delivery and what was found in it.
type envelope struct {
	delivery telemetry.Delivery
	header   telemetry.Header
	inLedger bool // the header is readable and can be entered
	first    int  // batches[first:last] are its
	last     int
	bad      *badEnvelope // if the whole of it can't be used
	refused  []refused    // batches that can't be used
	fresh    bool         // set by the flush: not handled before
}

// badEnvelope says why an envelope can't be used.
type badEnvelope struct {
	reason ledger.Reason
	detail string
}

// refused is a batch that can't be used, in an envelope that can.
type refused struct {
	claim   telemetry.ClaimID
	reason  ledger.Reason
	detail  string
	samples int // counted ones, as far as known
}

// batch is one decoded batch. Its samples are samples[s0:s1], edges[s0:s1] and matches[s0:s1], its events
// events[e0:e1], and its way steps[p0:p1].
type batch struct {
	claim    telemetry.ClaimID
	vehicle  uint64
	tripKey  uint64
	elapsed  uint32
	envelope int32
	s0, s1   int32
	e0, e1   int32
	p0, p1   int32
	leadIn   int32
	kind     int32
	final    bool
	settled  bool // not the flush's concern: what became of it is in the ledger
	fresh    bool // set by the flush: claimed by it
	erased   bool // set by the flush: fresh, but to be kept nowhere, as its vehicle's data was erased since it was sent
}

// counted is where the samples that count begin.
func (b *batch) counted() int32 { return b.s0 + b.leadIn }

// n is the number of samples that count.
func (b *batch) n() int { return int(b.s1 - b.counted()) }

// kinds numbers the vehicle kinds of a flush, so that a batch holds an index.
type kinds struct {
	index map[telemetry.Vehicle]int32
	list  []kind
}

type kind struct {
	telemetry.Vehicle
	model, software []byte // the same
}

func (k *kinds) of(v telemetry.Vehicle) int32 {
	if i, ok := k.index[v]; ok {
		return i
	}
	if k.index == nil {
		k.index = map[telemetry.Vehicle]int32{}
	}
	i := int32(len(k.list))
	k.index[v] = i
	k.list = append(k.list, kind{v, []byte(v.Model), []byte(v.Software)})
	return i
}

// reset empties the work and keeps its memory.
func (w *work) reset() {
	clear(w.envelopes) // lets go of the bodies
	w.envelopes, w.batches = w.envelopes[:0], w.batches[:0]
	w.samples, w.edges, w.events = w.samples[:0], w.edges[:0], w.events[:0]
	w.matches, w.steps = w.matches[:0], w.steps[:0]
	clear(w.kinds.index)
	w.kinds.list = w.kinds.list[:0]
	w.bytes, w.urgent = 0, false
}

// mark is a state to return to.
type mark struct{ batches, samples, events, steps int }

func (w *work) mark() mark { return mark{len(w.batches), len(w.samples), len(w.events), len(w.steps)} }

func (w *work) truncate(m mark) {
	w.batches, w.samples, w.edges = w.batches[:m.batches], w.samples[:m.samples], w.edges[:m.samples]
	w.matches, w.events, w.steps = w.matches[:m.samples], w.events[:m.events], w.steps[:m.steps]
}
