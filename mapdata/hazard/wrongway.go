package hazard

import (
	"context"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// What driving the wrong way takes, so that manoeuvring and doubtful matches don't count.
const (
	wrongWayM    = 50.0 // in all
	wrongWayMPS  = 4.0  // in the mean
	wrongEdgeM   = 20.0 // on each edge that is voted on
	wrongSamples = 2
)

// wrongWay votes on the edges that a drive went along against a one-way road.
func (c *Collector) wrongWay(ctx context.Context, d *learn.Drive, events uint32) error {
	for i := 0; i < len(d.Path); {
		if !d.Path[i].WrongWay {
			i++
			continue
		}
		end := i + 1
		for end < len(d.Path) && d.Path[end].WrongWay && !d.Path[end].Break {
			end++
		}
		if drivenFor(d, i, end) {
			for ; i < end; i++ {
				if err := c.wrongEdge(ctx, d, i, events); err != nil {
					return err
				}
			}
		}
		i = end
	}
	return nil
}

// drivenFor reports whether the steps [from, to) are a drive, not a manoeuvre, and reach into the
// counted samples.
func drivenFor(d *learn.Drive, from, to int) bool {
	m, n := 0.0, 0
	for i := from; i < to; i++ {
		m += float64(d.Path[i].ToM - d.Path[i].FromM)
		n += int(d.Path[i].Last - d.Path[i].First)
	}
	seconds := float64(d.Path[to-1].LeaveMS-d.Path[from].EnterMS) / 1000
	return m >= wrongWayM && n >= wrongSamples && m >= wrongWayMPS*seconds && d.Path[to-1].LeaveMS >= d.Samples[d.LeadIn].T
}

func (c *Collector) wrongEdge(ctx context.Context, d *learn.Drive, i int, events uint32) error {
	s := &d.Path[i]
	if s.ToM-s.FromM < wrongEdgeM || s.LeaveMS < d.Samples[d.LeadIn].T {
		return nil
	}
	g, at, err := c.edge(ctx, s.Edge)
	if err != nil {
		return err
	}
	from := fromPath
	if at != road.NoIndex {
		switch g.Class(at) {
		case road.Motorway, road.MotorwayLink, road.Trunk, road.TrunkLink:
			from |= fromMotorway
		default:
		}
	}
	if events&(1<<telemetry.WrongWayDriver) != 0 {
		from |= fromEvent
	}
	if strong, ok := strength(telemetry.WrongWayDriver, from); ok {
		c.voteOn(d, telemetry.WrongWayDriver, strong, learn.HazardEvidence, uint64(s.Edge.Reverse()), s.EnterMS)
	}
	return nil
}
