package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// flushTimeout bounds one attempt at a flush.
const flushTimeout = 2 * time.Minute

// pipeline gathers envelopes from the queue, flushes them and deletes them, one flush after the
// other. Several run at once; each holds at most one flush, which bounds the memory of all, and
// while the database does not answer, each keeps what it holds and takes no more.
type pipeline struct {
	cfg     *Config
	queue   Queue
	prepare *preparer
	flush   *flusher
	hold    *hold
	m       *metrics
	log     *slog.Logger

	work work
	all  []int
}

// run works until ctx ends, and then brings the flush in hand to its end as long as hard
// lasts.
func (p *pipeline) run(ctx, hard context.Context) {
	for ctx.Err() == nil {
		p.work.reset()
		p.prepare.spent.decode, p.prepare.spent.match = 0, 0
		unprepared := p.gather(ctx, hard)
		if n := len(p.work.envelopes); n > 0 {
			p.m.step.WithLabelValues(string(StepDecode)).Observe(p.prepare.spent.decode.Seconds())
			p.m.step.WithLabelValues(string(StepMatch)).Observe(p.prepare.spent.match.Seconds())
			p.all = p.all[:0]
			for i := range n {
				p.all = append(p.all, i)
			}
			p.finish(hard, p.all)
		}
		p.hold.drop()
		p.release(hard, unprepared, 0)
	}
}

// gather fills the work until a target is reached, FlushInterval has passed since its first
// envelope, or UrgentInterval since its first urgent one. It returns what it received and could not prepare before the end.
func (p *pipeline) gather(ctx, hard context.Context) (unprepared []telemetry.Delivery) {
	w := &p.work
	var deadline time.Time
	hurried := false
	for !p.full() {
		wait := p.cfg.PollWait
		if !deadline.IsZero() {
			if wait = time.Until(deadline); wait <= 0 {
				return nil
			}
		}
		p.cfg.OnStep(StepReceive)
		ds, err := p.queue.Receive(ctx, maxReceive, wait)
		if err != nil && ctx.Err() == nil {
			p.m.errors.WithLabelValues("receive").Inc()
			p.log.WarnContext(ctx, "queue not readable", "error", err)
		}
		if len(ds) == 0 {
			if !deadline.IsZero() || ctx.Err() != nil {
				return nil // nothing more is waiting: no reason to
			}
			if err != nil {
				sleep(ctx, p.cfg.RetryMax/2)
			}
			continue
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(p.cfg.FlushInterval)
		}
		p.hold.add(ds)
		for i, d := range ds {
			if !p.prepareOne(ctx, hard, w, d) {
				return ds[i:]
			}
		}
		if w.urgent && !hurried {
			hurried = true
			if soon := time.Now().Add(p.cfg.UrgentInterval); soon.Before(deadline) {
				deadline = soon
			}
		}
	}
	return nil
}

func (p *pipeline) full() bool {
	w := &p.work
	return len(w.batches) >= p.cfg.FlushBatches || len(w.samples) >= p.cfg.FlushSamples || w.bytes >= p.cfg.FlushBytes
}

// prepareOne decodes and matches a delivery, again and again until the map can be read; false
// when the worker is to stop meanwhile.
func (p *pipeline) prepareOne(ctx, hard context.Context, w *work, d telemetry.Delivery) bool {
	pause := p.cfg.RetryMin
	for {
		err := p.prepare.prepare(hard, w, d)
		if err == nil {
			return true
		}
		p.m.errors.WithLabelValues("match").Inc()
		p.log.WarnContext(ctx, "envelope not matched", "error", err, "retry_in", pause)
		if !sleep(ctx, pause) {
			return false
		}
		pause = min(2*pause, p.cfg.RetryMax)
	}
}

// finish flushes the given envelopes and deletes them from the queue. Transient failures
// are retried for as long as hard lasts. A flush that fails permanently is halved until the
// envelope at fault stands alone, which then goes to quarantine.
func (p *pipeline) finish(hard context.Context, envelopes []int) {
	pause := p.cfg.RetryMin
	for {
		start := time.Now()
		ctx, cancel := context.WithTimeout(hard, flushTimeout)
		res, err := p.flush.flush(ctx, &p.work, envelopes)
		cancel()
		if err == nil {
			p.observe(envelopes, &res)
			p.delete(hard, envelopes)
			p.cfg.OnStep(StepFlushEnded)
			p.m.flush.Observe(time.Since(start).Seconds())
			return
		}
		if !permanent(err) {
			p.m.flushes.WithLabelValues("transient").Inc()
			p.log.WarnContext(hard, "flush failed, will retry", "error", err, "envelopes", len(envelopes), "retry_in", pause)
			if !sleep(hard, pause) {
				p.release(hard, p.deliveries(envelopes), 0)
				return
			}
			pause = min(2*pause, p.cfg.RetryMax)
			continue
		}
		p.m.flushes.WithLabelValues("permanent").Inc()
		if half := len(envelopes) / 2; half > 0 {
			p.log.WarnContext(hard, "flush refused, will halve it", "error", err, "envelopes", len(envelopes))
			p.finish(hard, envelopes[:half])
			p.finish(hard, envelopes[half:])
			return
		}
		e := &p.work.envelopes[envelopes[0]]
		if e.bad != nil { // not even its quarantine can be entered: the dead-letter queue keeps it
			p.log.ErrorContext(hard, "envelope refused", "error", err, "receiver", telemetry.BatchID(e.header.Receiver), "seq", e.header.Seq)
			p.release(hard, p.deliveries(envelopes), p.cfg.Visibility)
			return
		}
		e.bad, e.refused = &badEnvelope{ledger.ReasonRejected, err.Error()}, nil
	}
}

func (p *pipeline) deliveries(envelopes []int) []telemetry.Delivery {
	ds := make([]telemetry.Delivery, len(envelopes))
	for i, e := range envelopes {
		ds[i] = p.work.envelopes[e].delivery
	}
	return ds
}

// delete ends the deliveries. If that fails they come again and are then known.
func (p *pipeline) delete(ctx context.Context, envelopes []int) {
	p.cfg.OnStep(StepDelete)
	start := time.Now()
	if err := p.queue.Delete(ctx, p.deliveries(envelopes)); err != nil {
		p.m.errors.WithLabelValues("delete").Inc()
		p.log.WarnContext(ctx, "envelopes not deleted from the queue", "envelopes", len(envelopes), "error", err)
	}
	p.m.step.WithLabelValues(string(StepDelete)).Observe(time.Since(start).Seconds())
}

// release gives deliveries back, on a context of its own: hard may have ended.
func (p *pipeline) release(hard context.Context, ds []telemetry.Delivery, delay time.Duration) {
	if len(ds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), 5*time.Second)
	defer cancel()
	if err := p.queue.Release(ctx, ds, delay); err != nil {
		p.log.WarnContext(ctx, "envelopes not released", "envelopes", len(ds), "error", err)
	}
}

func (p *pipeline) observe(envelopes []int, res *result) {
	m := p.m
	m.flushes.WithLabelValues("committed").Inc()
	m.record(res)
	now := time.Now()
	for _, i := range envelopes {
		if sent := p.work.envelopes[i].delivery.SentAt; !sent.IsZero() {
			m.queueAge.Observe(now.Sub(sent).Seconds())
		}
	}
}

// record counts what a committed flush did.
func (m *metrics) record(res *result) {
	m.flushBatches.Observe(float64(res.archived + res.duplicate + res.quarantined))
	for outcome, n := range map[string][2]int64{
		"archived":    {int64(res.archived), res.archivedSamples},
		"duplicate":   {int64(res.duplicate), res.duplicateSamples},
		"quarantined": {int64(res.quarantined), res.quarantinedSamples},
	} {
		m.batches.WithLabelValues(outcome).Add(float64(n[0]))
		m.samples.WithLabelValues(outcome).Add(float64(n[1]))
	}
	m.envelopes.WithLabelValues("handled").Add(float64(res.handled))
	m.envelopes.WithLabelValues("redelivered").Add(float64(res.redelivered))
	m.envelopes.WithLabelValues("quarantined").Add(float64(res.bad))
	m.archived.Add(float64(res.bytes))
	m.untrusted.Add(float64(res.untrusted))
	for _, r := range res.reasons {
		m.quarantined.WithLabelValues(string(r)).Inc()
	}
}

// sleep waits d, give or take a fifth, and tells whether ctx still lasts.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d*4/5 + rand.N(d*2/5+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
