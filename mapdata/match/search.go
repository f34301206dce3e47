package match

import (
	"context"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// search is an A* search over junctions from the end of one candidate's edge to the
// starts of several others' (Hart, Nilsson & Raphael 1968), with its scratch memory.
type search struct {
	labels []label
	table  []slot // open addressing; its length is a power of two
	epoch  uint32 // entries of another one are empty
	heap   []entry
	starts []node // of the targets' edges; noNode where it is out of reach
	goals  []goal
	left   int // of the batch's budget, in labels; not above 0: spent
}

// spent reports whether the batch's budget is.
func (s *search) spent() bool { return s.left <= 0 }

// label is a junction that was reached.
type label struct {
	node    node
	via     road.Edge  // the edge that led here
	index   road.Index // the same in the partition of slot
	slot    int32
	from    int32     // the label before; -1: none
	gate    road.Edge // via if turns from it are forbidden, so that ways on differ; else 0
	cost    float32   // metres, with what penalties are worth in metres
	metres  float32
	penalty float32 // nats
	done    bool
}

type slot struct {
	epoch uint32
	label int32
}

type entry struct {
	cost  float32 // estimated to the goal
	label int32
}

// goal is a target that is searched for, and how it is reached from the search's origin.
type goal struct {
	target  int32   // its place among the targets
	limit   float32 // of the way to it in metres, penalties included
	metres  float32
	penalty float32 // nats
	label   int32   // the label of the target's source
	ok      bool
	final   bool // no better way is to be expected
}

// bounds are how far a way may be, and what it costs.
type bounds struct {
	straight float64 // metres between the positions
	driven   float64 // metres that the speeds say; straight if they say nothing
	beta     float64
	limit    float64 // the longest way in metres, penalties included
}

// cost is what a way of some metres costs.
func (b *bounds) cost(metres float32) float32 {
	d := math.Abs(float64(metres) - b.straight)
	if b.driven != b.straight {
		d = min(d, math.Abs(float64(metres)-b.driven))
	}
	return float32(d / b.beta)
}

// between are the bounds of a way from a to b; false if no vehicle can have moved so far.
func between(a, b *column) (bounds, bool) {
	straight := geo.DistanceM(a.p, b.p)
	dt := float64(max(b.t-a.seen, 0)) / 1000
	slack := jumpSlackM + 2*(a.sigma+b.sigma)
	if straight > maxSpeedMPS*dt+slack {
		return bounds{}, false
	}
	w := bounds{straight: straight, driven: straight}
	if driven, ok := b.odo.since(a.odo); ok {
		w.driven = driven
	}
	w.beta = betaM + betaPerM*straight + betaPerS*dt
	longest := max(straight, min(w.driven, straight+maxDetourM))
	w.limit = min(longest+min(maxMoveCost*w.beta, maxDetourM), 1.5*maxSpeedMPS*dt+2*slack)
	return w, true
}

// seek sets the goals: the targets to which a way from a candidate may matter, and how long it may be for that. One that
// costs more than the way that is known, or than worst with the target's emission, is given up anyway. So much of the
// search is saved, and no result changes.
func (s *search) seek(from *candidate, targets []candidate, w *bounds, worst float32) {
	s.goals = s.goals[:0]
	rest := from.length - from.offset
	longest, beta := float32(max(w.straight, w.driven)), float32(w.beta)
	for k := range targets {
		t := &targets[k]
		spare := min(t.cost, worst-t.emission) - from.cost
		if spare <= 0 {
			continue
		}
		// What is longer than the movement by beta metres costs 1 more.
		if limit := min(float32(w.limit), longest+(spare-t.entry(from))*beta); limit >= rest+t.offset {
			s.goals = append(s.goals, goal{target: int32(k), limit: limit})
		}
	}
}

// prepare names the sources of the targets' edges, as far as they may be reached.
func (m *Matcher) prepare(ctx context.Context, targets []candidate, w *bounds) error {
	s := &m.search
	s.starts = s.starts[:0]
	for k := range targets {
		t := &targets[k]
		start := noNode
		if float64(t.offset) <= w.limit {
			var err error
			if start, err = m.tiles.node(ctx, t.slot, m.tiles.held[t.slot].part.Source(t.index)); err != nil {
				return err
			}
		}
		s.starts = append(s.starts, start)
	}
	return nil
}

// reachAll finds the ways from a to the goals, whose targets lie around b's position and were prepared. One-way
// roads are driven against only if wrong.
func (m *Matcher) reachAll(ctx context.Context, a *candidate, b *column, targets []candidate, w *bounds, wrong bool) error {
	s := &m.search
	spread, limit := float32(0), float32(0)
	open := 0
	for k := range s.goals {
		g := &s.goals[k]
		if s.starts[g.target] == noNode {
			g.final = true
			continue
		}
		spread, limit = max(spread, targets[g.target].dist), max(limit, g.limit)
		open++
	}
	rest := a.length - a.offset
	if open == 0 || rest > limit {
		return nil
	}
	root, err := m.tiles.node(ctx, a.slot, m.tiles.held[a.slot].part.Target(a.index))
	if err != nil || root == noNode {
		return err
	}
	s.begin()
	most := min(maxLabels, max(s.left, spentLabels))
	defer func() { s.left -= len(s.labels) }()
	scale := b.scale
	beta := float32(w.beta)
	first := label{node: root, via: a.edge, index: a.index, slot: a.slot, from: -1, cost: rest, metres: rest}
	if len(m.tiles.held[a.slot].part.Turns(a.index)) > 0 {
		first.gate = a.edge
	}
	s.reach(first, 0)
	for len(s.heap) > 0 && open > 0 {
		at := s.pop()
		if s.labels[at].done {
			continue
		}
		s.labels[at].done = true
		l := s.labels[at]
		part := m.tiles.held[l.node.slot()].part
		out := part.Out(l.node.number())
		var forbidden []road.Turn
		if l.gate != 0 {
			forbidden = m.tiles.held[l.slot].part.Turns(l.index)
		}
		for k := range s.goals {
			g := &s.goals[k]
			if g.final || s.starts[g.target] != l.node {
				continue
			}
			t := &targets[g.target]
			penalty := l.penalty
			if t.edge == l.via.Reverse() {
				penalty += turnCost(out)
			}
			if forbids(forbidden, t.edge) { // there may be a way around
				penalty += forbiddenCost
			} else {
				g.final = true
				open--
			}
			metres := l.metres + t.offset
			cost := metres + penalty*beta
			if cost <= g.limit && (!g.ok || cost < g.metres+g.penalty*beta) {
				g.metres, g.penalty, g.label, g.ok = metres, penalty, at, true
			}
		}
		if len(s.labels) >= most {
			continue
		}
		edges := out
		for pass := 0; ; pass++ {
			for _, i := range edges {
				metres := float32(part.LengthM(i))
				next := label{
					via: part.Edge(i), index: i, slot: l.node.slot(), from: at,
					cost: l.cost + metres, metres: l.metres + metres, penalty: l.penalty,
				}
				if pass == 1 {
					next.cost += (wrongFactor - 1) * metres
					next.penalty += (wrongFactor - 1) * metres / beta
				}
				if next.via == l.via.Reverse() {
					turn := turnCost(out)
					next.cost += turn * beta
					next.penalty += turn
				}
				if forbids(forbidden, next.via) {
					next.cost += forbiddenCost * beta
					next.penalty += forbiddenCost
				}
				target := part.Target(i)
				p := part.Node(target)
				dx := float32(float64(int64(p.LonE7)-int64(b.p.LonE7)) * scale)
				dy := float32(float64(int64(p.LatE7)-int64(b.p.LatE7)) * geo.MetresPerE7)
				ahead := max(float32(math.Sqrt(float64(dx*dx+dy*dy)))*0.998-spread, 0)
				if next.cost+ahead > limit {
					continue
				}
				if next.node, err = m.tiles.node(ctx, next.slot, target); err != nil {
					return err
				}
				if len(part.Turns(i)) > 0 {
					next.gate = next.via
				}
				if next.node != noNode {
					s.reach(next, ahead)
				}
			}
			if pass == 1 || !wrong {
				break
			}
			edges = part.OutWrong(l.node.number())
		}
	}
	return nil
}

// forbids reports whether an edge is among those that must not be turned into.
func forbids(turns []road.Turn, to road.Edge) bool {
	for i := range turns {
		if turns[i].To == to {
			return true
		}
	}
	return false
}

// turnCost is that of turning round at a junction with the given ways out.
func turnCost(out []road.Index) float32 {
	if len(out) <= 1 {
		return deadEndCost
	}
	return uTurnCost
}

func (s *search) begin() {
	s.labels, s.heap = s.labels[:0], s.heap[:0]
	if s.table == nil {
		s.table = make([]slot, 256)
	}
	s.epoch++
	if s.epoch == 0 {
		clear(s.table)
		s.epoch = 1
	}
}

// reach notes a way to a node if there was no cheaper one; ahead is what is left at least.
func (s *search) reach(l label, ahead float32) {
	mask := uint32(len(s.table) - 1)
	at := hash(l.node) & mask
	for s.table[at].epoch == s.epoch {
		k := s.table[at].label
		if old := &s.labels[k]; old.node == l.node && old.gate == l.gate {
			if !old.done && l.cost < old.cost {
				*old = l
				s.push(entry{l.cost + ahead, k})
			}
			return
		}
		at = (at + 1) & mask
	}
	k := int32(len(s.labels))
	s.labels = append(s.labels, l)
	s.table[at] = slot{s.epoch, k}
	s.push(entry{l.cost + ahead, k})
	if 2*len(s.labels) > len(s.table) {
		s.grow()
	}
}

func (s *search) grow() {
	s.table = make([]slot, 2*len(s.table))
	mask := uint32(len(s.table) - 1)
	for k := range s.labels {
		at := hash(s.labels[k].node) & mask
		for s.table[at].epoch == s.epoch {
			at = (at + 1) & mask
		}
		s.table[at] = slot{s.epoch, int32(k)}
	}
}

func hash(n node) uint32 {
	h := uint64(n) * 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}

func (s *search) push(e entry) {
	s.heap = append(s.heap, e)
	i := len(s.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if s.heap[up].cost <= e.cost {
			break
		}
		s.heap[i] = s.heap[up]
		i = up
	}
	s.heap[i] = e
}

func (s *search) pop() int32 {
	top := s.heap[0].label
	n := len(s.heap) - 1
	e := s.heap[n]
	s.heap = s.heap[:n]
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && s.heap[down+1].cost < s.heap[down].cost {
			down++
		}
		if e.cost <= s.heap[down].cost {
			break
		}
		s.heap[i] = s.heap[down]
		i = down
	}
	if n > 0 {
		s.heap[i] = e
	}
	return top
}
