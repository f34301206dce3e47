package maperror

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// The parameters of telling bad receivers from errors of the map. A receiver that is off by
// some tens of metres puts its vehicle beside every road it drives on: where many drive,
// several such vehicles come together, but each keeps its own distance.
const (
	badShare   = 0.02 // of the vehicles on the roads around may have such a receiver
	coreM      = 12.0 // vehicles on one road are within this of its course,
	strayM     = 60.0 // those with bad receivers anywhere within this;
	sectionM   = 20.0 // looked at so far ahead and back
	coreShare  = 0.6  // of the vehicles within strayM must be within coreM
	coherently = 0.6  // along this share of the course
)

// enough is how many vehicles must be at p to be more than those with bad receivers:
// MinVehicles and a share of those that passed on the busiest road within reachM, other
// than the segment except.
func (j *judge) enough(p geo.Point, reachM float64, except road.SegmentID) int {
	most := 0.0
	for _, s := range j.Map.Near(p, reachM, nil) {
		a, b := j.Map.SpanEnds(s)
		id := j.Map.Edge(j.Map.SpanEdge(s, false)).Segment()
		if d2, _ := road.Foot(p, a, b, geo.Scale(p.LatE7)); d2 <= reachM*reachM && id != except {
			most = max(most, j.busy(id))
		}
	}
	return j.cfg.MinVehicles + int(badShare*most)
}

// busy estimates the vehicles that passed a segment, both ways, on the fullest day.
func (j *judge) busy(id road.SegmentID) float64 {
	if n, ok := j.traffic[id]; ok {
		return n
	}
	days := map[int64]learn.Vehicles{}
	for _, e := range [2]road.Edge{id.Edge(false), id.Edge(true)} {
		for _, p := range j.Passes[e] {
			v := days[p.DayMS]
			v.Merge(p.Vehicles)
			days[p.DayMS] = v
		}
	}
	most := 0.0
	for _, v := range days {
		most = max(most, v.Estimate())
	}
	j.traffic[id] = most
	return most
}

// coherent reports whether the vehicles seen around a course keep to it, along most of it.
func (j *judge) coherent(course []geo.Point, spots []spot, index spotIndex) bool {
	if len(course) < 2 {
		return true
	}
	const steps = 12
	total, good := lengthM(course), 0
	for k := range steps {
		p, heading := pointAt(course, total*(0.5+float64(k))/steps)
		var core, around tally
		for o := range index.near(spots, p, strayM) {
			if axisAngle(heading, spots[o].axis) > alongHop {
				continue
			}
			sin, cos := math.Sincos((geo.BearingDeg(p, spots[o].p) - heading) * math.Pi / 180)
			d := geo.DistanceM(p, spots[o].p)
			if math.Abs(d*cos) > sectionM {
				continue
			}
			around.merge(spots[o].tally)
			if math.Abs(d*sin) <= coreM {
				core.merge(spots[o].tally)
			}
		}
		if n := core.vehicles(); n >= j.cfg.MinVehicles && float64(n) >= coreShare*float64(around.vehicles()) {
			good++
		}
	}
	return float64(good) >= coherently*steps
}
