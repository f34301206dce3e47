// Package scaling says how many workers a backlog needs. It is what management shows and what the
// infrastructure's autoscaling is built from, so that both wish for the same.
//
// The rule is target tracking on backlog per worker: a worker may have as many envelopes waiting as it handles within
// the latency target. By Little's law the oldest of them is then about that old.
package scaling

import (
	"math"
	"time"
)

const (
	// LatencyTarget is how long it may take to work a backlog off. Cars should see a change of their road within a
	// minute; flushing, projecting and fetching take some 15 s of it on AWS, and starting a worker 30 s.
	LatencyTarget = 10 * time.Second
	// MinEnvelopesPerS is what any worker handles at least when it has work: a quarter of what one core was measured
	// to (100 envelopes of 60 KiB, 25,000 batches a second). What is measured of an idle pipeline is less, since nothing
	// more came; taken for the capacity it would ask for workers that nobody needs.
	MinEnvelopesPerS = 25.0
	// MinWorkers handle what trickles in; where one must not be missed, run more.
	MinWorkers = 1
	// MaxWorkers bound the bill and the database's connections.
	MaxWorkers = 50
)

// AllowedBacklog is the backlog per worker, in envelopes, that target tracking aims at.
const AllowedBacklog = MinEnvelopesPerS * float64(LatencyTarget/time.Second)

// Load is what a decision is taken from.
type Load struct {
	Backlog       int64   // envelopes in the queue, visible and in flight
	Workers       int     // that handled something lately
	EnvelopesPerS float64 // that all of them handled lately
}

// BacklogPerWorker is how many envelopes wait for each worker; for the first, if there is none.
func (l Load) BacklogPerWorker() float64 { return float64(l.Backlog) / float64(max(l.Workers, 1)) }

// Throughput is how many envelopes a second one worker handles, and whether that is assumed because less was measured.
func (l Load) Throughput() (perWorker float64, assumed bool) {
	perWorker = l.EnvelopesPerS / float64(max(l.Workers, 1))
	if !(perWorker > MinEnvelopesPerS) { // NaN too
		return MinEnvelopesPerS, true
	}
	return perWorker, false
}

// Desired is how many workers work the backlog off within LatencyTarget: from MinWorkers to MaxWorkers.
func (l Load) Desired() int {
	perWorker, _ := l.Throughput()
	n := math.Ceil(float64(l.Backlog) / (LatencyTarget.Seconds() * perWorker))
	return int(min(max(n, MinWorkers), MaxWorkers))
}
