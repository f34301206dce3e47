package management

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/problem"
)

// Jobs starts and tells of jobs, whichever process carries them out. Safe for concurrent use.
type Jobs interface {
	// Kinds tells of each kind of job how it stands.
	Kinds(ctx context.Context) ([]job.Status, error)
	// Processes counts those that carry jobs out.
	Processes(ctx context.Context) (int, error)
	// List returns jobs, newest first; Get one, or job.ErrNotFound.
	List(ctx context.Context, f job.Filter) ([]job.Job, error)
	Get(ctx context.Context, id int64) (job.Job, error)
	// Start starts a job, or returns the one like it that is not finished (created is then false). Errors:
	// job.ErrUnknownKind, *job.ArgsError, job.ErrTooMany.
	Start(ctx context.Context, kind string, args json.RawMessage, by string) (_ job.Job, created bool, err error)
	// Cancel ends a job, and Retry lets one be tried again: job.ErrNotFound, job.ErrState, job.ErrConflict.
	Cancel(ctx context.Context, id int64) (job.Job, error)
	Retry(ctx context.Context, id int64) (job.Job, error)
}

func (s *Server) jobRoutes(analyst, operator chi.Router) {
	analyst.Get("/v1/job-kinds", s.handle(s.getJobKinds))
	analyst.Get("/v1/jobs", s.handle(s.getJobs))
	analyst.Get("/v1/jobs/{id}", s.handle(s.getJob))
	operator.Method(http.MethodPost, "/v1/jobs", s.change("job.start", s.postJob))
	operator.Method(http.MethodPost, "/v1/jobs/{id}/cancel", s.change("job.cancel", s.postJobCancel))
	operator.Method(http.MethodPost, "/v1/jobs/{id}/retry", s.change("job.retry", s.postJobRetry))
}

type jobsDoc struct {
	Jobs       []jobDoc `json:"jobs"`
	NextCursor string   `json:"next_cursor,omitempty"`
}

// jobDoc's times are null before they come.
type jobDoc struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind"`
	Args        json.RawMessage `json:"args"`
	State       job.State       `json:"state"`
	Cancelling  bool            `json:"cancelling"`
	By          string          `json:"by"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	Created     time.Time       `json:"created"`
	Due         time.Time       `json:"due"`
	Started     *time.Time      `json:"started"`
	Ended       *time.Time      `json:"ended"`
	Progress    progressDoc     `json:"progress"`
	Result      json.RawMessage `json:"result"` // null until it succeeded
	Errors      []failureDoc    `json:"errors"`
}

type progressDoc struct {
	Done    int64      `json:"done"`
	Total   *int64     `json:"total"` // null while unknown
	Message string     `json:"message"`
	At      *time.Time `json:"at"`
}

type failureDoc struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Error   string    `json:"error"`
}

type startedDoc struct {
	Created bool   `json:"created"`
	Job     jobDoc `json:"job"`
}

type jobKindsDoc struct {
	Processes int          `json:"processes"`
	Kinds     []jobKindDoc `json:"kinds"`
}

type jobKindDoc struct {
	Name          string          `json:"name"`
	Description   string          `json:"description"`
	Args          json.RawMessage `json:"args"` // JSON Schema
	Schedule      string          `json:"schedule"`
	EveryS        *float64        `json:"every_s"`
	TimeoutS      float64         `json:"timeout_s"`
	MaxAttempts   int             `json:"max_attempts"`
	Next          *time.Time      `json:"next"`
	Last          *jobDoc         `json:"last"`
	LastSucceeded *time.Time      `json:"last_succeeded"`
}

func newJobDoc(b *job.Job) jobDoc {
	d := jobDoc{
		ID: strconv.FormatInt(b.ID, 10), Kind: b.Kind, Args: b.Args, State: b.State, Cancelling: b.Cancelling, By: b.By, Attempt: b.Attempt,
		MaxAttempts: b.MaxAttempts, Created: b.CreatedAt.UTC(), Due: b.DueAt.UTC(), Started: instantOrNull(b.StartedAt), Ended: instantOrNull(b.EndedAt),
		Progress: progressDoc{Done: b.Progress.Done, Message: b.Progress.Message, At: instantOrNull(b.Progress.At)},
		Result:   b.Result, Errors: []failureDoc{},
	}
	if b.Progress.Total > 0 {
		d.Progress.Total = &b.Progress.Total
	}
	for _, f := range b.Errors {
		d.Errors = append(d.Errors, failureDoc{At: f.At.UTC(), Attempt: f.Attempt, Error: f.Error})
	}
	return d
}

func instantOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// maxJobs is the longest page of jobs, in jobs.
const maxJobs = 500

// getJobs lists jobs, newest first.
func (s *Server) getJobs(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "kind", "state", "limit", "cursor")
	f := job.Filter{Before: int64(p.cursor("cursor"))}
	limit := p.integer("limit", 50, 1, maxJobs)
	f.Most = limit + 1
	f.Kind, _ = p.get("kind")
	states := []string{"any"}
	for _, st := range job.States() {
		states = append(states, string(st))
	}
	if st := p.choice("state", states...); st != "any" {
		f.State = job.State(st)
	}
	if err := p.problem(); err != nil {
		return nil, err
	}
	all, err := s.deps.Jobs.List(r.Context(), f)
	if err != nil {
		return nil, err
	}
	doc := jobsDoc{Jobs: []jobDoc{}}
	for i := range all {
		if i == limit {
			doc.NextCursor = strconv.FormatInt(all[i-1].ID, 10)
			break
		}
		doc.Jobs = append(doc.Jobs, newJobDoc(&all[i]))
	}
	return doc, nil
}

// getJob tells of one job.
func (s *Server) getJob(r *http.Request) (any, error) {
	id, err := jobID(r)
	if err != nil {
		return nil, err
	}
	b, err := s.deps.Jobs.Get(r.Context(), id)
	if err != nil {
		return nil, jobProblem(err)
	}
	return newJobDoc(&b), nil
}

// getJobKinds tells what can be started, and how that stands.
func (s *Server) getJobKinds(r *http.Request) (any, error) {
	all, err := s.deps.Jobs.Kinds(r.Context())
	if err != nil {
		return nil, err
	}
	doc := jobKindsDoc{Kinds: []jobKindDoc{}}
	if doc.Processes, err = s.deps.Jobs.Processes(r.Context()); err != nil {
		return nil, err
	}
	for i := range all {
		k := &all[i].Kind
		d := jobKindDoc{
			Name: k.Name, Description: k.Description, Args: k.Schema, Schedule: k.Schedule.String(), TimeoutS: k.Timeout.Seconds(),
			MaxAttempts: k.MaxAttempts, Next: instantOrNull(all[i].NextAt), LastSucceeded: instantOrNull(all[i].LastSucceeded),
		}
		if k.Schedule.Every > 0 {
			every := k.Schedule.Every.Seconds()
			d.EveryS = &every
		}
		if all[i].Last != nil {
			last := newJobDoc(all[i].Last)
			d.Last = &last
		}
		doc.Kinds = append(doc.Kinds, d)
	}
	return doc, nil
}

// maxJobBody bounds the body that starts a job, in bytes.
const maxJobBody = 64 << 10

// maxKind bounds the name of a kind, in bytes.
const maxKind = 64

// order is a job to start.
type order struct {
	Kind string          `json:"kind"`
	Args json.RawMessage `json:"args"`
}

// postJob starts a job.
func (s *Server) postJob(r *http.Request) (change, error) {
	const expected = `{"kind":"…","args":{…}} of at most 64 KiB; /v1/job-kinds lists kinds and arguments`
	body, err := readBody(r, maxJobBody, expected)
	if err != nil {
		return change{}, err
	}
	var o order
	if json.Unmarshal(body, &o) != nil || o.Kind == "" || len(o.Kind) > maxKind {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body is not the expected JSON.", Expected: expected}
	}
	return change{target: "job-kind/" + o.Kind, asked: o, apply: func(ctx context.Context) (effect, error) {
		b, created, err := s.deps.Jobs.Start(ctx, o.Kind, o.Args, sender(ctx).Subject)
		if err != nil {
			return effect{}, jobProblem(err)
		}
		return effect{answer: startedDoc{Created: created, Job: newJobDoc(&b)}, after: jobState{b.ID, b.State}}, nil
	}}, nil
}

// jobState is what the audit log keeps of a job.
type jobState struct {
	ID    int64     `json:"id"`
	State job.State `json:"state"`
}

// postJobCancel and postJobRetry change one job.
func (s *Server) postJobCancel(r *http.Request) (change, error) {
	return changeJob(r, s.deps.Jobs.Cancel)
}

func (s *Server) postJobRetry(r *http.Request) (change, error) {
	return changeJob(r, s.deps.Jobs.Retry)
}

func changeJob(r *http.Request, apply func(context.Context, int64) (job.Job, error)) (change, error) {
	id, err := jobID(r)
	if err != nil {
		return change{}, err
	}
	return change{target: "job/" + strconv.FormatInt(id, 10), apply: func(ctx context.Context) (effect, error) {
		b, err := apply(ctx, id)
		if err != nil {
			return effect{}, jobProblem(err)
		}
		return effect{answer: newJobDoc(&b), after: jobState{b.ID, b.State}}, nil
	}}, nil
}

func jobID(r *http.Request) (int64, error) {
	raw := chi.URLParam(r, "id")
	id, err := strconv.ParseInt(raw, 10, 64)
	if err != nil || id < 1 {
		return 0, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The id is " + quote(raw) + ".", Expected: "the id of a job of /v1/jobs"}
	}
	return id, nil
}

// jobProblem tells a client why a job can't be found, started or changed.
func jobProblem(err error) error {
	var wrong *job.ArgsError
	switch {
	case errors.As(err, &wrong):
		return &problem.Problem{
			Kind: problem.InvalidRequest, Pointer: "/args" + wrong.Pointer, Detail: "The arguments are wrong: " + wrong.Detail + ".",
			Expected: "arguments as /v1/job-kinds describes them",
		}
	case errors.Is(err, job.ErrUnknownKind):
		return &problem.Problem{
			Kind: problem.InvalidRequest, Pointer: "/kind", Detail: "There is no such kind of job.", Expected: "a name of /v1/job-kinds",
		}
	case errors.Is(err, job.ErrNotFound):
		return problem.New(problem.NotFound, "The history has no such job; /v1/jobs lists those that it has.")
	case errors.Is(err, job.ErrConflict):
		return problem.New(problem.Conflict, "Another job of this kind is not finished. Wait for it, or cancel it.")
	case errors.Is(err, job.ErrState):
		return problem.New(problem.Conflict, "The job's state does not allow this: what has ended can't be cancelled, and what waits or runs can't be retried.")
	case errors.Is(err, job.ErrTooMany):
		return &problem.Problem{Kind: problem.Overloaded, RetryAfter: time.Minute, Detail: "Too many jobs are not finished."}
	}
	return err
}
