package limit

import (
	"context"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Distances to junctions.
const (
	atEndM      = 12.0  // so near its end, a sign stands at the next edge's start
	behindM     = 3.0   // a sign stands behind the place from which it holds rather than before
	beforeTurnM = 15.0  // so near a turn, the other road's sign is in view;
	fastTurnM   = 25.0  // at more speed from here,
	turnMS      = 2_000 // if it is as near in time
	straightDeg = 30.0  // a smaller change of direction is no turn
	laneM       = 40.0  // so near a ramp, its sign is in view from the motorway
	laneKMH     = 40    // and shows at least so much less
	carryM      = 1_500 // a limit is carried on this far at most
	carryMS     = 120_000
	carriedM    = 20.0 // an edge counts if as much of it was driven, or half
)

// junctionAhead is the step on which a sign stands that was read at offset of step n: n
// itself, or the next one if its start is near, and nearer than that of n. ok is false if the
// vehicle turns off soon, or where it goes is not known.
func (c *Collector) junctionAhead(ctx context.Context, d *learn.Drive, n int, offset float64, t int64, here edge) (step int, ok bool, err error) {
	step = n
	if offset <= here.lengthM()/2+behindM {
		return step, true, nil
	}
	for at, ahead := n, here.lengthM()-offset; ; at++ {
		if ahead > beforeTurnM && (ahead > fastTurnM || d.Path[at].LeaveMS-t > turnMS) {
			return step, true, nil
		}
		if at+1 == len(d.Path) || d.Path[at+1].Break {
			return step, ahead > beforeTurnM, nil
		}
		next, ok, err := c.edge(ctx, d.Path[at+1].Edge)
		if err != nil || !ok || d.Path[at+1].WrongWay {
			return step, false, err
		}
		if !sameRoad(here, next) && bendDeg(here, next) > straightDeg {
			if turns, err := c.meets(ctx, here, next, road.Service); err != nil || turns {
				return step, false, err
			}
		}
		if at == n && ahead <= atEndM {
			step = at + 1
		}
		here = next
		ahead += here.lengthM()
	}
}

// apartDeg is the angle between two directions, 0 to 180 degrees.
func apartDeg(a, b float64) float64 {
	d := math.Abs(math.Mod(a-b, 360))
	return min(d, 360-d)
}

// otherLane tells whether a low limit read on a motorway or trunk road is that of a ramp
// beside it.
func (c *Collector) otherLane(ctx context.Context, here edge, offset float64, code Code) (bool, error) {
	class := here.part.Class(here.index)
	if code.Reading != Posted || class != road.Motorway && class != road.Trunk {
		return false, nil
	}
	usual := float64(here.part.LimitKMH(here.index))
	switch uint8(usual) {
	case road.Unlimited:
		usual = 130
	case road.NoLimitKnown:
		usual = class.FreeKMH()
	}
	if float64(code.KMH)+laneKMH > usual {
		return false, nil
	}
	p, _ := here.part.PointAt(here.index, offset)
	part, err := c.roads.Partition(ctx, geo.TileAt(p, road.Zoom).Quadkey())
	if err != nil {
		return false, err
	}
	c.spans = part.Near(p, laneM, c.spans[:0])
	scale := geo.Scale(p.LatE7)
	for _, s := range c.spans {
		if !part.Class(part.SpanEdge(s, false)).Link() {
			continue
		}
		a, b := part.SpanEnds(s)
		if d2, _ := road.Foot(p, a, b, scale); d2 <= laneM*laneM {
			return true, nil
		}
	}
	return false, nil
}

// cast votes for the edge of a reading, and for those that it holds on, up to the next one.
func (c *Collector) cast(ctx context.Context, d *learn.Drive, r, next *reading) error {
	if r.drop {
		return nil
	}
	at, ok, err := c.edge(ctx, d.Path[r.step].Edge)
	if err != nil || !ok {
		return err
	}
	if next == nil || next.step > r.step || 2*(next.alongM-r.alongM) >= at.lengthM() {
		c.votes = append(c.votes, vote{at.id(), r.t, r.code})
	}
	code := r.code
	code.Carried = true
	until := r.alongM + carryM
	if next != nil {
		until = min(until, next.alongM-atEndM)
	}
	for n := r.step + 1; n < len(d.Path) && c.along[n] < until && d.Path[n].EnterMS-r.t <= carryMS; n++ {
		s := &d.Path[n]
		if s.Break || s.WrongWay {
			return nil
		}
		to, ok, err := c.edge(ctx, s.Edge)
		if err != nil || !ok || !sameRoad(at, to) {
			return err
		}
		if crossed, err := c.meets(ctx, at, to, to.part.Class(to.index)); err != nil || crossed {
			return err
		}
		if r.code.Reading == Missing && to.part.LimitKMH(to.index) != r.code.KMH {
			return nil // the map has another limit from here on
		}
		driven := float64(s.ToM - s.FromM)
		holds := min(driven, until-c.along[n])
		if 2*holds >= to.lengthM() || holds >= carriedM && holds == driven {
			c.votes = append(c.votes, vote{s.Edge, r.t, code})
		}
		at = to
	}
	return nil
}
