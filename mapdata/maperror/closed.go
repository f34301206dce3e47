package maperror

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

const (
	minClosedM   = 50.0           // a shorter stretch is a part of a junction, which those who take another road no longer need
	minHistory   = 3              // days before, of which the road was driven on two thirds
	strayShare   = 0.1            // of a road's vehicles on its fullest day: no more are strays from the roads around
	rare         = 1e-4           // so improbable must the silence of an open road be
	evenness     = 4.0            // of days: a road's traffic of one day deviates by 1/√evenness from what it should be, beyond chance
	allBut       = 1 - strayShare // of a silent road's vehicles must have driven a closed one for the closure to explain the silence
	leastClear   = 8              // bits of a day's bitmap must be clear for it to tell who drove on two roads
	consequence  = 0.5            // a road that lost less than this of what the closed one did is driven less because of that
	changedShare = 0.25           // of its traffic must a road have lost or gained, and by more than chanceSigmas, to be affected by it
)

// use is who drove on a segment, in either direction, before it fell silent and since.
type use struct {
	lastMS   int64 // start of the last day with traffic
	days     int   // with traffic before
	before   float64
	vehicles int // of the fullest day
	firstMS  int64
	segment  road.SegmentID
	perDay   map[int64]float64
	missing  float64 // vehicles expected since, by how busy the roads at large were
}

// closed finds roads that nobody drives any more where many did. How many should have come
// since is told by the traffic of the whole area: the roads around a closed one lose theirs, too.
// Segments that hang together are one candidate, and silent roads that hang together by roads
// whose traffic changed, too, are explained by the one that lost most: all that was lost went through it.
// So are those, wherever they are, whose vehicles nearly all drove on one that lost more.
func (j *judge) closed() {
	if len(j.Passes) == 0 || j.ThroughMS <= 0 {
		return
	}
	uses := j.uses()
	activity := j.activity(uses)
	silent := map[road.SegmentID]*use{}
	for id, u := range uses {
		if j.silent(u, activity) {
			silent[id] = u
		}
	}
	done := map[road.SegmentID]bool{}
	var runs []silentRun
	for _, id := range sorted(silent, cmp.Compare) {
		if done[id] {
			continue
		}
		lastMS := silent[id].lastMS
		affected := j.flood(id, func(n road.SegmentID) bool {
			return silent[n] != nil || uses[n] != nil && j.changed(uses[n], lastMS, activity)
		})
		first, most := len(runs), 0.0
		for _, n := range affected {
			if silent[n] == nil || done[n] {
				continue
			}
			run := silentRun{members: j.flood(n, func(o road.SegmentID) bool { return silent[o] != nil })}
			for _, o := range run.members {
				done[o] = true
				if u := silent[o]; run.most == nil || u.missing > run.most.missing {
					run.most = u
				}
			}
			most = max(most, run.most.missing)
			runs = append(runs, run)
		}
		for i := range runs[first:] {
			runs[first+i].enough = consequence * most
		}
	}
	j.closures(runs, silent)
}

// silentRun is silent segments that hang together.
type silentRun struct {
	members []road.SegmentID
	most    *use    // of the one that lost most
	enough  float64 // that must be missing
}

// closures adds a candidate for each run of silent segments, those that lost most first: a road
// whose vehicles drove on one that is closed, all but strays, is driven no more because of that.
func (j *judge) closures(runs []silentRun, silent map[road.SegmentID]*use) {
	slices.SortFunc(runs, func(a, b silentRun) int {
		return cmp.Or(-cmp.Compare(a.most.missing, b.most.missing), cmp.Compare(a.most.segment, b.most.segment))
	})
	var closed []silentRun
	for _, run := range runs {
		led := func(to silentRun) bool {
			return slices.ContainsFunc(to.members, func(id road.SegmentID) bool { return j.shared(run.most, id) >= allBut })
		}
		if !slices.ContainsFunc(closed, led) && j.close(run, silent) {
			closed = append(closed, run)
		}
	}
}

// shared estimates the share of a silent segment's vehicles that drove on another segment on the
// same day, by the days on which bitmaps can tell; 0 if none can. Each direction is looked at by itself,
// as bitmaps fill up, and who drove it mostly drove the other segment in one direction, too.
func (j *judge) shared(u *use, other road.SegmentID) float64 {
	var both, all float64
	for _, e := range [2]road.Edge{u.segment.Edge(false), u.segment.Edge(true)} {
		for i := range j.Passes[e] {
			p := &j.Passes[e][i]
			if p.DayMS > u.lastMS {
				continue
			}
			n, known, most := p.Vehicles.Estimate(), false, 0.0
			for _, o := range [2]road.Edge{other.Edge(false), other.Edge(true)} {
				var there learn.Vehicles // nobody, if the day is not among its passes
				if at := slices.IndexFunc(j.Passes[o], func(q DayPasses) bool { return q.DayMS == p.DayMS }); at >= 0 {
					there = j.Passes[o][at].Vehicles
				}
				if there.AtLeast() <= learn.VehicleBits-leastClear {
					union := there
					union.Merge(p.Vehicles)
					known, most = true, max(most, n+there.Estimate()-union.Estimate())
				}
			}
			if known {
				both, all = both+most, all+n
			}
		}
	}
	if all == 0 {
		return 0
	}
	return both / all
}

// flood is a segment and all that hang together with it by segments of which in is true,
// ascending.
func (j *judge) flood(from road.SegmentID, in func(road.SegmentID) bool) []road.SegmentID {
	seen := map[road.SegmentID]bool{from: true}
	members := []road.SegmentID{from}
	for at := 0; at < len(members); at++ {
		for _, n := range j.neighbours(members[at]) {
			if !seen[n] && in(n) {
				seen[n] = true
				members = append(members, n)
			}
		}
	}
	slices.Sort(members)
	return members
}

// close adds the candidate of a run of silent segments, if one of them misses enough vehicles, and
// reports whether it did.
func (j *judge) close(run silentRun, silent map[road.SegmentID]*use) bool {
	most := run.most
	i, ok := j.Map.Find(most.segment.Edge(false))
	if !ok || most.missing < run.enough {
		return false
	}
	if !j.Map.Allowed(i) {
		i = i.Reverse()
	}
	stretch := j.stretch(i, silent)
	if lengthM(stretch) < minClosedM {
		return false
	}
	c := Candidate{
		Type: ClosedRoad, Edge: j.Map.Edge(i), Vehicles: most.vehicles, Geometry: stretch,
		Score: score(int(most.missing), 1), FirstMS: most.firstMS, LastMS: j.ThroughMS - learn.DayMS,
	}
	c.At, _ = pointAt(j.Map.Shape(i), j.Map.LengthM(i)/2)
	j.found = append(j.found, c)
	return true
}

// stretch is the course of an edge and of the silent segments before and after it: where
// on it the road is closed traffic does not tell.
func (j *judge) stretch(i road.Index, silent map[road.SegmentID]*use) []geo.Point {
	used := map[road.SegmentID]bool{j.Map.Edge(i).Segment(): true}
	line := slices.Clone(j.course(i))
	extend := func(e road.Index) {
		for ok := true; ok; {
			node := j.Map.Target(e)
			ok = false
			most := 0.0
			var next road.Index
			for _, list := range [2][]road.Index{j.Map.Out(node), j.Map.OutWrong(node)} {
				for _, o := range list {
					if u := silent[j.Map.Edge(o).Segment()]; u != nil && !used[u.segment] && u.missing > most {
						most, next, ok = u.missing, o, true
					}
				}
			}
			if ok {
				e = next
				used[j.Map.Edge(e).Segment()] = true
				line = append(line, j.course(e)[1:]...)
			}
		}
	}
	extend(i)
	slices.Reverse(line)
	extend(i.Reverse())
	slices.Reverse(line)
	return line
}

// uses sums the passes of both directions.
func (j *judge) uses() map[road.SegmentID]*use {
	uses := map[road.SegmentID]*use{}
	for _, e := range sorted(j.Passes, byEdge) {
		id := e.Segment()
		u := uses[id]
		if u == nil {
			u = &use{segment: id, perDay: map[int64]float64{}}
			uses[id] = u
		}
		for _, p := range j.Passes[e] {
			if n := p.Vehicles.AtLeast(); n > 0 {
				u.perDay[p.DayMS] += float64(n)
			}
		}
	}
	for _, u := range uses {
		for _, n := range u.perDay {
			u.vehicles = max(u.vehicles, int(n))
		}
		for day, n := range u.perDay {
			if n <= strayShare*float64(u.vehicles) {
				continue
			}
			u.lastMS = max(u.lastMS, day)
			if u.firstMS == 0 || day < u.firstMS {
				u.firstMS = day
			}
			u.days++
			u.before += n
		}
	}
	return uses
}

// activity is the traffic of all roads on each whole day.
func (j *judge) activity(uses map[road.SegmentID]*use) map[int64]float64 {
	sum := map[int64]float64{}
	for _, id := range sorted(uses, cmp.Compare) {
		for day, n := range uses[id].perDay {
			if day+learn.DayMS <= j.ThroughMS {
				sum[day] += n
			}
		}
	}
	return sum
}

// expect is how many vehicles should have driven on a segment after a day, by those before
// and by how busy all roads were, how many did, and on how many days.
func (j *judge) expect(u *use, lastMS int64, activity map[int64]float64) (expected, seen, days float64) {
	var before, busy, since float64
	for day := u.firstMS; day+learn.DayMS <= j.ThroughMS; day += learn.DayMS {
		if day <= lastMS {
			before, busy = before+u.perDay[day], busy+activity[day]
		} else {
			seen, since, days = seen+u.perDay[day], since+activity[day], days+1
		}
	}
	if busy == 0 {
		return 0, seen, days
	}
	return before * since / busy, seen, days
}

// silent reports whether a segment that was driven regularly no longer is.
func (j *judge) silent(u *use, activity map[int64]float64) bool {
	history := (u.lastMS-u.firstMS)/learn.DayMS + 1
	if history < minHistory || int64(3*u.days) < 2*history {
		return false
	}
	expected, seen, days := j.expect(u, u.lastMS, activity)
	u.missing = expected - seen
	return u.missing >= float64(j.cfg.ClosedAfter) && atMost(seen, expected, evenness*days) <= rare
}

// changed reports whether a segment has much less or more traffic since a day than it should.
func (j *judge) changed(u *use, lastMS int64, activity map[int64]float64) bool {
	expected, seen, _ := j.expect(u, lastMS, activity)
	return expected > 0 && math.Abs(expected-seen) >= max(changedShare*expected, chanceSigmas*math.Sqrt(expected))
}

// atMost is the probability that so few or fewer come when mean are expected: negative
// binomial, a Poisson whose mean itself varies (gamma) with that shape.
func atMost(n, mean, shape float64) float64 {
	p := math.Pow(shape/(shape+mean), shape)
	sum := p
	for k := 1.0; k <= n; k++ {
		p *= (shape + k - 1) / k * mean / (shape + mean)
		sum += p
	}
	return sum
}

// neighbours are the segments that touch one, ascending.
func (j *judge) neighbours(id road.SegmentID) []road.SegmentID {
	i, ok := j.Map.Find(id.Edge(false))
	if !ok {
		return nil
	}
	var out []road.SegmentID
	for _, n := range [2]int{j.Map.Source(i), j.Map.Target(i)} {
		for _, list := range [2][]road.Index{j.Map.Out(n), j.Map.OutWrong(n)} {
			for _, e := range list {
				if s := j.Map.Edge(e).Segment(); s != id {
					out = append(out, s)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
