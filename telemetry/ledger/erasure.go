package ledger

import (
	"encoding/json"
	"errors"
	"time"
)

// ErasureState is where an erasure of a vehicle's data stands in the database; how its job does, the job tells.
type ErasureState string

// The states.
const (
	ErasurePending   ErasureState = "pending"
	ErasureDone      ErasureState = "done"
	ErasureAbandoned ErasureState = "abandoned" // no job ended it within ErasurePatience; what was erased stays so
)

// ErasurePatience is how long an erasure may be pending.
const ErasurePatience = 30 * 24 * time.Hour

// Erasure is a request to erase what was archived of a vehicle.
type Erasure struct {
	ID          int64
	Subject     [16]byte  // keyed hash of the vehicle's id
	From, To    time.Time // starts of UTC days of event time, both included; zero: all
	State       ErasureState
	RequestedBy string
	RequestedAt time.Time
	UpTo        time.Time // what receivers accepted until then is erased
	Searched    int       // days of which the pseudonym is known
	Job         int64     // 0 for a moment
	EndedAt     time.Time // zero while pending
	Receipt     json.RawMessage
}

// Whole tells whether all days are meant.
func (e *Erasure) Whole() bool { return e.From.IsZero() && e.To.IsZero() }

// ErasedDay is what the vehicle was called on a UTC day.
type ErasedDay struct {
	Day       time.Time // its start
	Pseudonym uint64
}

// ErasureObject is an object of the archive that may hold data of the vehicle. Batches and Samples are those that it holds now.
type ErasureObject struct {
	Key     string
	Flushes []int64 // all rows of the manifest that name it
	Count
}

// ErasedPlace is where data was found.
type ErasedPlace string

// The places: objects that the manifest names, copies that nothing names any more, and the quarantine.
const (
	ErasedArchive    ErasedPlace = "archive"
	ErasedCopy       ErasedPlace = "copy"
	ErasedQuarantine ErasedPlace = "quarantine"
)

// ErasedCount is how much was found in a place.
type ErasedCount struct {
	Objects int64 `json:"objects"`
	Batches int64 `json:"batches"`
	Samples int64 `json:"samples"`
}

// What erasures may be refused with.
var (
	ErrNoErasure    = errors.New("no such erasure")
	ErrErasureState = errors.New("the erasure has ended")
	// ErrArchiveChanged says that the manifest names other objects by now: look again.
	ErrArchiveChanged = errors.New("somebody else has changed the manifest")
)

// Receipt says what an erasure did. It names the vehicle by the keyed hash of its id alone.
type Receipt struct {
	Version        int         `json:"version"` // of this form: 1
	Erasure        string      `json:"erasure"`
	Subject        string      `json:"subject"` // hexadecimal
	Requested      time.Time   `json:"requested"`
	AcceptedBefore time.Time   `json:"accepted_before"`
	Ended          time.Time   `json:"ended"`
	Days           ReceiptDays `json:"days"`
	Archive        ErasedCount `json:"archive"`
	// Copies are objects that nothing named any more, which held the same batches again.
	Copies     ErasedCount `json:"copies"`
	Quarantine ErasedCount `json:"quarantine"`
	// Unreadable are objects in quarantine that are no readable envelopes, so that nobody can tell whose they are.
	Unreadable int64         `json:"quarantine_unreadable"`
	Status     string        `json:"status"` // "deleted" or "kept"
	Kept       []ReceiptKept `json:"kept"`
}

// ReceiptDays are the UTC days of event time that were searched: null for no bound, and how many of them have a key.
type ReceiptDays struct {
	From    *string `json:"from"`
	To      *string `json:"to"`
	WithKey int     `json:"with_key"`
}

// ReceiptKept is what an erasure leaves, and why.
type ReceiptKept struct {
	What string `json:"what"`
	Why  string `json:"why"`
}
