package river

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/internal/job"
)

// plan enters when each kind with a schedule is due first; one that is known keeps its time, unless
// the schedule has become denser.
func (j *Jobs) plan(ctx context.Context) error {
	for _, k := range j.kinds {
		if k.Schedule.Every == 0 {
			continue
		}
		_, err := j.pool.Exec(ctx, `INSERT INTO job_schedule AS s (kind, next_at) VALUES ($1, $2)
			ON CONFLICT (kind) DO UPDATE SET next_at = least(s.next_at, excluded.next_at)`, k.Name, k.Schedule.Next(time.Now()))
		if err != nil {
			return fmt.Errorf("jobs: plan %s: %w", k.Name, err)
		}
	}
	return nil
}

// startDue starts what is due: each once, by whichever process comes first, however many turns were missed.
func (j *Jobs) startDue(ctx context.Context) error {
	return pgx.BeginFunc(ctx, j.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT kind, now() FROM job_schedule WHERE next_at <= now() FOR UPDATE SKIP LOCKED`)
		if err != nil {
			return fmt.Errorf("jobs: look for what is due: %w", err)
		}
		var names []string
		var name string
		var now time.Time
		if _, err := pgx.ForEachRow(rows, []any{&name, &now}, func() error { names = append(names, name); return nil }); err != nil {
			return fmt.Errorf("jobs: look for what is due: %w", err)
		}
		for _, name := range names {
			k, ok := j.kinds[name]
			if !ok || k.Schedule.Every == 0 {
				continue // another version's
			}
			if _, err := tx.Exec(ctx, `UPDATE job_schedule SET next_at = $2 WHERE kind = $1`, name, k.Schedule.Next(now)); err != nil {
				return fmt.Errorf("jobs: move %s on: %w", name, err)
			}
			raw, err := k.Canonical(nil)
			if err != nil {
				return fmt.Errorf("jobs: start %s: %w", name, err)
			}
			if _, err := j.insert(ctx, tx, k, raw, job.BySchedule); err != nil {
				return fmt.Errorf("jobs: start %s: %w", name, err)
			}
		}
		return nil
	})
}

// beat shows that this process is there, starts what is due, takes up what dead processes left behind and
// counts, until ctx ends.
func (j *Jobs) beat(ctx context.Context) {
	tick := time.NewTicker(j.cfg.Lease / 6)
	defer tick.Stop()
	for {
		for _, turn := range []func(context.Context) error{j.show, j.startDue, j.reclaim, j.count} {
			if err := turn(ctx); err != nil && ctx.Err() == nil {
				j.log.WarnContext(ctx, "jobs are not looked after", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (j *Jobs) show(ctx context.Context) error {
	_, err := j.pool.Exec(ctx, `WITH gone AS (DELETE FROM job_process WHERE seen_at < now() - interval '1 day')
		INSERT INTO job_process (name, seen_at) VALUES ($1, now()) ON CONFLICT (name) DO UPDATE SET seen_at = now()`, j.cfg.Process)
	if err != nil {
		return fmt.Errorf("jobs: show presence: %w", err)
	}
	return nil
}

func (j *Jobs) leave(ctx context.Context) error {
	if _, err := j.pool.Exec(ctx, `DELETE FROM job_process WHERE name = $1`, j.cfg.Process); err != nil {
		return fmt.Errorf("jobs: leave: %w", err)
	}
	return nil
}

// reclaim ends the attempts of running jobs without a sign of life, as River's own rescuer does after hours,
// because it has no such signs: it tries them again, unless they were cancelled or no attempt is left.
func (j *Jobs) reclaim(ctx context.Context) error { return j.takeUp(ctx, "") }

// takeUp is reclaim, and does not wait for signs of life from what the named process ran, which is known to be dead.
func (j *Jobs) takeUp(ctx context.Context, dead string) error {
	const reclaim = `WITH dead AS (
		SELECT r.id FROM river_job r LEFT JOIN job_progress p ON p.job_id = r.id
		WHERE r.state = 'running' AND r.kind = ANY($1) AND (greatest(r.attempted_at, p.seen_at) < now() - $2::interval
			OR r.attempted_by[array_upper(r.attempted_by, 1)] = $3)
		ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
	), fate AS (
		SELECT id, CASE WHEN metadata ? 'cancel_attempted_at' THEN 'cancelled' WHEN attempt >= max_attempts THEN 'discarded'
			ELSE 'available' END::river_job_state AS state FROM river_job WHERE id IN (SELECT id FROM dead)
	)
	UPDATE river_job r SET state = f.state, scheduled_at = now(),
		finalized_at = CASE WHEN f.state = 'available' THEN NULL ELSE now() END,
		errors = array_append(r.errors, jsonb_build_object('at', now(), 'attempt', r.attempt, 'error', 'the process ended', 'trace', ''))
	FROM fate f WHERE r.id = f.id RETURNING r.id, r.kind, r.state::text`
	rows, err := j.pool.Query(ctx, reclaim, j.order, j.cfg.Lease, dead)
	if err != nil {
		return fmt.Errorf("jobs: reclaim: %w", err)
	}
	var id int64
	var kind, state string
	_, err = pgx.ForEachRow(rows, []any{&id, &kind, &state}, func() error {
		j.log.WarnContext(ctx, "job of a dead process", "kind", kind, "job", id, "state", state)
		return nil
	})
	if err != nil {
		return fmt.Errorf("jobs: reclaim: %w", err)
	}
	return nil
}

// metadata is what is kept with a job beside its arguments.
type metadata struct {
	By     string          `json:"by"`
	Cancel json.RawMessage `json:"cancel_attempted_at,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
}

var errNotStarted = errors.New("the job was not stored")
