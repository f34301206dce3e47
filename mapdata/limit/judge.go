package limit

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Config says when a limit is published. The zero value is DefaultConfig.
type Config struct {
	K         int           // distinct vehicles that must have said so on one day, ≥ 1; default learn.DefaultK
	Posterior float64       // probability above which a limit is published, 0.5 to 1; default 0.95
	Hold      float64       // probability down to which a limit that is published stays so, 0.5 to Posterior; default 0.8, or Posterior if that is less
	Change    time.Duration // mean time between two changes of a road's limit, ≥ 30 days; default 2,000 days
	MaxCars   int           // what a day's votes count for at most, in vehicles, ≥ K; default 25
	Cameras   float64       // share of the vehicles that read signs at all, 0 to 1; default 0.5
}

// DefaultConfig is the documented defaults.
func DefaultConfig() Config {
	return Config{K: learn.DefaultK, Posterior: 0.95, Hold: 0.8, Change: 2000 * 24 * time.Hour, MaxCars: 25, Cameras: 0.5}
}

// WithDefaults replaces what is zero.
func (c Config) WithDefaults() Config {
	d := DefaultConfig()
	posterior := cmp.Or(c.Posterior, d.Posterior)
	return Config{
		K: cmp.Or(c.K, d.K), Posterior: posterior, Hold: cmp.Or(c.Hold, min(d.Hold, posterior)),
		Change: cmp.Or(c.Change, d.Change), MaxCars: cmp.Or(c.MaxCars, d.MaxCars),
		Cameras: cmp.Or(c.Cameras, d.Cameras),
	}
}

// Validate names the first setting that is out of its range; zero ones are not.
func (c Config) Validate() error {
	c = c.WithDefaults()
	switch {
	case c.K < 1:
		return fmt.Errorf("limit: K must be at least 1, is %d", c.K)
	case c.Posterior < 0.5 || c.Posterior >= 1:
		return fmt.Errorf("limit: Posterior must be 0.5 to below 1, is %v", c.Posterior)
	case c.Hold < 0.5 || c.Hold > c.Posterior:
		return fmt.Errorf("limit: Hold must be 0.5 to Posterior, %v, is %v", c.Posterior, c.Hold)
	case c.Change < 30*24*time.Hour:
		return fmt.Errorf("limit: Change must be at least 720h, is %s", c.Change)
	case c.MaxCars < c.K:
		return fmt.Errorf("limit: MaxCars must be at least K, %d, is %d", c.K, c.MaxCars)
	case c.Cameras <= 0 || c.Cameras > 1:
		return fmt.Errorf("limit: Cameras must be above 0, up to 1, is %v", c.Cameras)
	}
	return nil
}

// maxListed is how many candidates a Limit lists.
const maxListed = 5

// Judge weighs all evidence on an edge (other kinds and keys must not be in it; days in any
// order, several entries a day as well), the speeds driven there lately (nil: unknown) and
// what is known besides. It is a pure function: the same evidence gives the same bits,
// however it is ordered and grouped. Nothing is published that fewer than K vehicles said on
// one day, since vehicles of different days can't be told apart. Without evidence the
// candidates are still there: an estimate from the map, the class and the speeds.
func Judge(edge road.Edge, evidence []learn.Evidence, driven *learn.SpeedBins, prior Prior, now time.Time, cfg Config) Limit {
	cfg = cfg.WithDefaults()
	var room [48]day
	j := judge{
		cfg: cfg, prior: prior, nowMS: now.UnixMilli(),
		days: daysOf(evidence, now.UnixMilli(), room[:0]), driven: driven,
	}
	j.cands.usual(&j.prior)
	var arena [64]tally
	j.tallies = j.tally(arena[:0])
	j.cands.weigh(&j.prior)
	j.filter = filter{
		prior: &j.prior, cands: &j.cands, maxCars: float64(cfg.MaxCars),
		perDay: float64(24*time.Hour) / float64(cfg.Change),
	}
	out := Limit{Edge: edge, MapKMH: prior.MapKMH}
	base := everything()
	j.filter.believe = j.spurious()
	j.run(base, &j.cands.first)
	if j.oftenRead > 1 {
		base = j.variants(edge, &out)
	}
	j.conclude(base, &out)
	return out
}

// judge is what one call of Judge works on.
type judge struct {
	cfg    Config
	prior  Prior
	nowMS  int64
	days   []day
	driven *learn.SpeedBins
	cands  candidates
	filter filter // of the votes in the base part
	// tallies are those of all days, one after another; scratch holds one part's of one day.
	tallies []tally
	scratch [maxTallies]tally
	readers int // distinct vehicles that read a sign on the edge, on the day with the most
	// often are the candidates that were read often enough to be a variant or its base.
	often     [maxOften]int
	oftenRead int
}

const maxOften = 8

// tallyOf is of the votes of a day that are in a part. It is overwritten by the next call.
func (j *judge) tallyOf(d *day, in part) []tally {
	if in == everything() {
		return j.tallies[d.from:d.to]
	}
	return tallyDay(d.votes, in, j.scratch[:0])
}

// run follows all days' votes in the part, and lets time pass until now.
func (j *judge) run(in part, first *[maxCandidates]float64) {
	j.filter.start(first)
	for i := range j.days {
		j.filter.add(j.days[i].ms, j.tallyOf(&j.days[i], in))
	}
	if j.filter.began {
		j.filter.pass(j.nowMS)
	}
}

// tally appends the tallies of all days, makes candidates of all values read, and lists
// those that were read by enough vehicles on one day, and by a share of all.
func (j *judge) tally(arena []tally) []tally {
	all := 0.0
	var cars [maxCandidates]float64
	var enough [maxCandidates]bool
	for i := range j.days {
		d := &j.days[i]
		d.from = len(arena)
		arena = tallyDay(d.votes, everything(), arena)
		d.to = len(arena)
		var direct learn.Vehicles
		for k := d.from; k < d.to; k++ {
			t := &arena[k]
			if t.reading != Missing {
				direct.Merge(t.direct)
			}
			if t.reading != Posted {
				continue
			}
			all += t.own + t.brought
			if j.cands.add(t.kmh); j.cands.index(t.kmh) >= 0 {
				c := j.cands.index(t.kmh)
				cars[c] += t.own + t.brought
				enough[c] = enough[c] || t.all.AtLeast() >= j.cfg.K
			}
		}
		j.readers = max(j.readers, direct.AtLeast())
	}
	for c := range j.cands.n {
		if enough[c] && cars[c] > leastVariant*all && j.oftenRead < maxOften {
			j.often[j.oftenRead] = c
			j.oftenRead++
		}
	}
	return arena
}

// conclude fills in the limit that the filter arrived at, with the speeds driven.
func (j *judge) conclude(base part, out *Limit) {
	f := &j.filter
	quiet := j.silence(f.logs[:j.cands.n])
	if quiet {
		f.update(f.logs[:j.cands.n])
	}
	if drivenLog(j.driven, &j.cands, f.logs[:j.cands.n]) {
		f.update(f.logs[:j.cands.n])
	}
	var order [maxCandidates]int
	list := order[:j.cands.n]
	for i := range list {
		list[i] = i
	}
	slices.SortFunc(list, func(a, b int) int {
		return cmp.Or(cmp.Compare(f.p[b], f.p[a]), cmp.Compare(j.cands.kmh[a], j.cands.kmh[b]))
	})
	out.Candidates = make([]Candidate, 0, maxListed)
	for _, i := range list[:min(maxListed, len(list))] {
		out.Candidates = append(out.Candidates, Candidate{j.cands.kmh[i], float32(f.p[i])})
	}
	kmh, since := j.cands.kmh[list[0]], int64(0)
	if list[0] == f.held {
		since = f.sinceMS
	}
	by := j.support(base, kmh, since)
	out.Posterior = float32(f.p[list[0]])
	out.Vehicles, out.Readings, out.SinceMS = by.vehicles, by.readings, by.sinceMS
	need := j.bar(kmh)
	holdsOn := quiet && kmh == j.prior.UpstreamKMH || j.prior.Unsaid && kmh == j.prior.PublishedKMH && j.prior.Passes >= j.cfg.K && by.agreed(&need)
	if holdsOn { // whoever drove here had read it before
		out.Vehicles = max(by.vehicles, j.prior.Passes)
	}
	if f.p[list[0]] > need.posterior && (by.enough(j.cfg.K, &need) || holdsOn) {
		out.KMH = kmh
		return
	}
	out.Variants = nil // of what?
}

// What it means that vehicles pass and read nothing.
const (
	signShare  = 0.2  // a sign stands on the edge if this share of the cameras read one,
	silentLog  = -1.2 // each camera that reads none says that none stands here,
	silentMost = -5.0 // but no more than so, for a sign may be hidden from all
	heardShare = 0.2  // and fewer of the cameras than this are no majority of anything
)

// bar is what a limit has to reach to be published.
type bar struct {
	posterior float64
	vehicles  float64 // of those that passed, that must say the same
	share     float64 // of the votes
}

// bar is lower for the limit that is published already: evidence that comes in by the minute sways about where it begins to be
// enough, and a limit that comes and goes is of no use to a driver. However it is, K vehicles must have said so.
func (j *judge) bar(kmh uint8) bar {
	b := bar{j.cfg.Posterior, heardShare * j.cfg.Cameras * learn.EstimateVehicles(j.prior.Passes), leastShare}
	if kmh == j.prior.PublishedKMH {
		b = bar{j.cfg.Hold, b.vehicles / 2, heldShare}
	}
	return b
}

// spurious is by how much readings on the edge count less because so few of those who pass
// have any: then no sign stands here, and it was one of another road. 1: not at all.
func (j *judge) spurious() float64 {
	need := signShare * j.cfg.Cameras * learn.EstimateVehicles(j.prior.Passes)
	read := learn.EstimateVehicles(j.readers)
	if need <= read {
		return 1
	}
	share := read / need
	return share * share
}

// silence fills in the log-likelihood of nobody's reading a sign between here and where the limit
// is UpstreamKMH, for each candidate: where another one began, a sign would stand, unless the limit
// is another one there too. It reports whether there is silence.
func (j *judge) silence(ll []float64) bool {
	p := &j.prior
	if p.UpstreamKMH == road.NoLimitKnown || p.Silent == 0 || p.Passes < j.cfg.K {
		return false
	}
	hidden := silence(p.Silent)
	other := math.Log(hidden + (1-hidden)*(1-p.upstreamPosterior())/2)
	for i, kmh := range j.cands.kmh[:j.cands.n] {
		ll[i] = 0
		if kmh != p.UpstreamKMH {
			ll[i] = other
		}
	}
	return true
}

// support is who spoke for a limit.
type support struct {
	vehicles      int // on the day with the most
	readings      int
	sinceMS       int64
	cars, against float64 // votes for it and for others
}

// leastShare is the share of the votes that a limit needs: where vehicles can't agree, a
// sign changes by the minute, or is read off another road.
const (
	leastShare = 0.6
	heldShare  = 0.5 // of one that is published
)

func (s *support) enough(k int, b *bar) bool {
	return s.vehicles >= k && learn.EstimateVehicles(s.vehicles) >= b.vehicles && s.agreed(b)
}

func (s *support) agreed(b *bar) bool { return s.cars >= b.share*(s.cars+s.against) }

// support is who spoke for a limit, from a day on.
func (j *judge) support(in part, kmh uint8, sinceMS int64) (s support) {
	for i := range j.days {
		d := &j.days[i]
		if d.ms < sinceMS {
			continue
		}
		var all learn.Vehicles
		found := false
		tallies := j.tallyOf(d, in)
		for k := range tallies {
			t := &tallies[k]
			if !j.prior.supports(t.reading, t.kmh, kmh) {
				s.against += t.worth(j.filter.believe) * j.prior.weight(t.reading, t.kmh)
				continue
			}
			s.cars += t.worth(j.filter.believe) * j.prior.weight(t.reading, t.kmh)
			all.Merge(t.all)
			s.readings += int(min(t.n, 1<<31))
			found = true
		}
		if found && s.sinceMS == 0 {
			s.sinceMS = d.ms
		}
		s.vehicles = max(s.vehicles, all.AtLeast())
	}
	return s
}
