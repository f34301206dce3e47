package limit

import (
	"math"
	"math/bits"

	"github.com/carasso/carasso/mapdata/road"
)

// What a variant must gain over one limit at all hours and in all weather, as logarithms of
// the odds: for being rare, and for the choice among 552 ranges of hours.
const (
	variantRare  = 7.0
	hourChoices  = 6.3
	mostVariants = 2
)

const hoursADay = 24

// variants looks for another limit at some hours or on wet roads: first for whichever
// explains more, then for the other in what remains. It leaves the filter with what remains,
// and returns that part.
func (j *judge) variants(edge road.Edge, out *Limit) (base part) {
	base = everything()
	for range mostVariants {
		best, rest, gain := part{}, part{}, 0.0
		var found Variant
		for _, wet := range [...]bool{true, false} {
			in, ok := j.splitHours(base)
			penalty := hourChoices
			if wet {
				in, ok = j.splitWet(base)
				penalty = 0
			}
			if !ok {
				continue
			}
			v, other, g := j.try(base, in)
			if g -= penalty + variantRare; g > gain {
				best, rest, gain, found = in, other, g, v
			}
		}
		if gain == 0 {
			break
		}
		if best.hours != base.hours {
			found.FromHour, found.ToHour = localHours(best.hours, edge)
		} else {
			found.Wet = true
		}
		out.Variants = append(out.Variants, found)
		base = rest
	}
	j.filter.run(j.days, base, &j.cands.first, j.nowMS)
	return base
}

// try explains the base part by two limits, one in the part in, one in the rest. gain is the
// logarithm of the odds against one limit; 0 if either has too little behind it.
func (j *judge) try(base, in part) (v Variant, rest part, gain float64) {
	rest = base
	if in.hours != base.hours {
		rest.hours &^= in.hours
	} else {
		rest.wet = false
	}
	f := &j.filter
	f.run(j.days, base, &j.cands.first, j.nowMS)
	whole := f.logTotal
	f.run(j.days, rest, &j.cands.first, j.nowMS)
	usual := f.best()
	parts, usually, since := f.logTotal, f.p[usual], f.sinceMS
	f.run(j.days, in, &j.cands.again, j.nowMS)
	special := f.best()
	parts += f.logTotal
	v = Variant{KMH: j.cands.kmh[special], Posterior: float32(f.p[special])}
	forIt, forRest := j.support(in, v.KMH, f.sinceMS), j.support(rest, j.cands.kmh[usual], since)
	v.Vehicles = forIt.vehicles
	if special == usual || !forIt.enough(j.cfg.K) || !forRest.enough(j.cfg.K) || f.p[special] <= j.cfg.Posterior || usually <= j.cfg.Posterior {
		return v, rest, 0
	}
	return v, rest, parts - whole
}

// perHour is, for each hour and candidate, the log-likelihood of all votes of the hour, and
// how many there are.
type perHour struct {
	ll   [hoursADay][maxCandidates]float64
	cars [hoursADay]float64
}

// sumHours adds up all days as if the sign had never been changed: good enough to find
// the hours, which try then judges properly.
func (j *judge) sumHours(in part, wet bool, sum *perHour) {
	n := j.cands.n
	for _, d := range j.days {
		for i := range d.votes {
			v := &d.votes[i]
			c, ok := DecodeCode(v.Code)
			if !ok || c.Reading != Posted || c.Carried || !in.has(c) {
				continue
			}
			row := int(c.HourUTC)
			if wet {
				row = 0
				if c.Wet {
					row = 1
				}
			}
			cars := v.Vehicles.Estimate()
			sum.cars[row] += cars
			for k, kmh := range j.cands.kmh[:n] {
				sum.ll[row][k] += cars * j.prior.logLikelihood(Posted, c.KMH, kmh)
			}
		}
	}
}

// splitHours finds the range of hours in which another limit explains most; of a range and
// its complement it is the one with fewer votes, trimmed to hours in which there are any.
func (j *judge) splitHours(base part) (in part, ok bool) {
	if base.hours != allHours {
		return in, false
	}
	var sum perHour
	j.sumHours(base, false, &sum)
	n := j.cands.n
	var total [maxCandidates]float64
	all := 0.0
	for h := range hoursADay {
		all += sum.cars[h]
		for k := range n {
			total[k] += sum.ll[h][k]
		}
	}
	one := math.Inf(-1)
	for _, l := range total[:n] {
		one = max(one, l)
	}
	best, from, length := one+1e-6, 0, 0
	for start := range hoursADay {
		var inside [maxCandidates]float64
		for l := 1; l < hoursADay; l++ {
			row := &sum.ll[(start+l-1)%hoursADay]
			a, b := math.Inf(-1), math.Inf(-1)
			for k := range n {
				inside[k] += row[k]
				a, b = max(a, inside[k]), max(b, total[k]-inside[k])
			}
			if s := a + b; s > best+1e-9 || s > best-1e-9 && length > 0 && l < length {
				best, from, length = s, start, l
			}
		}
	}
	if length == 0 {
		return in, false
	}
	cars := 0.0
	for l := range length {
		cars += sum.cars[(from+l)%hoursADay]
	}
	if cars > all/2 {
		from, length = (from+length)%hoursADay, hoursADay-length
	}
	for length > 0 && sum.cars[from] == 0 {
		from, length = (from+1)%hoursADay, length-1
	}
	for length > 0 && sum.cars[(from+length-1)%hoursADay] == 0 {
		length--
	}
	in = base
	in.hours = 0
	for l := range length {
		in.hours |= 1 << ((from + l) % hoursADay)
	}
	return in, length > 0
}

// splitWet splits by weather; the variant is always the wet one.
func (j *judge) splitWet(base part) (in part, ok bool) {
	if !base.dry || !base.wet {
		return in, false
	}
	in = base
	in.dry = false
	var sum perHour
	j.sumHours(base, true, &sum)
	return in, sum.cars[0] > 0 && sum.cars[1] > 0
}

// localHours is a contiguous range of UTC hours (bits) in local solar time, which is an hour
// ahead of UTC for every 15 degrees east.
func localHours(hours uint32, edge road.Edge) (from, to uint8) {
	box := edge.Tile().Box()
	shift := int(math.Round((float64(box.West)+float64(box.East))/2e7/15)) + hoursADay
	first := 0
	for first < hoursADay-1 && !(hours>>first&1 == 1 && hours>>((first+hoursADay-1)%hoursADay)&1 == 0) {
		first++
	}
	return uint8((first + shift) % hoursADay), uint8((first + bits.OnesCount32(hours) + shift) % hoursADay)
}
