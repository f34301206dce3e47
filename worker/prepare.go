package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// preparer decodes and matches deliveries. One goroutine uses it.
type preparer struct {
	cfg   *Config
	match Matcher
	m     *metrics
	now   func() time.Time
	spent struct{ decode, match time.Duration }
}

// prepare adds a delivery to w. What can't be used is noted as such and is no error; an error is
// transient, and then w is as it was.
func (p *preparer) prepare(ctx context.Context, w *work, d telemetry.Delivery) (err error) {
	before := w.mark()
	e := envelope{delivery: d, first: before.batches}
	defer func() {
		// A bug that one envelope triggers must not take the worker down with it again and
		// again.
		if r := recover(); r != nil {
			p.m.panics.Inc()
			w.truncate(before)
			e.bad = &badEnvelope{ledger.ReasonRejected, fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
			e.refused = nil
			err = nil
		}
		if err != nil {
			w.truncate(before)
			return
		}
		e.last = len(w.batches)
		w.envelopes = append(w.envelopes, e)
		w.bytes += len(d.Body)
	}()
	p.cfg.OnStep(StepDecode)
	start := p.now()
	p.decode(w, &e)
	if e.bad != nil {
		w.truncate(before)
		e.refused = nil
	}
	decoded := p.now()
	p.spent.decode += decoded.Sub(start)
	p.cfg.OnStep(StepMatch)
	err = p.matchBatches(ctx, w, before.batches)
	p.spent.match += p.now().Sub(decoded)
	return err
}

// decode fills e and appends its batches to w; when it sets e.bad, only e.header counts.
func (p *preparer) decode(w *work, e *envelope) {
	now := p.now()
	err := w.opened.Open(e.delivery.Body, p.cfg.MaxEnvelope)
	if err != nil {
		e.bad = &badEnvelope{ledger.ReasonBody, err.Error()}
		var ee *telemetry.EnvelopeError
		known := errors.As(err, &ee)
		if known && ee.Reason == telemetry.ReasonVersion {
			e.bad.reason = ledger.ReasonVersion
		}
		if !known || !ee.HeaderOK {
			if e.bad.reason == ledger.ReasonBody {
				e.bad.reason = ledger.ReasonHeader
			}
			return
		}
	}
	e.header = w.opened.Header
	e.header.Voided = append([]telemetry.Void(nil), e.header.Voided...)
	if accepted := time.UnixMilli(e.header.AcceptedAt); accepted.Before(now.Add(-p.cfg.LedgerPast)) || accepted.After(now.Add(p.cfg.Ahead)) {
		e.bad = &badEnvelope{ledger.ReasonEnvelopeTime, "accepted at " + accepted.UTC().Format(time.RFC3339)}
		return
	}
	e.inLedger = true
	if e.bad != nil {
		return
	}
	window := [2]int64{now.Add(-p.cfg.Past).UnixMilli(), now.Add(p.cfg.Ahead).UnixMilli()}
	records, samples := 0, 0
	for r := range w.opened.Records() {
		records++
		n, why := p.decodeRecord(w, r, int32(len(w.envelopes)), window)
		samples += n
		if why != nil {
			why.claim, why.samples = r.Claim, n
			e.refused = append(e.refused, *why)
		}
	}
	if h := &e.header; records != int(h.Batches) || (len(e.refused) == 0 && samples != int(h.Samples)) {
		e.bad = &badEnvelope{
			ledger.ReasonCount,
			fmt.Sprintf("header says %d batches of %d samples, found %d of %d", h.Batches, h.Samples, records, samples),
		}
	}
}

// decodeRecord appends a batch to w, or says why it can't be used. n is its counted samples.
func (p *preparer) decodeRecord(w *work, r telemetry.Record, envelope int32, window [2]int64) (n int, why *refused) {
	if erasedRecord(r) {
		return 0, &refused{reason: ledger.ReasonErased, detail: "the vehicle's data was erased"}
	}
	b := &w.decoded
	if err := telemetry.DecodeCanonical(r.Payload, b); err != nil {
		return 0, &refused{reason: ledger.ReasonBatch, detail: err.Error()}
	}
	n = b.Counted()
	if n <= 0 || b.LeadIn < 0 {
		return 0, &refused{reason: ledger.ReasonEmpty, detail: fmt.Sprintf("%d samples, %d of them lead-in", len(b.Samples), b.LeadIn)}
	}
	if n > telemetry.MaxSamplesCeiling {
		return n, &refused{reason: ledger.ReasonInvalidRecord, detail: fmt.Sprintf("%d samples", n)}
	}
	if t := r.Claim.UnixMilli(); t < window[0] || t > window[1] {
		return n, &refused{reason: ledger.ReasonClaimTime, detail: telemetry.BatchID(r.Claim).Time().Format(time.RFC3339)}
	}
	for i := b.LeadIn; i < len(b.Samples); i++ {
		if t := b.Samples[i].T; t < window[0] || t > window[1] {
			return n, &refused{reason: ledger.ReasonBatchTime, detail: time.UnixMilli(t).UTC().Format(time.RFC3339)}
		}
	}
	for i := range b.Events {
		if t := b.Events[i].T; t < window[0] || t > window[1] {
			return n, &refused{reason: ledger.ReasonBatchTime, detail: "event at " + time.UnixMilli(t).UTC().Format(time.RFC3339)}
		}
	}
	s0, e0 := int32(len(w.samples)), int32(len(w.events))
	w.samples = append(w.samples, b.Samples...)
	w.events = append(w.events, b.Events...)
	for i := range b.Events {
		w.urgent = w.urgent || b.Events[i].Type == telemetry.HazardSeen
	}
	w.batches = append(w.batches, batch{
		claim: r.Claim, vehicle: r.Vehicle, tripKey: b.Trip.Key, elapsed: b.Trip.ElapsedS,
		envelope: envelope, s0: s0, s1: int32(len(w.samples)), e0: e0, e1: int32(len(w.events)),
		leadIn: int32(b.LeadIn), kind: w.kinds.of(b.Vehicle), final: b.Trip.Final,
	})
	return n, nil
}

// matchBatches finds the roads and the ways of the batches from first on.
func (p *preparer) matchBatches(ctx context.Context, w *work, first int) error {
	w.edges = appendZeros(w.edges, len(w.samples))
	w.matches = appendZeros(w.matches, len(w.samples))
	for i := first; i < len(w.batches); i++ {
		b := &w.batches[i]
		out := w.matches[b.s0:b.s1]
		if err := p.match.Match(ctx, w.samples[b.s0:b.s1], out); err != nil {
			return fmt.Errorf("match batch %s: %w", b.claim, err)
		}
		for j := range out {
			if out[j].OK {
				w.edges[int(b.s0)+j] = out[j].Edge
			}
		}
		b.p0 = int32(len(w.steps))
		w.steps = append(w.steps, p.match.Path()...)
		b.p1 = int32(len(w.steps))
	}
	return nil
}

// appendZeros lengthens s to n elements.
func appendZeros[E any](s []E, n int) []E {
	had := len(s)
	s = slices.Grow(s, n-had)[:n]
	clear(s[had:])
	return s
}
