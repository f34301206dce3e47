package fleetsim

import (
	"context"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

// judgedEvery is how much driving lies between two judgements of all limits: what was published before counts in the next.
const judgedEvery = 5 * time.Minute

// published is what is published of limits, and how often that changed.
type published struct {
	limits  map[road.Edge]uint8
	changes map[road.Edge]int // of edges of which something was ever published; the first publication is one
}

func newPublished() published {
	return published{limits: map[road.Edge]uint8{}, changes: map[road.Edge]int{}}
}

// set notes a judgement.
func (p *published) set(l *limit.Limit) {
	if p.limits[l.Edge] == l.KMH {
		return
	}
	p.changes[l.Edge]++
	if l.Published() {
		p.limits[l.Edge] = l.KMH
	} else {
		delete(p.limits, l.Edge)
	}
}

// unsteady is how many edges had more than one change.
func (p *published) unsteady() (n int) {
	for _, changes := range p.changes {
		if changes > 1 {
			n++
		}
	}
	return n
}

// publish judges all limits as the projector does, time and again.
func (r *run) publish(ctx context.Context, now time.Time) error {
	for a := range arms {
		chain := r.chain(a, now)
		var judged []limit.Limit
		for arc := range r.ground.onMap {
			edge, ok := r.judgeable(arc)
			if !ok {
				continue
			}
			l, err := chain.Limit(ctx, edge)
			if err != nil {
				return err
			}
			judged = append(judged, l)
		}
		for i := range judged {
			r.shown[a].set(&judged[i])
		}
	}
	return nil
}

// judgeable is the map's edge of an arc that limits are learned of.
func (r *run) judgeable(arc int) (road.Edge, bool) {
	g := r.ground
	at := g.onMap[arc]
	if at == road.NoIndex || g.network.WrongWay(int32(arc)) || !g.graph.Allowed(at) {
		return 0, false
	}
	return g.graph.Edge(at), true
}

// chain judges what is known up to now of an arm's vehicles.
func (r *run) chain(a arm, now time.Time) *limit.Chain {
	byEdge := map[road.Edge][]learn.Evidence{}
	for _, e := range r.evidence(a, learn.LimitEvidence) {
		byEdge[road.Edge(e.Key)] = append(byEdge[road.Edge(e.Key)], e)
	}
	passes := r.passesOf(a)
	return limit.NewChain(r.ground.roads, func(_ context.Context, e road.Edge) (limit.Known, error) {
		k := limit.Known{Evidence: byEdge[e], Told: r.shown[a].limits[e]}
		if at, ok := r.ground.graph.Find(e); ok {
			k.Driven = r.binsOf(a, at)
		}
		for _, d := range passes[e] {
			k.Passes = max(k.Passes, d.Vehicles.AtLeast())
		}
		return k, nil
	}, now, limit.Config{})
}
