package fleet

import (
	"slices"

	"github.com/carasso/carasso/telemetry"
)

// BucketMS is the length of the periods that speeds are aggregated by: 5 minutes.
const BucketMS = 5 * 60 * 1000

// record remembers what was accepted, to be verified. It is not safe for concurrent use.
type record struct {
	chunks  [][]acceptedBatch
	batches int
	samples int64
	astray  int64                // samples of vehicles whose position is not to be trusted; not in speeds
	speeds  map[int64][]speedSum // by bucket (Unix ms / BucketMS), then arc
	arcs    int
}

// acceptedBatch is 24 B.
type acceptedBatch struct {
	id      telemetry.BatchID
	vehicle uint32
	samples uint32
}

// speedSum is how often and how fast an arc was driven.
type speedSum struct {
	n       int64
	sumCMPS int64
}

const recordChunk = 1 << 15

func newRecord(arcs int) *record {
	return &record{speeds: make(map[int64][]speedSum), arcs: arcs}
}

// accept remembers a batch that was accepted for the first time.
func (r *record) accept(id telemetry.BatchID, vehicle int, truth []Truth) {
	if len(r.chunks) == 0 || len(r.chunks[len(r.chunks)-1]) == recordChunk {
		r.chunks = append(r.chunks, make([]acceptedBatch, 0, recordChunk))
	}
	last := &r.chunks[len(r.chunks)-1]
	*last = append(*last, acceptedBatch{id: id, vehicle: uint32(vehicle), samples: uint32(len(truth))})
	r.batches++
	r.samples += int64(len(truth))
	var bucket int64 = -1
	var sums []speedSum
	for i := range truth {
		t := &truth[i]
		if b := t.TimeMS / BucketMS; b != bucket {
			bucket = b
			if sums = r.speeds[b]; sums == nil {
				sums = make([]speedSum, r.arcs)
				r.speeds[b] = sums
			}
		}
		if t.Astray {
			r.astray++
			continue
		}
		sums[t.On].n++
		sums[t.On].sumCMPS += int64(t.SpeedCMPS)
	}
}

// buckets are the periods driven in, in order.
func (r *record) buckets() []int64 {
	b := make([]int64, 0, len(r.speeds))
	for k := range r.speeds {
		b = append(b, k)
	}
	slices.Sort(b)
	return b
}
