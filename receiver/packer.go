package receiver

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carasso/carasso/telemetry"
)

var (
	// errStopped is what batches get that come after the packer stopped.
	errStopped = errors.New("the packer has stopped")
	// errRecordSize is what a batch gets that fits no envelope.
	errRecordSize = errors.New("the batch is larger than an envelope")
)

// packer puts many vehicles' batches into envelopes, sends these and tells everyone
// waiting what became of theirs. add → shard → (full, or lingered) → ready → one of the
// senders: number, compress, send, retry → done. Safe for concurrent use.
type packer struct {
	cfg     Config
	queue   Queue
	seq     *sequencer
	ratio   *ratio
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time

	shards   []shard
	contents contentsPool
	eager    atomic.Bool // seal at once: draining
	failing  atomic.Bool // the last send failed; for logging transitions
	// writers holds one compressor per processor, about 2 MiB each once used.
	writers chan *telemetry.EnvelopeWriter

	// ready never blocks: its capacity is more envelopes than bytes in flight allow.
	ready  chan *envelope
	timers sync.WaitGroup // running linger timers
	idle   sync.WaitGroup // the closer
	work   sync.WaitGroup // senders
	sealed sync.WaitGroup // envelopes without outcome

	pending  atomic.Int64 // the same as a number
	started  time.Time
	lastSeal atomic.Int64 // ns since started, whatever is done to the clock
	stopIdle context.CancelFunc
	abort    context.CancelFunc // gives up what is being sent
	stopOnce sync.Once
}

// shard fills one envelope at a time.
type shard struct {
	mu     sync.Mutex
	open   *envelope
	closed bool
	_      [40]byte // shards on separate cache lines
}

// newPacker starts the senders; stop ends them.
func newPacker(cfg Config, deps Deps, id telemetry.ReceiverID, m *metrics) *packer {
	p := &packer{
		cfg: cfg, queue: deps.Queue, seq: newSequencer(id), ratio: newRatio(), metrics: m,
		log: deps.Logger, now: deps.Clock, started: time.Now(), shards: make([]shard, cfg.Shards),
		ready: make(chan *envelope, cfg.MaxBytesInFlight/requestBytes+int64(cfg.Shards)+2),
	}
	p.writers = make(chan *telemetry.EnvelopeWriter, min(runtime.GOMAXPROCS(0), cfg.Sends))
	for range cap(p.writers) {
		p.writers <- new(telemetry.EnvelopeWriter)
	}
	sending, abort := context.WithCancel(context.Background())
	idle, stopIdle := context.WithCancel(context.Background())
	p.abort, p.stopIdle = abort, stopIdle
	for range cfg.Sends {
		p.work.Go(func() { p.send(sending) })
	}
	p.idle.Go(func() { p.closeWhenIdle(idle) })
	return p
}

// add puts a batch with its counted samples into an envelope and returns that. rec's
// payload is copied. The batch is safe when the envelope is done without error.
func (p *packer) add(rec telemetry.Record, samples int) (*envelope, error) {
	limit := p.cfg.MaxEnvelope - headerRoom
	size := len(rec.Payload) + recordOverhead
	if size > limit {
		return nil, errRecordSize
	}
	target := p.ratio.rawTarget(p.cfg.Target, limit)
	s := &p.shards[0]
	if n := len(p.shards); n > 1 {
		s = &p.shards[rand.IntN(n)]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errStopped
	}
	if s.open != nil && s.open.contents.size+size > limit {
		p.seal(s)
	}
	if s.open == nil {
		s.open = p.newEnvelope(s)
	}
	e := s.open
	e.contents.add(rec)
	e.batches++
	e.samples += samples
	if e.contents.size >= target || p.cfg.Linger == 0 || p.eager.Load() {
		p.seal(s)
	}
	return e, nil
}

func (p *packer) newEnvelope(s *shard) *envelope {
	e := &envelope{contents: p.contents.get(), done: make(chan struct{})}
	if p.cfg.Linger > 0 {
		p.timers.Add(1)
		e.flush = time.AfterFunc(p.cfg.Linger, func() {
			defer p.timers.Done()
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.open == e {
				e.flush = nil
				p.seal(s)
			}
		})
	}
	return e
}

// seal hands the shard's envelope to the senders; s.mu is held.
func (p *packer) seal(s *shard) {
	e := s.open
	s.open = nil
	if e.flush != nil && e.flush.Stop() {
		p.timers.Done()
	}
	p.submit(e)
}

func (p *packer) submit(e *envelope) {
	p.sealed.Add(1)
	p.pending.Add(1)
	e.sealedAt = time.Now()
	p.lastSeal.Store(int64(time.Since(p.started)))
	p.ready <- e
}

// drain seals whatever is open, and from now on every batch at once.
func (p *packer) drain() {
	p.eager.Store(true)
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		if s.open != nil {
			p.seal(s)
		}
		s.mu.Unlock()
	}
}

// stop refuses new batches, waits until every envelope has its outcome, tells the
// readers in a last envelope what they can't know yet, and ends all goroutines. When
// ctx ends first, what is still unsent is given up.
func (p *packer) stop(ctx context.Context) error {
	var err error
	p.stopOnce.Do(func() { err = p.shutdown(ctx) })
	return err
}

func (p *packer) shutdown(ctx context.Context) error {
	cancelled := context.AfterFunc(ctx, p.abort)
	defer cancelled()
	p.eager.Store(true)
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		s.closed = true
		if s.open != nil {
			p.seal(s)
		}
		s.mu.Unlock()
	}
	p.timers.Wait()
	p.stopIdle()
	p.idle.Wait()
	p.sealed.Wait() // ends: sends are bounded by SendTimeout, and aborted with ctx
	err := ctx.Err()
	if err == nil && p.seq.news() {
		e := &envelope{done: make(chan struct{})}
		p.submit(e)
		<-e.done
		err = e.err
	}
	close(p.ready)
	p.work.Wait()
	p.abort()
	return err
}

// closeWhenIdle sends an empty envelope when nothing was sent for CloseAfter and
// readers would learn something from it.
func (p *packer) closeWhenIdle(ctx context.Context) {
	tick := time.NewTicker(p.cfg.CloseAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		idle := int64(time.Since(p.started))-p.lastSeal.Load() >= int64(p.cfg.CloseAfter)
		if idle && p.pending.Load() == 0 && p.seq.news() && ctx.Err() == nil {
			p.submit(&envelope{done: make(chan struct{})})
		}
	}
}
