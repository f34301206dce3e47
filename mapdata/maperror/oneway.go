package maperror

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

const (
	wrongShare = 0.4  // of the traffic must go against a one-way road whose direction is wrong;
	mostShare  = 0.8  // from this share on, few drive as mapped
	asideM     = 2.5  // so far beside it, on average, is not on it
	farAsideM  = 5.0  // nor is this, whoever drives as mapped
	asideShare = 0.25 // then this share speaks for a road of its own
	movedShare = 0.5  // of the samples must be beside a road that was moved,
	otherSide  = 0.1  // and no more than this share of those on its other side
	spreadMaxM = 4.5  // of the distances from a road that was moved (1 sigma), m
	minMovedM  = 30.0
	clearShare = 0.75 // and this share if it was moved so far that it seems to be missing,
	noneShare  = 0.03 // or no more than this of all on its other side, where receivers' errors put as many,
	steadyM    = 3.75 // with this spread
	movedMaxM  = 17.0 // farther beside a road is another road, which the map lacks
)

func byEdge(a, b road.Edge) int { return cmp.Compare(a, b) }

// oneWays finds one-way roads that are driven against.
func (j *judge) oneWays() {
	for _, e := range sorted(j.faults, byEdge) {
		t := j.fault(e, wrongWayCode)
		i, ok := j.Map.Find(e)
		if t.vehicles() < j.cfg.MinVehicles || !ok || j.Map.Allowed(i) {
			continue
		}
		middle, _ := pointAt(j.Map.Shape(i), j.Map.LengthM(i)/2)
		if t.vehicles() < j.enough(middle, maxNearM, e.Segment()) {
			continue // of the road beside it
		}
		permitted := j.passed(e.Reverse(), t)
		permitted.subtract(j.fault(e, mistakenCode))
		share := float64(t.n) / float64(t.n+permitted.n)
		rightM := float64(t.sum[0]) / float64(t.n) / 100
		course := j.course(i)
		// Where many drive as mapped, too, those who do not are on another road if they
		// keep to one side.
		both := permitted.vehicles() >= j.cfg.MinVehicles && share < mostShare
		farM := farAsideM
		if share >= mostShare { // there is no other than the one that is mapped
			farM = besideM
		}
		aside := math.Abs(rightM) >= farM || both && math.Abs(rightM) >= asideM
		if aside && share >= asideShare {
			j.roads = append(j.roads, missingRoad{line: shift(course, rightM), tally: *t, against: permitted.vehicles(), share: share, aside: true})
			continue
		}
		if aside || share < wrongShare || atLeast(t.vehicles(), t.vehicles()+permitted.vehicles()) < wrongShare {
			continue
		}
		j.wrong[e.Segment()] = true
		j.found = append(j.found, j.wrongOneWay(i, t, permitted.vehicles(), share))
	}
}

// atLeast is the share that k of n prove, at 97.5 %: the lower end of Wilson's interval (1927).
func atLeast(k, n int) float64 {
	const z = 1.96
	p, m := float64(k)/float64(n), float64(n)
	return (p + z*z/(2*m) - z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
}

// wrongOneWay is the candidate of an edge that is driven against.
func (j *judge) wrongOneWay(i road.Index, t *tally, against int, share float64) Candidate {
	c := Candidate{
		Type: WrongOneWay, Edge: j.Map.Edge(i), Vehicles: t.vehicles(), Against: against,
		Score: score(t.vehicles(), share),
	}
	c.At, _ = pointAt(j.Map.Shape(i), j.Map.LengthM(i)/2)
	c.FirstMS, c.LastMS = t.span()
	return c
}

// course is an edge's shape in the direction of travel.
func (j *judge) course(i road.Index) []geo.Point {
	shape := j.Map.Shape(i)
	if !i.Against() {
		return shape
	}
	out := make([]geo.Point, len(shape))
	for k, p := range shape {
		out[len(shape)-1-k] = p
	}
	return out
}

// moved finds roads that nearly everybody drives beside, on the same side.
func (j *judge) moved() {
	done := map[road.SegmentID]bool{}
	for _, e := range sorted(j.faults, byEdge) {
		id := e.Segment()
		if done[id] {
			continue
		}
		done[id] = true
		drawn := id.Edge(false)
		i, ok := j.Map.Find(drawn)
		if !ok || j.Map.LengthM(i) < minMovedM {
			continue
		}
		// As drawn: the right of travel against the drawing is the left.
		right, left := *j.fault(drawn, besideRightCode), *j.fault(drawn, besideLeftCode)
		mirrored := func(t *tally) *tally { return &tally{n: t.n, sum: [2]int64{-t.sum[0], t.sum[1]}, days: t.days} }
		right.days, left.days = clone(right.days), clone(left.days)
		right.merge(mirrored(j.fault(drawn.Reverse(), besideLeftCode)))
		left.merge(mirrored(j.fault(drawn.Reverse(), besideRightCode)))
		most, least := &right, &left
		if left.n > right.n {
			most, least = least, most
		}
		vehicles := most.vehicles()
		if vehicles < j.cfg.MinVehicles {
			continue
		}
		passes := j.passed(drawn, most)
		back := j.passed(drawn.Reverse(), most)
		passes.merge(&back)
		share := float64(most.n) / float64(max(passes.n, most.n+least.n))
		meanM := float64(most.sum[0]) / float64(most.n) / 100
		spreadM := math.Sqrt(max(float64(most.sum[1])/float64(most.n)/1e4-meanM*meanM, 0))
		if spreadM > spreadMaxM { // they come nearer or drift away: another road
			continue
		}
		if passes.n == 0 || share < movedShare || float64(least.n) > otherSide*float64(most.n) {
			continue
		}
		line := shift(j.Map.Shape(i), meanM)
		against := max(passes.vehicles()-vehicles, 0)
		// Without doubt if nobody keeps to its old course, nor far from the new one; else perhaps
		// it is a part of a road that the map lacks.
		beyondDoubt := float64(least.n) <= noneShare*float64(passes.n) && spreadM <= steadyM
		if along, on := j.joins(line); !beyondDoubt && (on || along && share < clearShare) {
			continue
		}
		// They don't come and go as the map has it, or others drive on it: another road.
		if math.Abs(meanM) > movedMaxM || 2*j.gapsAt(id) > vehicles || 4*against > vehicles {
			j.roads = append(j.roads, missingRoad{line: line, tally: *most, share: 1})
			continue
		}
		c := Candidate{
			Type: MovedGeometry, Edge: drawn, Vehicles: vehicles,
			Against: against, Score: score(vehicles, share),
			Geometry: line,
		}
		c.At, _ = pointAt(c.Geometry, lengthM(c.Geometry)/2)
		c.FirstMS, c.LastMS = most.span()
		j.found = append(j.found, c)
	}
}

// joins reports whether a missing road runs along a course, and whether one that does not
// comes near an end of it.
func (j *judge) joins(line []geo.Point) (along, on bool) {
	for i := range j.roads {
		road := j.roads[i].line
		if beside(road, line, sameCourseM) > overlap {
			along = true
			continue
		}
		for _, end := range [2]geo.Point{line[0], line[len(line)-1]} {
			on = on || footOn(road, end).distM <= hopM
		}
	}
	return along, on
}

// gapsAt is how many vehicles reached or left a segment in a way that the map lacks: from or
// to one that does not touch it. Gaps between it and the next one are those of a course that is off.
func (j *judge) gapsAt(id road.SegmentID) int {
	var t tally
	next := j.neighbours(id)
	for k, g := range j.gaps {
		a, b := k.edges[0].Segment(), k.edges[1].Segment()
		if a == id && !slices.Contains(next, b) || b == id && !slices.Contains(next, a) {
			t.merge(g)
		}
	}
	return t.vehicles()
}

func clone(days []dayVehicles) []dayVehicles { return append([]dayVehicles(nil), days...) }
