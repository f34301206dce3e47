package river_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/river"
)

type echoArgs struct {
	Say string `json:"say" doc:"What to say."`
}

func (a echoArgs) Validate() error {
	if a.Say == "nothing" {
		return &job.ArgsError{Pointer: "/say", Detail: "expected something"}
	}
	return nil
}

func TestJobsLife(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	release := make(chan struct{})
	echo := define(t, job.Spec{Name: "echo", Description: "Says it.", Many: true}, func(ctx context.Context, a echoArgs, p job.Progress) (any, error) {
		p.Set(1, 2, "half")
		select {
		case <-release:
			p.Set(2, 2, "whole")
			return map[string]string{"said": a.Say}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	reg := prometheus.NewRegistry()
	j := open(t, fast("one"), pool, reg, echo)
	ctx := t.Context()

	// Nobody works yet: it waits, and the same again is the same.
	first, created, err := j.Start(ctx, "echo", json.RawMessage(`{"say":"a"}`), "alice")
	if err != nil || !created || first.State != job.Queued || first.By != "alice" || string(first.Args) != `{"say": "a"}` {
		t.Fatalf("%+v, %v, %v", first, created, err)
	}
	if again, created, err := j.Start(ctx, "echo", json.RawMessage(` {"say":"a"}`), "bob"); err != nil || created || again.ID != first.ID {
		t.Errorf("started twice: %+v, %v, %v", again, created, err)
	}
	other, created, err := j.Start(ctx, "echo", json.RawMessage(`{"say":"b"}`), "alice")
	if err != nil || !created {
		t.Fatalf("%v, %v", created, err)
	}
	if _, err := j.Cancel(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	if b := await(t, j, other.ID, in(job.Cancelled)); b.EndedAt.IsZero() || b.Attempt != 0 {
		t.Errorf("cancelled before it began: %+v", b)
	}
	if _, err := j.Cancel(ctx, other.ID); !errors.Is(err, job.ErrState) {
		t.Errorf("cancelled twice: %v", err)
	}

	run(t, j)
	half := await(t, j, first.ID, func(b job.Job) bool { return b.State == job.Running && b.Progress.Done == 1 })
	if half.Progress.Total != 2 || half.Progress.Message != "half" || half.Attempt != 1 || half.StartedAt.IsZero() || half.Result != nil {
		t.Errorf("half: %+v", half)
	}
	if _, err := j.Retry(ctx, first.ID); !errors.Is(err, job.ErrState) {
		t.Errorf("retried while it runs: %v", err)
	}
	close(release)
	if b := await(t, j, first.ID, in(job.Succeeded)); string(b.Result) != `{"said": "a"}` || b.Progress.Message != "whole" || len(b.Errors) > 0 {
		t.Errorf("whole: %+v", b)
	}
	if _, err := j.Retry(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	await(t, j, other.ID, in(job.Succeeded))

	list, err := j.List(ctx, job.Filter{Kind: "echo", State: job.Succeeded, Most: 1})
	if err != nil || len(list) != 1 || list[0].ID != other.ID {
		t.Errorf("list: %+v, %v", list, err)
	}
	if list, err = j.List(ctx, job.Filter{Before: other.ID, Most: 9}); err != nil || len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("second page: %+v, %v", list, err)
	}
	for err, f := range map[error]func() error{
		job.ErrUnknownKind: func() error { _, _, err := j.Start(ctx, "nothing", nil, "alice"); return err },
		job.ErrNotFound:    func() error { _, err := j.Get(ctx, 99); return err },
	} {
		if got := f(); !errors.Is(got, err) {
			t.Errorf("%v, want %v", got, err)
		}
	}
	var wrong *job.ArgsError
	if _, _, err := j.Start(ctx, "echo", json.RawMessage(`{"say":"nothing"}`), "alice"); !errors.As(err, &wrong) || wrong.Pointer != "/say" {
		t.Errorf("%v", err)
	}
}

func TestCancelEndsWhatRuns(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	began := make(chan struct{}, 1)
	k := define(t, job.Spec{Name: "endless", Description: "Never ends by itself."}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	j := open(t, fast("one"), pool, prometheus.NewRegistry(), k)
	run(t, j)
	// Started and cancelled by a process that does no work itself.
	front := open(t, river.Config{}, openPool(t, pool.Config().ConnString()), prometheus.NewRegistry(), k)
	b, _, err := front.Start(t.Context(), "endless", nil, "alice")
	if err != nil {
		t.Fatal(err)
	}
	<-began
	if _, err := front.Cancel(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	await(t, front, b.ID, in(job.Cancelled))
	// A cancelled one may be tried again, unless another took its place.
	if _, created, err := front.Start(t.Context(), "endless", nil, "alice"); err != nil || !created {
		t.Fatalf("%v, %v", created, err)
	}
	if _, err := front.Retry(t.Context(), b.ID); !errors.Is(err, job.ErrConflict) {
		t.Errorf("two of a kind: %v", err)
	}
}

func TestFailuresAreRetriedAndKept(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	k := define(t, job.Spec{Name: "broken", Description: "Fails.", MaxAttempts: 2}, func(_ context.Context, a echoArgs, _ job.Progress) (any, error) {
		if a.Say == "panic" {
			panic("out of luck")
		}
		return nil, errors.New("no luck")
	})
	j := open(t, fast("one"), pool, prometheus.NewRegistry(), k)
	run(t, j)
	b, _, err := j.Start(t.Context(), "broken", nil, "alice")
	if err != nil {
		t.Fatal(err)
	}
	b = await(t, j, b.ID, in(job.Retrying))
	if len(b.Errors) != 1 || b.Errors[0].Error != "no luck" || !b.DueAt.After(time.Now()) {
		t.Errorf("after the first attempt: %+v", b)
	}
	if _, err := j.Retry(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	if b = await(t, j, b.ID, in(job.Failed)); len(b.Errors) != 2 || b.Attempt != 2 {
		t.Errorf("after the last: %+v", b)
	}
	if b, _, err = j.Start(t.Context(), "broken", json.RawMessage(`{"say":"panic"}`), "alice"); err != nil {
		t.Fatal(err)
	}
	if b = await(t, j, b.ID, in(job.Retrying)); !strings.Contains(b.Errors[0].Error, "out of luck") {
		t.Errorf("a panic: %+v", b)
	}
}

// A process that is told to stop gives its jobs back; the next one goes on at once, and no attempt is lost.
func TestStopHandsOver(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	began := make(chan struct{}, 2)
	var runs atomic.Int64
	k := define(t, job.Spec{Name: "long", Description: "Takes two processes.", MaxAttempts: 1}, func(ctx context.Context, _ job.None, _ job.Progress) (any, error) {
		began <- struct{}{}
		if runs.Add(1) == 2 {
			return nil, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	one := open(t, fast("one"), pool, prometheus.NewRegistry(), k)
	stop := run(t, one)
	b, _, err := one.Start(t.Context(), "long", nil, "alice")
	if err != nil {
		t.Fatal(err)
	}
	<-began
	stop()
	run(t, open(t, fast("two"), pool, prometheus.NewRegistry(), k))
	await(t, one, b.ID, in(job.Succeeded))
}

// Two processes look at the clock, and each turn is one job.
func TestScheduleStartsEachTurnOnce(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	var runs atomic.Int64
	k := define(t, job.Spec{Name: "tick", Description: "Ticks.", Schedule: job.Schedule{Every: time.Second}}, func(context.Context, job.None, job.Progress) (any, error) {
		runs.Add(1)
		return nil, nil
	})
	reg := prometheus.NewRegistry()
	one := open(t, fast("one"), pool, reg, k)
	start := time.Now()
	run(t, one)
	run(t, open(t, fast("two"), pool, prometheus.NewRegistry(), k))
	deadline := time.After(time.Minute)
	for runs.Load() < 3 {
		select {
		case <-deadline:
			t.Fatalf("%d runs", runs.Load())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if n, most := runs.Load(), int64(time.Since(start)/time.Second)+1; n > most {
		t.Errorf("%d runs in %v", n, time.Since(start))
	}
	all, err := one.Kinds(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if s := all[0]; s.Last == nil || s.Last.By != job.BySchedule || s.LastSucceeded.IsZero() || time.Until(s.NextAt) > time.Second {
		t.Errorf("%+v", s)
	}
	for range 100 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "carasso_job_last_success_timestamp_seconds" && f.GetMetric()[0].GetGauge().GetValue() > 1e9 {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("no metric of the last success")
}

// What was due while nobody was there is made up for, once.
func TestMissedTurnIsMadeUpFor(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	if _, err := pool.Exec(t.Context(), `INSERT INTO job_schedule (kind, next_at) VALUES ('daily', now() - interval '3 days')`); err != nil {
		t.Fatal(err)
	}
	ran := make(chan struct{}, 9)
	k := define(t, job.Spec{Name: "daily", Description: "Daily.", Schedule: job.Schedule{Every: 24 * time.Hour}}, func(context.Context, job.None, job.Progress) (any, error) {
		ran <- struct{}{}
		return nil, nil
	})
	j := open(t, fast("one"), pool, prometheus.NewRegistry(), k)
	run(t, j)
	<-ran
	all, err := j.Kinds(t.Context())
	if err != nil || time.Until(all[0].NextAt) <= 0 {
		t.Errorf("next %v, %v", all[0].NextAt, err)
	}
}

func TestPresence(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	p, err := river.NewPresence(pool, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context()); err == nil {
		t.Error("somebody is there")
	}
	ran := make(chan struct{})
	k := define(t, job.Spec{Name: "once", Description: "Once."}, func(context.Context, job.None, job.Progress) (any, error) {
		close(ran)
		return nil, nil
	})
	j := open(t, fast("one"), pool, prometheus.NewRegistry(), k)
	stop := run(t, j)
	if _, _, err := j.Start(t.Context(), "once", nil, "alice"); err != nil {
		t.Fatal(err)
	}
	<-ran
	if err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	if err := p.Check(t.Context()); err == nil {
		t.Error("somebody is still there")
	}
}

func TestStartIsBounded(t *testing.T) {
	pool := openPool(t, migrated.New(t))
	k := define(t, job.Spec{Name: "echo", Description: "Says it.", Many: true}, func(context.Context, echoArgs, job.Progress) (any, error) { return nil, nil })
	j := open(t, river.Config{MaxUnfinished: 2}, pool, prometheus.NewRegistry(), k)
	for i, say := range []string{"a", "b", "c"} {
		_, _, err := j.Start(t.Context(), "echo", json.RawMessage(`{"say":"`+say+`"}`), "alice")
		if (i < 2) != (err == nil) || i == 2 && !errors.Is(err, job.ErrTooMany) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
