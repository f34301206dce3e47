// Package audit holds the entries of the audit log: who changed what through the API, when, and
// what came of it.
package audit

import (
	"encoding/json"
	"time"
)

// Entry is an intent: what somebody is about to change. It names no vehicle.
type Entry struct {
	Subject   string          // who: the credential's subject
	Role      string          // as whom
	Action    string          // stable code, such as "map_error.review"
	Target    string          // on what, such as "map-error/17"
	RequestID string          // of the request, as in its answer's header
	Asked     json.RawMessage // the arguments; nil for none
}

// Outcome is how a change ended.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // nothing was changed, and the client was told why
	Failed  Outcome = "failed"  // it is not known whether all of it took effect
	// Unknown is an entry without an outcome: the change is under way, or the process ended before it did.
	Unknown Outcome = "unknown"
)

// Result is what came of an Entry.
type Result struct {
	Outcome Outcome
	Detail  string // for Refused and Failed: why
	// Before and After are what was changed, as far as the change knows; nil for nothing.
	Before, After json.RawMessage
}

// Record is an entry of the log with its result.
type Record struct {
	ID int64
	At time.Time
	Entry
	EndedAt time.Time // zero while Unknown
	Result
}

// Filter selects records, newest first. Zero values select all.
type Filter struct {
	Before          int64 // ids below it
	From, To        time.Time
	Subject, Action string
	Most            int
}
