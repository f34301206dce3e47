package worker

import (
	"context"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// redriveCase is one envelope that is redriven: what was asked, and what the ledger says of it.
type redriveCase struct {
	requests []ledger.RedriveRequest
	e        *envelope
	w        *work
	whole    bool         // a request is about the whole envelope
	known    bool         // the ledger has it
	left     ledger.Count // of it in quarantine, if known
}

// look reads the ledger, and leaves in the work only what is in quarantine and asked for.
func (c *redriveCase) look(ctx context.Context, tx RedriveTx) (err error) {
	asked := map[telemetry.ClaimID]bool{}
	for i := range c.requests {
		if c.requests[i].HasClaim {
			asked[c.requests[i].Claim] = true
		} else {
			c.whole = true
		}
	}
	e := c.e
	if e.inLedger {
		if c.left, c.known, err = tx.StillQuarantined(ctx, &e.header); err != nil {
			return err
		}
	}
	for i := e.first; i < e.last; i++ {
		c.w.batches[i].settled = false
	}
	if !c.known {
		return nil
	}
	e.fresh = e.bad == nil
	if e.bad != nil {
		return nil
	}
	refused := e.refused[:0:0]
	for _, r := range e.refused {
		if c.whole || asked[r.claim] {
			refused = append(refused, r)
		}
	}
	e.refused = refused
	// A batch may stand twice in an envelope of which one was good: only as many as are in quarantine may move.
	left := int(c.left.Batches) - len(e.refused)
	for i := e.last - 1; i >= e.first; i-- {
		b := &c.w.batches[i]
		b.settled = !c.whole && !asked[b.claim] || left <= 0
		if !b.settled {
			left--
		}
	}
	c.check()
	return nil
}

// check refuses an envelope whose header contradicts what was found: the ledger must add up.
func (c *redriveCase) check() {
	var moving ledger.Count
	for i := c.e.first; i < c.e.last; i++ {
		if b := &c.w.batches[i]; !b.settled {
			moving.Add(ledger.Count{Batches: 1, Samples: int64(b.n())})
		}
	}
	if moving.Samples > c.left.Samples || moving.Batches == c.left.Batches && moving.Samples != c.left.Samples {
		c.e.bad, c.e.refused, c.e.fresh = &badEnvelope{ledger.ReasonCount, "its batches do not hold the samples that the header counts"}, nil, false
	}
}

// enter tells whether the envelope goes into the ledger as if it came from the queue.
func (c *redriveCase) enter() bool { return c.e.inLedger && !c.known }

// remaining are the entries for batches of a whole envelope that turned out usable only in part.
func (c *redriveCase) remaining() (qs []ledger.Quarantined) {
	if !c.whole || c.e.bad != nil {
		return nil
	}
	for i := range c.e.refused {
		r := &c.e.refused[i]
		q := c.e.quarantined(r.reason, r.detail)
		q.HasClaim, q.Claim, q.Batches, q.Samples = true, r.claim, 1, uint32(r.samples)
		qs = append(qs, q)
	}
	return qs
}

// conclude says what became of each request, and what to move in the ledger.
func (c *redriveCase) conclude(res *result) (*ledger.Adjustment, []ledger.RedriveResult) {
	total := ledger.RedriveResult{}
	adjusted := &ledger.Adjustment{Header: c.e.header}
	byClaim := map[telemetry.ClaimID]*ledger.RedriveResult{}
	of := func(id telemetry.ClaimID) *ledger.RedriveResult {
		if byClaim[id] == nil {
			byClaim[id] = &ledger.RedriveResult{Resolved: true}
		}
		return byClaim[id]
	}
	usable := c.e.bad == nil
	if usable {
		for i := c.e.first; i < c.e.last; i++ {
			b := &c.w.batches[i]
			switch {
			case b.settled:
			case b.fresh:
				total.Archived++
				of(b.claim).Archived++
				adjusted.Archived++
				adjusted.ArchivedSamples += uint32(b.n())
			default:
				total.Duplicate++
				of(b.claim).Duplicate++
				adjusted.Duplicate++
				adjusted.DuplicateSamples += uint32(b.n())
			}
		}
		for i := range c.e.refused {
			r := of(c.e.refused[i].claim)
			r.Resolved, r.Reason, r.Detail = false, c.e.refused[i].reason, c.e.refused[i].detail
		}
	}
	if c.enter() || !usable {
		adjusted = nil
	} else {
		res.archived, res.archivedSamples = int(adjusted.Archived), int64(adjusted.ArchivedSamples)
		res.duplicate, res.duplicateSamples = int(adjusted.Duplicate), int64(adjusted.DuplicateSamples)
	}
	results := make([]ledger.RedriveResult, 0, len(c.requests))
	for _, q := range c.requests {
		var r ledger.RedriveResult
		switch {
		case c.enter(): // entered anew, with entries of its own for what can't be used
			r = ledger.RedriveResult{Resolved: true, Archived: total.Archived, Duplicate: total.Duplicate}
		case !usable:
			r = ledger.RedriveResult{Reason: c.e.bad.reason, Detail: c.e.bad.detail}
		case !q.HasClaim:
			r = ledger.RedriveResult{Resolved: true, Archived: total.Archived, Duplicate: total.Duplicate}
		default:
			r = *of(q.Claim) // nothing left of it: resolved, with nothing moved
		}
		r.RedriveRequest, r.Detail = q, r.Detail[:min(len(r.Detail), 500)]
		results = append(results, r)
	}
	if adjusted != nil && adjusted.Archived+adjusted.Duplicate == 0 {
		adjusted = nil
	}
	return adjusted, results
}
