package maperror

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// The parameters of chaining spots to roads.
const (
	supportM   = 16.0 // vehicles within this of a spot, in its direction, support it
	hopM       = 50.0 // spots this near, in line, are of one road;
	anyHopM    = 20.0 // those this near, in whatever line
	alongHop   = 50.0 // degrees that a hop may deviate from the spots' own directions
	smoothM    = 18.0
	simplifyM  = 3.0
	branchM    = 30.0 // spots this near to a course are of it
	minRoadM   = 15.0 // shorter courses need a road at both ends
	snapM      = 60.0 // how far from a course's ends the roads may be that it joins
	parallelM  = 70.0 // receivers may be off by this: roads this near must
	parallelOf = 0.15 // not have more than 1/this of the vehicles, or of the samples
	parallelBy = 0.1  // where vehicles are
	tooMany    = 64   // too many to tell by their bitmap
)

// missingRoad is a course that the map lacks.
type missingRoad struct {
	line       []geo.Point
	headingDeg float64 // of the first spot's axis
	tally      tally
	against    int
	share      float64
	aside      bool // seen from a one-way road beside it
}

// spot is a part of a cell where vehicles were away from roads.
type spot struct {
	p     geo.Point
	axis  int // octant modulo 4: a line's, whichever way it is driven
	tally *tally
}

// missing finds roads that the map lacks.
func (j *judge) missing() {
	all := j.spots()
	indexAll := indexSpots(all)
	spots := j.supported(all, indexAll)
	index := indexSpots(spots)
	group := j.groups(spots, index)
	for _, members := range group {
		for len(members) > 0 {
			path := longest(spots, members, index)
			line := smooth(spots, index, path)
			var rest []int
			road := missingRoad{line: line, share: 1, headingDeg: 45 * float64(spots[path[0]].axis)}
			for _, k := range members {
				if len(line) > 1 && footOn(line, spots[k].p).distM <= branchM || slices.Contains(path, k) {
					road.tally.merge(spots[k].tally)
				} else {
					rest = append(rest, k)
				}
			}
			members = rest
			if j.plausible(&road, all, indexAll) {
				j.roads = append(j.roads, road)
			}
		}
	}
}

// spots are the parts of cells, in order.
func (j *judge) spots() []spot {
	keys := sorted(j.parts, func(a, b [2]uint64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
	spots := make([]spot, 0, len(keys))
	for _, k := range keys {
		t := j.parts[k]
		if t.n == 0 {
			continue
		}
		cell, oct := learn.CellBox(k[0])
		v := learn.Vote{N: uint32(min(t.n, math.MaxUint32)), Sum: t.sum}
		spots = append(spots, spot{meanPoint(cell, &v), int(oct & 3), t})
	}
	return spots
}

// supported are the spots with enough vehicles around them.
func (j *judge) supported(spots []spot, index spotIndex) []spot {
	var out []spot
	for i := range spots {
		var t tally
		for k := range index.near(spots, spots[i].p, supportM) {
			if inLine(spots[i].axis, spots[k].axis) {
				t.merge(spots[k].tally)
			}
		}
		if n := t.vehicles(); n >= j.cfg.MinVehicles && n >= j.enough(spots[i].p, parallelM, 0) {
			out = append(out, spots[i])
		}
	}
	return out
}

// inLine reports whether two directions are the same or next to one another.
func inLine(a, b int) bool { return (a-b)&3 != 2 }

// linked reports whether a vehicle may have gone straight from one spot to the other.
func linked(a, b *spot) bool {
	d := geo.DistanceM(a.p, b.p)
	if d <= anyHopM {
		return true
	}
	if d > hopM || !inLine(a.axis, b.axis) {
		return false
	}
	bearing := geo.BearingDeg(a.p, b.p)
	return axisAngle(bearing, a.axis) <= alongHop || axisAngle(bearing, b.axis) <= alongHop
}

func axisAngle(deg float64, axis int) float64 {
	d := angle(deg, float64(axis)*45)
	return min(d, 180-d)
}

// groups are the spots that hang together, each ascending.
func (j *judge) groups(spots []spot, index spotIndex) [][]int {
	seen := make([]bool, len(spots))
	var groups [][]int
	for i := range spots {
		if seen[i] {
			continue
		}
		seen[i] = true
		group := []int{i}
		for at := 0; at < len(group); at++ {
			a := group[at]
			for b := range index.near(spots, spots[a].p, hopM) {
				if !seen[b] && linked(&spots[a], &spots[b]) {
					seen[b] = true
					group = append(group, b)
				}
			}
		}
		slices.Sort(group)
		groups = append(groups, group)
	}
	return groups
}

// longest is the longest of the shortest ways through a group: its main course.
func longest(spots []spot, members []int, index spotIndex) []int {
	in := make(map[int]bool, len(members))
	for _, k := range members {
		in[k] = true
	}
	end, _ := farthest(spots, in, index, members[0])
	other, before := farthest(spots, in, index, end)
	path := []int{other}
	for k := other; k != end; {
		k = before[k]
		path = append(path, k)
	}
	return path
}

// farthest is the spot with the longest shortest way from one, and for each spot the one
// before it on that way. Long hops count extra, so that ways follow the road.
func farthest(spots []spot, in map[int]bool, index spotIndex, from int) (far int, before map[int]int) {
	cost, before := map[int]float64{from: 0}, map[int]int{}
	done := map[int]bool{}
	queue := []int{from} // small groups: a linear scan is fast enough
	far = from
	for len(queue) > 0 {
		best := 0
		for q := range queue {
			if cost[queue[q]] < cost[queue[best]] || cost[queue[q]] == cost[queue[best]] && queue[q] < queue[best] {
				best = q
			}
		}
		a := queue[best]
		queue[best] = queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		done[a], far = true, a
		for b := range index.near(spots, spots[a].p, hopM) {
			if !in[b] || done[b] || !linked(&spots[a], &spots[b]) {
				continue
			}
			d := geo.DistanceM(spots[a].p, spots[b].p)
			c := cost[a] + d + d*d/15
			old, queued := cost[b]
			if queued && old <= c {
				continue
			}
			cost[b], before[b] = c, a
			if !queued {
				queue = append(queue, b)
			}
		}
	}
	return far, before
}

// smooth is the course along a path: each place the mean of the spots around it.
func smooth(spots []spot, index spotIndex, path []int) []geo.Point {
	var line []geo.Point
	for _, k := range path {
		var lat, lon, n float64
		for o := range index.near(spots, spots[k].p, smoothM) {
			if inLine(spots[k].axis, spots[o].axis) {
				w := float64(spots[o].tally.n)
				lat += w * float64(spots[o].p.LatE7-spots[k].p.LatE7)
				lon += w * float64(spots[o].p.LonE7-spots[k].p.LonE7)
				n += w
			}
		}
		p := geo.Point{LatE7: spots[k].p.LatE7 + int32(lat/n), LonE7: spots[k].p.LonE7 + int32(lon/n)}
		if len(line) == 0 || geo.DistanceM(line[len(line)-1], p) >= 8 {
			line = append(line, p)
		}
	}
	return simplify(line, simplifyM)
}

// plausible completes a course by the roads that it joins, and compares its traffic with
// that of roads beside it: a bad receiver's vehicle drives on those.
func (j *judge) plausible(m *missingRoad, spots []spot, index spotIndex) bool {
	if m.tally.vehicles() < j.cfg.MinVehicles {
		return false
	}
	course := m.line
	switch n := len(m.line); n {
	case 0:
		return false
	case 1: // the road goes through the one spot in its direction
		start, a := j.snap(m.line[0], m.headingDeg)
		end, b := j.snap(m.line[0], m.headingDeg+180)
		if !a || !b {
			return false
		}
		m.line = []geo.Point{start, m.line[0], end}
	default:
		start, a := j.snap(m.line[0], geo.BearingDeg(m.line[1], m.line[0]))
		end, b := j.snap(m.line[n-1], geo.BearingDeg(m.line[n-2], m.line[n-1]))
		if a {
			m.line = append([]geo.Point{start}, m.line...)
		}
		if b {
			m.line = append(m.line[:len(m.line):len(m.line)], end)
		}
	}
	length := lengthM(m.line)
	if length < minRoadM || !j.coherent(course, spots, index) {
		return false
	}
	on, vehicles := j.parallel(m, length)
	m.against = vehicles
	if on > 0 {
		m.share = min(1, float64(m.tally.n)/length/on)
		few := float64(m.tally.vehicles()) < parallelOf*float64(min(vehicles, tooMany))
		if few || vehicles > tooMany {
			return !few && m.share >= parallelBy
		}
		m.share = max(m.share, min(1, float64(m.tally.vehicles())/float64(max(vehicles, 1))))
	}
	return true
}

// snap is the place of a road that a course from p in a direction reaches.
func (j *judge) snap(p geo.Point, headingDeg float64) (geo.Point, bool) {
	best, at := math.Inf(1), geo.Point{}
	for _, s := range j.Map.Near(p, snapM, nil) {
		if !s.Forward() && !s.Backward() {
			continue
		}
		a, b := j.Map.SpanEnds(s)
		f := footOf(p, a, b, geo.Scale(p.LatE7))
		if f.distM > snapM {
			continue
		}
		cost := f.distM
		if off := angle(geo.BearingDeg(p, f.at), headingDeg); f.distM > 3 {
			if off > 100 {
				continue
			}
			cost *= 1 + off/90
		}
		if cost < best {
			best, at = cost, f.at
		}
	}
	return at, !math.IsInf(best, 1)
}

// parallel is the traffic of the roads beside a course, in samples a metre, where it is
// beside any for most of its length, and their vehicles.
func (j *judge) parallel(m *missingRoad, length float64) (perM float64, vehicles int) {
	const steps = 12
	var densities []float64
	seen := map[road.SegmentID]*tally{}
	for k := range steps + 1 {
		p, heading := pointAt(m.line, length*(0.5+float64(k))/(steps+1))
		density := 0.0
		for _, s := range j.Map.Near(p, parallelM, nil) {
			a, b := j.Map.SpanEnds(s)
			f := footOf(p, a, b, geo.Scale(p.LatE7))
			off := angle(f.headingDeg, heading)
			if f.distM > parallelM || min(off, 180-off) > alongDeg {
				continue
			}
			i := j.Map.SpanEdge(s, false)
			id := j.Map.Edge(i).Segment()
			t := seen[id]
			if t == nil {
				forward, backward := j.passed(id.Edge(false), &m.tally), j.passed(id.Edge(true), &m.tally)
				forward.merge(&backward)
				t = &forward
				seen[id] = t
			}
			density = max(density, float64(t.n)/max(j.Map.LengthM(i), 1))
		}
		densities = append(densities, density)
	}
	slices.Sort(densities)
	perM = densities[len(densities)/2]
	if perM > 0 {
		for _, t := range seen {
			vehicles = max(vehicles, t.vehicles())
		}
	}
	return perM, vehicles
}

// spotIndex finds spots by place.
type spotIndex map[[2]int32][]int

const indexM = 50.0

func indexSpots(spots []spot) spotIndex {
	index := spotIndex{}
	for i := range spots {
		k := indexKey(spots[i].p)
		index[k] = append(index[k], i)
	}
	return index
}

// indexKey is the square of about 50 m (narrower away from the equator) that p is in.
func indexKey(p geo.Point) [2]int32 {
	const e7 = 4497 // indexM
	return [2]int32{p.LatE7 / e7, p.LonE7 / e7}
}

// near calls yield for each spot within radiusM of p, in order of its square.
func (x spotIndex) near(spots []spot, p geo.Point, radiusM float64) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		k := indexKey(p)
		rows := int32(math.Ceil(radiusM / indexM))
		columns := int32(math.Ceil(radiusM / indexM / max(geo.Scale(p.LatE7)/geo.MetresPerE7, 0.05)))
		for y := k[0] - rows; y <= k[0]+rows; y++ {
			for x2 := k[1] - columns; x2 <= k[1]+columns; x2++ {
				for _, i := range x[[2]int32{y, x2}] {
					if geo.DistanceM(spots[i].p, p) <= radiusM && !yield(i) {
						return
					}
				}
			}
		}
	}
}
