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
	Told     uint8            // see Prior.PublishedKMH
}

// Chain judges edges together with the roads around them: a limit holds until the next sign,
// so where vehicles pass from one road to the next and read none, both have the same. Signs
// are read on few edges; most limits are known this way.
//
// An edge that is published by its own evidence stands on its own. Else the nearest ones
// that are, in every direction over edges where nobody reads a sign, say what holds here, see
// reach. What is answered does not depend on what was asked before. A Chain remembers what it
// judged: it is for one projection, and not safe for concurrent use.
type Chain struct {
	net   network
	look  func(ctx context.Context, e road.Edge) (Known, error)
	now   time.Time
	cfg   Config
	asked map[road.Edge]Known
	own   map[road.Edge]*judged
	final map[road.Edge]*Limit
}

// judged is an edge by its own evidence.
type judged struct {
	edge     edge
	unmapped bool // the map does not have it
	known    Known
	signs    signs
	limit    Limit
	joined   bool // links is known
	links    []link
}

// NewChain is a Chain over a road graph. look is asked once for each edge; an edge of which
// nothing is known is the zero Known.
func NewChain(roads learn.Roads, look func(context.Context, road.Edge) (Known, error), now time.Time, cfg Config) *Chain {
	return &Chain{
		net: network{roads}, look: look, now: now, cfg: cfg.WithDefaults(),
		asked: map[road.Edge]Known{}, own: map[road.Edge]*judged{}, final: map[road.Edge]*Limit{},
	}
}

// Limit is what is known of an edge's limit. An error is look's or the road graph's. An edge
// that the map does not have has no limit.
func (c *Chain) Limit(ctx context.Context, e road.Edge) (Limit, error) {
	if l, ok := c.final[e]; ok {
		return *l, nil
	}
	l, err := c.judge(ctx, e)
	if err != nil {
		return Limit{}, fmt.Errorf("judge limit of edge %d: %w", e, err)
	}
	c.final[e] = &l
	return l, nil
}

func (c *Chain) judge(ctx context.Context, e road.Edge) (Limit, error) {
	j, err := c.alone(ctx, e)
	if err != nil {
		return Limit{}, err
	}
	if j.unmapped || j.limit.Published() || j.known.Passes < c.cfg.K {
		return j.limit, nil
	}
	s, err := c.reach(ctx, j)
	if err != nil || s.kmh == road.NoLimitKnown && j.known.Told == road.NoLimitKnown {
		return j.limit, err
	}
	prior := j.prior()
	if s.kmh == road.NoLimitKnown {
		prior.Unsaid = true
		return Judge(e, j.known.Evidence, j.known.Driven, prior, c.now, c.cfg), nil
	}
	prior.UpstreamKMH, prior.UpstreamMapKMH, prior.UpstreamPosterior, prior.Silent = s.kmh, s.mapKMH, s.posterior, s.silent
	l := Judge(e, j.known.Evidence, j.known.Driven, prior, c.now, c.cfg)
	if l.KMH == s.kmh && len(l.Variants) == 0 {
		l.Variants = s.variants // they stand on the same post
	}
	return l, nil
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
	if j.edge, j.unmapped = at, !ok; ok {
		if j.known, err = c.known(ctx, e); err != nil {
			return nil, err
		}
		if err := c.readSigns(ctx, j); err != nil {
			return nil, err
		}
		j.limit = Judge(e, j.known.Evidence, j.known.Driven, j.prior(), c.now, c.cfg)
	}
	c.own[e] = j
	return j, nil
}

// known is what look says.
func (c *Chain) known(ctx context.Context, e road.Edge) (Known, error) {
	k, ok := c.asked[e]
	if !ok {
		var err error
		if k, err = c.look(ctx, e); err != nil {
			return k, err
		}
		c.asked[e] = k
	}
	return k, nil
}

func (j *judged) prior() Prior {
	return Prior{
		MapKMH: j.edge.part.LimitKMH(j.edge.index), Class: j.edge.part.Class(j.edge.index),
		GeneralKMH: j.known.General, UrbanKMH: j.known.Urban, Passes: j.known.Passes, PublishedKMH: j.known.Told,
	}
}
