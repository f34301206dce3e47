package ledger

import (
	"errors"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Backfill is the taking in of an archive that is not this deployment's: of the objects under a prefix, the batches of some UTC
// days. In the ledger it is a receiver of its own, whose envelopes are numbered and totalled as any other's.
type Backfill struct {
	ID       int64
	Prefix   string
	From, To time.Time // starts of UTC days; To is exclusive
	Receiver telemetry.ReceiverID
	Seq      uint64 // of the last envelope
	Total    Count  // of all envelopes
}

// BackfillObject is how far an object is taken in.
type BackfillObject struct {
	Key      string
	Bytes    int64
	Modified time.Time
	Rows     int64 // from its start, that are done with
	Done     bool
	Outside  int64  // of them, batches of other days
	Error    string // why it can't be used; then none of it is taken in
}

// BackfillReport adds up what a backfill did, in all of its runs.
type BackfillReport struct {
	Objects    int64            `json:"objects"`
	Batches    int64            `json:"batches"` // that are new
	Samples    int64            `json:"samples"`
	Duplicates int64            `json:"duplicates"` // batches that were there already
	Outside    int64            `json:"outside"`    // batches of other days
	BadObjects int64            `json:"bad_objects"`
	Bad        []BackfillRefuse `json:"bad"` // the first of them
	Receiver   string           `json:"receiver"`
}

// BackfillRefuse names an object that could not be used, and why.
type BackfillRefuse struct {
	Key   string `json:"key"`
	Error string `json:"error"`
}

// What backfills may be refused with.
var (
	// ErrBackfillDays is about days that are past their retention, or not over.
	ErrBackfillDays = errors.New("the days can't be taken in")
	// ErrBackfillMoved ends a run that was given up for dead, when another has gone on.
	ErrBackfillMoved = errors.New("another run has gone on with this backfill")
	// ErrBackfillForgotten asks to look the archive's claims up before: it holds some of the same time.
	ErrBackfillForgotten = errors.New("the archive holds batches of the same time whose claims are forgotten")
)
