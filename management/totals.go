package management

import (
	"context"
	"math"
	"time"

	"github.com/carasso/carasso/telemetry/ledger"
)

// settled is the age from which commits are taken as complete: a transaction gets its
// commit time when it starts, and none lives longer than the database's limit of two
// minutes for an idle one and the worker's own for a busy one.
const settled = 3 * time.Minute

// runningTotals adds up the whole ledger without reading it again: what is settled is
// kept, only the rest is asked for. It serves a display; /v1/ledger is the proof.
// Not safe for concurrent use.
type runningTotals struct {
	store Store
	base  ledger.Totals
	upTo  time.Time // base is all before it
}

// until is everything committed before now (the database's clock).
func (r *runningTotals) until(ctx context.Context, now time.Time) (ledger.Totals, error) {
	if horizon := now.Add(-settled); horizon.Sub(r.upTo) > time.Minute {
		more, err := r.store.Totals(ctx, r.upTo, horizon)
		if err != nil {
			return ledger.Totals{}, err
		}
		r.base.Add(more)
		r.upTo = horizon
	}
	t, err := r.store.Totals(ctx, r.upTo, now.Add(time.Minute))
	t.Add(r.base)
	return t, err
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
