package fleetsim

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

// brokenTurn is a turn about which map and truth differ.
type brokenTurn struct {
	turn road.Turn
	made bool // the map forbids it although it is allowed and made; else the other way round
	node int64
	// cars are who made it, or who came, passed it by and came back for it, of the sound ones.
	cars map[vehicleDay]struct{}
	seen map[int]int64 // by vehicle: when it was last on the edge turned from, ms
}

const (
	minArmM  = 30.0 // of both edges of a turn
	detourMS = 180_000
)

// breakTurns picks turns of main roads by their share and the seed, far from other errors,
// and forbids them in one of the two: the truth's segments, or the map's.
func (g *ground) breakTurns(truth, wrong []road.Segment, cfg *Config) {
	at := map[road.SegmentID]int{}
	for i := range wrong {
		at[wrong[i].ID] = i
	}
	type arm struct{ seg, onMap int }
	arms := map[int64][]arm{}
	for i := range truth {
		s := &truth[i]
		for _, n := range [2]int64{s.From, s.To} {
			onMap, ok := at[s.ID]
			if !ok {
				onMap = -1
			}
			arms[n] = append(arms[n], arm{i, onMap})
		}
	}
	var all []brokenTurn
	place := map[road.Turn][4]int{}
	for node, list := range arms {
		if len(list) < 3 || slices.ContainsFunc(list, func(a arm) bool { return a.onMap < 0 }) {
			continue
		}
		for _, a := range list {
			for _, b := range list {
				s, o := &truth[a.seg], &truth[b.seg]
				if a.seg == b.seg || !mayBreak(s) || !mayBreak(o) {
					continue
				}
				t := road.Turn{From: s.ID.Edge(s.From == node), To: o.ID.Edge(o.To == node)}
				if s.Allows(t.From.Against()) && o.Allows(t.To.Against()) {
					all = append(all, brokenTurn{turn: t, node: node})
					place[t] = [4]int{a.seg, b.seg, a.onMap, b.onMap}
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b brokenTurn) int {
		return cmp.Or(cmp.Compare(lot(cfg.Seed, uint64(a.turn.From)^uint64(a.turn.To)<<7), lot(cfg.Seed, uint64(b.turn.From)^uint64(b.turn.To)<<7)),
			cmp.Compare(a.turn.From, b.turn.From), cmp.Compare(a.turn.To, b.turn.To))
	})
	g.allTurns = len(all)
	for i := range all {
		if len(g.turns) >= 2*int(cfg.Turns*float64(len(all))) {
			break
		}
		b := &all[i]
		p := place[b.turn]
		at := nodePoint(&truth[p[0]], b.node)
		b.made = len(g.turns)%2 == 0
		var others []*road.Segment
		for _, a := range arms[b.node] {
			if a.seg != p[0] && a.seg != p[1] {
				others = append(others, &truth[a.seg])
			}
		}
		if g.spoiled.near([]geo.Point{at}) || !b.made && !avoidable(b.node, others) {
			continue
		}
		g.spoiled.mark([]geo.Point{at})
		b.cars, b.seen = map[vehicleDay]struct{}{}, map[int]int64{}
		s := &truth[p[0]]
		if b.made {
			s = &wrong[p[2]]
		}
		s.Flags |= road.Restricted
		s.Turns = append(slices.Clone(s.Turns), b.turn)
		slices.SortFunc(s.Turns, func(a, b road.Turn) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
		g.turns = append(g.turns, b)
		g.turnsFrom[b.turn.From] = append(g.turnsFrom[b.turn.From], b)
		g.turnsInto[b.turn.To] = append(g.turnsInto[b.turn.To], b)
	}
}

// avoidable reports whether a vehicle can pass a junction by other arms than the two of a
// turn, and come back: else it must make the turn whatever is forbidden. Arms shorter than minArmM lead back
// before a position tells that the vehicle was there.
func avoidable(node int64, others []*road.Segment) bool {
	out, back := false, false
	for _, s := range others {
		if s.LengthM < minArmM {
			return false
		}
		away := s.From == node // as drawn
		out, back = out || s.Allows(!away), back || s.Allows(away)
	}
	return out && back
}

// nodePoint is where the end of a segment is.
func nodePoint(s *road.Segment, node int64) geo.Point {
	if s.From == node {
		return s.Shape[0]
	}
	return s.Shape[len(s.Shape)-1]
}

// mayBreak reports whether a road is busy and long enough, and has no restriction yet.
func mayBreak(s *road.Segment) bool {
	return s.Class <= road.TertiaryLink && s.LengthM >= minArmM && s.Flags&(road.Restricted|road.Roundabout) == 0
}

// note sees a car enter an edge after another one.
func (g *ground) noteTurn(day vehicleDay, from, to road.Edge, ms int64) {
	for _, b := range g.turnsInto[to] {
		since, ok := b.seen[day.vehicle]
		if b.made && from == b.turn.From || !b.made && from != b.turn.From && ok && ms-since <= detourMS && ms > since {
			b.cars[day] = struct{}{}
		}
	}
	for _, b := range g.turnsFrom[to] {
		b.seen[day.vehicle] = ms
	}
}

// driven reports whether enough cars made the turn, or a detour for it, on one day.
func (b *brokenTurn) driven() bool {
	perDay := map[int64]int{}
	for v := range b.cars {
		if perDay[v.dayMS]++; perDay[v.dayMS] >= carsForError {
			return true
		}
	}
	return false
}

// is reports whether a candidate tells of the turn.
func (b *brokenTurn) is(c *maperror.Candidate) bool {
	kind := maperror.WrongTurn
	if b.made {
		kind = maperror.MissingTurn
	}
	return c.Type == kind && c.Edge == b.turn.From && c.To == b.turn.To
}
