// Package match finds the road that a vehicle's samples were taken on, and the way driven.
//
// It is a hidden Markov matcher after Newson & Krumm, "Hidden Markov Map Matching Through
// Noise and Sparseness" (ACM GIS 2009), with terms for heading and speed: each position has
// candidate places on directed edges; a Viterbi search finds the likeliest sequence of them,
// given how far they are from the positions and how well the shortest ways between them
// agree with the movement.
package match

import (
	"context"
	"fmt"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Partitions hands out the road graph: *road.Store.
type Partitions interface {
	Partition(ctx context.Context, quadkey uint32) (*road.Partition, error)
}

// Matcher matches batches. It keeps scratch memory: use one per goroutine. A batch may be
// of any length: long ones are decoded in windows, so memory beside the results and the
// path is bounded. So is work: a batch has a budget that grows with its samples; where it
// is spent, what takes long searches becomes breaks.
type Matcher struct {
	tiles   tiles
	spans   []road.Span
	feet    []foot // of spans
	columns []column
	cands   []candidate
	ranked  []int32 // candidates of a column, cheapest first
	scanned int     // samples before this one were looked at
	anchor  int     // the last column with candidates; -1 if none
	odo     odometer
	wrong   wrongWay
	atOnce  float64 // the weight of a position at once after another, 0 to 1
	beam    float32
	search  search
	drive   drive
}

// New is a Matcher over a road graph.
func New(roads Partitions) *Matcher { return &Matcher{tiles: tiles{roads: roads}} }

// Match finds the edge of each of a batch's samples, lead-in included, in time order,
// and writes it to out, which must be at least as long. An error means that the road
// graph could not be read: the batch may be matched later.
func (m *Matcher) Match(ctx context.Context, samples []telemetry.Sample, out []Result) error {
	m.drive.begin(samples, out[:len(samples)])
	m.search.left = budget(len(samples))
	defer m.tiles.reset() // what is not in use must not be kept alive
	w := window{final: len(samples) == 0}
	for !w.final {
		var err error
		if w, err = m.decodeWindow(ctx, samples, w); err != nil {
			return fmt.Errorf("match samples from %d: %w", w.from, err)
		}
	}
	return nil
}

// Path is the way driven in the last Match, lead-in included; valid until the next one.
func (m *Matcher) Path() []Step { return m.drive.path }
