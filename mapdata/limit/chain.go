package limit

import (
	"context"
	"fmt"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Known is what was learned of one edge.
type Known struct {
	Evidence []learn.Evidence // see Judge
	Driven   *learn.SpeedBins // see Judge
	Passes   int              // see Prior.Passes
	General  uint8            // see Prior.GeneralKMH
	Urban    uint8            // see Prior.UrbanKMH
}

// Chain judges edges together with the roads that lead to them: a sign holds until the next
// one, so where vehicles pass and read none, the limit before holds on. Signs are read on
// few edges; most limits are known this way.
//
// An edge that is published by its own evidence stands on its own. Else the road is followed
// back to the nearest one that is, over at most 100 edges that go straight on or are the same
// road, and meet none of a higher class, and then forward again, judging each edge with the limit
// before it, until an edge does not confirm it. What is answered does not depend on
// what was asked before. A Chain remembers what it judged: it is for one projection, and
// not safe for concurrent use.
type Chain struct {
	net   network
	look  func(ctx context.Context, e road.Edge) (Known, error)
	now   time.Time
	cfg   Config
	own   map[road.Edge]*judged
	final map[road.Edge]*Limit
}

// judged is an edge by its own evidence.
type judged struct {
	edge    edge
	known   Known
	limit   Limit
	signs   bool // somebody read a sign here
	missing bool // the map does not have it
}

const (
	maxHops  = 100
	shortM   = 40.0 // on a shorter edge a sign can't be told from one on the next
	hopStays = 0.999
	hopFarM  = 20_000.0 // a limit holds on for no more than some kilometres without a sign
)

// NewChain is a Chain over a road graph. look is asked once for each edge; an edge of which
// nothing is known is the zero Known.
func NewChain(roads learn.Roads, look func(context.Context, road.Edge) (Known, error), now time.Time, cfg Config) *Chain {
	return &Chain{net: network{roads}, look: look, now: now, cfg: cfg.WithDefaults(), own: map[road.Edge]*judged{}, final: map[road.Edge]*Limit{}}
}

// Limit is what is known of an edge's limit. An error is look's or the road graph's. An edge
// that the map does not have has no limit.
func (c *Chain) Limit(ctx context.Context, e road.Edge) (Limit, error) {
	if l, ok := c.final[e]; ok {
		return *l, nil
	}
	var back [maxHops]*judged // from e against the traffic
	n := 0
	var source *judged
	at, err := c.alone(ctx, e)
	if err != nil {
		return Limit{}, fmt.Errorf("judge limit of edge %d: %w", e, err)
	}
	for !at.missing {
		if at.limit.Published() {
			source = at
			break
		}
		if n == maxHops {
			break
		}
		back[n] = at
		n++
		before, ok, err := c.net.before(ctx, at.edge)
		if err == nil && ok {
			at, err = c.alone(ctx, before.id())
		}
		if err != nil {
			return Limit{}, fmt.Errorf("judge limit of edge %d: %w", e, err)
		}
		if !ok {
			break
		}
	}
	if source == nil || n == 0 {
		first, err := c.alone(ctx, e)
		if err != nil {
			return Limit{}, fmt.Errorf("judge limit of edge %d: %w", e, err)
		}
		c.final[e] = &first.limit
		return first.limit, nil
	}
	last := source.limit
	for k := n - 1; k >= 0; k-- {
		if last, err = c.onward(ctx, back[k], &last); err != nil {
			return Limit{}, fmt.Errorf("judge limit of edge %d: %w", e, err)
		}
	}
	c.final[e] = &last
	return last, nil
}

// alone is an edge by its own evidence.
func (c *Chain) alone(ctx context.Context, e road.Edge) (*judged, error) {
	if j, ok := c.own[e]; ok {
		return j, nil
	}
	j := &judged{limit: Limit{Edge: e}}
	at, ok, err := c.net.edge(ctx, e)
	if err != nil {
		return nil, err
	}
	if j.edge, j.missing = at, !ok; ok {
		if j.known, err = c.look(ctx, e); err != nil {
			return nil, err
		}
		j.limit = Judge(e, j.known.Evidence, j.known.Driven, j.prior(), c.now, c.cfg)
		j.signs = anyDirect(j.known.Evidence)
	}
	c.own[e] = j
	return j, nil
}

func (j *judged) prior() Prior {
	return Prior{
		MapKMH: j.edge.part.LimitKMH(j.edge.index), Class: j.edge.part.Class(j.edge.index),
		GeneralKMH: j.known.General, UrbanKMH: j.known.Urban, Passes: j.known.Passes,
	}
}

// onward judges an edge with the limit before it.
func (c *Chain) onward(ctx context.Context, j *judged, before *Limit) (Limit, error) {
	if !before.Published() {
		return j.limit, nil
	}
	prior := j.prior()
	prior.UpstreamKMH, prior.UpstreamMapKMH = before.KMH, before.MapKMH
	prior.UpstreamPosterior = float64(before.Posterior) * hopStays * (1 - min(j.edge.lengthM()/hopFarM, 1))
	if j.edge.lengthM() < shortM {
		next, ok, err := c.net.after(ctx, j.edge)
		if err != nil {
			return Limit{}, err
		}
		if ok {
			following, err := c.alone(ctx, next.id())
			if err != nil {
				return Limit{}, err
			}
			if following.limit.KMH != before.KMH && following.signs {
				return j.limit, nil // the sign that was read there may stand here
			}
		}
	}
	l := Judge(j.limit.Edge, j.known.Evidence, j.known.Driven, prior, c.now, c.cfg)
	if l.KMH == before.KMH && len(l.Variants) == 0 {
		l.Variants = before.Variants // they stand on the same post
	}
	return l, nil
}

// anyDirect tells whether a limit was read on the edge itself.
func anyDirect(evidence []learn.Evidence) bool {
	for i := range evidence {
		for k := range evidence[i].Votes {
			if code, ok := DecodeCode(evidence[i].Votes[k].Code); ok && !code.Carried && code.Reading != Missing {
				return true
			}
		}
	}
	return false
}
