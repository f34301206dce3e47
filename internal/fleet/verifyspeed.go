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
	maxPeriods     = 12   // compared separately; a long run's buckets are put together
)

// speedError is a segment's in a period.
type speedError struct {
	kmh    float64
	weight int64 // samples
	within bool
}

// checkSpeeds compares mean speeds and counts by directed segment and period.
func (v *verifier) checkSpeeds(ctx context.Context, kept *record) ([]Check, error) {
	var all []speedError
	var counted, sent int64
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
			counted += l.samples
		}
		for i := range truth {
			sent += truth[i].n
			if e, ok := compare(truth[i], found[v.net.edges[i]]); ok {
				all = append(all, e)
			}
		}
	}
	return judge(all, sent, counted), nil
}

// periods groups ascending buckets.
func periods(buckets []int64) [][]int64 {
	size := max((len(buckets)+maxPeriods-1)/maxPeriods, 1)
	return slices.Collect(slices.Chunk(buckets, size))
}

// subtract takes off what was there before. Where means are not known it leaves the
// count, and a mean that will not be compared.
func subtract(found, before map[uint64]learned) map[uint64]learned {
	if len(before) == 0 {
		return found
	}
	out := make(map[uint64]learned, len(found))
	for edge, l := range found {
		if b := before[edge]; b.samples > 0 {
			n := l.samples - b.samples
			// Means are rounded: what is left of a big number is not known well.
			if l.suppressed || b.suppressed || n < l.samples/2 {
				l.suppressed = true
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
	if truth.n < minCompared || found.samples == 0 || found.suppressed {
		return speedError{}, false
	}
	mean := float64(truth.sumCMPS) / float64(truth.n) * 0.036
	diff := math.Abs(found.meanKMH - mean)
	return speedError{kmh: diff, weight: truth.n, within: diff <= max(withinKMH, withinRelative*mean)}, true
}

func judge(all []speedError, sent, counted int64) []Check {
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
	share := ratio(counted, sent)
	matched := Check{
		What: "samples counted on roads", Expected: fmt.Sprintf("%.0f %% to 100 %% of %d", minMatched*100, sent),
		Found: fmt.Sprintf("%.2f %%", share*100), OK: share >= minMatched && counted <= sent,
	}
	if counted > sent {
		matched.Note = "more than were sent: other vehicles in the same time, or counted twice"
	}
	note := fmt.Sprintf("%d segments × periods with ≥ %d samples", len(all), minCompared)
	if len(all) == 0 {
		note = "nothing to compare: too few samples a segment"
	}
	return []Check{
		matched,
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
