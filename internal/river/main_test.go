package river_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/river"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var migrated = pgtest.Template{Migrate: func(ctx context.Context, url string) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}}

func openPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// fast is a configuration in which the dead are found within a second.
func fast(process string) river.Config {
	return river.Config{Process: process, Lease: 600 * time.Millisecond, StopTimeout: 10 * time.Second}
}

func open(t *testing.T, cfg river.Config, pool *pgxpool.Pool, reg prometheus.Registerer, kinds ...job.Kind) *river.Jobs {
	t.Helper()
	j, err := river.New(cfg, pool, kinds, slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// run carries jobs out until stop is called or the test ends.
func run(t *testing.T, j *river.Jobs) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func define[A job.Args](t *testing.T, s job.Spec, f func(context.Context, A, job.Progress) (any, error)) job.Kind {
	t.Helper()
	k, err := job.Define(s, f)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// await polls the job until ok, for at most a minute.
func await(t *testing.T, j *river.Jobs, id int64, ok func(job.Job) bool) job.Job {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		b, err := j.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if ok(b) {
			return b
		}
		select {
		case <-deadline:
			t.Fatalf("job %d: %+v", id, b)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func in(s job.State) func(job.Job) bool { return func(b job.Job) bool { return b.State == s } }
