package river

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Presence tells whether any process carries jobs out: without one, partitions run out, and what is
// past retention stays. Safe for concurrent use.
type Presence struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	every time.Duration
	gauge prometheus.Gauge
}

// NewPresence makes one for processes that themselves do without jobs.
func NewPresence(pool *pgxpool.Pool, log *slog.Logger, reg prometheus.Registerer) (*Presence, error) {
	p := &Presence{pool: pool, log: log, every: 15 * time.Second, gauge: prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "carasso", Subsystem: "job", Name: "processes",
		Help: "Processes that carry jobs out. 0: nobody makes partitions, ends retention or compacts the archive.",
	})}
	if err := reg.Register(p.gauge); err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return p, nil
}

var errNobody = errors.New("no process carries jobs out: start `carasso jobs`, or partitions run out in two days and the archive stays in pieces")

// Check fails when nobody has carried jobs out for a minute.
func (p *Presence) Check(ctx context.Context) error {
	n, err := processes(ctx, p.pool)
	if err != nil {
		return err
	}
	p.gauge.Set(float64(n))
	if n == 0 {
		return errNobody
	}
	return nil
}

// processes counts those that carry jobs out and showed it within a minute.
func processes(ctx context.Context, pool *pgxpool.Pool) (n int, err error) {
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM job_process WHERE seen_at > now() - interval '1 minute'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("jobs: look for processes: %w", err)
	}
	return n, nil
}

// grace is how long a deployment may take to start its processes before their absence is told, and how
// long until it is told again.
const grace = 10 * time.Minute

// Run keeps the metric fresh and warns, until ctx ends.
func (p *Presence) Run(ctx context.Context) error {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	last := time.Now().Add(time.Minute - grace)
	for {
		err := p.Check(ctx)
		if err != nil && ctx.Err() == nil && time.Since(last) >= grace {
			p.log.WarnContext(ctx, "jobs do not run", "error", err)
			last = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
