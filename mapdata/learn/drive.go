package learn

import (
	"context"

	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Roads is the road graph that a drive was matched to: *road.Store. Safe for concurrent use.
type Roads interface {
	Partition(ctx context.Context, quadkey uint32) (*road.Partition, error)
}

// Drive is one batch, matched, as learners see it. Only what belongs to the samples from
// LeadIn on may be counted: the ones before were counted with another batch.
type Drive struct {
	Vehicle uint64 // the pseudonym of DayMS
	DayMS   int64  // UTC day of the first counted sample, its start; what happened on another day must not be counted by vehicle
	Kind    telemetry.Vehicle
	LeadIn  int
	Samples []telemetry.Sample
	Matches []match.Result // one for each sample
	Path    []match.Step   // the way driven, of all samples
	Events  []telemetry.Event
}

// Collector turns drives into evidence. Each has its own scratch memory: use one a goroutine.
type Collector interface {
	// Collect adds what a drive says. An error is transient (the road graph could not be
	// read): nothing of the drive was added then.
	Collect(ctx context.Context, d *Drive, to *EvidenceSet) error
}
