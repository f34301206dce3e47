// Package job says what periodic and long work is: kinds that are defined where the work is known, and
// runs of them with progress and outcome. How runs are stored, scheduled and carried out is an
// adapter's matter (internal/river).
package job

import (
	"encoding/json"
	"errors"
	"time"
)

// State is where a job stands.
type State string

// The states. A job that failed an attempt is Retrying until the next one or until none is left.
const (
	Queued    State = "queued"
	Running   State = "running"
	Retrying  State = "retrying"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// States are all of them, in the order of a job's life.
func States() []State { return []State{Queued, Running, Retrying, Succeeded, Failed, Cancelled} }

// Ended tells whether nothing more will happen to the job by itself.
func (s State) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Job is one piece of work of a kind.
type Job struct {
	ID          int64
	Kind        string
	Args        json.RawMessage // an object
	State       State
	Cancelling  bool   // it runs, and was told to end
	By          string // who started it: the subject of a credential, or BySchedule
	Attempt     int    // 1 while it is tried for the first time, 0 before
	MaxAttempts int
	CreatedAt   time.Time
	DueAt       time.Time // not tried earlier
	StartedAt   time.Time // of the last attempt; zero before
	EndedAt     time.Time // zero until State.Ended
	Progress    Standing
	Result      json.RawMessage // nil until it succeeded
	Errors      []Failure       // of the last attempts, oldest first
}

// BySchedule is who started a job that was due.
const BySchedule = "schedule"

// Failure is an attempt that ended badly.
type Failure struct {
	At      time.Time
	Attempt int
	Error   string
}

// Standing is how far a job has come, in units of its own. Total is 0 while it is unknown.
type Standing struct {
	Done, Total int64
	Message     string
	At          time.Time // zero before the first sign of life
}

// Filter selects jobs, newest first.
type Filter struct {
	Kind   string // empty: every
	State  State  // empty: every
	Before int64  // ids below; 0: from the newest
	Most   int
}

// Status is what is known of a kind beside its definition.
type Status struct {
	Kind          Kind
	NextAt        time.Time // when the schedule starts it next; zero without schedule
	Last          *Job      // the newest job of the kind, nil if there is none in the history
	LastSucceeded time.Time // zero if never
}

// What Start, Cancel and Retry may be refused with.
var (
	ErrUnknownKind = errors.New("no such kind of job")
	ErrNotFound    = errors.New("no such job")
	ErrConflict    = errors.New("another job of this kind is not finished")
	ErrState       = errors.New("the job's state does not allow this")
	ErrTooMany     = errors.New("too many jobs are not finished")
)

// ArgsError is wrong arguments of a job, in words for who sent them.
type ArgsError struct {
	Pointer string // RFC 6901, into the arguments
	Detail  string
}

// Error is the pointer and what is wrong there.
func (e *ArgsError) Error() string { return "args" + e.Pointer + ": " + e.Detail }
