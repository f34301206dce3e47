package maperror

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// The parameters of turns.
const (
	forbiddenShare = 0.05    // of the vehicles that come must make a forbidden turn: some always do
	returnedMS     = 180_000 // who passes a junction and comes back within this time,
	leastReturnMS  = 8_000   // but not before this, made a detour
	turnedShare    = 0.5     // of who got from one edge into the other, detours must prove at least so many
	aimedShare     = 0.6     // of who came back must have taken the edge in question,
	backShare      = 0.5     // and of who passed so many must have come back if all others from there take that edge, too: errands bring fewer back
	chanceSigmas   = 3       // so far above what comes together by chance must they be
)

// passing is a turn that some vehicles made at about one time.
type passing struct {
	from, to road.Edge
	dayMS    int64
	sinceMS  int64 // of the day: between these two times,
	untilMS  int64 // which are the same if it was one vehicle
	vehicles learn.Vehicles
}

// forbidden makes candidates of forbidden turns that are made.
func (j *judge) forbidden() {
	for _, k := range sorted(j.breaches, compareGaps) {
		t := j.breaches[k]
		i, okA := j.Map.Find(k.edges[0])
		_, okB := j.Map.Find(k.edges[1])
		if !okA || !okB || !j.Map.Forbids(i, k.edges[1]) || t.vehicles() < j.cfg.MinVehicles {
			continue
		}
		came := j.passed(k.edges[0], t)
		if float64(t.vehicles()) < forbiddenShare*float64(came.vehicles()) {
			continue
		}
		share := float64(t.vehicles()) / float64(max(came.vehicles(), t.vehicles()))
		j.turn(MissingTurn, k.edges, t, 0, 0.5+share/2)
	}
}

// turnPoints is the length of the geometry of a turn at a junction.
const turnPoints = 3

// turn adds the candidate of a turn at a junction.
func (j *judge) turn(kind Type, edges [2]road.Edge, t *tally, against int, share float64) {
	i, _ := j.Map.Find(edges[0])
	k, _ := j.Map.Find(edges[1])
	in, out := j.course(i), j.course(k)
	c := Candidate{
		Type: kind, Edge: edges[0], To: edges[1], At: out[0], Vehicles: t.vehicles(), Against: against,
		Score: score(t.vehicles(), share),
	}
	before, _ := pointAt(in, max(lengthM(in)-shortM/2, 0))
	after, _ := pointAt(out, min(shortM/2, lengthM(out)))
	c.Geometry = []geo.Point{before, out[0], after}
	c.FirstMS, c.LastMS = t.span()
	j.found = append(j.found, c)
}

// wrongTurns finds turns that the map allows and that are not made although vehicles want
// to: those that pass the junction and come back to it, so as to get into the very edge.
// That nobody makes a turn proves nothing: there may be nowhere to go.
func (j *judge) wrongTurns() {
	byTime := func(a, b passing) int {
		return cmp.Or(cmp.Compare(a.dayMS, b.dayMS), cmp.Compare(a.sinceMS, b.sinceMS), byEdge(a.from, b.from), byEdge(a.to, b.to))
	}
	for _, from := range sorted(j.trails, byEdge) {
		i, ok := j.Map.Find(from)
		if !ok {
			continue
		}
		came := slices.SortedFunc(slices.Values(j.trails[from]), byTime)
		node := j.Map.Target(i)
		var others []passing // who passed the junction from elsewhere
		for _, list := range [2][]road.Index{j.Map.Out(node), j.Map.OutWrong(node)} {
			for _, o := range list {
				if o != i.Reverse() {
					others = append(others, j.trails[j.Map.Edge(o.Reverse())]...)
				}
			}
		}
		slices.SortFunc(others, byTime)
		for _, to := range j.Map.Out(node) {
			if to != i.Reverse() && !j.Map.Forbids(i, j.Map.Edge(to)) {
				j.wrongTurn([2]road.Edge{from, j.Map.Edge(to)}, came, others)
			}
		}
	}
}

// wrongTurn judges one turn, by who came from its first edge and who passed the junction
// from elsewhere, both in order of time.
func (j *judge) wrongTurn(edges [2]road.Edge, came, others []passing) {
	var made, detours tally
	// Vehicles share bits: what chance brings together is counted, and taken away.
	var turned, passed, detoured, returned, chance, chanceBack float64
	for i := range came {
		if a := &came[i]; a.to == edges[1] {
			turned += float64(ones(a.vehicles))
			made.see(a.dayMS, a.vehicles)
		} else {
			passed += float64(ones(a.vehicles))
		}
	}
	for a, o := range returns(came, others, edges[1]) {
		both, byChance := inBoth(a, o)
		returned, chanceBack = returned+float64(ones(both)), chanceBack+byChance
		if o.to == edges[1] {
			detoured, chance = detoured+float64(ones(both)), chance+byChance
			if both != (learn.Vehicles{}) {
				detours.see(a.dayMS, both)
			}
		}
	}
	sure := detoured - chance
	if detours.vehicles() < j.cfg.MinVehicles || sure < float64(j.cfg.MinVehicles)+chanceSigmas*math.Sqrt(chance) ||
		sure < aimedShare*(returned-chanceBack) || atLeast(int(sure), int(sure+turned)) < turnedShare {
		return
	}
	if sure < backShare*passed && !j.unlikeOthers(came, others, edges[1], sure) {
		return
	}
	j.turn(WrongTurn, edges, &detours, made.vehicles(), sure/(sure+turned))
}

// unlikeOthers reports whether those who came back took an edge more often than others who pass the
// junction from the same edges do, or too few others do to tell. If all take it from there, it is the way
// back from an errand.
func (j *judge) unlikeOthers(came, others []passing, to road.Edge, sure float64) bool {
	type flow struct{ all, into float64 } // vehicles, and those that take the edge
	back := map[road.Edge]flow{}
	for a, o := range returns(came, others, to) {
		both, byChance := inBoth(a, o)
		f := back[o.from]
		f.all += float64(ones(both)) - byChance
		if o.to == to {
			f.into += float64(ones(both)) - byChance
		}
		back[o.from] = f
	}
	total := map[road.Edge]flow{}
	for i := range others {
		o := &others[i]
		f := total[o.from]
		f.all += float64(ones(o.vehicles))
		if o.to == to {
			f.into += float64(ones(o.vehicles))
		}
		total[o.from] = f
	}
	var rest, expected, variance float64
	for _, e := range sorted(back, byEdge) {
		all, into := max(total[e].all-back[e].all, 0), max(total[e].into-back[e].into, 0)
		share := (min(into, all) + 1) / (all + 2) // Laplace's rule of succession
		n := max(back[e].all, 0)
		rest, expected, variance = rest+all, expected+n*share, variance+n*share*(1-share)
	}
	return rest < float64(j.cfg.MinVehicles) || sure > expected+chanceSigmas*math.Sqrt(variance)
}

// returns are the pairs of passings, of who came and did not turn into an edge, and of who passed the
// junction from elsewhere so much later that the same vehicle may have come back; both in order of time.
func returns(came, others []passing, to road.Edge) iter.Seq2[*passing, *passing] {
	return func(yield func(a, o *passing) bool) {
		first := 0
		for i := range came {
			a := &came[i]
			if a.to == to {
				continue
			}
			for first < len(others) && (others[first].dayMS < a.dayMS || others[first].dayMS == a.dayMS && others[first].sinceMS+trailSlotMS < a.sinceMS) {
				first++
			}
			for k := first; k < len(others) && others[k].dayMS == a.dayMS && others[k].sinceMS <= a.untilMS+returnedMS; k++ {
				if o := &others[k]; o.untilMS >= a.sinceMS+leastReturnMS && !yield(a, o) {
					return
				}
			}
		}
	}
}

// inBoth are the vehicles that two passings have in common, and how many have by chance.
func inBoth(a, o *passing) (both learn.Vehicles, byChance float64) {
	both = learn.Vehicles{a.vehicles[0] & o.vehicles[0], a.vehicles[1] & o.vehicles[1]}
	return both, float64(ones(a.vehicles)*ones(o.vehicles)) / learn.VehicleBits
}

func ones(v learn.Vehicles) int { return bits.OnesCount64(v[0]) + bits.OnesCount64(v[1]) }

// passingOf is what a vote on a trail says.
func passingOf(key uint64, dayMS int64, v *learn.Vote) passing {
	p := passing{from: road.Edge(key), to: road.Edge(v.Code & uint64(road.MaxEdge)), dayMS: dayMS, vehicles: v.Vehicles}
	p.sinceMS = int64(v.Code>>trailShift) * trailSlotMS
	p.untilMS = p.sinceMS + trailSlotMS
	if v.N == 1 {
		p.sinceMS, p.untilMS = v.Sum[0], v.Sum[0]
	}
	return p
}
