package limit

import (
	"math"

	"github.com/carasso/carasso/mapdata/learn"
)

// filter follows the probability of each candidate through the days, by Bayes' rule, where
// between two days the limit may have been changed: a hidden Markov model with two kinds of
// transition, "stays" and "drawn anew". So evidence never outweighs a sign that was changed
// since by more than the odds of a change, however much of it there is, and without new
// evidence certainty fades.
type filter struct {
	prior    *Prior
	cands    *candidates
	perDay   float64 // probability that the limit is changed within a day
	maxCars  float64 // votes that a day counts for at most
	believe  float64 // what a sign read on the edge itself counts for, 0 to 1
	lastMS   int64
	began    bool
	sinceMS  int64   // the first day from which on the most probable candidate was the same
	held     int     // that candidate
	logTotal float64 // logarithm of the probability of all evidence so far
	p        [maxCandidates]float64
	logs     [maxCandidates]float64
}

func (f *filter) start(first *[maxCandidates]float64) {
	f.p, f.began, f.lastMS, f.logTotal, f.held = *first, false, 0, 0, -1
}

// pass lets time pass until ms.
func (f *filter) pass(ms int64) {
	if f.began && ms > f.lastMS { // now may lie within the last day
		days := float64(ms-f.lastMS) / float64(learn.DayMS)
		stays := math.Pow(1-f.perDay, days)
		for j := range f.cands.n {
			f.p[j] = stays*f.p[j] + (1-stays)*f.cands.again[j]
		}
	}
	f.began, f.lastMS = true, ms
}

// add takes a day's votes in; days must come in order.
func (f *filter) add(ms int64, tallies []tally) {
	if len(tallies) == 0 {
		return
	}
	n := f.cands.n
	ll := f.logs[:n]
	clear(ll)
	cars := 0.0
	for i := range tallies {
		t := &tallies[i]
		worth := t.worth(f.believe)
		if worth == 0 { // perhaps of another day than the pseudonym's
			continue
		}
		cars += worth
		w := worth * f.prior.weight(t.reading, t.kmh)
		for j, kmh := range f.cands.kmh[:n] {
			ll[j] += w * f.prior.logLikelihood(t.reading, t.kmh, kmh)
		}
	}
	if cars > f.maxCars { // cameras of one make err alike: votes are not independent
		for j := range ll {
			ll[j] *= f.maxCars / cars
		}
	}
	f.pass(ms)
	f.update(ll)
	if best := f.best(); best != f.held {
		f.held, f.sinceMS = best, ms
	}
}

// update is Bayes' rule.
func (f *filter) update(ll []float64) {
	top := math.Inf(-1)
	for _, l := range ll {
		top = max(top, l)
	}
	sum := 0.0
	for j, l := range ll {
		f.p[j] *= math.Exp(l - top)
		sum += f.p[j]
	}
	if sum <= 0 { // every candidate that the evidence leaves was ruled out before
		f.p, sum = f.cands.again, 1
	}
	for j := range ll {
		f.p[j] /= sum
	}
	f.logTotal += top + math.Log(sum)
}

// best is the most probable candidate.
func (f *filter) best() int {
	best := 0
	for j := range f.cands.n {
		if f.p[j] > f.p[best] {
			best = j
		}
	}
	return best
}
