package fleet

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// Tolerances of the speeds. The truth is each sample's reported speed on the road that
// the vehicle really was on; the map can differ from it only by putting samples on
// another road. GPS errors of some metres do that near junctions, on parallel
// carriageways and where a road is shorter than a second's drive; there the neighbour's
// samples are a few km/h off. Sums and counts themselves are exact. (The API rounds
// means to 0.1 km/h.)
const (
	minCompared    = 20   // samples of a segment in a period, to be compared
	maxMedianKMH   = 1.0  // error that half of the samples' segments stay within
	withinKMH      = 3.0  // error that withinShare stay within, or ...
	withinRelative = 0.05 // ... this share of the true mean, if that is more
	withinShare    = 0.95
	minMatched     = 0.95 // of the samples: some are too far from any road
	maxMatched     = 1.05 // of those from segments that are told, if others are withheld
	maxPeriods     = 12   // compared separately; a long run's buckets are put together
)

// speedError is a segment's in a period.
type speedError struct {
	kmh    float64
	weight int64 // samples
	within bool
}

// tally counts samples on roads. What the map counted where it withholds the count for
// the sake of a few vehicles is not known, only what was sent from there.
type tally struct {
	sent     int64 // in all
	withheld int64 // of those, from segments that the map withholds
	astray   int64 // of those sent, from vehicles that may be anywhere
	counted  int64 // by the map, on all other segments
}

// check compares what was counted with what was sent from the same segments. Where some
// are withheld, samples that matching put on one of the others are counted too much.
func (n tally) check() Check {
	told := n.sent - n.withheld
	most, low, high := told, minMatched*100, 100.0
	if n.withheld > 0 {
		most, high = min(int64(maxMatched*float64(told)), n.sent), maxMatched*100
	}
	share := ratio(n.counted, told)
	atLeast := minMatched * float64(told-n.astray)
	c := Check{
		What: "samples counted on roads", Expected: fmt.Sprintf("%.0f %% to %.0f %% of %d", low, high, told),
		Found: fmt.Sprintf("%.2f %%", share*100), OK: float64(n.counted) >= atLeast && n.counted <= most,
	}
	switch {
	case n.counted > most:
		c.Note = "more than were sent: other vehicles in the same time, or counted twice"
	case told == 0 && n.sent > 0:
		c.Note = "nothing to compare: too few vehicles on every segment"
	case n.astray > 0 && n.withheld == 0:
		c.Note = fmt.Sprintf("%d of them from vehicles with a broken GPS: counted or not", n.astray)
	case n.withheld > 0:
		c.Note = fmt.Sprintf("%d more from segments of too few vehicles to tell", n.withheld)
	}
	return c
}

// checkSpeeds compares mean speeds and counts by directed segment and period.
func (v *verifier) checkSpeeds(ctx context.Context, kept *record) ([]Check, error) {
	var all []speedError
	n := tally{sent: kept.astray, astray: kept.astray}
	for _, period := range periods(kept.buckets()) {
		truth := make([]speedSum, v.net.Arcs())
		for _, b := range period {
			for i, s := range kept.speeds[b] {
				truth[i].n += s.n
				truth[i].sumCMPS += s.sumCMPS
			}
		}
		found, err := v.segments(ctx, period[0], period[len(period)-1]+1)
		if err != nil {
			return nil, fmt.Errorf("fleet: verify speeds: %w", err)
		}
		for _, b := range period {
			found = subtract(found, v.beforeMeans[b])
		}
		for _, l := range found {
			if !l.withheld {
				n.counted += l.samples
			}
		}
		for i := range truth {
			n.sent += truth[i].n
			if found[v.net.edges[i]].withheld {
				n.withheld += truth[i].n
			}
			if e, ok := compare(truth[i], found[v.net.edges[i]]); ok {
				all = append(all, e)
			}
		}
	}
	return judge(all, n), nil
}

// periods groups ascending buckets.
func periods(buckets []int64) [][]int64 {
	size := max((len(buckets)+maxPeriods-1)/maxPeriods, 1)
	return slices.Collect(slices.Chunk(buckets, size))
}

// subtract takes off what was there before. Where means are not known it leaves the
// count, and a mean that will not be compared; where counts are not known, neither.
func subtract(found, before map[uint64]learned) map[uint64]learned {
	if len(before) == 0 {
		return found
	}
	out := make(map[uint64]learned, len(found))
	for edge, l := range found {
		switch b := before[edge]; {
		case b.withheld:
			l.withheld = true
		case b.samples > 0 && !l.withheld:
			n := l.samples - b.samples
			// Means are rounded: what is left of a big number is not known well.
			if l.unsure || b.unsure || n < l.samples/2 {
				l.unsure = true
			} else if n > 0 {
				l.meanKMH = (l.meanKMH*float64(l.samples) - b.meanKMH*float64(b.samples)) / float64(n)
			}
			l.samples = n
		}
		out[edge] = l
	}
	return out
}

// compare is ok if there is enough to compare. A segment whose samples all went
// elsewhere is not compared here: matching's total tells.
func compare(truth speedSum, found learned) (speedError, bool) {
	if truth.n < minCompared || found.withheld || found.unsure || found.samples == 0 {
		return speedError{}, false
	}
	mean := float64(truth.sumCMPS) / float64(truth.n) * 0.036
	diff := math.Abs(found.meanKMH - mean)
	return speedError{kmh: diff, weight: truth.n, within: diff <= max(withinKMH, withinRelative*mean)}, true
}

func judge(all []speedError, n tally) []Check {
	slices.SortFunc(all, func(a, b speedError) int { return cmp.Compare(a.kmh, b.kmh) })
	var total, within, run int64
	for _, e := range all {
		total += e.weight
		if e.within {
			within += e.weight
		}
	}
	median := 0.0
	for _, e := range all {
		if run += e.weight; 2*run >= total {
			median = e.kmh
			break
		}
	}
	note := fmt.Sprintf("%d segments × periods with ≥ %d samples", len(all), minCompared)
	if len(all) == 0 {
		note = "nothing to compare: too few samples a segment"
	}
	return []Check{
		n.check(),
		{
			What: "mean speed by segment: median error", Expected: fmt.Sprintf("≤ %.1f km/h", maxMedianKMH),
			Found: fmt.Sprintf("%.2f km/h", median), OK: median <= maxMedianKMH, Note: note,
		},
		{
			What: "mean speed by segment: in tolerance", Expected: fmt.Sprintf("≥ %.0f %%", withinShare*100),
			Found: fmt.Sprintf("%.2f %%", ratio(within, total)*100), OK: ratio(within, total) >= withinShare,
			Note: fmt.Sprintf("within %.0f km/h or %.0f %%, weighted by samples", withinKMH, withinRelative*100),
		},
	}
}

// ratio of nothing is 1.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}
