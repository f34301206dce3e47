package hazard

import (
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
)

// How observations hang together.
const (
	pauseMS    = 5_000  // observations of one category not farther apart are one,
	sparseMS   = 15_000 // or this far if no sample is between them
	junctionMS = 3_000  // what begins in the last sample before another edge, this long before the next, and goes on there, began there
)

// observe votes on one category: its observations are runs of samples that note it.
func (c *Collector) observe(d *learn.Drive, h telemetry.Hazard, event bool) {
	c.masks = append(c.masks[:0], c.sources...)
	if event {
		c.addEvents(d, h)
	}
	if h == telemetry.SlipperyRoad {
		for i, m := range c.masks {
			if m&fromGrip != 0 {
				c.masks[i] &^= fromIntervention | fromFriction
			}
		}
	}
	noted := notes(h, event)
	for i := 0; i < len(c.masks); i++ {
		if c.masks[i]&noted == 0 {
			continue
		}
		last := i
		sum := c.masks[i]
		for j := i + 1; j < len(c.masks) && !d.Matches[j].Break; j++ {
			gap := d.Samples[j].T - d.Samples[last].T
			if gap > pauseMS && (j > last+1 || gap > sparseMS) {
				break
			}
			if c.masks[j]&noted != 0 {
				last = j
				sum |= c.masks[j]
			}
		}
		c.voteRun(d, h, noted, i, last, sum)
		i = last
	}
}

// voteRun votes on an observation from sample first to sample last.
func (c *Collector) voteRun(d *learn.Drive, h telemetry.Hazard, noted source, first, last int, sum source) {
	s, ok := strength(h, sum)
	if !ok || last < d.LeadIn && sum&(fromEvent|fromUnsure) == 0 {
		return
	}
	begin := first
	if next := first + 1; next <= last && d.Samples[next].T-d.Samples[first].T <= junctionMS &&
		d.Matches[next].OK && d.Matches[next].Edge != d.Matches[first].Edge {
		begin = next
	}
	from := begin
	if first > 0 || d.LeadIn == 0 { // else it began before: the batch before voted where
		c.vote(d, h, s, begin, d.Samples[begin].T)
		from = c.leave(d, begin)
	}
	for i := from; i <= last; {
		end := c.leave(d, i)
		n, at := 0, -1
		for j := i; j < end; j++ {
			if c.masks[j]&noted == 0 {
				continue
			}
			n++
			if at < 0 && j >= d.LeadIn {
				at = j
			}
		}
		if at >= 0 && n >= 2 && 2*n > end-i {
			c.vote(d, h, s, at, d.Samples[at].T)
		}
		i = end
	}
}

// leave is the first sample after i that is on another edge or after a break.
func (c *Collector) leave(d *learn.Drive, i int) int {
	m := &d.Matches[i]
	for j := i + 1; j < len(d.Matches); j++ {
		if d.Matches[j].OK != m.OK || d.Matches[j].Edge != m.Edge {
			return j
		}
	}
	return len(d.Matches)
}

// addEvents marks the samples nearest to the events of a category.
func (c *Collector) addEvents(d *learn.Drive, h telemetry.Hazard) {
	for k := range d.Events {
		e := &d.Events[k]
		switch {
		case e.Type == telemetry.HazardSeen && e.Hazard == h && e.ConfidencePermille < surePermille:
			c.masks[nearest(d.Samples, e.T)] |= fromUnsure
		case e.Type == telemetry.HazardSeen && e.Hazard == h:
			c.masks[nearest(d.Samples, e.T)] |= fromEvent
		case h == telemetry.RoadWorks && e.Type == telemetry.SignSeen && e.Sign == telemetry.RoadWorksSign:
			c.masks[nearest(d.Samples, e.T)] |= fromSign
		}
	}
}

// nearest is the sample nearest in time; samples are in time order, not empty.
func nearest(samples []telemetry.Sample, t int64) int {
	i, _ := slices.BinarySearchFunc(samples, t, func(s telemetry.Sample, t int64) int {
		switch {
		case s.T < t:
			return -1
		case s.T > t:
			return 1
		}
		return 0
	})
	if i == 0 || i < len(samples) && samples[i].T-t < t-samples[i-1].T {
		return i
	}
	return i - 1
}
