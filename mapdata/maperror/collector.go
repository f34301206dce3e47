package maperror

import (
	"context"
	"fmt"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
)

// The parameters of gaps: the way between two roads that the map does not connect.
const (
	maxGapMS    = 60_000
	maxGapM     = 500.0
	solidM      = 12.0 // a match farther than this does not tell which road was left or reached
	detourTimes = 1.6  // a way through the map so many times as long as the straight one
	detourM     = 60.0 // and so much longer was not driven
)

// Collector is the learn.Collector of map errors. It writes only what is remarkable, and of
// some vehicles which turns they made. Not safe for concurrent use.
type Collector struct {
	look   observer
	sights []sight
	alongM []float64 // for each sample, its place along the drive's path; negative: not on it
	votes  []keyedVote
	trails float64 // share of the vehicles whose turns are noted
}

type keyedVote struct {
	kind learn.Kind
	key  uint64
	vote learn.Vote
}

// New is a Collector over the road graph that drives were matched to.
func New(roads learn.Roads) *Collector {
	return &Collector{look: observer{roads: roads}, trails: DefaultTrails}
}

// Collect adds what a drive says about errors of the map; see learn.Collector. A drive
// whose positions contradict one another adds nothing.
func (c *Collector) Collect(ctx context.Context, d *learn.Drive, to *learn.EvidenceSet) error {
	if len(d.Samples) == 0 || len(d.Matches) < len(d.Samples) {
		return nil
	}
	remarkable := !c.unremarkable(d)
	if !remarkable && !c.follows(d.Vehicle) || learn.Consistency(d) < learn.TrustEnough {
		return nil
	}
	c.votes = c.votes[:0]
	if err := c.turned(ctx, d); err != nil {
		return fmt.Errorf("collect turns: %w", err)
	}
	if remarkable {
		if err := c.observe(ctx, d); err != nil {
			return fmt.Errorf("collect map errors: %w", err)
		}
		c.gaps(d)
		for i := d.LeadIn; i < len(d.Samples); i++ {
			if counted(d, i) {
				c.vote(d, i)
			}
		}
	}
	for i := range c.votes {
		v := &c.votes[i]
		v.vote.Vehicles.Add(d.Vehicle)
		to.Add(learn.EvidenceKey{Kind: v.kind, BucketMS: d.DayMS, Key: v.key}, v.vote)
	}
	return nil
}

// unremarkable reports whether a drive is as the map has it: most are, and are done with.
func (c *Collector) unremarkable(d *learn.Drive) bool {
	for i := range d.Samples {
		if r := &d.Matches[i]; !r.OK || r.WrongWay || r.Break && i > 0 || r.DistM > besideM {
			return false
		}
	}
	if turnedForbidden(d.Path) {
		return false
	}
	c.measure(d)
	for i := max(d.LeadIn, 1); i < len(d.Samples); i++ {
		if c.detour(d, i-1, i) {
			return false
		}
	}
	return true
}

// counted reports whether sample i may be counted by vehicle.
func counted(d *learn.Drive, i int) bool {
	t := d.Samples[i].T
	return i >= d.LeadIn && t >= d.DayMS && t < d.DayMS+learn.DayMS
}

// observe takes sight of all samples.
func (c *Collector) observe(ctx context.Context, d *learn.Drive) error {
	c.sights = c.sights[:0]
	for i := range d.Samples {
		if err := c.look.enter(ctx, point(&d.Samples[i])); err != nil {
			return err
		}
		c.sights = append(c.sights, c.look.look(d, i))
	}
	// What runs across a road is off the map's roads only together with what is far from
	// them: alone it is a turn at a junction.
	for i := 1; i < len(c.sights); i++ {
		if c.sights[i].verdict == across && c.sights[i-1].verdict == off {
			c.sights[i].verdict = off
		}
	}
	for i := len(c.sights) - 2; i >= 0; i-- {
		if c.sights[i].verdict == across && c.sights[i+1].verdict == off {
			c.sights[i].verdict = off
		}
	}
	return nil
}

// vote adds what sample i says.
func (c *Collector) vote(d *learn.Drive, i int) {
	s := &c.sights[i]
	switch s.verdict {
	case wrong:
		c.fault(s.edge, wrongWayCode, s.rightM)
		if d.Matches[i].Edge == s.edge.Reverse() {
			c.fault(s.edge, mistakenCode, 0)
		}
	case off:
		p := point(&d.Samples[i])
		key := learn.CellKey(p, octant(s.course))
		cell, _ := learn.CellBox(key)
		code, east, north := part(cell, p)
		c.votes = append(c.votes, keyedVote{learn.OffRoadEvidence, key, learn.Vote{Code: code, N: 1, Sum: [2]int64{east, north}}})
	default:
	}
	if s.beside {
		code := uint64(besideRightCode)
		if s.rightM < 0 {
			code = besideLeftCode
		}
		c.fault(d.Matches[i].Edge, code, s.rightM)
	}
}

func (c *Collector) fault(e road.Edge, code uint64, rightM float64) {
	cm := int64(100 * rightM)
	c.votes = append(c.votes, keyedVote{learn.EdgeFaultEvidence, uint64(e), learn.Vote{Code: code, N: 1, Sum: [2]int64{cm, cm * cm}}})
}

// gaps adds votes on the ways between roads that the map does not connect: where a chain of
// the matcher broke or took an implausible detour, or samples without a road lie between.
func (c *Collector) gaps(d *learn.Drive) {
	c.measure(d)
	from := -1           // the last sample that a road explains; since then
	gap := false         // a gap was seen
	between := uint64(0) // away from roads
	for i := range d.Samples {
		r, s := &d.Matches[i], &c.sights[i]
		if r.Break && i > 0 {
			gap = true
		}
		switch {
		case s.verdict == off || s.verdict == across:
			gap = true
			if s.verdict == off {
				between = offBetween
			}
			continue
		case s.verdict == silent && !r.OK || s.verdict == weak || s.verdict == wrong:
			continue
		case !r.OK || r.WrongWay || r.DistM > solidM:
			continue
		}
		if from >= 0 && counted(d, i) && (gap || c.detour(d, from, i)) {
			c.gap(d, from, i, between)
		}
		from, gap, between = i, false, 0
	}
}

func (c *Collector) gap(d *learn.Drive, from, to int, between uint64) {
	a, b := &d.Matches[from], &d.Matches[to]
	if a.Edge == b.Edge || d.Samples[to].T-d.Samples[from].T > maxGapMS ||
		geo.DistanceM(point(&d.Samples[from]), point(&d.Samples[to])) > maxGapM {
		return
	}
	c.votes = append(c.votes, keyedVote{learn.TurnEvidence, uint64(a.Edge), learn.Vote{
		Code: uint64(b.Edge) | between, N: 1, Sum: [2]int64{int64(100 * a.OffsetM), int64(100 * b.OffsetM)},
	}})
}

// measure finds where along the path each sample is.
func (c *Collector) measure(d *learn.Drive) {
	c.alongM = c.alongM[:0]
	for range d.Samples {
		c.alongM = append(c.alongM, -1)
	}
	total := 0.0
	for i := range d.Path {
		s := &d.Path[i]
		for k := max(s.First, 0); k < s.Last && int(k) < len(c.alongM); k++ {
			if d.Matches[k].OK && d.Matches[k].Edge == s.Edge {
				c.alongM[k] = max(total+float64(d.Matches[k].OffsetM-s.FromM), 0)
			}
		}
		total += max(float64(s.ToM-s.FromM), 0)
	}
}

// detour reports whether the path from one sample to another is one that the vehicle can
// hardly have taken.
func (c *Collector) detour(d *learn.Drive, from, to int) bool {
	a, b := c.alongM[from], c.alongM[to]
	if a < 0 || b < 0 || b-a < detourM || brokenBetween(d.Path, from, to) {
		return false
	}
	straight := geo.DistanceM(point(&d.Samples[from]), point(&d.Samples[to]))
	way := b - a
	if way < detourTimes*straight+detourM {
		return false
	}
	const speeds = 1.5 // times the faster of both speeds
	v := max(speedMPS(d, from), speedMPS(d, to))
	return v == 0 || way > speeds*v*float64(d.Samples[to].T-d.Samples[from].T)/1000+detourM
}

func brokenBetween(path []match.Step, from, to int) bool {
	for i := range path {
		if path[i].Break && int(path[i].First) > from && int(path[i].First) <= to {
			return true
		}
	}
	return false
}

func speedMPS(d *learn.Drive, i int) float64 { return float64(d.Samples[i].SpeedCMPS) / 100 }
