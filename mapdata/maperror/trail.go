package maperror

import (
	"context"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
)

// DefaultTrails is the share of the vehicles, another one each day, whose turns are noted.
const DefaultTrails = 1.0 / 8

// NewFollowing is New with another share of vehicles whose turns are noted, 0 to 1.
func NewFollowing(roads learn.Roads, trails float64) *Collector {
	c := New(roads)
	c.trails = trails
	return c
}

// follows reports whether the vehicle is one of those whose turns are noted today.
func (c *Collector) follows(pseudonym uint64) bool {
	h := pseudonym * 0x9e3779b97f4a7c15
	h = (h ^ h>>31) * 0xd1342543de82ef95
	return float64(h>>40)/(1<<24) < c.trails
}

// turned adds votes on the turns that the drive made: those that the map forbids, and, of
// some vehicles, all at junctions where there was a choice.
func (c *Collector) turned(ctx context.Context, d *learn.Drive) error {
	follow := c.follows(d.Vehicle)
	for k := 1; k < len(d.Path); k++ {
		a, b := &d.Path[k-1], &d.Path[k]
		if b.Break || b.Edge == a.Edge.Reverse() || !b.Forbidden && !follow || !c.countedTurn(d, k) {
			continue
		}
		if b.Forbidden {
			c.votes = append(c.votes, keyedVote{learn.TurnEvidence, uint64(a.Edge), learn.Vote{Code: uint64(b.Edge) | forbiddenTurn, N: 1}})
		}
		if !follow {
			continue
		}
		choice, err := c.choice(ctx, a.Edge)
		if err != nil {
			return err
		}
		if choice {
			ms := b.EnterMS - d.DayMS
			c.votes = append(c.votes, keyedVote{learn.TrailEvidence, uint64(a.Edge), learn.Vote{
				Code: uint64(b.Edge) | uint64(ms/trailSlotMS)<<trailShift, N: 1, Sum: [2]int64{ms, 0},
			}})
		}
	}
	return nil
}

// countedTurn reports whether the turn onto step k is to be counted with this drive, and is
// sure: a road explains the samples before and after it.
func (c *Collector) countedTurn(d *learn.Drive, k int) bool {
	at := d.Path[k].EnterMS
	if at < d.DayMS || at >= d.DayMS+learn.DayMS || d.LeadIn > 0 && at <= d.Samples[d.LeadIn-1].T {
		return false
	}
	before, after := int32(-1), int32(-1)
	for i := k - 1; i >= 0 && before < 0; i-- {
		if s := &d.Path[i]; s.Last > s.First {
			before = s.Last - 1
		} else if s.Break {
			break
		}
	}
	for i := k; i < len(d.Path) && after < 0; i++ {
		s := &d.Path[i]
		if i > k && s.Break {
			break
		}
		if s.Last > s.First {
			after = s.First
		}
	}
	return before >= 0 && after >= 0 && sure(d, before) && sure(d, after)
}

func sure(d *learn.Drive, i int32) bool {
	r := &d.Matches[i]
	return r.OK && !r.WrongWay && r.DistM <= solidM
}

// choice reports whether one may leave an edge's end by more than one other edge.
func (c *Collector) choice(ctx context.Context, from road.Edge) (bool, error) {
	part, err := c.look.roads.Partition(ctx, from.Quadkey())
	if err != nil {
		return false, err
	}
	i, ok := part.Find(from)
	if !ok {
		return false, nil
	}
	exits := 0
	for _, o := range part.Out(part.Target(i)) {
		if o != i.Reverse() {
			exits++
		}
	}
	return exits > 1, nil
}

// turnedForbidden reports whether a path has turns that the map forbids.
func turnedForbidden(path []match.Step) bool {
	for i := range path {
		if path[i].Forbidden {
			return true
		}
	}
	return false
}
