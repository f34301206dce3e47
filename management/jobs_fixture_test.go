package management_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/carasso/carasso/internal/job"
)

type compactionArgs struct {
	DryRun bool `json:"dry_run" doc:"Only tell what would be done."`
}

func (compactionArgs) Validate() error { return nil }

// fakeJobs are three jobs of one kind: 41 runs, 40 succeeded, 39 failed.
type fakeJobs struct {
	mu   sync.Mutex
	kind job.Kind
	all  []job.Job // newest first
}

func newFakeJobs() *fakeJobs {
	at := documentTime
	k, err := job.Define(job.Spec{
		Name: "compaction", Description: "Puts the small objects of an hour of the raw archive together.",
		Schedule: job.Schedule{Every: time.Hour, At: 10 * time.Minute},
	}, func(context.Context, compactionArgs, job.Progress) (any, error) { return nil, errors.New("not here") })
	if err != nil {
		panic(err)
	}
	args := json.RawMessage(`{"dry_run":false}`)
	return &fakeJobs{kind: k, all: []job.Job{
		{
			ID: 41, Kind: "compaction", Args: args, State: job.Running, By: "alice", Attempt: 1, MaxAttempts: 5, CreatedAt: at, DueAt: at, StartedAt: at,
			Progress: job.Standing{Done: 12, Total: 80, Message: "2026-11-23T15", At: at},
		},
		{
			ID: 40, Kind: "compaction", Args: args, State: job.Succeeded, By: job.BySchedule, Attempt: 1, MaxAttempts: 5, CreatedAt: at, DueAt: at,
			StartedAt: at, EndedAt: at, Result: json.RawMessage(`{"objects":80}`),
		},
		{
			ID: 39, Kind: "compaction", Args: args, State: job.Failed, By: "bob", Attempt: 1, MaxAttempts: 1, CreatedAt: at, DueAt: at, StartedAt: at, EndedAt: at,
			Errors: []job.Failure{{At: at, Attempt: 1, Error: "the object store is out of reach"}},
		},
	}}
}

func (f *fakeJobs) Kinds(context.Context) ([]job.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []job.Status{{Kind: f.kind, NextAt: f.kind.Schedule.Next(documentTime), Last: &f.all[0], LastSucceeded: documentTime}}, nil
}

func (f *fakeJobs) Processes(context.Context) (int, error) { return 1, nil }

func (f *fakeJobs) List(_ context.Context, q job.Filter) (out []job.Job, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.all {
		if (q.Kind == "" || b.Kind == q.Kind) && (q.State == "" || b.State == q.State) && (q.Before == 0 || b.ID < q.Before) && len(out) < q.Most {
			out = append(out, b)
		}
	}
	return out, nil
}

func (f *fakeJobs) Get(_ context.Context, id int64) (job.Job, error) {
	return f.change(id, func(*job.Job) error { return nil })
}

func (f *fakeJobs) change(id int64, by func(*job.Job) error) (job.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.all {
		if f.all[i].ID == id {
			return f.all[i], by(&f.all[i])
		}
	}
	return job.Job{}, job.ErrNotFound
}

func (f *fakeJobs) Start(_ context.Context, kind string, args json.RawMessage, by string) (job.Job, bool, error) {
	if kind == "erasure" { // the one that runs does it
		return f.all[0], true, nil
	}
	if kind != f.kind.Name {
		return job.Job{}, false, job.ErrUnknownKind
	}
	args, err := f.kind.Canonical(args)
	if err != nil {
		return job.Job{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.all[0].State.Ended() {
		return f.all[0], false, nil
	}
	b := job.Job{ID: f.all[0].ID + 1, Kind: kind, Args: args, State: job.Queued, By: by, MaxAttempts: 5, CreatedAt: documentTime, DueAt: documentTime}
	f.all = append([]job.Job{b}, f.all...)
	return b, true, nil
}

func (f *fakeJobs) Cancel(_ context.Context, id int64) (job.Job, error) {
	return f.change(id, func(b *job.Job) error {
		if b.State.Ended() {
			return job.ErrState
		}
		b.State, b.EndedAt = job.Cancelled, documentTime
		return nil
	})
}

func (f *fakeJobs) Retry(_ context.Context, id int64) (job.Job, error) {
	return f.change(id, func(b *job.Job) error {
		if !b.State.Ended() {
			return job.ErrState
		}
		b.State, b.EndedAt = job.Queued, time.Time{}
		return nil
	})
}
