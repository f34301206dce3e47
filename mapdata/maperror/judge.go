package maperror

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Config adjusts Judge; the zero value is usable.
type Config struct {
	// MinVehicles is how many distinct vehicles on one day must stand behind a candidate;
	// default 5, never below learn.DefaultK.
	MinVehicles int
	// ClosedAfter is how many vehicles must be missing, by what drove on days before, for a
	// road to count as closed; default 20.
	ClosedAfter int
}

func (c Config) withDefaults() Config {
	if c.MinVehicles <= 0 {
		c.MinVehicles = 5
	}
	if c.ClosedAfter <= 0 {
		c.ClosedAfter = 20
	}
	c.MinVehicles = max(c.MinVehicles, learn.DefaultK)
	return c
}

// DayPasses is who drove on an edge on a UTC day: what speeds were counted.
type DayPasses struct {
	DayMS    int64 // its start, ms since the epoch
	N        int64 // samples
	Vehicles learn.Vehicles
}

// Input is all that Judge decides by. Nothing in it is changed.
type Input struct {
	Tile uint32 // quadkey of the z14 tile whose candidates are asked for
	// Map is the road graph of the tile and its neighbours: what drives were matched to.
	// See Area.
	Map *road.Graph
	// Evidence is that of the tile and its neighbours, of package maperror's kinds, over
	// the days to judge by, 30 at most make sense; in any order.
	Evidence []learn.Evidence
	// Passes is who drove on the edges of the tile and its neighbours on the same days;
	// each day at most once. Without it, roads near others are harder to tell from bad
	// receivers, and no closed road is found.
	Passes map[road.Edge][]DayPasses
	// ThroughMS is up to when passes are complete, ms since the epoch; days that end
	// later do not count as days without traffic.
	ThroughMS int64
	// Known are the candidates found before: one at the same place keeps its id.
	Known []Candidate
}

// Judge finds the candidates of a tile, ascending by id. It is pure: the same input, in
// any order, gives the same candidates. Each candidate belongs to the tile that At is in.
func Judge(in Input, cfg Config) []Candidate {
	j := newJudge(in, cfg.withDefaults())
	j.oneWays()
	j.missing()
	j.moved()
	j.turns()
	j.forbidden()
	j.wrongTurns()
	j.closed()
	return j.finish()
}

// judge is one run of Judge.
type judge struct {
	Input
	cfg      Config
	faults   map[road.Edge]map[uint64]*tally
	gaps     map[gapKey]*tally
	breaches map[gapKey]*tally // of forbidden turns
	trails   map[road.Edge][]passing
	parts    map[[2]uint64]*tally // cell key, code
	wrong    map[road.SegmentID]bool
	found    []Candidate
	roads    []missingRoad
	traffic  map[road.SegmentID]float64 // see busy
}

func newJudge(in Input, cfg Config) *judge {
	j := &judge{
		Input: in, cfg: cfg,
		faults: map[road.Edge]map[uint64]*tally{}, gaps: map[gapKey]*tally{}, breaches: map[gapKey]*tally{}, trails: map[road.Edge][]passing{},
		parts: map[[2]uint64]*tally{}, wrong: map[road.SegmentID]bool{},
		traffic: map[road.SegmentID]float64{},
	}
	for i := range in.Evidence {
		e := &in.Evidence[i]
		for k := range e.Votes {
			v := &e.Votes[k]
			switch e.Kind {
			case learn.EdgeFaultEvidence:
				codes := j.faults[road.Edge(e.Key)]
				if codes == nil {
					codes = map[uint64]*tally{}
					j.faults[road.Edge(e.Key)] = codes
				}
				count(codes, v.Code, e.BucketMS, v)
			case learn.TurnEvidence:
				k := gapKey{edges: [2]road.Edge{road.Edge(e.Key), road.Edge(v.Code & uint64(road.MaxEdge))}, off: v.Code&offBetween != 0}
				if v.Code&forbiddenTurn != 0 {
					count(j.breaches, k, e.BucketMS, v)
				} else {
					count(j.gaps, k, e.BucketMS, v)
				}
			case learn.TrailEvidence:
				j.trails[road.Edge(e.Key)] = append(j.trails[road.Edge(e.Key)], passingOf(e.Key, e.BucketMS, v))
			case learn.OffRoadEvidence:
				count(j.parts, [2]uint64{e.Key, v.Code}, e.BucketMS, v)
			default: // another learner's
			}
		}
	}
	return j
}

func count[K comparable](m map[K]*tally, k K, dayMS int64, v *learn.Vote) {
	t := m[k]
	if t == nil {
		t = &tally{}
		m[k] = t
	}
	t.add(dayMS, v)
}

// fault is the tally of a code on an edge; an empty one if there is none.
func (j *judge) fault(e road.Edge, code uint64) *tally {
	if t := j.faults[e][code]; t != nil {
		return t
	}
	return &tally{}
}

// passed is the passes of an edge on the days of a tally.
func (j *judge) passed(e road.Edge, on *tally) tally {
	var t tally
	for _, p := range j.Passes[e] {
		if on.on(p.DayMS) {
			t.n += p.N
			t.see(p.DayMS, p.Vehicles)
		}
	}
	return t
}

// score grows with the vehicles behind a candidate and falls with the share against it.
func score(vehicles int, share float64) float32 {
	v := float64(vehicles)
	return float32(min(max(share, 0), 1) * v / (v + 2))
}

// edges of faults in ascending order, so that nothing depends on the order of maps.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

// finish keeps the tile's own candidates, and gives them their ids.
func (j *judge) finish() []Candidate {
	own := make([]Candidate, 0, len(j.found))
	for _, c := range j.found {
		if geo.TileAt(c.At, road.Zoom).Quadkey() == j.Tile {
			own = append(own, c)
		}
	}
	slices.SortStableFunc(own, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), -cmp.Compare(a.Score, b.Score), cmp.Compare(a.Edge, b.Edge), cmp.Compare(a.To, b.To))
	})
	taken := map[uint64]bool{}
	for i := range own {
		c := &own[i]
		c.ID = known(c, j.Known, taken)
		for n := uint64(0); c.ID == 0 || taken[c.ID]; n++ {
			c.ID = identify(c, n)
		}
		taken[c.ID] = true
	}
	slices.SortFunc(own, func(a, b Candidate) int { return cmp.Compare(a.ID, b.ID) })
	return own
}

// sameM is how near candidates of one type and without an edge are the same.
const sameM = 30.0

// known is the id of the candidate that was found at the same place before; 0 if none was.
func known(c *Candidate, before []Candidate, taken map[uint64]bool) uint64 {
	best, bestShare := uint64(0), 0.5
	for i := range before {
		o := &before[i]
		if o.Type != c.Type || taken[o.ID] {
			continue
		}
		// What is at a junction is named by its edges, what lies between roads by its place.
		if c.Type != MissingRoad && c.Type != MissingTurn || len(c.Geometry) == turnPoints && c.Type == MissingTurn {
			if o.Edge == c.Edge && o.To == c.To {
				return o.ID
			}
			continue
		}
		if len(c.Geometry) < 2 || len(o.Geometry) < 2 {
			continue
		}
		if share := max(beside(c.Geometry, o.Geometry, sameM), beside(o.Geometry, c.Geometry, sameM)); share > bestShare {
			best, bestShare = o.ID, share
		}
	}
	return best
}

// identify is a hash of type and place (the finaliser of SplitMix64), below 2^53.
func identify(c *Candidate, salt uint64) uint64 {
	h := uint64(c.Type) + salt<<8
	for _, v := range [3]uint64{uint64(c.Edge), uint64(c.To), learn.CellKey(c.At, 0)} {
		h = (h ^ v) + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h >> 11
}
