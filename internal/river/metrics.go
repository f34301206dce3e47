package river

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"
)

type metrics struct {
	jobs      *prometheus.GaugeVec
	took      *prometheus.HistogramVec
	succeeded *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "carasso", Name: "jobs", Help: "Jobs by kind and state, ended ones as far as the history reaches.",
		}, []string{"kind", "state"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "carasso", Subsystem: "job", Name: "seconds", Help: "Duration of attempts in this process.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 10),
		}, []string{"kind", "outcome"}),
		succeeded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "carasso", Subsystem: "job", Name: "last_success_timestamp_seconds",
			Help: "When a job of the kind last succeeded, since the epoch: its age is time() less this.",
		}, []string{"kind"}),
	}
	return m, errors.Join(reg.Register(m.jobs), reg.Register(m.took), reg.Register(m.succeeded))
}

// count renews the gauges.
func (j *Jobs) count(ctx context.Context) error {
	rows, err := j.pool.Query(ctx, `SELECT kind, state::text, count(*), max(finalized_at) FROM river_job GROUP BY kind, state`)
	if err != nil {
		return fmt.Errorf("jobs: count: %w", err)
	}
	sums := map[[2]string]float64{}
	for _, k := range j.order {
		for _, s := range stateOf {
			sums[[2]string{k, string(s)}] = 0
		}
	}
	var kind, state string
	var n int64
	var last *time.Time
	_, err = pgx.ForEachRow(rows, []any{&kind, &state, &n, &last}, func() error {
		sums[[2]string{kind, string(stateOf[rivertype.JobState(state)])}] += float64(n)
		if rivertype.JobState(state) == rivertype.JobStateCompleted && last != nil {
			j.metrics.succeeded.WithLabelValues(kind).Set(float64(last.UnixMilli()) / 1000)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("jobs: count: %w", err)
	}
	for k, v := range sums {
		j.metrics.jobs.WithLabelValues(k[0], k[1]).Set(v)
	}
	return nil
}
