package ledger

import (
	"time"

	"github.com/carasso/carasso/telemetry"
)

// QuarantineState says what is to become of something in quarantine.
type QuarantineState string

// The states.
const (
	Open     QuarantineState = "open"     // it stays until somebody redrives it or its retention ends
	Pending  QuarantineState = "pending"  // a redrive was asked for and is not done
	Resolved QuarantineState = "resolved" // a redrive took it out
)

// QuarantineEntry is something in quarantine, or that was.
type QuarantineEntry struct {
	ID int64
	At time.Time
	Quarantined
	State      QuarantineState
	ResolvedAt time.Time // zero unless Resolved
}

// QuarantineFilter selects entries, newest first. Zero values select all.
type QuarantineFilter struct {
	Before   int64 // ids below it
	From, To time.Time
	Reason   Reason
	State    QuarantineState
	Most     int
}

// Redrive is one attempt to use what is in quarantine.
type Redrive struct {
	RequestedAt time.Time
	DoneAt      time.Time // zero while it is pending
	Resolved    bool
	Archived    int    // batches that count since
	Duplicate   int    // batches that already did
	Reason      Reason // why it stays in quarantine
	Detail      string
}

// RedriveRequest is a pending Redrive, as a worker takes it on.
type RedriveRequest struct {
	ID         int64
	Quarantine int64 // the entry's id
	HasClaim   bool  // it is about one batch of the envelope; otherwise about all
	Claim      telemetry.ClaimID
}

// RedriveResult is what a worker made of a RedriveRequest.
type RedriveResult struct {
	RedriveRequest
	Resolved            bool
	Archived, Duplicate int
	Reason              Reason // unless Resolved
	Detail              string // ≤ 500 bytes
}

// Adjustment moves batches of an envelope from quarantined to archived or duplicate. The envelope's own entry stays
// as it was: readers add adjustments to it, and since an adjustment's sum is zero, the account still adds up.
type Adjustment struct {
	Header                      telemetry.Header
	Archived, ArchivedSamples   uint32
	Duplicate, DuplicateSamples uint32
}
