package hazard

import (
	"context"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Collector turns drives into votes on hazards: it fuses a vehicle's own events with its raw
// signals. It implements learn.Collector. It keeps scratch memory: use one a goroutine.
//
// A vote is on the directed edge where an observation began; on later edges of the same pass
// only if it went on for most of the samples there. Away from roads it is on a learn.CellKey without
// heading. Votes on a wrong-way driver are on the edge of those who drive the right way: they
// are to be warned. There is one vote a vehicle, minute of event time and edge (the bitmap of vehicles); observations that
// reach back into the lead-in are voted on again with what is known now, which changes nothing
// that is counted by vehicle.
//
// A vote needs a pseudonym, and that holds for Drive.DayMS alone: what a batch across midnight
// observed on the other day is dropped. So are its passes (the live speeds count no vehicle there),
// so hazards neither gain nor lose by it: around midnight each vehicle is deaf for at most one batch.
//
// Drives whose positions can't be trusted (learn.Trust) don't vote.
type Collector struct {
	roads    learn.Roads
	part     *road.Partition
	sources  []source
	masks    []source
	brakings []Braking
	pending  []pending
}

// pending is a vote to be added when the whole drive is understood.
type pending struct {
	key  learn.EvidenceKey
	code uint64
	inMS int64
}

// New is a Collector over a road graph.
func New(roads learn.Roads) *Collector { return &Collector{roads: roads} }

// Collect adds a drive's votes. See learn.Collector.
func (c *Collector) Collect(ctx context.Context, d *learn.Drive, to *learn.EvidenceSet) error {
	if len(d.Samples) <= d.LeadIn || len(d.Matches) != len(d.Samples) {
		return nil
	}
	c.sources = slices.Grow(c.sources[:0], len(d.Samples))[:len(d.Samples)]
	all := c.sense(d.Samples)
	events := eventsOf(d)
	if all&^(fromWeather|fromGrip) == 0 && events == 0 && !drivenWrong(d) || learn.Trust(d) < learn.TrustEnough {
		return nil
	}
	c.pending = c.pending[:0]
	if err := c.lookAtRoads(ctx, d, all, events); err != nil {
		return fmt.Errorf("collect hazards: %w", err)
	}
	for h := warningLights; int(h) < categories; h++ {
		if h == warningLights && events&familyEvents() != 0 {
			continue // they bear out the event
		}
		c.observe(d, h, events&(1<<h) != 0)
	}
	if err := c.wrongWay(ctx, d, events); err != nil {
		return fmt.Errorf("collect hazards: %w", err)
	}
	for i := range c.pending {
		p := &c.pending[i]
		v := learn.Vote{Code: p.code, N: 1, Sum: [2]int64{p.inMS, 0}}
		v.Vehicles.Add(d.Vehicle)
		to.Add(p.key, v)
	}
	return nil
}

// eventsOf is the set of the categories that a drive has events of.
func eventsOf(d *learn.Drive) (set uint32) {
	for i := range d.Events {
		switch e := &d.Events[i]; {
		case e.Type == telemetry.HazardSeen && int(e.Hazard) < categories && e.Hazard != telemetry.HazardUnknown:
			set |= 1 << e.Hazard
		case e.Type == telemetry.SignSeen && e.Sign == telemetry.RoadWorksSign:
			set |= 1 << telemetry.RoadWorks
		}
	}
	return set
}

// familyEvents is the set of the categories that hazard lights may mean.
func familyEvents() (set uint32) {
	for h := warningLights; int(h) < categories; h++ {
		if related(h) && h != telemetry.RoadWorks {
			set |= 1 << h
		}
	}
	return set
}

// lookAtRoads marks slow driving on fast roads, where that may bear something out.
func (c *Collector) lookAtRoads(ctx context.Context, d *learn.Drive, all source, events uint32) error {
	if all&fromStanding == 0 && events&(familyEvents()|1<<telemetry.RoadWorks) == 0 {
		return nil
	}
	for i := range d.Samples {
		s, m := &d.Samples[i], &d.Matches[i]
		if !m.OK || s.Has&telemetry.HasSpeed == 0 || speedMPS(s)*3.6 > slowShare*130 {
			continue
		}
		g, at, err := c.edge(ctx, m.Edge)
		if err != nil {
			return err
		}
		if at == road.NoIndex {
			continue
		}
		if free := g.FreeKMH(at); free >= fastRoadKMH && speedMPS(s)*3.6 < slowShare*free {
			c.sources[i] |= fromSlow
		}
	}
	return nil
}

// edge looks an edge up; NoIndex if the map does not have it.
func (c *Collector) edge(ctx context.Context, e road.Edge) (*road.Partition, road.Index, error) {
	if c.part == nil || c.part.Quadkey != e.Quadkey() {
		p, err := c.roads.Partition(ctx, e.Quadkey())
		if err != nil {
			return nil, road.NoIndex, fmt.Errorf("look up edge %d: %w", e, err)
		}
		c.part = p
	}
	i, ok := c.part.Find(e)
	if !ok {
		return c.part, road.NoIndex, nil
	}
	return c.part, i, nil
}

// vote notes a vote on where sample i was taken, at an event time.
func (c *Collector) vote(d *learn.Drive, h telemetry.Hazard, s Strength, i int, t int64) {
	if d.Matches[i].OK {
		c.voteOn(d, h, s, learn.HazardEvidence, uint64(d.Matches[i].Edge), t)
		return
	}
	p := geo.Point{LatE7: d.Samples[i].LatE7, LonE7: d.Samples[i].LonE7}
	c.voteOn(d, h, s, learn.HazardCellEvidence, learn.CellKey(p, 0), t)
}

func (c *Collector) voteOn(d *learn.Drive, h telemetry.Hazard, s Strength, kind learn.Kind, key uint64, t int64) {
	minute := learn.MinuteStart(t)
	if minute < d.DayMS || minute >= d.DayMS+learn.DayMS {
		return
	}
	c.pending = append(c.pending, pending{key: learn.EvidenceKey{Kind: kind, BucketMS: minute, Key: key}, code: Code(h, s), inMS: t - minute})
}

// drivenWrong reports whether any of the way was driven against a one-way road.
func drivenWrong(d *learn.Drive) bool {
	for i := range d.Path {
		if d.Path[i].WrongWay {
			return true
		}
	}
	return false
}
