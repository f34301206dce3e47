package telemetry

import "time"

// ReceiverID names one run of a receiver process (a random UUID per start).
// Sequence numbers are unique and contiguous within it.
type ReceiverID [16]byte

// ClaimID is the key under which a batch is claimed exactly once: the 48-bit time
// prefix of the BatchID, then 80 bits of a keyed hash over vehicle and BatchID whose
// key does not rotate. It says nothing about the vehicle without that key.
type ClaimID [16]byte

// UnixMilli is the time prefix, in ms since the epoch.
func (id ClaimID) UnixMilli() int64 { return BatchID(id).UnixMilli() }

// String is the 8-4-4-4-12 form in lower case.
func (id ClaimID) String() string { return BatchID(id).String() }

// Header describes an envelope. The totals and the confirmation let a reader of the
// queue prove from headers alone what a receiver acknowledged and what is missing.
type Header struct {
	Receiver   ReceiverID
	Seq        uint64 // 1, 2, … per receiver; also burned by envelopes that were voided
	AcceptedAt int64  // when it was sealed, ms since the epoch; decides the ledger's hour
	Batches    uint32
	Samples    uint32 // counted ones: without lead-in
	// TotalBatches and TotalSamples add up envelopes 1…Seq of this receiver, this one
	// included, in order of Seq, voided ones too.
	TotalBatches uint64
	TotalSamples uint64
	// ConfirmedThrough is the highest n so that each of 1…n is either accepted by the
	// queue or voided, as known when this envelope was sealed.
	ConfirmedThrough uint64
	// Voided lists envelopes that the queue did not accept and whose cars were answered
	// 503. Repeated in each header until a header that carries it was accepted; an entry
	// seen twice is the same entry. A voided envelope may arrive all the same (the queue
	// took it and its answer was lost): it is processed like any other.
	Voided []Void
}

// Void is an envelope that was never acknowledged to any vehicle.
type Void struct {
	Seq     uint64
	Batches uint32
	Samples uint32
}

// Record is one batch in an envelope, in canonical form.
type Record struct {
	Claim ClaimID
	// Vehicle is the pseudonym: 64 bits of a keyed hash of the vehicle's id under the key
	// of the UTC day of the batch's first counted sample.
	Vehicle uint64
	// Payload is the canonical protobuf of the batch: batch_id, vehicle_id and trip.id
	// are left out, trip.key is set.
	Payload []byte
}

// Delivery is an envelope as a queue hands it out: at least once.
type Delivery struct {
	Body     []byte
	Attempts int       // how often it was handed out, this time included
	SentAt   time.Time // when the queue accepted it
	Receipt  any       // the adapter's own handle; valid until visibility ends
}

// QueueDepth is a queue's state, as far as the queue knows it.
type QueueDepth struct {
	Visible     int64         // waiting
	InFlight    int64         // handed out, not yet deleted
	DeadLetters int64         // moved to the dead-letter queue
	OldestAge   time.Duration // of the oldest waiting message; 0 if none or unknown
}
