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
	writer  *telemetry.EnvelopeWriter
	batches int
	samples int
	flush   *time.Timer // after the linger; nil if none runs

	// Set by the sender.
	ticket   ticket
	body     []byte
	attempts int

	done chan struct{}
	err  error
}

// writers recycles the buffers of envelopes.
type writers struct{ pool sync.Pool }

func (w *writers) get() *telemetry.EnvelopeWriter {
	if e, ok := w.pool.Get().(*telemetry.EnvelopeWriter); ok {
		return e
	}
	return new(telemetry.EnvelopeWriter)
}

func (w *writers) put(e *telemetry.EnvelopeWriter) {
	e.Reset()
	w.pool.Put(e)
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
