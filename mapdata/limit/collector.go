package limit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Collector turns the signs that a vehicle read, or missed, into votes on the limits of the
// edges that it drove: learn.LimitEvidence, by UTC day, with the codes of Code. It keeps
// scratch memory: use one a goroutine.
//
// A sign counts for the edge on which the vehicle is when it reads it. The last metres of an
// edge belong to the next one if that goes on straight or is the same road, for limits change
// where edges begin; before a turn into another road they belong to nobody, because that
// road's sign is in view there too. The limit is then carried along, as votes of less weight,
// over the edges that follow as long as they are the same road and cross none of the same
// or a higher class, until the vehicle reads the next sign. Of two signs on one edge the one
// counts that holds on more of it.
type Collector struct {
	network
	readings []reading
	steps    []match.Step // of the drive in hand
	along    []float64    // metres driven up to each step
	votes    []vote
	spans    []road.Span
}

// New is a Collector over a road graph.
func New(roads learn.Roads) *Collector { return &Collector{network: network{roads}} }

// reading is a sign that was read and can be placed.
type reading struct {
	t      int64
	code   Code
	step   int     // of the drive's path; the edge on which the sign stands; -1: not on the path
	alongM float64 // metres driven up to the reading
	drop   bool    // it says nothing, but whatever was read before ends here
}

// vote is a vote in the making.
type vote struct {
	edge road.Edge
	t    int64
	code Code
}

// leastConfidence is the confidence, in permille, below which a camera guesses.
const leastConfidence = 300

// Collect adds what the drive's signs say. Votes of events on another UTC day than the
// drive's are counted without the vehicle. See learn.Collector for the error.
func (c *Collector) Collect(ctx context.Context, d *learn.Drive, to *learn.EvidenceSet) error {
	c.readings, c.votes, c.steps = c.readings[:0], c.votes[:0], d.Path
	for i := range d.Events {
		e := &d.Events[i]
		if d.LeadIn > 0 && d.LeadIn <= len(d.Samples) && e.T <= d.Samples[d.LeadIn-1].T {
			continue // counted with the batch before
		}
		if code, ok := understand(e); ok {
			c.readings = append(c.readings, reading{t: e.T, code: code})
		}
	}
	if len(c.readings) == 0 || len(d.Path) == 0 || learn.Trust(d) < learn.TrustEnough {
		c.readings = c.readings[:0]
		return nil
	}
	c.along = c.along[:0]
	gone := 0.0
	for i := range d.Path {
		c.along = append(c.along, gone)
		gone += max(0, float64(d.Path[i].ToM-d.Path[i].FromM))
	}
	slices.SortStableFunc(c.readings, func(a, b reading) int { return cmp.Compare(a.t, b.t) })
	for i := range c.readings {
		if err := c.place(ctx, d, &c.readings[i]); err != nil {
			return fmt.Errorf("collect limits: %w", err)
		}
	}
	c.readings = slices.DeleteFunc(c.readings, func(r reading) bool { return r.step < 0 })
	for i := range c.readings {
		var next *reading
		if i+1 < len(c.readings) {
			next = &c.readings[i+1]
		}
		if err := c.cast(ctx, d, &c.readings[i], next); err != nil {
			return fmt.Errorf("collect limits: %w", err)
		}
	}
	for i := range c.votes {
		v := &c.votes[i]
		day := v.t - modulo(v.t, learn.DayMS)
		out := learn.Vote{Code: v.code.Encode(), N: 1}
		if day == d.DayMS {
			out.Vehicles.Add(d.Vehicle)
		}
		to.Add(learn.EvidenceKey{Kind: learn.LimitEvidence, BucketMS: day, Key: uint64(v.edge)}, out)
	}
	return nil
}

// Placed gives each the limits that were read in the drive last collected and could be placed: on which edge of its way,
// when (ms since the epoch) and how many km/h.
func (c *Collector) Placed(each func(edge road.Edge, t int64, kmh uint8)) {
	for i := range c.readings {
		if r := &c.readings[i]; !r.drop && r.code.Reading == Posted && r.step < len(c.steps) {
			each(c.steps[r.step].Edge, r.t, r.code.KMH)
		}
	}
}

// understand is what an event says of limits; ok is false if nothing, or nothing credible.
func understand(e *telemetry.Event) (c Code, ok bool) {
	c.HourUTC = uint8(modulo(e.T, learn.DayMS) / int64(time.Hour/time.Millisecond))
	if e.ConfidencePermille < leastConfidence || e.Type != telemetry.SignSeen && e.Type != telemetry.SignMissing {
		return c, false
	}
	switch e.Sign {
	case telemetry.SpeedLimit:
		if e.Type == telemetry.SignMissing {
			c.Reading = Missing
		}
		c.KMH, ok = Canonical(e.ValueKMH)
		return c, ok
	case telemetry.SpeedLimitEnd:
		c.Reading = End
		if e.ValueKMH != 0 {
			if c.KMH, ok = Canonical(e.ValueKMH); !ok {
				return c, false
			}
		}
	case telemetry.TownEntry:
		c.Reading = Town
	case telemetry.TownExit:
		c.Reading = TownEnd
	default:
		return c, false
	}
	return c, e.Type == telemetry.SignSeen
}

// How far the places and times of readings are trusted.
const (
	nearestMS  = 5_000 // a sample must be as near in time
	offRoadM   = 30.0  // and on the road within this
	settledMS  = 1_500 // a heading as near in time is the vehicle's at the reading
	movingCMPS = 200   // slower, a reported heading means nothing
	headingDeg = 45.0  // the road may run in another direction by this
	gapMS      = 2_000 // a reading may lie outside the path by this
)

// place finds the step of the path that the sign stands on, or drops the reading.
func (c *Collector) place(ctx context.Context, d *learn.Drive, r *reading) error {
	r.drop = true
	n := stepAt(d.Path, r.t)
	r.step = n
	if n < 0 {
		return nil
	}
	step := &d.Path[n]
	offset := offsetAt(d, step, r.t)
	r.alongM = c.along[n] + max(0, offset-float64(step.FromM))
	near := nearest(d.Samples, r.t)
	if near < 0 || near >= len(d.Matches) || distance(d.Samples[near].T, r.t) > nearestMS || step.WrongWay ||
		!d.Matches[near].OK || d.Matches[near].DistM > offRoadM {
		return nil
	}
	s := &d.Samples[near]
	r.code.Wet = s.Has&telemetry.HasWiper != 0 && s.Wiper >= telemetry.WiperSlow ||
		s.Has&telemetry.HasRain != 0 && s.RainPercent > wetPercent
	here, ok, err := c.edge(ctx, step.Edge)
	if err != nil || !ok {
		return err
	}
	moving := s.Has&telemetry.HasSpeed == 0 || s.SpeedCMPS >= movingCMPS
	if s.Has&telemetry.HasHeading != 0 && moving && distance(s.T, r.t) <= settledMS {
		if _, deg := here.part.PointAt(here.index, offset); apartDeg(deg, float64(s.HeadingCDeg)/100) > headingDeg {
			return nil
		}
	}
	if r.step, ok, err = c.junctionAhead(ctx, d, n, offset, r.t, here); err != nil || !ok {
		return err
	}
	if other, err := c.otherLane(ctx, here, offset, r.code); err != nil || other {
		return err
	}
	r.drop = false
	return nil
}

// wetPercent is the rain above which the road is taken for wet.
const wetPercent = 20

// stepAt is the step that the vehicle was on at a time, the first of several; -1 if it was on
// none.
func stepAt(path []match.Step, t int64) int {
	n, _ := slices.BinarySearchFunc(path, t, func(s match.Step, t int64) int { return cmp.Compare(s.LeaveMS, t) })
	switch {
	case n < len(path) && path[n].EnterMS <= t:
		return n
	case n > 0 && t-path[n-1].LeaveMS <= gapMS && (n == len(path) || t-path[n-1].LeaveMS <= path[n].EnterMS-t):
		return n - 1
	case n < len(path) && path[n].EnterMS-t <= gapMS:
		return n
	}
	return -1
}

// offsetAt is where on the step the vehicle was at a time, in metres from the edge's start:
// between the samples around it.
func offsetAt(d *learn.Drive, s *match.Step, t int64) float64 {
	fromMS, toMS, from, to := s.EnterMS, s.LeaveMS, s.FromM, s.ToM
	for i := max(0, int(s.First)); i < min(int(s.Last), len(d.Samples), len(d.Matches)); i++ {
		at, m := d.Samples[i].T, &d.Matches[i]
		if !m.OK || m.Edge != s.Edge || at < s.EnterMS || at > s.LeaveMS {
			continue
		}
		if at > t {
			toMS, to = at, m.OffsetM
			break
		}
		fromMS, from = at, m.OffsetM
	}
	if t <= fromMS || toMS <= fromMS {
		return float64(from)
	}
	return float64(from) + float64(to-from)*min(1, float64(t-fromMS)/float64(toMS-fromMS))
}

// nearest is the sample nearest in time, -1 if there is none.
func nearest(samples []telemetry.Sample, t int64) int {
	n, _ := slices.BinarySearchFunc(samples, t, func(s telemetry.Sample, t int64) int { return cmp.Compare(s.T, t) })
	if n == len(samples) || n > 0 && distance(samples[n-1].T, t) <= distance(samples[n].T, t) {
		return n - 1
	}
	return n
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// modulo is what t is above a multiple of m, also for negative t.
func modulo(t, m int64) int64 { return ((t % m) + m) % m }
