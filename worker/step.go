package worker

// Step is a step of the data path.
type Step string

// The steps, in their order within a flush. A crash between any two loses nothing and
// counts nothing twice: before StepCommit the database undoes the flush and the queue
// redelivers; after it, the redelivered envelopes are known and only deleted.
const (
	StepReceive    Step = "receive"
	StepDecode     Step = "decode"
	StepMatch      Step = "match"
	StepBegin      Step = "begin"
	StepEnvelopes  Step = "envelopes" // enter them, find redelivered ones
	StepClaim      Step = "claim"     // find duplicates
	StepAggregate  Step = "aggregate" // in memory
	StepArchive    Step = "archive"   // encode the Parquet objects
	StepPut        Step = "put"       // archive and quarantine objects
	StepStore      Step = "store"     // deltas, observations, outbox
	StepSettle     Step = "settle"    // outcomes, quarantine, voided
	StepCommit     Step = "commit"    // manifest, and all at once
	StepDelete     Step = "delete"    // from the queue
	StepFlushEnded Step = "flush_ended"
)

// Steps lists them all, in order.
func Steps() []Step {
	return []Step{
		StepReceive, StepDecode, StepMatch, StepBegin, StepEnvelopes, StepClaim, StepAggregate, StepArchive, StepPut,
		StepStore, StepSettle, StepCommit, StepDelete, StepFlushEnded,
	}
}
