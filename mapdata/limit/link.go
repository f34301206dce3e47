package limit

import (
	"context"
	"math"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// link joins an edge with one before or after it: where nobody who comes to the later one reads
// a sign, both have the same limit.
type link struct {
	to     *judged
	stays  float64 // probability that they have, 0 to 1
	silent float64 // cameras that came to the later edge and read nothing
	unless doubt
}

// How likely it is that the limit is another one behind a junction, before it is known that
// nobody reads a sign there.
const (
	changes       = 0.1  // along a road
	changesNotMap = 0.03 // where the map has the same on both,
	changesByMap  = 0.9  // or another one
	changesTurn   = 0.3  // from one road into another
	hopStays      = 0.999
	hopFarM       = 20_000.0 // a limit holds on for no more than some kilometres without a sign
	flowShare     = 0.1      // who comes from a road that brings less of all says nothing of the others
)

// linksOf lists an edge's links.
func (c *Chain) linksOf(ctx context.Context, j *judged) ([]link, error) {
	if j.joined {
		return j.links, nil
	}
	in, err := c.net.into(ctx, j.edge)
	if err != nil {
		return nil, err
	}
	out, err := c.net.outOf(ctx, j.edge)
	if err != nil {
		return nil, err
	}
	var links []link
	for i, e := range append(in, out...) {
		other, err := c.alone(ctx, e)
		if err != nil {
			return nil, err
		}
		a, b := other, j
		if i >= len(in) {
			a, b = j, other
		}
		l, ok, err := c.link(ctx, a, b)
		if err != nil {
			return nil, err
		}
		if l.to = other; ok {
			l.stays *= 1 - min(other.edge.lengthM()/hopFarM, 1)
			links = append(links, l)
		}
	}
	j.links, j.joined = links, true
	return links, nil
}

// link is that between an edge and one behind it, but for where it leads; ok is false if there is none.
func (c *Chain) link(ctx context.Context, a, b *judged) (l link, ok bool, err error) {
	if a.unmapped || b.unmapped || b.signs.silent == 0 || !leads(a.edge, b.edge) ||
		a.known.Passes < c.cfg.K || float64(a.known.Passes) < flowShare*float64(b.known.Passes) {
		return l, false, nil
	}
	change, hidden := changes, silence(b.signs.silent)
	straight := goesOn(a.edge, b.edge)
	if !straight {
		n, err := c.turned(ctx, a, b)
		if err != nil || n < max(float64(c.cfg.K), flowShare*learn.EstimateVehicles(b.known.Passes)) {
			return l, false, err
		}
		change = changesTurn
	}
	switch x, y := a.limit.MapKMH, b.limit.MapKMH; {
	case x == road.NoLimitKnown || y == road.NoLimitKnown || b.signs.missed:
	case x != y: // and nobody reports that its sign is missing
		change, hidden = changesByMap, 1
	case straight:
		change = changesNotMap
	}
	l = link{silent: b.signs.silent, unless: b.signs.unless}
	l.stays = (1 - change) / (1 - change + change*hidden) * hopStays
	return l, true, nil
}

// leads tells whether the limit of a may hold on b without a sign: not from a lesser road into
// a greater one, nor onto or off a ramp, nor onto service roads, of which many have none, nor by a turn that
// is forbidden.
func leads(a, b edge) bool {
	x, y := a.part.Class(a.index), b.part.Class(b.index)
	return x <= y && x.Link() == y.Link() && (y != road.Service || x == y) && !a.part.Forbids(a.index, b.id())
}

// turned is how many vehicles must have driven from a to b: those on b that can't have come from
// elsewhere, or those on a that can't have gone elsewhere.
func (c *Chain) turned(ctx context.Context, a, b *judged) (float64, error) {
	in, err := c.net.into(ctx, b.edge)
	if err != nil {
		return 0, err
	}
	out, err := c.net.outOf(ctx, a.edge)
	if err != nil {
		return 0, err
	}
	came, err := c.beyond(ctx, b, in, a)
	if err != nil {
		return 0, err
	}
	went, err := c.beyond(ctx, a, out, b)
	return max(came, went), err
}

// beyond is how many more vehicles passed an edge than all of the others but one.
func (c *Chain) beyond(ctx context.Context, j *judged, others []road.Edge, but *judged) (float64, error) {
	n := learn.EstimateVehicles(j.known.Passes)
	for _, e := range others {
		if e == but.limit.Edge {
			continue
		}
		k, err := c.known(ctx, e)
		if err != nil {
			return 0, err
		}
		n -= learn.EstimateVehicles(k.Passes)
	}
	return n, nil
}

// silence is the probability that so many cameras read nothing where a sign stands.
func silence(cameras float64) float64 { return math.Exp(max(silentLog*cameras, silentMost)) }
