package road

import (
	"cmp"
	"slices"
)

// Restriction is a turn restriction as it was mapped: from a way through a node into
// another (OSM wiki, Relation:restriction).
type Restriction struct {
	From, To int64 // ids of ways that end at Via
	Via      int64 // node id
	Only     bool  // no other turn than this one is allowed; else this one is forbidden
}

// Turn is one that is forbidden: from the end of one edge into another that starts there.
type Turn struct{ From, To Edge }

func compareTurns(a, b Turn) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) }

// place is an end of the road with a way's id.
type place struct{ node, way int64 }

// restrict notes at the segments, which have their ids and are of the given ways, the turns
// that restrictions forbid, and returns how many restrictions name no turn that there is.
func restrict(segs []Segment, ways []int64, restrictions []Restriction) (unresolved int) {
	if len(restrictions) == 0 {
		return 0
	}
	leaving := make(map[int64][]Edge)  // edges that may be driven away from a node
	entering := make(map[place][]Edge) // … of a way, towards its end at a node
	exits := make(map[place][]Edge)    // … of a way, away from it
	for _, r := range restrictions {
		leaving[r.Via] = nil
	}
	bySegment := make(map[SegmentID]int)
	for i := range segs {
		s := &segs[i]
		for _, against := range [2]bool{false, true} {
			from, to := s.From, s.To
			if against {
				from, to = to, from
			}
			if !s.Allows(against) {
				continue
			}
			e := s.ID.Edge(against)
			if _, ok := leaving[from]; ok {
				leaving[from] = append(leaving[from], e)
				exits[place{from, ways[i]}] = append(exits[place{from, ways[i]}], e)
			}
			if _, ok := leaving[to]; ok {
				entering[place{to, ways[i]}] = append(entering[place{to, ways[i]}], e)
				bySegment[s.ID] = i
			}
		}
	}
	forbid := func(from, to Edge) {
		s := &segs[bySegment[from.Segment()]]
		s.Turns = append(s.Turns, Turn{from, to})
	}
	for _, r := range restrictions {
		from, to := entering[place{r.Via, r.From}], exits[place{r.Via, r.To}]
		if len(from) != 1 || len(to) != 1 { // closed to cars, or it passes the node: which turn is meant?
			unresolved++
			continue
		}
		if !r.Only {
			forbid(from[0], to[0])
			continue
		}
		for _, e := range leaving[r.Via] {
			if e != to[0] {
				forbid(from[0], e)
			}
		}
	}
	for _, i := range bySegment {
		s := &segs[i]
		slices.SortFunc(s.Turns, compareTurns)
		s.Turns = slices.Compact(s.Turns)
		if len(s.Turns) > 0 {
			s.Flags |= Restricted
		}
	}
	return unresolved
}

// Turns lists the turns that are forbidden from the end of an edge. The slice is shared
// and must not be changed. Without any, as nearly everywhere, it costs nothing.
func (g *Graph) Turns(from Index) []Turn {
	if g.segs[from>>1].flags&Restricted == 0 {
		return nil
	}
	return g.turnsOf(g.Edge(from), g.Edge(from))
}

// turnsOf lists the turns from the edges in a range.
func (g *Graph) turnsOf(first, last Edge) []Turn {
	at, _ := slices.BinarySearchFunc(g.turns, first, func(t Turn, e Edge) int { return cmp.Compare(t.From, e) })
	end := at
	for end < len(g.turns) && g.turns[end].From <= last {
		end++
	}
	return g.turns[at:end:end]
}

// Forbids reports whether one must not turn from the end of an edge into another one.
func (g *Graph) Forbids(from Index, to Edge) bool {
	for _, t := range g.Turns(from) {
		if t.To == to {
			return true
		}
	}
	return false
}

// NumTurns is the number of forbidden turns.
func (g *Graph) NumTurns() int { return len(g.turns) }
