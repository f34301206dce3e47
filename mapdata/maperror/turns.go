package maperror

import (
	"cmp"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// The parameters of gaps.
const (
	sameGapM     = 35.0 // gaps with both ends this near are one
	shortM       = 30.0 // a missing way up to this long is a missing turn
	wayTimes     = 1.2  // the map connects two places by a way up to so many times as long
	waySpareM    = 15.0 // as the straight one, and so much more
	linkTimes    = 1.25 // a link's whole way, likewise
	linkSpareM   = 15.0
	linkStepM    = 5.0
	maxLinkSteps = 60
	joinsM       = 60.0 // a gap with both ends this near to a missing road is of it
	maxChordM    = 60.0 // the course of a longer way is unknown without vehicles seen on it
	againstTimes = 2    // so many times MinVehicles must cross a gap that leads against a one-way
	gapShare     = 0.04 // of the vehicles on either edge must have taken a gap
	overlap      = 0.5  // share of a course along another one that makes them the same
	maxSettled   = 2000 // bounds the search for a way
	sameCourseM  = 25.0
)

// gap is a way that vehicles take between two edges.
type gap struct {
	edges [2]road.Edge
	ends  []geo.Point // 2
	tally tally
	// against are the one-way edges that a way through the map leads against.
	against []road.Edge
}

// gapKey names a gap by the edges left and reached, and by whether vehicles were seen away
// from roads between.
type gapKey struct {
	edges [2]road.Edge
	off   bool
}

func compareGaps(a, b gapKey) int {
	off := 0
	if a.off != b.off {
		off = 1
		if b.off {
			off = -1
		}
	}
	return cmp.Or(byEdge(a.edges[0], b.edges[0]), byEdge(a.edges[1], b.edges[1]), off)
}

// turns completes the missing roads by the gaps that vehicles cross, and makes candidates
// of both.
func (j *judge) turns() {
	j.mergeRoads()
	for _, g := range j.joined(j.unconnected()) {
		if j.alongRoad(g) || j.alongWrong(g) || g.tally.vehicles() < j.cfg.MinVehicles || lengthM(g.ends) > maxChordM {
			continue
		}
		fewest := math.Inf(1)
		for _, e := range g.edges {
			p := j.passed(e, &g.tally)
			fewest = min(fewest, float64(p.vehicles()))
		}
		vehicles := g.tally.vehicles()
		// Those few who turn against a one-way may be at fault, not the map.
		if float64(vehicles) < gapShare*fewest || len(g.against) > 0 && vehicles < againstTimes*j.cfg.MinVehicles {
			continue
		}
		c := Candidate{
			Type: MissingRoad, Geometry: g.ends, At: geo.Between(g.ends[0], g.ends[1], 0.5),
			Vehicles: vehicles, Score: score(vehicles, 1),
		}
		if lengthM(g.ends) <= shortM {
			c.Type, c.Edge, c.To = MissingTurn, g.edges[0], g.edges[1]
		}
		c.FirstMS, c.LastMS = g.tally.span()
		j.found = append(j.found, c)
	}
	for i := range j.roads {
		m := &j.roads[i]
		if j.alongMoved(m.line) || m.aside && j.alongWrong(gap{ends: m.line}) {
			continue
		}
		c := Candidate{
			Type: MissingRoad, Geometry: m.line, Vehicles: m.tally.vehicles(), Against: m.against,
			Score: score(m.tally.vehicles(), m.share),
		}
		c.At, _ = pointAt(m.line, lengthM(m.line)/2)
		c.FirstMS, c.LastMS = m.tally.span()
		j.found = append(j.found, c)
	}
}

// mergeRoads makes one of missing roads that run along one another, the longest first.
func (j *judge) mergeRoads() {
	var out []missingRoad
	for _, m := range sortedRoads(j.roads) {
		same := false
		for i := range out {
			if beside(m.line, out[i].line, sameCourseM) > overlap {
				out[i].tally.merge(&m.tally)
				same = true
				break
			}
		}
		if !same {
			out = append(out, m)
		}
	}
	j.roads = out
}

// unconnected are the gaps that the map has no way for.
func (j *judge) unconnected() []gap {
	keys := sorted(j.gaps, compareGaps)
	var gaps, wrong []gap
	for _, k := range keys {
		t := j.gaps[k]
		a, okA := j.Map.Find(k.edges[0])
		b, okB := j.Map.Find(k.edges[1])
		if t.n == 0 || !okA || !okB {
			continue
		}
		offA, offB := float64(t.sum[0])/float64(t.n)/100, float64(t.sum[1])/float64(t.n)/100
		from, _ := j.Map.PointAt(a, offA)
		to, _ := j.Map.PointAt(b, offB)
		g := gap{edges: k.edges, ends: []geo.Point{from, to}}
		g.tally.merge(t)
		far := lengthM(g.ends)
		if !k.off {
			g.ends = link(rest(j.course(a), offA, 0), rest(j.course(b), 0, offB), linkTimes*far+linkSpareM)
		}
		against, ok := j.connected(a, b, offA, offB, wayTimes*far+waySpareM)
		switch {
		case !ok:
			gaps = append(gaps, g)
		case len(against) > 0:
			g.against = against
			wrong = append(wrong, g)
		}
	}
	return append(gaps, j.against(wrong)...)
}

// against makes candidates of the one-ways that gaps lead against, and returns the gaps
// that are left: those along one-ways that are driven as mapped, too.
func (j *judge) against(gaps []gap) []gap {
	tallies := map[road.Edge]*tally{}
	for i := range gaps {
		for _, e := range gaps[i].against {
			if tallies[e] == nil {
				tallies[e] = &tally{}
			}
			tallies[e].merge(&gaps[i].tally)
		}
	}
	for _, e := range sorted(tallies, byEdge) {
		t := tallies[e]
		if j.wrong[e.Segment()] || t.vehicles() < j.cfg.MinVehicles {
			continue
		}
		permitted := j.passed(e.Reverse(), t)
		permitted.subtract(j.fault(e, mistakenCode))
		share := float64(t.vehicles()) / float64(t.vehicles()+permitted.vehicles())
		i, ok := j.Map.Find(e)
		if !ok || share < mostShare {
			continue
		}
		j.wrong[e.Segment()] = true
		j.found = append(j.found, j.wrongOneWay(i, t, permitted.vehicles(), share))
	}
	var left []gap
	for _, g := range gaps {
		explained := false
		for _, e := range g.against {
			explained = explained || j.wrong[e.Segment()]
		}
		if !explained {
			left = append(left, g)
		}
	}
	return left
}

// rest is the part of a course from fromM to toM metres from its start; to its end if 0.
func rest(course []geo.Point, fromM, toM float64) []geo.Point {
	if toM <= 0 {
		toM = lengthM(course)
	}
	step := max(linkStepM, (toM-fromM)/maxLinkSteps)
	var out []geo.Point
	for d := fromM; d < toM; d += step {
		p, _ := pointAt(course, d)
		out = append(out, p)
	}
	p, _ := pointAt(course, toM)
	return append(out, p)
}

// link is the shortest way from the course that vehicles left to the one they reached, if
// all of their way, of which nothing else is known, may be at most maxM long.
func link(left, reached []geo.Point, maxM float64) []geo.Point {
	best, ends := math.Inf(1), []geo.Point{left[0], reached[len(reached)-1]}
	total := lengthM(reached)
	before := 0.0
	for i, p := range left {
		if i > 0 {
			before += geo.DistanceM(left[i-1], p)
		}
		after := total
		for k, q := range reached {
			if k > 0 {
				after -= geo.DistanceM(reached[k-1], q)
			}
			d := geo.DistanceM(p, q)
			if d < best && before+d+after <= maxM {
				best, ends = d, []geo.Point{p, q}
			}
		}
	}
	return ends
}

// connected reports whether a way of at most maxM leads from a place on a to one on b, and
// which edges it leads against a one-way; none if there is a permitted way.
func (j *judge) connected(a, b road.Index, offA, offB, maxM float64) (against []road.Edge, ok bool) {
	if a>>1 == b>>1 || j.way(a, b, offA, offB, maxM, nil) {
		return nil, true
	}
	ok = j.way(a, b, offA, offB, maxM, &against)
	return against, ok
}

// way looks for a way as connected does (Dijkstra 1959); against one-ways only if against is
// not nil.
func (j *judge) way(a, b road.Index, offA, offB, maxM float64, against *[]road.Edge) bool {
	g := j.Map
	cost := map[int]float64{}
	via := map[int]road.Index{}
	done := map[int]bool{}
	var queue []int
	reach := func(n int, c float64, e road.Index) {
		old, ok := cost[n]
		if c > maxM || ok && old <= c {
			return
		}
		cost[n], via[n] = c, e
		queue = append(queue, n)
	}
	reach(g.Target(a), g.LengthM(a)-offA, road.NoIndex)
	reach(g.Source(a), offA, road.NoIndex)
	for len(queue) > 0 && len(done) < maxSettled {
		best := 0
		for q := range queue {
			if cost[queue[q]] < cost[queue[best]] {
				best = q
			}
		}
		n := queue[best]
		queue[best] = queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if done[n] {
			continue
		}
		done[n] = true
		if n == g.Source(b) && cost[n]+offB <= maxM || n == g.Target(b) && cost[n]+g.LengthM(b)-offB <= maxM {
			for ; against != nil && via[n] != road.NoIndex; n = g.Source(via[n]) {
				if !g.Allowed(via[n]) {
					*against = append(*against, g.Edge(via[n]))
				}
			}
			return true
		}
		for _, e := range g.Out(n) {
			reach(g.Target(e), cost[n]+g.LengthM(e), e)
		}
		for _, e := range g.OutWrong(n) {
			if against != nil || j.wrong[g.Edge(e).Segment()] {
				reach(g.Target(e), cost[n]+g.LengthM(e), e)
			}
		}
	}
	return false
}

// joined makes one of gaps that lie together, whichever way they are crossed; the one with
// the most votes names it.
func (j *judge) joined(gaps []gap) []gap {
	var out []gap
	for _, g := range sortedGaps(gaps) {
		same := false
		for i := range out {
			o := &out[i]
			if near(g.ends[0], o.ends[0]) && near(g.ends[1], o.ends[1]) || near(g.ends[0], o.ends[1]) && near(g.ends[1], o.ends[0]) {
				o.tally.merge(&g.tally)
				same = true
				break
			}
		}
		if !same {
			out = append(out, g)
		}
	}
	return out
}

func near(a, b geo.Point) bool { return geo.DistanceM(a, b) <= sameGapM }

// alongRoad merges a gap that a missing road fills.
func (j *judge) alongRoad(g gap) bool {
	for i := range j.roads {
		m := &j.roads[i]
		if beside(g.ends, m.line, sameM) > overlap || beside(m.line, g.ends, sameM) > overlap ||
			footOn(m.line, g.ends[0]).distM <= joinsM && footOn(m.line, g.ends[1]).distM <= joinsM {
			m.tally.merge(&g.tally)
			return true
		}
	}
	return false
}

// alongWrong reports whether a gap is there because a one-way road is the wrong way round.
func (j *judge) alongWrong(g gap) bool {
	for _, e := range sorted(j.wrong, cmp.Compare) {
		i, ok := j.Map.Find(e.Edge(false))
		if ok && (beside(g.ends, j.Map.Shape(i), sameM) > overlap || beside(j.Map.Shape(i), g.ends, sameM) > overlap) {
			return true
		}
	}
	return false
}

// alongMoved reports whether a course is that of roads that were moved: positions farther
// from the map's course than others seem to be off the map's roads.
func (j *judge) alongMoved(line []geo.Point) bool {
	var moved [][]geo.Point
	for i := range j.found {
		if c := &j.found[i]; c.Type == MovedGeometry {
			moved = append(moved, c.Geometry)
		}
	}
	return besideAny(line, moved, sameCourseM) > overlap
}
