package river

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	rq "github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/carasso/carasso/internal/job"
)

type tx = pgx.Tx

// unfinished are the states of jobs in which they keep out others like them.
var unfinished = [...]rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

// Start starts a job of a kind for somebody. When one like it (see job.Spec.Many) is not finished,
// that one is returned, and created is false. Errors: job.ErrUnknownKind, *job.ArgsError, job.ErrTooMany.
func (j *Jobs) Start(ctx context.Context, kind string, raw json.RawMessage, by string) (_ job.Job, created bool, err error) {
	k, ok := j.kinds[kind]
	if !ok {
		return job.Job{}, false, fmt.Errorf("start %q: %w", kind, job.ErrUnknownKind)
	}
	if raw, err = k.Canonical(raw); err != nil {
		return job.Job{}, false, fmt.Errorf("start %s: %w", kind, err)
	}
	var id int64
	err = pgx.BeginFunc(ctx, j.pool, func(t tx) error {
		var many bool
		if err := t.QueryRow(ctx, `SELECT count(*) >= $1 FROM (SELECT FROM river_job
			WHERE state IN ('available', 'pending', 'running', 'retryable', 'scheduled') LIMIT $1) n`, j.cfg.MaxUnfinished).Scan(&many); err != nil {
			return err
		}
		if many {
			return job.ErrTooMany
		}
		r, err := j.insert(ctx, t, k, raw, by)
		if err != nil {
			return err
		}
		id, created = r.Job.ID, !r.UniqueSkippedAsDuplicate
		return nil
	})
	if err != nil {
		return job.Job{}, false, fmt.Errorf("start %s: %w", kind, err)
	}
	started, err := j.Get(ctx, id)
	return started, created, err
}

func (j *Jobs) insert(ctx context.Context, t tx, k job.Kind, raw json.RawMessage, by string) (*rivertype.JobInsertResult, error) {
	meta, err := json.Marshal(metadata{By: by})
	if err != nil {
		return nil, err
	}
	r, err := j.client.InsertTx(ctx, t, args{kind: k.Name, raw: raw}, &rq.InsertOpts{
		MaxAttempts: k.MaxAttempts, Metadata: meta,
		UniqueOpts: rq.UniqueOpts{ByArgs: k.Many, ByState: unfinished[:]},
	})
	if err == nil && r.Job == nil {
		err = errNotStarted
	}
	return r, err
}

// Cancel ends a job: at once if it waits; if it runs, its work is told to end, and the job is
// Cancelled when that has. Errors: job.ErrNotFound, job.ErrState if it has ended.
func (j *Jobs) Cancel(ctx context.Context, id int64) (job.Job, error) {
	was, err := j.Get(ctx, id)
	if err != nil {
		return job.Job{}, err
	}
	if was.State.Ended() {
		return was, fmt.Errorf("cancel job %d, which has %s: %w", id, was.State, job.ErrState)
	}
	if _, err := j.client.JobCancel(ctx, id); err != nil {
		return was, fmt.Errorf("cancel job %d: %w", id, notFound(err))
	}
	return j.Get(ctx, id)
}

// Retry lets a job that has ended, or waits for its next attempt, be tried now. Errors: job.ErrNotFound,
// job.ErrState, job.ErrConflict if another of its kind is not finished.
func (j *Jobs) Retry(ctx context.Context, id int64) (job.Job, error) {
	was, err := j.Get(ctx, id)
	if err != nil {
		return job.Job{}, err
	}
	if was.State == job.Running || was.State == job.Queued {
		return was, fmt.Errorf("retry job %d, which is %s: %w", id, was.State, job.ErrState)
	}
	if _, err := j.client.JobRetry(ctx, id); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "23505" { // unique_violation
			err = job.ErrConflict
		}
		return was, fmt.Errorf("retry job %d: %w", id, notFound(err))
	}
	return j.Get(ctx, id)
}

func notFound(err error) error {
	if errors.Is(err, rivertype.ErrNotFound) {
		return job.ErrNotFound
	}
	return err
}

// Get returns a job; job.ErrNotFound if the history has none of that id.
func (j *Jobs) Get(ctx context.Context, id int64) (job.Job, error) {
	all, err := j.query(ctx, `r.id = $1`, id)
	if err != nil {
		return job.Job{}, err
	}
	if len(all) == 0 {
		return job.Job{}, fmt.Errorf("job %d: %w", id, job.ErrNotFound)
	}
	return all[0], nil
}

// List returns the jobs that f selects, newest first.
func (j *Jobs) List(ctx context.Context, f job.Filter) ([]job.Job, error) {
	var states []string
	for s, to := range stateOf {
		if f.State == "" || to == f.State {
			states = append(states, string(s))
		}
	}
	return j.query(ctx, `($1 = '' OR r.kind = $1) AND r.state::text = ANY($2) AND ($3 = 0 OR r.id < $3) ORDER BY r.id DESC LIMIT $4`,
		f.Kind, states, f.Before, f.Most)
}

// Kinds tells of each kind how it stands, in the order of registration.
func (j *Jobs) Kinds(ctx context.Context) ([]job.Status, error) {
	last, err := j.query(ctx, `r.id IN (SELECT max(id) FROM river_job GROUP BY kind)`)
	if err != nil {
		return nil, err
	}
	out := make([]job.Status, len(j.order))
	for i, name := range j.order {
		out[i].Kind = j.kinds[name]
		if at := slices.IndexFunc(last, func(l job.Job) bool { return l.Kind == name }); at >= 0 {
			out[i].Last = &last[at]
		}
	}
	rows, err := j.pool.Query(ctx, `SELECT coalesce(s.kind, e.kind), s.next_at, e.at FROM job_schedule s FULL JOIN
		(SELECT kind, max(finalized_at) AS at FROM river_job WHERE state = 'completed' GROUP BY kind) e ON e.kind = s.kind`)
	if err != nil {
		return nil, fmt.Errorf("jobs: read schedules: %w", err)
	}
	var name string
	var next, succeeded *time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &next, &succeeded}, func() error {
		if i := slices.Index(j.order, name); i >= 0 {
			out[i].LastSucceeded = value(succeeded)
			if out[i].Kind.Schedule.Every > 0 {
				out[i].NextAt = value(next)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: read schedules: %w", err)
	}
	return out, nil
}

// Processes counts those that carry jobs out.
func (j *Jobs) Processes(ctx context.Context) (int, error) { return processes(ctx, j.pool) }

// stateOf tells River's states in our words.
var stateOf = map[rivertype.JobState]job.State{
	rivertype.JobStateAvailable: job.Queued, rivertype.JobStatePending: job.Queued, rivertype.JobStateScheduled: job.Queued,
	rivertype.JobStateRunning: job.Running, rivertype.JobStateRetryable: job.Retrying, rivertype.JobStateCompleted: job.Succeeded,
	rivertype.JobStateDiscarded: job.Failed, rivertype.JobStateCancelled: job.Cancelled,
}

// maxErrors is how many of a job's last failures are told.
const maxErrors = 5

func (j *Jobs) query(ctx context.Context, where string, params ...any) ([]job.Job, error) {
	rows, err := j.pool.Query(ctx, `SELECT r.id, r.kind, r.args, r.state::text, r.metadata, r.attempt, r.max_attempts, r.created_at, r.scheduled_at,
		r.attempted_at, r.finalized_at, r.errors, coalesce(p.done, 0), coalesce(p.total, 0), coalesce(p.message, ''), p.seen_at
		FROM river_job r LEFT JOIN job_progress p ON p.job_id = r.id WHERE `+where, params...)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return all, nil
}

func scan(row pgx.CollectableRow) (b job.Job, err error) {
	var state string
	var meta metadata
	var started, ended, seen *time.Time
	var failures []rivertype.AttemptError
	if err := row.Scan(&b.ID, &b.Kind, &b.Args, &state, &meta, &b.Attempt, &b.MaxAttempts, &b.CreatedAt, &b.DueAt,
		&started, &ended, &failures, &b.Progress.Done, &b.Progress.Total, &b.Progress.Message, &seen); err != nil {
		return b, err
	}
	b.State = stateOf[rivertype.JobState(state)]
	b.By = meta.By
	b.Cancelling = b.State == job.Running && meta.Cancel != nil
	if b.State == job.Succeeded {
		b.Result = meta.Output
	}
	b.StartedAt, b.EndedAt, b.Progress.At = value(started), value(ended), value(seen)
	for _, f := range failures[max(0, len(failures)-maxErrors):] {
		b.Errors = append(b.Errors, job.Failure{At: f.At, Attempt: f.Attempt, Error: f.Error})
	}
	return b, nil
}

// value is the zero time for null.
func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
