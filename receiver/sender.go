package receiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// errNotAccepted is wrapped by what a batch gets whose envelope the queue did not
// accept in time.
var errNotAccepted = errors.New("the queue did not accept the envelope")

// send takes what is ready, at most maxCoalesced envelopes at a time, until ready is
// closed. ctx gives up what is being sent, not the loop.
func (p *packer) send(ctx context.Context) {
	group := make([]*envelope, 0, maxCoalesced)
	for e := range p.ready {
		group = append(group[:0], e)
		group = p.coalesce(group)
		p.deliver(ctx, group)
		clear(group)
	}
}

// coalesce adds what else is ready right now.
func (p *packer) coalesce(group []*envelope) []*envelope {
	for len(group) < maxCoalesced {
		select {
		case e, ok := <-p.ready:
			if !ok {
				return group
			}
			group = append(group, e)
		default:
			return group
		}
	}
	return group
}

// deliver numbers and compresses the envelopes and sends them until the queue has
// accepted each or its time is over. The time runs from the sealing: during an outage,
// what waited for a sender too long is refused without ever being sent.
func (p *packer) deliver(ctx context.Context, group []*envelope) {
	ctx, cancel := context.WithTimeout(ctx, p.timeLeft(group))
	defer cancel()
	waiting := make([]*envelope, 0, len(group))
	for _, e := range group {
		if time.Since(e.sealedAt) >= p.cfg.SendTimeout {
			p.expire(e)
			continue
		}
		if err := p.compress(e); err != nil {
			p.giveUp(e, err)
			continue
		}
		waiting = append(waiting, e)
	}
	bodies := make([][]byte, 0, len(waiting))
	pause := p.cfg.BackoffMin
	for {
		bodies = bodies[:0]
		for _, e := range waiting {
			e.attempts++
			bodies = append(bodies, e.body)
		}
		if len(bodies) == 0 {
			return
		}
		started := time.Now()
		errs := p.queue.Send(ctx, bodies)
		p.metrics.sendSeconds.Observe(time.Since(started).Seconds())
		var last error
		waiting, last = p.settleSent(waiting, errs)
		if last == nil {
			continue
		}
		if !sleep(ctx, jitter(pause)) {
			for _, e := range waiting {
				p.giveUp(e, last)
			}
			return
		}
		pause = min(2*pause, p.cfg.BackoffMax)
	}
}

// timeLeft is how long a group may be sent: until the oldest's time is over, but long
// enough for a fair try of those sealed later.
func (p *packer) timeLeft(group []*envelope) time.Duration {
	left := p.cfg.SendTimeout
	for _, e := range group {
		left = min(left, p.cfg.SendTimeout-time.Since(e.sealedAt))
	}
	return max(left, p.cfg.SendTimeout/4)
}

// expire refuses an envelope that was never numbered or sent: there is nothing to void.
func (p *packer) expire(e *envelope) {
	if e.contents != nil {
		p.contents.put(e.contents)
		e.contents = nil
	}
	p.metrics.voided.Inc()
	p.finish(e, fmt.Errorf("%w: none of the senders was free in time", errNotAccepted))
}

// settleSent finishes the accepted envelopes and returns the others with the last error.
func (p *packer) settleSent(sent []*envelope, errs []error) (failed []*envelope, last error) {
	failed = sent[:0]
	for i, e := range sent {
		switch {
		case errs == nil || i < len(errs) && errs[i] == nil:
			p.accept(e)
			continue
		case i >= len(errs): // the queue broke its contract: no answer is no acceptance
			last = fmt.Errorf("%w: no answer", errNotAccepted)
		default:
			last = errs[i]
		}
		p.metrics.sendErrors.Inc()
		failed = append(failed, e)
	}
	if last != nil && p.failing.CompareAndSwap(false, true) {
		p.log.Warn("queue refuses envelopes", "envelopes", len(failed), "error", last)
	}
	return failed, last
}

// compress numbers the envelope and makes its body.
func (p *packer) compress(e *envelope) error {
	w := <-p.writers
	defer func() {
		w.Reset()
		p.writers <- w
	}()
	if e.contents != nil {
		e.contents.writeTo(w)
		p.contents.put(e.contents)
		e.contents = nil
	}
	e.ticket = p.seq.assign(e.batches, e.samples, p.now())
	body, err := w.Seal(e.ticket.header)
	if err != nil {
		return fmt.Errorf("seal envelope: %w", err)
	}
	if len(body) > p.cfg.MaxEnvelope {
		return fmt.Errorf("seal envelope: %d bytes, limit %d", len(body), p.cfg.MaxEnvelope)
	}
	e.body = body
	p.ratio.observe(w.Len(), len(body))
	return nil
}

func (p *packer) accept(e *envelope) {
	p.seq.accepted(e.ticket)
	p.metrics.accepted(e.batches, e.samples, len(e.body))
	if p.failing.Load() && p.failing.CompareAndSwap(true, false) {
		p.log.Info("queue accepts envelopes again")
	}
	p.finish(e, nil)
}

// giveUp voids the envelope: its vehicles are told to send again.
func (p *packer) giveUp(e *envelope, cause error) {
	p.seq.voided(e.ticket)
	p.metrics.voided.Inc()
	p.log.Debug("envelope voided", "seq", e.ticket.header.Seq, "batches", e.batches,
		"attempts", e.attempts, "error", cause)
	p.finish(e, fmt.Errorf("%w: %w", errNotAccepted, cause))
}

// finish publishes the outcome.
func (p *packer) finish(e *envelope, err error) {
	e.err, e.body = err, nil
	close(e.done)
	p.pending.Add(-1)
	p.sealed.Done()
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// jitter is between half of d and d, so that senders don't retry in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
