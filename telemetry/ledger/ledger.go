// Package ledger holds the entries by which the pipeline proves that nothing was lost and
// nothing counted twice: what became of each envelope, what a flush archived,
// what was put into quarantine.
package ledger

import (
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Envelope is what became of one envelope. In a complete entry
// Batches = Archived + Duplicate + Quarantined, and the same for samples.
type Envelope struct {
	telemetry.Header
	Archived, ArchivedSamples       uint32
	Duplicate, DuplicateSamples     uint32
	Quarantined, QuarantinedSamples uint32
}

// ArchiveGroup is the part of the archive that may be put together: what was archived in an hour under a
// version of the map.
type ArchiveGroup struct {
	Hour       time.Time
	MapVersion string
	Objects    int // that were not put together yet
}

// ArchiveObject is one flush's object.
type ArchiveObject struct {
	Flush   int64 // manifest.id
	Key     string
	Bytes   int64
	Batches int   // that it holds: without erased ones
	Samples int64 // counted ones; the object also holds lead-in
}

// Flush is the manifest's entry for one flush: what it archived, and where.
type Flush struct {
	Worker      string
	ObjectKey   string // of the samples; "" when the flush held no new batch
	ObjectBytes int64  // all objects of the flush together
	Batches     int
	Samples     int64 // counted ones: without lead-in
	Erased      Count // of those: not in the object, as the vehicle's data was erased
	TMin, TMax  int64 // event time of the counted samples, ms since the epoch; 0 when there is none
	MapVersion  string
}

// Reason is the stable code for why something could not be used.
type Reason string

// The reasons.
const (
	// Whole envelopes.
	ReasonHeader        Reason = "header_undecodable"   // the ledger can not account for it
	ReasonBody          Reason = "envelope_undecodable" // header readable, records not
	ReasonVersion       Reason = "envelope_version"     // written by a newer receiver
	ReasonCount         Reason = "count_mismatch"       // header and records disagree
	ReasonEnvelopeTime  Reason = "envelope_time"        // accepted outside the retained days; not in the ledger
	ReasonRejected      Reason = "rejected"             // the database or the matcher refuses it for good
	ReasonMaxReceives   Reason = "max_receives"         // failed too often, then once more alone
	ReasonBatch         Reason = "batch_undecodable"    // a record within a good envelope
	ReasonBatchTime     Reason = "event_time"           // events outside the retained days
	ReasonClaimTime     Reason = "batch_id_time"        // batch id's time outside the retained days
	ReasonEmpty         Reason = "no_samples"           // a batch without a counted sample
	ReasonInvalidRecord Reason = "batch_invalid"        // decodes, but breaks the limits
	// ReasonErased is a record whose vehicle's data was erased: only its claim is left.
	ReasonErased Reason = "erased"
	// ReasonGone is why a redrive can't be: the object is not there any more.
	ReasonGone Reason = "object_missing"
)

// Reasons lists all for which something is put into quarantine.
func Reasons() []Reason {
	return []Reason{
		ReasonHeader, ReasonBody, ReasonVersion, ReasonCount, ReasonEnvelopeTime, ReasonRejected, ReasonMaxReceives,
		ReasonBatch, ReasonBatchTime, ReasonClaimTime, ReasonEmpty, ReasonInvalidRecord, ReasonErased,
	}
}

// Quarantined is something that could not be used, kept as an object.
type Quarantined struct {
	HasEnvelope bool // Receiver and Seq are known
	Receiver    telemetry.ReceiverID
	Seq         uint64
	HasClaim    bool // one batch; otherwise the whole envelope
	Claim       telemetry.ClaimID
	Reason      Reason
	Detail      string // for operators; ≤ 500 bytes
	ObjectKey   string // the envelope as it came
	Bytes       int    // size of that object
	Batches     uint32
	Samples     uint32
}
