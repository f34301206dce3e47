package worker

import (
	"context"
	"log/slog"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// undertaker looks after the dead-letter queue: each envelope there is tried once more, alone,
// and goes to quarantine if it fails again. So the ledger adds up even for what failed
// too often, and the dead-letter queue is empty when all is well.
type undertaker struct {
	cfg     *Config
	queue   DeadLetters
	prepare *preparer
	flush   *flusher
	m       *metrics
	log     *slog.Logger
	work    work
}

// run looks after dead letters until ctx ends.
func (u *undertaker) run(ctx, hard context.Context) {
	for ctx.Err() == nil {
		ds, err := u.queue.ReceiveDead(ctx, maxReceive)
		if err != nil && ctx.Err() == nil {
			u.m.errors.WithLabelValues("receive_dead").Inc()
			u.log.WarnContext(ctx, "dead-letter queue not readable", "error", err)
		}
		failed := false
		for _, d := range ds {
			if err := u.handle(hard, d); err != nil {
				failed = true
				u.log.WarnContext(ctx, "dead letter not handled", "error", err)
			}
		}
		if len(ds) < maxReceive || failed {
			sleep(ctx, u.cfg.DeadInterval)
		}
	}
}

// handle deals with one dead letter. After an error, which is transient, it stays in the
// dead-letter queue.
func (u *undertaker) handle(hard context.Context, d telemetry.Delivery) error {
	ctx, cancel := context.WithTimeout(hard, flushTimeout)
	defer cancel()
	u.work.reset()
	if err := u.prepare.prepare(ctx, &u.work, d); err != nil {
		return err
	}
	res, err := u.flush.flush(ctx, &u.work, []int{0})
	if permanent(err) {
		e := &u.work.envelopes[0]
		e.bad, e.refused = &badEnvelope{ledger.ReasonMaxReceives, err.Error()}, nil
		res, err = u.flush.flush(ctx, &u.work, []int{0})
	}
	if err != nil {
		return err
	}
	u.m.record(&res)
	return u.queue.DeleteDead(ctx, []telemetry.Delivery{d})
}
