// Package trend compares what was counted and measured. It is pure: no I/O.
package trend

import "math"

// z95 is the quantile of the normal distribution for a two-sided 95 % interval.
const z95 = 1.959963984540054

// Share is a number of cases out of a number of trials.
type Share struct{ Cases, Trials int64 }

// Value is the observed share; NaN without trials.
func (s Share) Value() float64 {
	if s.Trials <= 0 {
		return math.NaN()
	}
	return float64(s.Cases) / float64(s.Trials)
}

// Wilson is the 95 % score interval of the true share (Wilson 1927): right also for few trials and for
// shares near 0 and 1. Without trials it is 0 to 1.
func (s Share) Wilson() (low, high float64) {
	if s.Trials <= 0 {
		return 0, 1
	}
	n, p := float64(s.Trials), min(s.Value(), 1)
	const z2 = z95 * z95
	centre := (p + z2/(2*n)) / (1 + z2/n)
	half := z95 / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return max(0, centre-half), min(1, centre+half)
}

// Difference is the 95 % interval of the difference b − a of two independent shares, from their Wilson
// intervals (Newcombe 1998, method 10). If it excludes 0, chance alone hardly explains it.
func Difference(a, b Share) (low, high float64) {
	la, ha := a.Wilson()
	lb, hb := b.Wilson()
	pa, pb := a.Value(), b.Value()
	if math.IsNaN(pa) || math.IsNaN(pb) {
		return -1, 1
	}
	d := pb - pa
	return d - math.Hypot(pb-lb, ha-pa), d + math.Hypot(hb-pb, pa-la)
}
