package receiver

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// headerRoom is kept free in every envelope for its header with maxVoids voids.
const headerRoom = 16 << 10

// envelope collects batches until it is sealed and then lives until the queue has
// accepted it or it is given up. done is closed when err is final; whoever has a batch
// in it waits for that.
type envelope struct {
	contents *contents // nil once compressed, or when there is none
	batches  int
	samples  int
	flush    *time.Timer // after the linger; nil if none runs
	sealedAt time.Time

	// Set by the sender.
	ticket   ticket
	body     []byte
	attempts int

	done chan struct{}
	err  error
}

// contents are an envelope's batches before compression.
type contents struct {
	payloads []byte
	entries  []entry
	size     int // in the envelope, before compression
}

// entry is a batch, with its payload between the previous entry's end and its own.
type entry struct {
	claim   telemetry.ClaimID
	vehicle uint64
	end     int
}

// recordOverhead bounds what an envelope stores beside a record's payload: claim,
// vehicle and length.
const recordOverhead = 16 + 8 + 4

func (c *contents) add(r telemetry.Record) {
	c.payloads = append(c.payloads, r.Payload...)
	c.entries = append(c.entries, entry{claim: r.Claim, vehicle: r.Vehicle, end: len(c.payloads)})
	c.size += len(r.Payload) + recordOverhead
}

func (c *contents) writeTo(w *telemetry.EnvelopeWriter) {
	start := 0
	for i := range c.entries {
		e := &c.entries[i]
		w.Append(telemetry.Record{Claim: e.claim, Vehicle: e.vehicle, Payload: c.payloads[start:e.end]})
		start = e.end
	}
}

// contentsPool recycles the buffers.
type contentsPool struct{ pool sync.Pool }

func (p *contentsPool) get() *contents {
	if c, ok := p.pool.Get().(*contents); ok {
		return c
	}
	return new(contents)
}

func (p *contentsPool) put(c *contents) {
	c.payloads, c.entries, c.size = c.payloads[:0], c.entries[:0], 0
	p.pool.Put(c)
}

// ratio estimates how far envelopes compress, as a moving average of what sealed ones
// did. Safe for concurrent use.
type ratio struct{ bits atomic.Uint64 }

const (
	initialRatio = 0.6
	ratioWeight  = 0.2     // of the newest envelope
	ratioMinimum = 4 << 10 // smaller envelopes say little about full ones
)

func newRatio() *ratio {
	r := new(ratio)
	r.bits.Store(math.Float64bits(initialRatio))
	return r
}

func (r *ratio) value() float64 { return math.Float64frombits(r.bits.Load()) }

// observe may lose one of two simultaneous observations: it is an estimate.
func (r *ratio) observe(raw, compressed int) {
	if raw < ratioMinimum {
		return
	}
	next := (1-ratioWeight)*r.value() + ratioWeight*float64(compressed)/float64(raw)
	r.bits.Store(math.Float64bits(min(max(next, 0.02), 1)))
}

// rawTarget is the size before compression at which an envelope should be sealed to
// come out at target, at most limit.
func (r *ratio) rawTarget(target, limit int) int {
	return min(int(float64(target)/r.value()), limit)
}
