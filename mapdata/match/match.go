// Package match finds the road that a vehicle's samples were taken on.
package match

import (
	"context"
	"errors"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Result is where one sample was taken.
type Result struct {
	Edge    road.Edge
	OffsetM float32 // from the edge's start, in the direction of travel
	DistM   float32 // from the sample to the road
	OK      bool    // false: no plausible road; the other fields are zero
}

// Partitions hands out the road graph: *road.Store.
type Partitions interface {
	Partition(ctx context.Context, quadkey uint32) (*road.Partition, error)
}

// Matcher matches batches. It keeps scratch memory: use one per goroutine.
type Matcher struct {
	roads Partitions
}

// New is a Matcher over a road graph.
func New(roads Partitions) *Matcher { return &Matcher{roads: roads} }

// Match finds the edge of each of a batch's samples, lead-in included, in time order,
// and writes it to out, which must be at least as long. An error means that the road
// graph could not be read: the batch may be matched later.
func (m *Matcher) Match(ctx context.Context, samples []telemetry.Sample, out []Result) error {
	return errors.New("match: not built yet")
}
