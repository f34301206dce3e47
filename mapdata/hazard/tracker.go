package hazard

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Changes are hazards in their new state, ordered by id.
type Changes struct {
	Started, Updated, Ended []Hazard
}

// Empty reports whether nothing changed.
func (c *Changes) Empty() bool { return len(c.Started)+len(c.Updated)+len(c.Ended) == 0 }

// What makes two findings one hazard, and what is worth telling.
const (
	areaM      = 300.0  // of a hazard that fills an area: two edges whose middles are not farther apart
	maxEdges   = 200    // a hazard takes in no more than so many
	noticeable = 0.2    // of a change in probability
	manyTimes  = 2      // of a change of vehicles: as many times what it was, or fewer
	settleMS   = 60_000 // between a hazard's updates, unless it has grown

	weatherSettleMS = 300_000 // of weather, which changes slowly and is told in many tiles
)

// Track carries hazards on: from the ones that are known of a region and all findings of it
// now (nowMS, ms since the epoch) to what changed. It is a pure function; applied again to its
// result it changes nothing, and ids are derived from category, first edge and minute, so projectors
// that see the same agree.
//
// Findings of one category are one hazard where one edge leads to the other, or, for a slippery
// road, where they are within 300 m of one another. Only published findings start a hazard or extend it; those
// that are not keep it alive on the edges that it has. Where two hazards grow into one the older stays.
//
// Weather (reduced visibility, exceptional weather) is one hazard a z14 tile, which any finding in the tile
// keeps alive. It stays on the edge where it was first told, the only one it lists, and its id is derived from the tile instead of
// the edge: what all roads have at once is told once, however many vehicles drive into it.
//
// That a hazard starts, ends, or covers a further edge is told at once. Other news must be worth it: its
// probability changed by 0.2, its vehicles to twice or half as many, or it left an edge; and 60 s have passed since it was last
// told, 5 min for weather.
//
// known are the active hazards of the region, and the ones that ended within Config.Window, so that
// their ids are not given again. The findings must cover all edges of the active ones,
// also those outside the region: what is not found is over. Findings on edges without a spot are
// left out: the map no longer has the road.
func Track(known []Hazard, findings []Finding, spots Spots, nowMS int64) Changes {
	var out Changes
	findings = slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool {
		_, ok := spots[f.Edge]
		return f.Edge != 0 && !ok
	})
	known = slices.Clone(known)
	slices.SortFunc(known, func(a, b Hazard) int { return cmp.Or(cmp.Compare(a.StartedMS, b.StartedMS), cmp.Compare(a.ID, b.ID)) })
	taken := make(map[uint64]bool, len(known))
	for i := range known {
		taken[known[i].ID] = true
	}
	for h := telemetry.HazardUnknown + 1; int(h) < categories; h++ {
		g := newGroups(h, findings, known, spots)
		claimed := make([]bool, len(g.members))
		for i := range known {
			if k := &known[i]; k.Category == h && k.Active() {
				continueHazard(&out, k, g.of(i, claimed), spots, nowMS)
			}
		}
		for _, members := range g.rest(claimed) {
			if x, ok := begin(h, members, spots, taken, nowMS); ok {
				taken[x.ID] = true
				out.Started = append(out.Started, x)
			}
		}
	}
	for _, list := range [][]Hazard{out.Started, out.Updated, out.Ended} {
		slices.SortFunc(list, func(a, b Hazard) int { return cmp.Compare(a.ID, b.ID) })
	}
	return out
}

// continueHazard tells what became of a known hazard that some findings are now.
func continueHazard(out *Changes, k *Hazard, members []*Finding, spots Spots, nowMS int64) {
	x := *k
	if len(members) == 0 {
		x.Probability, x.EndedMS = 0, max(nowMS, k.StartedMS)
		out.Ended = append(out.Ended, x)
		return
	}
	sum(&x, members)
	switch {
	case isWeather(k.Category):
		stay(&x, k)
	case len(x.Edges) > 0 && !slices.Contains(x.Edges, x.Edge):
		first := upstream(members, spots)
		x.Edge, x.At = first.Edge, place(first, spots)
	}
	if worthTelling(k, &x, nowMS) {
		x.UpdatedMS, x.ToldMS = max(x.UpdatedMS, k.UpdatedMS), nowMS
		out.Updated = append(out.Updated, x)
	}
}

// worthTelling reports whether a hazard that was told as k is to be told again as x.
func worthTelling(k, x *Hazard, nowMS int64) bool {
	if slices.ContainsFunc(x.Edges, func(e road.Edge) bool { return !slices.Contains(k.Edges, e) }) {
		return true
	}
	settle := int64(settleMS)
	if isWeather(k.Category) {
		settle = weatherSettleMS
	}
	if since := nowMS - k.ToldMS; since >= 0 && since < settle {
		return false
	}
	return math.Abs(float64(x.Probability-k.Probability)) >= noticeable || len(x.Edges) != len(k.Edges) ||
		x.Vehicles != k.Vehicles && (x.Vehicles >= manyTimes*k.Vehicles || manyTimes*x.Vehicles <= k.Vehicles)
}

// begin is a new hazard; ok is false if none of the findings may start one.
func begin(h telemetry.Hazard, members []*Finding, spots Spots, taken map[uint64]bool, nowMS int64) (Hazard, bool) {
	if !slices.ContainsFunc(members, func(f *Finding) bool { return f.Published }) {
		return Hazard{}, false
	}
	first := upstream(members, spots)
	x := Hazard{Category: h, Edge: first.Edge, At: place(first, spots), StartedMS: first.FirstMS, ToldMS: nowMS}
	minute := first.StartMS
	for _, f := range members {
		x.StartedMS, minute = min(x.StartedMS, f.FirstMS), min(minute, f.StartMS)
	}
	sum(&x, members)
	edge, cell := uint64(first.Edge), first.Cell
	if isWeather(h) {
		x.Edges = edgesOf(x.Edge)
		edge, cell = uint64(tileOf(&x)), 0
	}
	x.ID = id(h, edge, cell, minute, 0)
	for salt := uint64(1); taken[x.ID]; salt++ {
		x.ID = id(h, edge, cell, minute, salt)
	}
	return x, true
}

// sum sets what a hazard has of its findings.
func sum(x *Hazard, members []*Finding) {
	var best *Finding
	x.Edges, x.Vehicles, x.UpdatedMS = nil, 0, 0
	for _, f := range members {
		if f.Edge != 0 {
			x.Edges = append(x.Edges, f.Edge)
		}
		x.Vehicles = max(x.Vehicles, f.Vehicles)
		x.UpdatedMS = max(x.UpdatedMS, f.LastMS)
		if best == nil || f.Probability > best.Probability {
			best = f
		}
	}
	slices.Sort(x.Edges)
	x.Probability, x.Clean = float32(best.Probability), best.Clean
}

// upstream is the finding where a hazard begins: on an edge that no other of it leads to,
// the most probable of those; of all if they go round in circles.
func upstream(members []*Finding, spots Spots) *Finding {
	ends := make(map[int64][]road.Edge, len(members))
	for _, f := range members {
		if s, ok := spots[f.Edge]; ok {
			ends[s.To] = append(ends[s.To], f.Edge)
		}
	}
	var first *Finding
	entered := false // first is
	for _, f := range members {
		in := false
		if s, ok := spots[f.Edge]; ok {
			in = slices.ContainsFunc(ends[s.From], func(e road.Edge) bool { return e.Segment() != f.Edge.Segment() })
		}
		if first == nil || entered && !in || entered == in && (f.Edge != 0 && first.Edge == 0 || (f.Edge != 0) == (first.Edge != 0) && f.Probability > first.Probability) {
			first, entered = f, in
		}
	}
	return first
}

// place is where a finding is drawn.
func place(f *Finding, spots Spots) geo.Point {
	if f.Edge != 0 {
		return spots[f.Edge].At
	}
	box, _ := learn.CellBox(f.Cell)
	return geo.Between(geo.Point{LatE7: box.South, LonE7: box.West}, geo.Point{LatE7: box.North, LonE7: box.East}, 0.5)
}

// id is a hash below 2^53, never 0.
func id(h telemetry.Hazard, edge, cell uint64, minuteMS int64, salt uint64) uint64 {
	x := uint64(h)
	for _, v := range [...]uint64{edge, cell, uint64(minuteMS), salt} {
		x = (x ^ v) + 0x9e3779b97f4a7c15 // SplitMix64
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return max(x>>11, 1)
}
