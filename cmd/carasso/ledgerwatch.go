package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/telemetry/ledger"
)

// ledgerWatch tells how many batches of past hours were acknowledged to cars and have not been handled. It leaves the
// last hour out, since what waits in the queue is late, not missing.
type ledgerWatch struct {
	read    func(ctx context.Context, from, to time.Time) (ledger.Report, error)
	every   time.Duration
	log     *slog.Logger
	missing prometheus.Gauge
}

func newLedgerWatch(p *base) (*ledgerWatch, error) {
	w := &ledgerWatch{read: p.db.Ledger, every: 5 * time.Minute, log: p.log, missing: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "carasso_ledger_missing_batches", Help: "Batches acknowledged 1 to 25 hours ago that no worker has handled.",
	})}
	return w, p.reg.Register(w.missing)
}

func (w *ledgerWatch) run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		if err := w.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "the ledger could not be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *ledgerWatch) look(ctx context.Context, now time.Time) error {
	to := now.UTC().Truncate(time.Hour).Add(-time.Hour)
	report, err := w.read(ctx, to.Add(-24*time.Hour), to)
	if err != nil {
		return err
	}
	var sum ledger.Account
	for i := range report.Hours {
		sum.Add(&report.Hours[i].Account)
	}
	w.missing.Set(float64(sum.Accepted.Batches - sum.Archived.Batches - sum.Duplicate.Batches - sum.Quarantined.Batches))
	return nil
}
