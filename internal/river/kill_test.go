package river_test

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/river"
)

// childURL tells a child process which database to work on.
const childURL = "CARASSO_TEST_RIVER_URL"

// victim is work that a process does not survive, unless it is another.
func victim(t *testing.T, f func(ctx context.Context) error) job.Kind {
	t.Helper()
	return define(t, job.Spec{Name: "victim", Description: "Is killed.", MaxAttempts: 3}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) { return nil, f(ctx) })
}

// TestChild is the process that is killed.
func TestChild(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" {
		return // TestKilledProcessesJobIsTakenUp starts it
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	j, err := river.New(fast("child"), pool, []job.Kind{victim(t, func(ctx context.Context) error {
		_, _ = os.Stdout.WriteString("began\n")
		<-ctx.Done()
		return ctx.Err()
	})}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	_ = j.Run(t.Context())
}

// kill -9 in the middle of a job: another process takes it up as soon as its signs of life are missed.
func TestKilledProcessesJobIsTakenUp(t *testing.T) {
	url := migrated.New(t)
	pool := openPool(t, url)
	done := make(chan struct{}, 9)
	j := open(t, fast("survivor"), pool, prometheus.NewRegistry(), victim(t, func(context.Context) error {
		done <- struct{}{}
		return nil
	}))
	b := killed(t, j, url)
	run(t, j)
	<-done
	b = await(t, j, b.ID, in(job.Succeeded))
	if b.Attempt != 2 || len(b.Errors) != 1 || b.Errors[0].Error != "the process ended" {
		t.Errorf("%+v", b)
	}
}

// A process that starts again under its name waits for no signs of life of itself.
func TestRestartTakesUpAtOnce(t *testing.T) {
	url := migrated.New(t)
	cfg := fast("child")
	cfg.Lease = time.Hour
	j := open(t, cfg, openPool(t, url), prometheus.NewRegistry(), victim(t, func(context.Context) error { return nil }))
	b := killed(t, j, url)
	run(t, j)
	if b = await(t, j, b.ID, in(job.Succeeded)); b.Attempt != 2 {
		t.Errorf("%+v", b)
	}
}

// killed starts a job, lets a process named child carry it out and kills that in the middle of it.
func killed(t *testing.T, j *river.Jobs, url string) job.Job {
	t.Helper()
	b, _, err := j.Start(t.Context(), "victim", nil, "alice")
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	child.Env = append(os.Environ(), childURL+"="+url)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "began" {
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	if b, err = j.Get(t.Context(), b.ID); err != nil || b.State != job.Running {
		t.Fatalf("after the kill: %+v, %v", b, err)
	}
	return b
}
