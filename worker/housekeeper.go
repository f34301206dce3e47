package worker

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HousekeeperConfig tunes a Housekeeper. The zero value of each field stands for its default.
type HousekeeperConfig struct {
	FoldInterval time.Duration // between foldings of deltas; default 5 s
}

// Housekeeper folds deltas into their base tables. One at a time should run for a database, though
// several do no harm. It is a loop and no job, because readers of live speeds see deltas only after
// seconds, and a job each few seconds would fill the history with nothing. All that is seldom is a job.
type Housekeeper struct {
	cfg   HousekeeperConfig
	store FoldStore
	log   *slog.Logger
	rows  *prometheus.CounterVec
	took  *prometheus.HistogramVec
	fails *prometheus.CounterVec
}

const foldTask = "fold"

// NewHousekeeper makes a Housekeeper; Run starts it.
func NewHousekeeper(cfg HousekeeperConfig, store FoldStore, log *slog.Logger, r prometheus.Registerer) *Housekeeper {
	h := &Housekeeper{
		cfg: HousekeeperConfig{
			FoldInterval: cmp.Or(cfg.FoldInterval, 5*time.Second),
		},
		store: store, log: log,
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "carasso", Subsystem: "fold", Name: "rows_total", Help: "Rows folded: deltas merged, base rows written.",
		}, []string{"kind"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "carasso", Subsystem: "housekeeping", Name: "seconds", Help: "Duration of housekeeping by task.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"task"}),
		fails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "carasso", Subsystem: "housekeeping", Name: "errors_total", Help: "Failed housekeeping by task.",
		}, []string{"task"}),
	}
	r.MustRegister(h.rows, h.took, h.fails)
	h.fails.WithLabelValues(foldTask) // 0 from the start, so that the first failure is a growth
	return h
}

// Run keeps house until ctx ends; failures are logged and tried again at the next turn.
func (h *Housekeeper) Run(ctx context.Context) error {
	fold := time.NewTicker(h.cfg.FoldInterval)
	defer fold.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-fold.C:
			h.task(ctx, foldTask, h.fold)
		}
	}
}

func (h *Housekeeper) fold(ctx context.Context) error {
	deltas, written, err := h.store.Fold(ctx)
	h.rows.WithLabelValues("merged").Add(float64(deltas))
	h.rows.WithLabelValues("written").Add(float64(written))
	return err
}

func (h *Housekeeper) task(ctx context.Context, name string, f func(context.Context) error) {
	start := time.Now()
	if err := f(ctx); err != nil && ctx.Err() == nil {
		h.fails.WithLabelValues(name).Inc()
		h.log.WarnContext(ctx, "housekeeping failed", "task", name, "error", err)
	}
	h.took.WithLabelValues(name).Observe(time.Since(start).Seconds())
}
