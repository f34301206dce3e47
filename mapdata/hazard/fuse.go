package hazard

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// EdgeEvidence is what is known about one directed edge, or about one cell away from roads.
type EdgeEvidence struct {
	Edge    road.Edge        // 0 for a cell
	Cell    uint64           // a learn.CellKey; 0 for an edge
	Minutes []learn.Evidence // of learn.HazardEvidence or learn.HazardCellEvidence, in any order; several rows of one bucket add up
	Passes  []learn.Pass     // in any order
}

// Finding is what the evidence says about one category on one edge or in one cell.
type Finding struct {
	Category    telemetry.Hazard
	Edge        road.Edge
	Cell        uint64
	Probability float64 // that the hazard is there now, 0 to 1
	Published   bool    // by its own evidence in the window; if not, it can keep a published hazard alive, but start none
	Vehicles    int     // distinct vehicles that reported it since it began, a lower bound
	Clean       int     // distinct vehicles that passed after the last report and noticed nothing
	StartMS     int64   // start of the minute of the first report, ms since the epoch
	FirstMS     int64   // mean event time of the reports of that minute
	LastMS      int64   // event time of the last report; the start of the minute of the last vehicle that passed if that is later
}

// Fuse judges each edge by itself: which hazards are there at nowMS, ms since the epoch? It
// returns the findings that are published or at least as probable as Params.End, ordered by
// category, edge and cell. It is a pure function of the sums of evidence: order and grouping of rows
// don't matter, and the hysteresis between publishing and ending is replayed from the window's
// beginning, so that it doesn't matter when or how often it is called either.
//
// The model is a hidden Markov one with two states an edge and category, there and not there,
// filtered minute by minute. Between minutes the state changes with the probabilities that Params.HalfLife
// and Prior give: evidence fades exponentially and nothing stored need ever be aged, as in forward decay
// (Cormode et al. 2009), but no number of old reports can outweigh a few new vehicles that notice nothing.
// Within a minute the order of votes is not known; a hazard that ends (or begins) in it has all its
// reports before (after) all clean passes, one of the (reports + clean over reports) possible orders. What both
// begins and ends within one minute, five cars or more, may stay published for longer: it could as well have begun last.
//
// Vehicles that notice nothing bring the probability down to Params.Prior, not below: that an edge was clean
// for long does not make the first reports of a new hazard less credible.
//
// Each vehicle votes once, with its newest vote (see lastVotes), however often it reports.
func Fuse(edges []EdgeEvidence, nowMS int64, cfg *Config) []Finding {
	var found []Finding
	f := newFuser(nowMS, cfg)
	for i := range edges {
		found = f.edge(&edges[i], found)
	}
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Edge, b.Edge), cmp.Compare(a.Cell, b.Cell))
	})
	return found
}

// fuser has what all edges share, and scratch memory.
type fuser struct {
	cfg     *Config
	nowMS   int64
	firstMS int64
	count   int // minutes from firstMS on, those ahead of now included
	weights [categories]weights
	passed  []learn.Vehicles
	reports [categories][]minute
	heard   [categories]bool
}

func newFuser(nowMS int64, cfg *Config) *fuser {
	first := learn.MinuteStart(nowMS - cfg.Window.Milliseconds())
	f := &fuser{
		cfg: cfg, nowMS: nowMS, firstMS: first,
		count: int((learn.MinuteStart(nowMS+cfg.Ahead.Milliseconds())-first)/learn.MinuteMS) + 1,
	}
	f.passed = make([]learn.Vehicles, f.count)
	for h := 1; h < categories; h++ {
		f.weights[h] = cfg.Categories[h].weights()
	}
	return f
}

// at is the place of a minute in the window; ok is false for one outside.
func (f *fuser) at(ms int64) (i int, ok bool) {
	i = int((learn.MinuteStart(ms) - f.firstMS) / learn.MinuteMS)
	return i, ms >= f.firstMS && i < f.count
}

func (f *fuser) edge(e *EdgeEvidence, found []Finding) []Finding {
	if !f.gather(e) {
		return found
	}
	clear(f.passed)
	for _, p := range e.Passes {
		if i, ok := f.at(p.MinuteMS); ok {
			f.passed[i].Merge(p.Vehicles)
		}
	}
	f.assignLights()
	for h := telemetry.HazardUnknown + 1; int(h) < categories; h++ {
		if !f.heard[h] {
			continue
		}
		minutes := f.reports[h]
		for i := range minutes {
			minutes[i].passed = f.passed[i]
		}
		f.excuse(h)
		corroborate(minutes, f.firstMS)
	}
	for h := telemetry.HazardUnknown + 1; int(h) < categories; h++ {
		if !f.heard[h] {
			continue
		}
		lastVotes(f.reports[h], f.firstMS)
		if x, ok := f.judge(h); ok {
			x.Category, x.Edge, x.Cell = h, e.Edge, e.Cell
			found = append(found, x)
		}
	}
	return found
}

// gather sorts an edge's votes by category and minute; false if there is none.
func (f *fuser) gather(e *EdgeEvidence) bool {
	f.heard = [categories]bool{}
	any := false
	for k := range e.Minutes {
		row := &e.Minutes[k]
		i, ok := f.at(row.BucketMS)
		if !ok {
			continue
		}
		for v := range row.Votes {
			vote := &row.Votes[v]
			h, s, ok := ParseCode(vote.Code)
			if !ok {
				continue
			}
			if !f.heard[h] {
				f.heard[h], any = true, true
				f.empty(h)
			}
			m := &f.reports[h][i]
			switch s {
			case Strong:
				m.strong.Merge(vote.Vehicles)
			case SignalAlone:
				m.signal.Merge(vote.Vehicles)
			case EventAlone:
				m.event.Merge(vote.Vehicles)
			}
			m.sumMS, m.n = m.sumMS+vote.Sum[0], m.n+int64(vote.N)
		}
	}
	return any
}

func (f *fuser) empty(h telemetry.Hazard) {
	if f.reports[h] == nil {
		f.reports[h] = make([]minute, f.count)
	}
	clear(f.reports[h])
}

// lightsMinutes is how many minutes away, before or after, a report says half as much of what hazard lights mean.
const lightsMinutes = 5

// assignLights gives the hazard lights of moving vehicles to the category of their family
// that is best borne out, above all in the minutes around; to Obstacle if none is named. Hard braking is what drivers do about any of
// them, whether they name it or not, so it stands back where a vehicle's own lights bear out another name.
func (f *fuser) assignLights() {
	if !f.heard[warningLights] {
		return
	}
	var named [categories]bool // before lights are given to it
	for h := range named {
		named[h] = f.heard[h]
	}
	for i := range f.reports[warningLights] {
		lights := &f.reports[warningLights][i]
		if lights.signal == (learn.Vehicles{}) {
			continue
		}
		h := f.leader(i, &named)
		if !f.heard[h] {
			f.heard[h] = true
			f.empty(h)
		}
		m := &f.reports[h][i]
		m.lights.Merge(lights.signal)
		m.sumMS, m.n = m.sumMS+lights.sumMS, m.n+lights.n
	}
	for h := range f.reports {
		if !f.heard[h] {
			continue
		}
		for i := range f.reports[h] { // not before: lights don't say what lights mean
			m := &f.reports[h][i]
			m.signal.Merge(m.lights)
		}
	}
}

// leader is what hazard lights in minute i mean: the category with most weight of reports, of those named.
func (f *fuser) leader(i int, named *[categories]bool) telemetry.Hazard {
	leader, most, borneOut := telemetry.Obstacle, 0.0, false
	for h := telemetry.HazardUnknown + 1; int(h) < categories; h++ { // HardBraking is the last
		if !named[h] || !related(h) {
			continue
		}
		w, weight, strong := &f.weights[h], 0.0, false
		for k := range f.reports[h] {
			m := &f.reports[h][k]
			if by := m.weight(w); by > 0 {
				weight += by * math.Exp2(-math.Abs(float64(k-i))/lightsMinutes)
			}
			strong = strong || m.strong != (learn.Vehicles{})
		}
		if weight > most && (h != telemetry.HardBraking || !borneOut) {
			leader, most = h, weight
		}
		borneOut = borneOut || strong && h != telemetry.HardBraking
	}
	return leader
}

// excuse takes from those who passed a category of the family the ones who reported
// another of it.
func (f *fuser) excuse(h telemetry.Hazard) {
	if !related(h) {
		return
	}
	for o := telemetry.HazardUnknown + 1; int(o) < categories; o++ {
		if o == h || !f.heard[o] || !related(o) {
			continue
		}
		for i := range f.reports[h] {
			m := &f.reports[h][i]
			m.passed = minus(m.passed, f.reports[o][i].reported())
		}
	}
}

// judge filters the votes of one category.
func (f *fuser) judge(h telemetry.Hazard) (Finding, bool) {
	p, w := &f.cfg.Categories[h], &f.weights[h]
	odds := logit(p.Prior)
	var x Finding
	var day learn.Vehicles // who reported it since it began, of one day
	fullest, quiet, last, now := 0, 0, 0, int((learn.MinuteStart(f.nowMS)-f.firstMS)/learn.MinuteMS)
	for i := range f.reports[h] {
		m := &f.reports[h][i]
		if midnight(f.firstMS, i) {
			day = learn.Vehicles{}
		}
		reported := m.reported()
		reports, clean := reported.AtLeast(), m.passed.AtLeast()
		if reports+clean == 0 {
			continue
		}
		odds = fade(odds, i-last-1, p, w)
		if now := probability(odds); x.Published && now < p.End || !x.Published && now < 2*p.Prior {
			x, day, fullest = Finding{}, learn.Vehicles{}, 0 // what was, is over
		}
		if reports == 0 && x.StartMS == 0 && odds <= logit(p.Prior) {
			continue // the prior already says that nothing is there
		}
		odds = max(step(odds, w, m, reports, clean), logit(p.Prior))
		last = i
		if reports > 0 {
			start := f.firstMS + int64(i)*learn.MinuteMS
			mean := start + m.sumMS/max(m.n, 1)
			if x.StartMS == 0 {
				x.StartMS, x.FirstMS = start, mean
			}
			x.LastMS, x.Clean = mean, 0
			quiet = i
		}
		if clean > 0 && x.StartMS != 0 {
			x.Clean += clean
			if i > quiet {
				x.LastMS = f.firstMS + int64(i)*learn.MinuteMS
			}
		}
		day.Merge(reported)
		fullest = max(fullest, day.AtLeast())
		switch now := probability(odds); {
		case p.MaxVehicles != 0 && fullest > p.MaxVehicles:
			x.Published = false
			odds = logit(p.Prior)
		case now < p.End && x.Published:
			x, day, fullest = Finding{}, learn.Vehicles{}, 0
		case now >= p.Publish && fullest >= p.MinVehicles:
			x.Published = true
		}
	}
	odds = fade(odds, max(now-last, 0), p, w)
	x.Probability, x.Vehicles = probability(odds), fullest
	if x.Probability < p.End {
		return Finding{}, false
	}
	return x, x.StartMS != 0
}

// step is the log-odds after a minute with votes, given those before it.
func step(odds float64, w *weights, m *minute, reports, clean int) float64 {
	seen := m.weight(w)
	unseen := float64(clean) * w.nothing
	turned := seen - logChoose(reports+clean, reports) // reports and clean passes on two sides of a change
	on, off := logShares(odds)
	there := logAdd(on+w.logStays+seen+unseen, off+w.logBegins+turned)
	gone := logAdd(off+w.logStaysAway, on+w.logEnds+turned)
	return there - gone
}

// fade is the log-odds after some minutes without votes.
func fade(odds float64, minutes int, p *Params, w *weights) float64 {
	if minutes <= 0 {
		return odds
	}
	kept := math.Pow(1-w.ends, float64(minutes))
	return logit(p.Prior + (probability(odds)-p.Prior)*kept)
}

func probability(odds float64) float64 { return 1 / (1 + math.Exp(-odds)) }

func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

// logShares are the logarithms of the probability and of its complement.
func logShares(odds float64) (on, off float64) {
	if odds > 0 {
		on = -math.Log1p(math.Exp(-odds))
		return on, on - odds
	}
	off = -math.Log1p(math.Exp(odds))
	return off + odds, off
}

// logAdd is ln(eᵃ + eᵇ).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// logChoose is the logarithm of n over k.
func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
