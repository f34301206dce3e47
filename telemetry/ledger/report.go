package ledger

import (
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Count is a number of batches and of counted samples in them.
type Count struct{ Batches, Samples int64 }

// Add adds another count.
func (c *Count) Add(o Count) {
	c.Batches += o.Batches
	c.Samples += o.Samples
}

// Account is what became of everything that receivers accepted in some period.
type Account struct {
	// Accepted is what receivers acknowledged, from the running totals in their headers:
	// independent of what the workers counted.
	Accepted Count
	// Archived, Duplicate and Quarantined are what the workers made of it.
	Archived, Duplicate, Quarantined Count
	// InFlight is in envelopes that the queue certainly accepted and no worker has handled.
	InFlight Count
	// Unconfirmed is in envelopes of which only their totals are known: accepted and on their
	// way, or refused and soon to be voided. Not part of Accepted.
	Unconfirmed Count
}

// Add adds another account.
func (a *Account) Add(o *Account) {
	a.Accepted.Add(o.Accepted)
	a.Archived.Add(o.Archived)
	a.Duplicate.Add(o.Duplicate)
	a.Quarantined.Add(o.Quarantined)
	a.InFlight.Add(o.InFlight)
	a.Unconfirmed.Add(o.Unconfirmed)
}

// Balanced tells whether accepted = archived + duplicate + quarantined + in flight, for
// batches and for samples.
func (a *Account) Balanced() bool {
	sum := a.Archived
	sum.Add(a.Duplicate)
	sum.Add(a.Quarantined)
	sum.Add(a.InFlight)
	return sum == a.Accepted
}

// Hour is the account of one receiver in one hour of its clock.
type Hour struct {
	Start    time.Time
	Receiver telemetry.ReceiverID
	Account
}

// Gap is a run of envelopes that the ledger knows of only by what came after them.
type Gap struct {
	Receiver telemetry.ReceiverID
	// FromSeq and ToSeq enclose the run; Envelopes of them are missing, the rest voided.
	FromSeq, ToSeq uint64
	Envelopes      int64
	Count
	Hour time.Time // of the envelope after the gap; the gap is accounted there
	// Confirmed tells that the queue certainly accepted them: they are in flight.
	Confirmed bool
}

// Report is the ledger of a period.
type Report struct {
	Hours []Hour // by start, then receiver
	Gaps  []Gap  // by receiver, then sequence number
	// Manifest is what the flushes committed in the period archived by their own entries,
	// and Handled what the envelopes handled in the same flushes say: they must be equal.
	Manifest, Handled Count
	// Erased is how much of what was archived, or put into quarantine, in the period does not exist any more: vehicles' data was
	// erased. It is still counted as what it was.
	Erased Count
}

// Activity is what the pipeline did lately. Rates are over the last 10 and 60 seconds.
type Activity struct {
	At time.Time // by the database's clock
	// Accepted10 and Accepted60 are rates of acceptance: of batches and samples per second,
	// over the window that ends with the newest envelope known, when At does not.
	Accepted10, Accepted60 Rate
	// Processed10 and Processed60 are rates of commitment.
	Processed10, Processed60 Rate
	// NewestAccepted is the newest accepted_at committed; zero when there is none.
	NewestAccepted time.Time
	// EnvelopesPerS is the rate of commitment over the last 60 s, in envelopes.
	EnvelopesPerS float64
	Workers       []WorkerActivity // that committed within the last 60 s, by name
	Freshness     []Projection     // passes of the last five minutes, any order
	OutboxTiles   int64            // distinct tiles waiting, counted up to 100,000 entries
}

// Rate is per second.
type Rate struct{ Batches, Samples float64 }

// WorkerActivity is one worker's part of the last 60 seconds.
type WorkerActivity struct {
	Name          string
	Rate          Rate // archived
	Flushes       int64
	LastCommitted time.Time
}

// Projection is what one pass of the projector over one layer published, of prompt batches or of
// late ones: how old it was, in seconds from the receiver's acceptance and from the event itself.
type Projection struct {
	Layer                string
	Late                 bool // vehicles sent it late: they were offline, or their clocks are slow
	Tiles                int64
	P50S, P95S, MaxS     float64 // from acceptance
	EventP50S, EventP95S float64 // from the events' own time, by the cars' clocks
}

// Totals adds up what workers handled.
type Totals struct {
	Envelopes                                 int64
	Handled, Archived, Duplicate, Quarantined Count
}

// Add adds other totals.
func (t *Totals) Add(o Totals) {
	t.Envelopes += o.Envelopes
	t.Handled.Add(o.Handled)
	t.Archived.Add(o.Archived)
	t.Duplicate.Add(o.Duplicate)
	t.Quarantined.Add(o.Quarantined)
}
