package river

import (
	"context"
	"errors"
	"fmt"
	"time"

	rq "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/carasso/carasso/internal/job"
)

// worker does the jobs of one kind.
type worker struct {
	rq.WorkerDefaults[args]

	j    *Jobs
	kind job.Kind
}

// Timeout implements river.Worker.
func (w *worker) Timeout(*rq.Job[args]) time.Duration { return w.kind.Timeout }

// NextRetry implements river.Worker: 10 s after the first failure, twice as long after each, at most 10 min.
func (w *worker) NextRetry(r *rq.Job[args]) time.Time {
	return time.Now().Add(min(10*time.Second<<min(max(r.Attempt, 1)-1, 10), 10*time.Minute))
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, r *rq.Job[args]) error {
	w.j.running.Add(1)
	defer w.j.running.Add(-1)
	start := time.Now()
	log := w.j.log.With("kind", r.Kind, "job", r.ID, "attempt", r.Attempt)
	log.InfoContext(ctx, "job started")
	result, err := w.work(ctx, r)
	outcome := outcomeOf(ctx, err)
	w.j.metrics.took.WithLabelValues(r.Kind, outcome).Observe(time.Since(start).Seconds())
	log = log.With("outcome", outcome, "took", time.Since(start))
	if err != nil {
		log.InfoContext(ctx, "job ended", "error", err)
		return err
	}
	log.InfoContext(ctx, "job ended")
	if result == nil {
		return nil
	}
	return rq.RecordOutput(ctx, result)
}

func (w *worker) work(ctx context.Context, r *rq.Job[args]) (any, error) {
	p, ctx, err := w.j.watch(ctx, r.ID, r.Attempt)
	if err != nil {
		return nil, err
	}
	defer p.end()
	result, err := w.kind.Run(ctx, r.Args.raw, p)
	switch cause := context.Cause(ctx); {
	case err == nil:
		return result, nil
	case errors.Is(cause, errSuperseded):
		return nil, cause
	case errors.Is(cause, rivertype.ErrJobCancelledRemotely):
		return nil, cause
	case errors.Is(cause, context.DeadlineExceeded):
		return nil, fmt.Errorf("timed out after %v: %w", w.kind.Timeout, err)
	case cause != nil: // the process ends: another goes on, and this is no failed attempt
		return nil, rq.JobSnooze(0)
	}
	var wrong *job.ArgsError
	if errors.As(err, &wrong) { // it will be wrong again
		return nil, rq.JobCancel(err)
	}
	return nil, err
}

func outcomeOf(ctx context.Context, err error) string {
	var snooze *rq.JobSnoozeError
	switch {
	case err == nil:
		return "succeeded"
	case errors.As(err, &snooze):
		return "interrupted"
	case errors.Is(context.Cause(ctx), rivertype.ErrJobCancelledRemotely):
		return "cancelled"
	default:
		return "failed"
	}
}
