package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// redriver tries again what is in quarantine, on request: one envelope after the other goes through decoding, matching
// and a flush's transaction once more. That transaction also holds the request, and moves in the ledger what
// counts now. So a redrive happens once, whoever is killed when, and what a car has sent anew in the meantime is a
// duplicate, as ever.
type redriver struct {
	cfg     *Config
	store   Redrives
	objects StoredObjects
	begin   func(context.Context) (RedriveTx, error)
	prepare *preparer
	flush   *flusher
	m       *metrics
	log     *slog.Logger
	work    work
}

// redrivePage is how many envelopes are taken on between two looks at the requests.
const redrivePage = 100

// run looks for requests until ctx ends.
func (r *redriver) run(ctx, hard context.Context) {
	for ctx.Err() == nil {
		keys, err := r.store.PendingRedrives(ctx, redrivePage)
		if err != nil && ctx.Err() == nil {
			r.m.errors.WithLabelValues("redrive").Inc()
			r.log.WarnContext(ctx, "redrives not readable", "error", err)
		}
		failed := false
		for _, key := range keys {
			if ctx.Err() != nil {
				return
			}
			if err := r.handle(hard, key); err != nil {
				failed = true
				r.m.errors.WithLabelValues("redrive").Inc()
				r.log.WarnContext(ctx, "redrive failed, will retry", "object", key, "error", err)
			}
		}
		if len(keys) < redrivePage || failed {
			sleep(ctx, r.cfg.RedriveInterval)
		}
	}
}

// handle redrives one object. After an error, which is transient, the requests are as they were.
func (r *redriver) handle(hard context.Context, key string) error {
	ctx, cancel := context.WithTimeout(hard, flushTimeout)
	defer cancel()
	r.work.reset()
	body, err := r.objects.Get(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.work.envelopes = append(r.work.envelopes, envelope{bad: &badEnvelope{ledger.ReasonGone, "the object is not there any more"}})
	case err != nil:
		return fmt.Errorf("get %s: %w", key, err)
	default:
		if err := r.prepare.prepare(ctx, &r.work, telemetry.Delivery{Body: body, Attempts: 1, SentAt: time.Now()}); err != nil {
			return err
		}
	}
	res, err := r.try(ctx, key)
	if permanent(err) {
		e := &r.work.envelopes[0]
		e.bad, e.refused = &badEnvelope{ledger.ReasonRejected, err.Error()}, nil
		res, err = r.try(ctx, key)
	}
	if err != nil {
		return err
	}
	r.m.record(&res)
	return nil
}

// try is one transaction. A panic is a permanent error.
func (r *redriver) try(ctx context.Context, key string) (res result, err error) {
	f, w := r.flush, &r.work
	defer func() {
		if p := recover(); p != nil {
			r.m.panics.Inc()
			f.sums, f.archive = f.newSums(), nil
			res, err = result{}, &panicError{p, debug.Stack()}
		}
	}()
	step := f.steps()
	defer func() { step("") }()
	step(StepBegin)
	tx, err := r.begin(ctx)
	if err != nil {
		return res, err
	}
	defer tx.Rollback(ctx)
	requests, err := tx.LockRedrives(ctx, key)
	if err != nil || len(requests) == 0 {
		return res, err
	}
	c := redriveCase{requests: requests, e: &w.envelopes[0], w: w}
	step(StepEnvelopes)
	if err := c.look(ctx, tx); err != nil {
		return res, err
	}
	all := []int{0}
	if c.enter() { // the ledger has not seen it: from here on it is an envelope like any other
		if err := f.enter(ctx, tx, w, all, &res); err != nil {
			return res, err
		}
		if !c.e.fresh {
			return res, errors.New("the envelope was entered meanwhile")
		}
	}
	step(StepClaim)
	if err := f.claim(ctx, tx, w, all); err != nil {
		return res, err
	}
	step(StepAggregate)
	f.sums.reset()
	if err := f.sums.add(ctx, w, all, f.now().Add(-f.cfg.LiveWindow).UnixMilli()); err != nil {
		return res, err
	}
	res.untrusted = f.sums.untrusted
	var outcomes []ledger.Envelope
	var quarantine []ledger.Quarantined
	if c.enter() {
		quarantine = f.settle(w, all, &res)
		outcomes = f.outcomes
	} else {
		quarantine = c.remaining()
	}
	m, err := f.keep(ctx, tx, w, all, quarantine, step, &res)
	if err != nil {
		return res, err
	}
	step(StepSettle)
	if err := tx.Settle(ctx, outcomes, quarantine); err != nil {
		return res, err
	}
	adjusted, results := c.conclude(&res)
	if err := tx.Redriven(ctx, adjusted, results); err != nil {
		return res, err
	}
	step(StepCommit)
	return res, tx.Commit(ctx, m)
}
