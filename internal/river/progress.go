package river

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// errSuperseded ends a run that was taken for dead: another attempt may be under way.
var errSuperseded = errors.New("this attempt was given up: it showed no sign of life")

// progressEvery is how often progress is stored at most.
const progressEvery = time.Second

// progress stores a running job's progress and its signs of life.
type progress struct {
	j       *Jobs
	id      int64
	attempt int
	cancel  context.CancelCauseFunc
	ended   chan struct{}

	mu          sync.Mutex
	done, total int64
	message     string
	changed     bool
}

// watch begins the signs of life of an attempt; ctx ends when they can't be shown any more.
func (j *Jobs) watch(ctx context.Context, id int64, attempt int) (*progress, context.Context, error) {
	const begin = `INSERT INTO job_progress AS p (job_id, attempt, done, total, message, seen_at) VALUES ($1, $2, 0, 0, '', now())
		ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, done = 0, total = 0, message = '', seen_at = now()
		WHERE p.attempt <= excluded.attempt`
	tag, err := j.pool.Exec(ctx, begin, id, attempt)
	if err != nil {
		return nil, nil, fmt.Errorf("begin the job's progress: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil, nil, errSuperseded
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p := &progress{j: j, id: id, attempt: attempt, cancel: cancel, ended: make(chan struct{})}
	go p.run(ctx)
	return p, ctx, nil
}

// Set implements job.Progress.
func (p *progress) Set(done, total int64, message string) {
	const most = 500
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total, p.message, p.changed = done, total, message, true
}

// end stores the last progress and waits until nothing more is written.
func (p *progress) end() {
	p.cancel(context.Canceled)
	<-p.ended
}

func (p *progress) run(ctx context.Context) {
	defer close(p.ended)
	tick := time.NewTicker(min(progressEvery, p.j.cfg.Lease/6))
	defer tick.Stop()
	seen := time.Now()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if _, err := p.store(last); err != nil {
				p.j.log.WarnContext(last, "last progress not stored", "job", p.id, "error", err)
			}
			return
		case now := <-tick.C:
			p.mu.Lock()
			due := p.changed || now.Sub(seen) >= p.j.cfg.Lease/6
			p.mu.Unlock()
			if !due {
				continue
			}
		}
		alive, err := p.store(ctx)
		switch {
		case err == nil && alive:
			seen = time.Now()
		case err == nil, time.Since(seen) > p.j.cfg.Lease*2/3:
			p.cancel(errSuperseded)
		}
	}
}

// store tells whether the attempt is still the job's last.
func (p *progress) store(ctx context.Context) (bool, error) {
	p.mu.Lock()
	done, total, message := p.done, p.total, p.message
	p.changed = false
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, max(p.j.cfg.Lease/3, time.Second))
	defer cancel()
	tag, err := p.j.pool.Exec(ctx, `UPDATE job_progress SET done = $3, total = $4, message = $5, seen_at = now() WHERE job_id = $1 AND attempt = $2`,
		p.id, p.attempt, done, total, message)
	return tag.RowsAffected() > 0, err
}
