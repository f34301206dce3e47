package match

import (
	"context"

	"github.com/carasso/carasso/telemetry"
)

// move is how a candidate was reached from the one before.
type move uint8

const (
	moveAlong move = iota // on the same edge, forwards, or back by less than the positions' error
	moveTurn              // turned round on the edge
	moveRoute             // over at least one junction
)

// window is where decoding goes on.
type window struct {
	from  int // the first sample to look at
	final bool
	// pinned is what was decided last, to start from; its column's n is 0 if nothing was.
	pinned column
	place  candidate
	tile   uint32
}

// decodeWindow decodes the next samples and returns where to go on.
func (m *Matcher) decodeWindow(ctx context.Context, samples []telemetry.Sample, w window) (window, error) {
	m.wrong.stage = 0
	m.atOnce, m.beam = weightAtOnce, beam
	final, err := m.decode(ctx, samples, w)
	for err == nil && m.wrong.again(m.columns, m.cands, m.breaks(), m.search.spent()) {
		final, err = m.decode(ctx, samples, w)
	}
	if breaks := m.breaks(); err == nil && breaks > 0 && !m.search.spent() {
		m.atOnce, m.beam = looseAtOnce, looseBeam
		if final, err = m.decode(ctx, samples, w); err == nil && m.breaks() >= breaks && !m.search.spent() {
			m.atOnce, m.beam = weightAtOnce, beam
			final, err = m.decode(ctx, samples, w)
		}
	}
	if err != nil {
		return w, err
	}
	return m.commit(ctx, samples, w, final)
}

// breaks is the number of chains in the window beyond the first.
func (m *Matcher) breaks() int {
	n := 0
	for k := range m.columns {
		if c := &m.columns[k]; c.chosen >= 0 && c.before < 0 {
			n++
		}
	}
	return max(n-1, 0)
}

// decode finds the likeliest candidates of a window's columns. final says that the window
// holds the last sample.
func (m *Matcher) decode(ctx context.Context, samples []telemetry.Sample, w window) (final bool, err error) {
	m.columns, m.cands = m.columns[:0], m.cands[:0]
	m.scanned, m.anchor, m.odo = w.from, -1, odometer{}
	live := int32(-1) // the last column of the chain
	if w.pinned.n > 0 {
		m.tiles.reset()
		c, o := w.pinned, w.place
		slot, ok, err := m.tiles.open(ctx, w.tile)
		if err != nil {
			return false, err
		}
		if ok {
			if o.index, ok = m.tiles.held[slot].part.Find(o.edge); ok {
				o.slot, o.cost, o.prev = slot, 0, -1
				c.first, c.n, c.before, c.chosen = 0, 1, -1, -1
				c.odo, c.pinned = odometer{}, true
				m.columns, m.cands = append(m.columns, c), append(m.cands, o)
				m.anchor, live = 0, 0
			}
		}
	} else {
		m.tiles.reset()
	}
	first, skipped := int32(-1), 0 // columns that could not be reached, so far
	for k := int32(len(m.columns)); ; k++ {
		if int(k) == len(m.columns) {
			full := len(m.columns) >= windowColumns || len(m.tiles.held) >= windowTiles && len(m.columns) >= windowTail/2
			more := false
			if !full {
				if more, err = m.scan(ctx, samples); err != nil {
					return false, err
				}
			}
			if !more {
				final = !full
				if final && skipped > 0 { // nothing came after that spoke against them
					k, live, first, skipped = first, m.begin(first, live), -1, 0
					continue
				}
				break
			}
		}
		c := &m.columns[k]
		if c.n == 0 {
			continue
		}
		if live < 0 {
			live = m.begin(k, live)
			continue
		}
		ok, err := m.advance(ctx, &m.columns[live], c)
		if err != nil {
			return false, err
		}
		if ok {
			c.before, live, first, skipped = live, k, -1, 0
			continue
		}
		if skipped == 0 {
			first = k
		}
		if skipped++; skipped > maxOutliers || m.search.spent() || c.t-m.columns[live].seen > outlierMS {
			k, live, first, skipped = first, m.begin(first, live), -1, 0
		}
	}
	if live >= 0 {
		m.trace(live)
	}
	return final, nil
}

// begin makes column k the first of a chain, after the one that ends with column live.
func (m *Matcher) begin(k, live int32) int32 {
	c := &m.columns[k]
	if live >= 0 {
		m.trace(live)
	}
	for i := c.first; i < c.first+c.n; i++ {
		o := &m.cands[i]
		o.cost, o.prev = o.emission, -1
		if o.wrong {
			o.cost += wrongEntryCost
		}
	}
	return k
}

// trace chooses the likeliest candidates of the chain that ends with column k.
func (m *Matcher) trace(k int32) {
	c := &m.columns[k]
	at := c.first
	for i := c.first + 1; i < c.first+c.n; i++ {
		if m.cands[i].cost < m.cands[at].cost {
			at = i
		}
	}
	for k >= 0 {
		c := &m.columns[k]
		c.chosen = at
		at, k = m.cands[at].prev, c.before
	}
}

// advance finds the cheapest ways from the candidates of a to those of b; false if there
// is no plausible one to any.
func (m *Matcher) advance(ctx context.Context, a, b *column) (bool, error) {
	w, ok := between(a, b)
	if !ok {
		return false, nil
	}
	sources := m.cands[a.first : a.first+a.n]
	targets := m.cands[b.first : b.first+b.n]
	anyWrong := false
	for k := range targets {
		targets[k].cost, targets[k].prev = unreached(), -1
		anyWrong = anyWrong || targets[k].wrong
	}
	back := float32(backSigmas * max(a.sigma, b.sigma))
	turn := float32(0)
	if a.standing || b.standing {
		back = max(back, standingBackM)
	}
	if a.standing && b.standing {
		turn = standingTurnCost
	}
	worst := unreached()
	for i := range sources {
		s, at := &sources[i], a.first+int32(i)
		for k := range targets {
			t := &targets[k]
			if t.edge.Segment() != s.edge.Segment() {
				continue
			}
			switch {
			case t.edge == s.edge && t.offset >= s.offset:
				t.relax(at, s.cost+w.cost(t.offset-s.offset), moveAlong)
			case t.edge == s.edge && s.offset-t.offset <= back:
				t.relax(at, s.cost+w.cost(0)+backCost, moveAlong)
			case t.edge == s.edge.Reverse():
				t.relax(at, s.cost+w.cost(abs32(t.length-t.offset-s.offset))+uTurnCost+turn+t.entry(s), moveTurn)
			}
			worst = min(worst, t.cost+t.emission+m.beam)
		}
	}
	m.rank(sources)
	prepared := false
	for _, i := range m.ranked {
		s, at := &sources[i], a.first+i
		if m.search.seek(s, targets, &w, worst); len(m.search.goals) == 0 {
			continue
		}
		if !prepared {
			if err := m.prepare(ctx, targets, &w); err != nil {
				return false, err
			}
			prepared = true
		}
		if err := m.reachAll(ctx, s, b, targets, &w, s.wrong || anyWrong); err != nil {
			return false, err
		}
		for k := range m.search.goals {
			if g := &m.search.goals[k]; g.ok {
				t := &targets[g.target]
				cost := s.cost + w.cost(g.metres) + g.penalty + t.entry(s)
				if g.penalty > 0 {
					cost += turn
				}
				t.relax(at, cost, moveRoute)
				worst = min(worst, t.cost+t.emission+m.beam)
			}
		}
	}
	return m.keep(b), nil
}

// rank orders sources by their cost: the cheaper ones are searched from first, for then it is known what the
// others would have to beat.
func (m *Matcher) rank(sources []candidate) {
	m.ranked = m.ranked[:0]
	for i := range sources {
		m.ranked = append(m.ranked, int32(i))
		for at := i; at > 0 && sources[m.ranked[at-1]].cost > sources[i].cost; at-- {
			m.ranked[at-1], m.ranked[at] = m.ranked[at], m.ranked[at-1]
		}
	}
}

// relax notes a way to t if there was no cheaper one.
func (t *candidate) relax(from int32, cost float32, by move) {
	if cost < t.cost {
		t.cost, t.prev, t.move = cost, from, by
	}
}

// entry is the cost of beginning to drive against a one-way.
func (t *candidate) entry(from *candidate) float32 {
	if t.wrong && !from.wrong {
		return wrongEntryCost
	}
	return 0
}

// keep drops the candidates of b that are out of reach or hopeless; false if none is left,
// and then b is as before.
func (m *Matcher) keep(b *column) bool {
	targets := m.cands[b.first : b.first+b.n]
	best := unreached()
	for k := range targets {
		targets[k].cost += targets[k].emission
		best = min(best, targets[k].cost)
	}
	if best == unreached() {
		return false
	}
	kept := targets[:0]
	for k := range targets {
		if targets[k].cost <= best+m.beam {
			kept = append(kept, targets[k])
		}
	}
	b.n = int32(len(kept))
	return true
}
