package limit

import (
	"cmp"
	"context"

	"github.com/carasso/carasso/mapdata/road"
)

const (
	maxReached = 150 // edges that are looked at for one
	leastReach = 0.8 // probability down to which a limit is taken along
)

// source is a limit that is known somewhere and holds on to here. The zero source is none.
type source struct {
	kmh       uint8
	mapKMH    uint8   // what the map says on the edge next to the one asked for
	posterior float64 // of the limit's holding there
	silent    float64 // cameras that drove from that one to the one asked for, or back, and read nothing
	variants  []Variant
}

// way is a way over links from the edge asked for.
type way struct {
	to     *judged
	first  *link
	stays  float64 // probability that its first edge has the same limit as its last
	unless doubt
}

// reach looks for the limits that hold on at an edge: on the most probable ways over links (Dijkstra 1959)
// to the nearest edges that are published by their own evidence. Where those differ, one limit ended
// without anybody's noticing, and the best one is less certain.
func (c *Chain) reach(ctx context.Context, from *judged) (source, error) {
	done := map[road.Edge]bool{from.limit.Edge: true}
	open, err := c.begin(ctx, from)
	if err != nil {
		return source{}, err
	}
	var found []source
	for len(open) > 0 && len(done) < maxReached {
		var w way
		w, open = likeliest(open)
		if done[w.to.limit.Edge] {
			continue
		}
		done[w.to.limit.Edge] = true
		if l := &w.to.limit; l.Published() {
			if w.unless.allows(l.KMH) {
				found = append(found, source{l.KMH, w.first.to.limit.MapKMH, float64(l.Posterior) * w.stays, w.first.silent, l.Variants})
			}
			continue
		}
		links, err := c.linksOf(ctx, w.to)
		if err != nil {
			return source{}, err
		}
		for i := range links {
			l := &links[i]
			if stays := w.stays * l.stays; stays >= leastReach && !done[l.to.limit.Edge] {
				open = append(open, way{l.to, w.first, stays, w.unless.and(l.unless)})
			}
		}
	}
	return likeliestOf(found), nil
}

// begin is the ways of one step: over the links, or if there is none over the road that leads
// straight here, even though a sign may stand here.
func (c *Chain) begin(ctx context.Context, from *judged) (out []way, err error) {
	links, err := c.linksOf(ctx, from)
	if err != nil {
		return nil, err
	}
	for i := range links {
		out = append(out, way{links[i].to, &links[i], 1, links[i].unless})
	}
	if len(out) > 0 {
		return out, nil
	}
	before, ok, err := c.net.before(ctx, from.edge)
	if err != nil || !ok {
		return nil, err
	}
	at, err := c.alone(ctx, before.id())
	if err != nil {
		return nil, err
	}
	return []way{{to: at, first: &link{to: at}, stays: 1}}, nil
}

// likeliest takes the most probable way out of some.
func likeliest(open []way) (best way, rest []way) {
	at := 0
	for i := range open {
		if cmp.Or(cmp.Compare(open[i].stays, open[at].stays), cmp.Compare(open[at].to.limit.Edge, open[i].to.limit.Edge)) > 0 {
			at = i
		}
	}
	best = open[at]
	open[at] = open[len(open)-1]
	return best, open[:len(open)-1]
}

// likeliestOf is the most probable limit of those found, with its probability in view of the others. Of those
// that say the same only the best one counts: their ways share links.
func likeliestOf(found []source) (best source) {
	odds := map[uint8]float64{}
	most, all := 0.0, 0.0
	for i := range found {
		s := &found[i]
		o := s.odds()
		if o > most {
			best, most = *s, o
		}
		if o > odds[s.kmh] {
			all += o - odds[s.kmh]
			odds[s.kmh] = o
		}
	}
	if all > 0 {
		best.posterior *= most / all
	}
	return best
}

// odds are those that a source's limit holds at the edge asked for.
func (s *source) odds() float64 {
	p := s.posterior * (1 - silence(s.silent)/2)
	return p / max(1-p, 1e-6)
}
