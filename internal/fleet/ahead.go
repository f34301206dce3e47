package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// A vehicle that notices a hazard reports at once. Turns simulate what was driven since the
// turn before, so after each turn near a zone a copy of the car drives on to the next one:
// if it notices something on the way, the vehicle gets a turn of its own at that moment.

// extraTurn is a turn out of order.
type extraTurn struct {
	ms      int64 // since the simulation's start
	vehicle int32
}

// NextDue is when the next turn is due, after the start.
func (s *Simulation) NextDue() time.Duration {
	due := s.Due(s.turn)
	if n := len(s.extra); n > 0 {
		due = min(due, time.Duration(s.extra[n-1].ms)*time.Millisecond)
	}
	return due
}

// Next takes the next turn: it simulates what the vehicle whose turn it is did since its
// last one, and fills r with what it has to report. It returns false when there is nothing.
func (s *Simulation) Next(r *Upload) bool {
	if n := len(s.extra); n > 0 {
		if x := s.extra[n-1]; x.ms < s.DueMS(s.turn) {
			s.extra = s.extra[:n-1]
			n := int64(len(s.cars))
			k := s.turn + (int64(x.vehicle)-s.turn%n+n)%n
			return s.report(int(x.vehicle), s.DueMS(k), x.ms, r)
		}
	}
	k := s.turn
	s.turn++
	i := int(k % int64(len(s.cars)))
	due := s.DueMS(k)
	ok := s.report(i, due, due, r)
	if ok && s.world.near[s.cars[i].arc] {
		s.lookAhead(i, s.DueMS(k+int64(len(s.cars))))
	}
	return ok
}

// lookAhead gives vehicle i a turn of its own if it will notice a hazard before its next
// one, which is due at ms.
func (s *Simulation) lookAhead(i int, due int64) {
	c := &s.cars[i]
	if c.parkedUntil > 0 || !s.meetsZone(c, due) {
		return
	}
	was := *c
	var broken fault
	if c.fault != 0 {
		broken = s.faults[c.fault-1]
	}
	// What the turn before reported is still in use.
	s.batch, s.scratch = s.scratch, s.batch
	s.truth, s.scratchTruth = s.scratchTruth, s.truth
	s.batch.Reset()
	s.truth = s.truth[:0]
	s.driveOn(c, due, due)
	at := int64(-1)
	for k := range s.batch.Events {
		if e := &s.batch.Events[k]; e.Type == telemetry.HazardSeen {
			at = e.T - s.startMS - s.skew(c)
			break
		}
	}
	s.batch, s.scratch = s.scratch, s.batch
	s.truth, s.scratchTruth = s.scratchTruth, s.truth
	*c = was
	if c.fault != 0 {
		s.faults[c.fault-1] = broken
	}
	if at < 0 || at >= due {
		return
	}
	x := extraTurn{ms: at, vehicle: int32(i)}
	place, _ := slices.BinarySearchFunc(s.extra, x, func(a, b extraTurn) int { // descending
		return cmp.Or(cmp.Compare(b.ms, a.ms), cmp.Compare(b.vehicle, a.vehicle))
	})
	s.extra = slices.Insert(s.extra, place, x)
}

// haste is how much faster than usual the fastest drive.
const haste = 1.3

// meetsZone reports whether a zone that is on by then may lie on the car's way up to ms.
func (s *Simulation) meetsZone(c *car, ms int64) bool {
	left := float32(ms-c.simulated) / 1000
	for arc := c.arc; left > 0; {
		a := &s.net.arcs[arc]
		length := a.lengthM
		if arc == c.arc {
			length -= c.offsetM
		} else if s.world.hazard(arc, ms) != telemetry.HazardUnknown || s.world.hazard(arc, c.simulated) != telemetry.HazardUnknown {
			return true
		}
		left -= length / (a.freeMPS * haste)
		if arc = s.routes.leave(c.destination, a.to); arc < 0 {
			return false
		}
	}
	return false
}

// nearZones marks the arcs from which a zone may be reached within a time.
func (w *world) nearZones(n *Network, within time.Duration) {
	w.near = make([]bool, len(n.arcs))
	into, first := n.incoming()
	left := make([]float32, len(n.arcs)) // seconds, from the arc's end
	for _, z := range w.zones {
		queue := []int32{z.arc}
		left[z.arc] = float32(within.Seconds())
		for len(queue) > 0 {
			a := &n.arcs[queue[0]]
			budget := left[queue[0]]
			w.near[queue[0]] = true
			if queue[0] != z.arc {
				budget -= a.lengthM / a.freeMPS / haste
			}
			queue = queue[1:]
			if budget <= 0 {
				continue
			}
			for _, i := range into[first[a.from]:first[a.from+1]] {
				if left[i] < budget {
					left[i] = budget
					queue = append(queue, i)
				}
			}
		}
	}
}
