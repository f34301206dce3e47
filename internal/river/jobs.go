// Package river carries jobs out on River, a job queue in PostgreSQL (riverqueue.com). It knows kinds of
// jobs by name and nothing of what they do. Beside what River does, it keeps schedules that outlive
// processes, progress, and signs of life: jobs of a killed process are tried again within half a minute.
package river

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	rq "github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/carasso/carasso/internal/job"
)

// Config says how jobs are kept and carried out. The zero value of each field but Process stands for
// its default.
type Config struct {
	// Process names who carries jobs out, unique among those that run: one that starts takes up at once what another of its name
	// ran. Required by Run.
	Process string
	// Workers is how many jobs run at once in this process. Default 4.
	Workers int
	// Keep is how long ended jobs stay in the history. Default 30 days.
	Keep time.Duration
	// MaxUnfinished is how many jobs may wait or run before Start refuses. Default 1,000.
	MaxUnfinished int
	// Lease is how long a running job may show no sign of life before it is taken for dead; signs are shown
	// every sixth of it. Default 30 s.
	Lease time.Duration
	// StopTimeout is how long Run waits for running jobs to end when it is told to; they are cancelled at
	// once, and go on in another process. Default 20 s.
	StopTimeout time.Duration
}

func (c Config) withDefaults() Config {
	c.Workers = cmp.Or(c.Workers, 4)
	c.Keep = cmp.Or(c.Keep, 30*24*time.Hour)
	c.MaxUnfinished = cmp.Or(c.MaxUnfinished, 1000)
	c.Lease = cmp.Or(c.Lease, 30*time.Second)
	c.StopTimeout = cmp.Or(c.StopTimeout, 20*time.Second)
	return c
}

// Validate names the first field outside its range.
func (c *Config) Validate() error {
	switch {
	case c.Workers < 1 || c.Workers > 1000:
		return fmt.Errorf("jobs: workers %d: expected 1 to 1,000", c.Workers)
	case c.Keep < time.Hour || c.Keep > 3650*24*time.Hour:
		return fmt.Errorf("jobs: keep %v: expected 1 hour to 10 years", c.Keep)
	case c.MaxUnfinished < 1 || c.MaxUnfinished > 1_000_000:
		return fmt.Errorf("jobs: max unfinished %d: expected 1 to 1,000,000", c.MaxUnfinished)
	case c.Lease < 300*time.Millisecond || c.Lease > time.Hour:
		return fmt.Errorf("jobs: lease %v: expected 300 ms to 1 hour", c.Lease)
	case c.StopTimeout < 0:
		return fmt.Errorf("jobs: stop timeout %v: expected 0 or more", c.StopTimeout)
	}
	return nil
}

// Jobs starts, lists and cancels jobs, and carries them out while Run runs, in this process or another. Safe
// for concurrent use.
type Jobs struct {
	cfg     Config
	pool    *pgxpool.Pool
	client  *rq.Client[tx]
	kinds   map[string]job.Kind
	order   []string
	log     *slog.Logger
	metrics *metrics
	running atomic.Int64
}

// Running is how many jobs this process carries out now.
func (j *Jobs) Running() int { return int(j.running.Load()) }

// New registers kinds. The database must have the tables (postgres.DB.Migrate).
func New(cfg Config, pool *pgxpool.Pool, kinds []job.Kind, log *slog.Logger, reg prometheus.Registerer) (*Jobs, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	j := &Jobs{cfg: cfg, pool: pool, kinds: map[string]job.Kind{}, log: log, metrics: m}
	workers := rq.NewWorkers()
	var longest time.Duration
	for _, k := range kinds {
		if _, ok := j.kinds[k.Name]; ok {
			return nil, fmt.Errorf("jobs: kind %s is defined twice", k.Name)
		}
		j.kinds[k.Name] = k
		j.order = append(j.order, k.Name)
		longest = max(longest, k.Timeout)
		rq.AddWorkerArgs(workers, args{kind: k.Name}, &worker{j: j, kind: k})
	}
	j.client, err = rq.NewClient(riverpgxv5.New(pool), &rq.Config{
		ID:                          cfg.Process,
		Logger:                      slog.New(quiet{log.Handler()}),
		Queues:                      map[string]rq.QueueConfig{rq.QueueDefault: {MaxWorkers: cfg.Workers}},
		Workers:                     workers,
		FetchOnlyKnownKinds:         true, // another process may be of another version
		JobTimeout:                  -1,   // each kind has its own
		RescueStuckJobsAfter:        longest + time.Hour,
		CompletedJobRetentionPeriod: cfg.Keep,
		CancelledJobRetentionPeriod: cfg.Keep,
		DiscardedJobRetentionPeriod: cfg.Keep,
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return j, nil
}

// Run carries jobs out, and starts those that are due, until ctx ends; then running ones are cancelled, and
// go on where Run runs next. Run it once.
func (j *Jobs) Run(ctx context.Context) error {
	if j.cfg.Process == "" {
		return errors.New("jobs: the process must have a name")
	}
	if err := j.plan(ctx); err != nil {
		return err
	}
	// What a process of this name ran is this one's from before it was killed.
	if err := j.takeUp(ctx, j.cfg.Process); err != nil {
		return err
	}
	started := context.WithoutCancel(ctx) // Stop ends it, in order
	if err := j.client.Start(started); err != nil {
		return fmt.Errorf("jobs: start: %w", err)
	}
	j.beat(ctx)
	stop, cancel := context.WithTimeout(started, j.cfg.StopTimeout)
	defer cancel()
	if err := j.client.StopAndCancel(stop); err != nil {
		return fmt.Errorf("jobs: stop: %w", err)
	}
	return j.leave(stop)
}

// args are a job's arguments on their way into and out of River.
type args struct {
	kind string
	raw  json.RawMessage
}

// Kind is River's name of the job's kind: our own.
func (a args) Kind() string { return a.kind }

// MarshalJSON implements json.Marshaler.
func (a args) MarshalJSON() ([]byte, error) {
	if len(a.raw) == 0 {
		return []byte("{}"), nil
	}
	return a.raw, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *args) UnmarshalJSON(raw []byte) error {
	a.raw = append(a.raw[:0], raw...)
	return nil
}

// quiet passes warnings on: what River tells of its own coming and going is of no use to operators.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
