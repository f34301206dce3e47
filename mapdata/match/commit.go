package match

import (
	"context"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// commit writes the results of a decoded window, without its tail if it is not the last,
// and returns where to go on.
func (m *Matcher) commit(ctx context.Context, samples []telemetry.Sample, w window, final bool) (window, error) {
	end := len(m.columns)
	next := window{final: final, from: m.scanned}
	if !final {
		end -= min(windowTail, end/2)
		for k := end - 1; k >= 0; k-- {
			if c := &m.columns[k]; c.chosen >= 0 && !c.pinned {
				end = k + 1
				next.from = int(c.sample) + 1
				next.pinned, next.place = *c, m.cands[c.chosen]
				next.pinned.n, next.tile = 1, m.tiles.held[next.place.slot].quadkey
				break
			}
		}
		if next.pinned.n == 0 && end < len(m.columns) { // off the road all along
			next.from = int(m.columns[end].sample)
		}
	}
	for k := range m.columns[:end] {
		c := &m.columns[k]
		switch {
		case c.pinned || c.chosen < 0:
		case c.before < 0:
			m.drive.start(&m.cands[c.chosen], c)
		default:
			if err := m.link(ctx, samples, k); err != nil {
				return w, err
			}
		}
		// What follows a position that has no next one in its chain stays near it.
		if c.chosen >= 0 && !m.continues(k) && (final || k < end-1) {
			m.rest(samples, k)
		}
	}
	return next, nil
}

func (m *Matcher) part(cand int32) *road.Partition { return m.tiles.held[m.cands[cand].slot].part }

// continues reports whether the chain goes on after column k.
func (m *Matcher) continues(k int) bool {
	for j := k + 1; j < len(m.columns); j++ {
		if m.columns[j].chosen >= 0 {
			return m.columns[j].before == int32(k)
		}
	}
	return false
}

// followers is the range of samples that say no more than column k.
func (m *Matcher) followers(k int) (first, end int) {
	first, end = int(m.columns[k].sample)+1, m.scanned
	if k+1 < len(m.columns) {
		end = int(m.columns[k+1].sample)
	}
	return first, end
}

// rest places the followers of the last column of a chain.
func (m *Matcher) rest(samples []telemetry.Sample, k int) {
	first, end := m.followers(k)
	o := &m.cands[m.columns[k].chosen]
	m.drive.legs = append(m.drive.legs[:0], leg{
		edge: o.edge, index: o.index, part: m.part(m.columns[k].chosen), wrong: o.wrong,
		from: m.drive.offset, to: min(max(o.offset+maxStepM, m.drive.offset), o.length),
	})
	m.drive.at = 0
	for i := first; i < end; i++ {
		m.drive.follow(samples, i)
	}
}

// link drives from the column before k in its chain to k.
func (m *Matcher) link(ctx context.Context, samples []telemetry.Sample, k int) error {
	b := &m.columns[k]
	a := &m.columns[b.before]
	d := &m.drive
	to := &m.cands[b.chosen]
	ok, err := m.route(ctx, a, b)
	if err != nil {
		return err
	}
	for j := int(b.before) + 1; j < k; j++ { // seen far from that way
		off := &m.columns[j]
		ok = ok && (off.n > 0 || !off.p.Valid() || d.distance(off.p) <= off.bridge)
	}
	if !ok {
		m.rest(samples, int(b.before))
		d.start(to, b)
		return nil
	}
	first, end := m.followers(int(b.before))
	for i := first; i < end; i++ {
		d.follow(samples, i)
	}
	d.arrive(to, b)
	return nil
}

// route writes the way between the chosen candidates of a and b to drive.legs. There is
// one, since it was found before; but false if too many partitions are in use by now.
func (m *Matcher) route(ctx context.Context, a, b *column) (bool, error) {
	d := &m.drive
	from, to := &m.cands[a.chosen], &m.cands[b.chosen]
	part := m.part(a.chosen)
	d.at, d.legs = 0, d.legs[:0]
	here := leg{edge: from.edge, index: from.index, part: part, from: d.offset, to: from.length, wrong: from.wrong}
	there := leg{edge: to.edge, index: to.index, part: m.part(b.chosen), to: to.offset, wrong: to.wrong}
	switch to.move {
	case moveAlong:
		here.to = max(d.offset, to.offset)
		d.legs = append(d.legs, here)
		return true, nil
	case moveTurn:
		here.to = max(d.offset, to.length-to.offset)
		there.from = to.length - here.to
		there.to = max(there.from, to.offset)
		d.legs = append(d.legs, here, there)
		return true, nil
	}
	w, _ := between(a, b)
	targets := m.cands[b.chosen : b.chosen+1]
	if err := m.prepare(ctx, targets, &w); err != nil {
		return false, err
	}
	m.search.goals = append(m.search.goals[:0], goal{limit: float32(w.limit)})
	if err := m.reachAll(ctx, from, b, targets, &w, from.wrong || to.wrong); err != nil {
		return false, err
	}
	d.legs = append(d.legs, here)
	s := &m.search
	if !s.goals[0].ok {
		return false, nil
	}
	at := s.goals[0].label
	for l := at; s.labels[l].from >= 0; l = s.labels[l].from {
		d.legs = append(d.legs, leg{}) // as many as there are junctions before
	}
	for k := len(d.legs) - 1; k > 0; k-- {
		l := &s.labels[at]
		p := m.tiles.held[l.slot].part
		d.legs[k] = leg{edge: l.via, index: l.index, part: p, to: float32(p.LengthM(l.index)), wrong: !p.Allowed(l.index)}
		at = l.from
	}
	d.legs = append(d.legs, there)
	return true, nil
}
