package maperror

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

const (
	minHistory = 3   // days before, of which the road was driven on two thirds
	strayShare = 0.1 // of a road's vehicles on its fullest day: no more are strays from the roads around
	aliveShare = 0.5 // of their former traffic must still be on the roads around
)

// use is who drove on a segment, in either direction, before it fell silent and since.
type use struct {
	lastMS         int64 // start of the last day with traffic
	days           int   // with traffic before
	before         float64
	vehicles       int // of the fullest day
	firstMS        int64
	segment        road.SegmentID
	perDay         map[int64]int
	expectedSilent float64
}

// closed finds roads that nobody drives any more where many did, while the roads that lead
// to them are still driven. Segments that hang together are one candidate.
func (j *judge) closed() {
	if len(j.Passes) == 0 || j.ThroughMS <= 0 {
		return
	}
	uses := j.uses()
	silent := map[road.SegmentID]*use{}
	for id, u := range uses {
		if j.silent(u) {
			silent[id] = u
		}
	}
	done := map[road.SegmentID]bool{}
	for _, id := range sorted(silent, cmp.Compare) {
		if done[id] {
			continue
		}
		done[id] = true
		members, border := []road.SegmentID{id}, map[road.SegmentID]bool{}
		for at := 0; at < len(members); at++ {
			for _, n := range j.neighbours(members[at]) {
				switch {
				case silent[n] == nil:
					border[n] = true
				case !done[n]:
					done[n] = true
					members = append(members, n)
				}
			}
		}
		j.close(members, border, uses)
	}
}

// close adds the candidate of a run of silent segments, if the roads around are alive.
func (j *judge) close(members []road.SegmentID, border map[road.SegmentID]bool, uses map[road.SegmentID]*use) {
	slices.Sort(members)
	most := uses[members[0]]
	lastMS := most.lastMS
	for _, id := range members {
		u := uses[id]
		lastMS = max(lastMS, u.lastMS)
		if u.before > most.before {
			most = u
		}
	}
	var before, since float64
	for _, id := range sorted(border, cmp.Compare) {
		u := uses[id]
		if u == nil {
			continue
		}
		b, s := u.rates(lastMS, j.ThroughMS)
		before, since = before+b, since+s
	}
	if before == 0 || since < aliveShare*before {
		return
	}
	i, ok := j.Map.Find(most.segment.Edge(false))
	if !ok {
		return
	}
	if !j.Map.Allowed(i) {
		i = i.Reverse()
	}
	c := Candidate{
		Type: ClosedRoad, Edge: j.Map.Edge(i), Vehicles: most.vehicles,
		Score: score(int(most.expectedSilent), 1), FirstMS: most.firstMS, LastMS: j.ThroughMS - learn.DayMS,
	}
	c.At, _ = pointAt(j.Map.Shape(i), j.Map.LengthM(i)/2)
	j.found = append(j.found, c)
}

// uses sums the passes of both directions.
func (j *judge) uses() map[road.SegmentID]*use {
	uses := map[road.SegmentID]*use{}
	for _, e := range sorted(j.Passes, byEdge) {
		id := e.Segment()
		u := uses[id]
		if u == nil {
			u = &use{segment: id, perDay: map[int64]int{}}
			uses[id] = u
		}
		for _, p := range j.Passes[e] {
			if n := p.Vehicles.AtLeast(); n > 0 {
				u.perDay[p.DayMS] += n
			}
		}
	}
	for _, u := range uses {
		for _, n := range u.perDay {
			u.vehicles = max(u.vehicles, n)
		}
		for day, n := range u.perDay {
			if float64(n) <= strayShare*float64(u.vehicles) {
				continue
			}
			u.lastMS = max(u.lastMS, day)
			if u.firstMS == 0 || day < u.firstMS {
				u.firstMS = day
			}
			u.days++
			u.before += float64(n)
		}
	}
	return uses
}

// silent reports whether a segment that was driven regularly no longer is.
func (j *judge) silent(u *use) bool {
	quiet := float64((j.ThroughMS-u.lastMS)/learn.DayMS - 1) // whole days without traffic
	history := (u.lastMS-u.firstMS)/learn.DayMS + 1
	if quiet < 1 || history < minHistory || int64(3*u.days) < 2*history {
		return false
	}
	u.expectedSilent = quiet * u.before / float64(history)
	return u.expectedSilent >= float64(j.cfg.ClosedAfter)
}

// rates are the vehicles a day up to a day and after it.
func (u *use) rates(lastMS, throughMS int64) (before, since float64) {
	for day, n := range u.perDay {
		if day <= lastMS {
			before += float64(n)
		} else if day+learn.DayMS <= throughMS {
			since += float64(n)
		}
	}
	before /= float64(max((lastMS-u.firstMS)/learn.DayMS+1, 1))
	return before, since / float64(max((throughMS-lastMS)/learn.DayMS-1, 1))
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
