package limit

import (
	"math"
	"math/bits"
	"slices"

	"github.com/carasso/carasso/mapdata/road"
)

// What a variant must gain over one limit at all hours and in all weather, as logarithms of
// the odds: for being rare, and for the choice among 552 ranges of hours.
const (
	variantRare  = 7.0
	hourChoices  = 6.3
	leastVariant = 0.05 // share of the signs read that a variant must have
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
	j.run(base, &j.cands.first)
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
	j.run(base, &j.cands.first)
	whole := f.logTotal
	j.run(rest, &j.cands.first)
	usual := f.best()
	parts, usually, since := f.logTotal, f.p[usual], f.sinceMS
	j.run(in, &j.cands.again)
	special := f.best()
	parts += f.logTotal
	v = Variant{KMH: j.cands.kmh[special], Posterior: float32(f.p[special])}
	forIt, forRest := j.support(in, v.KMH, f.sinceMS), j.support(rest, j.cands.kmh[usual], since)
	v.Vehicles = forIt.vehicles
	agreed := bar{share: leastShare}
	if special == usual || !forIt.enough(j.cfg.K, &agreed) || !forRest.enough(j.cfg.K, &agreed) || f.p[special] <= j.cfg.Posterior || usually <= j.cfg.Posterior {
		return v, rest, 0
	}
	return v, rest, parts - whole
}

// perHour is, for each hour and often read candidate, the log-likelihood of all signs read
// in that hour, and by how many. Row 0 and 1 are dry and wet when that is what is told apart.
type perHour struct {
	ll   [hoursADay][maxOften]float64
	cars [hoursADay]float64
	all  float64
	one  float64 // the greatest log-likelihood under one limit
	most float64 // and if there was another one every hour
}

// sum adds up all days as if the sign had never been changed: good enough to find
// the hours, which try then judges properly.
func (s *perHour) sum(j *judge, in part, wet bool) {
	for i := range j.days {
		votes := j.days[i].votes
		for k := range votes {
			v := &votes[k]
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
			cars := float64(v.Vehicles.AtLeast())
			s.cars[row] += cars
			s.all += cars
			for o, cand := range j.often[:j.oftenRead] {
				s.ll[row][o] += cars * j.prior.logLikelihood(Posted, c.KMH, j.cands.kmh[cand])
			}
		}
	}
	total := s.total()
	s.one = slices.Max(total[:j.oftenRead])
	for h := range s.ll {
		s.most += slices.Max(s.ll[h][:j.oftenRead])
	}
}

func (s *perHour) total() (t [maxOften]float64) {
	for h := range s.ll {
		for o, l := range s.ll[h] {
			t[o] += l
		}
	}
	return t
}

// splitHours finds the range of hours in which another limit explains most; of a range and
// its complement it is the one with fewer votes, trimmed to hours in which there are any.
func (j *judge) splitHours(base part) (in part, ok bool) {
	if base.hours != allHours {
		return in, false
	}
	var s perHour
	s.sum(j, base, false)
	if s.most-s.one < variantRare+hourChoices {
		return in, false
	}
	from, length := s.bestRange(j.oftenRead)
	cars := 0.0
	for l := range length {
		cars += s.cars[(from+l)%hoursADay]
	}
	if cars > s.all/2 {
		from, length = (from+length)%hoursADay, hoursADay-length
	}
	for length > 0 && s.cars[from] == 0 {
		from, length = (from+1)%hoursADay, length-1
	}
	for length > 0 && s.cars[(from+length-1)%hoursADay] == 0 {
		length--
	}
	in = base
	in.hours = 0
	for l := range length {
		in.hours |= 1 << ((from + l) % hoursADay)
	}
	return in, length > 0
}

// bestRange is the shortest of the ranges of hours, round midnight if need be, with the
// greatest log-likelihood under two of n limits; length 0 if one does as well.
func (s *perHour) bestRange(n int) (from, length int) {
	const same = 1e-6
	total := s.total()
	best := s.one + same
	for start := range hoursADay {
		var inside [maxOften]float64
		for l := 1; l < hoursADay; l++ {
			row := &s.ll[(start+l-1)%hoursADay]
			a, b := math.Inf(-1), math.Inf(-1)
			for o := range n {
				inside[o] += row[o]
				a, b = max(a, inside[o]), max(b, total[o]-inside[o])
			}
			if both := a + b; both > best+same || both > best-same && l < length {
				best, from, length = both, start, l
			}
		}
	}
	return from, length
}

// splitWet splits by weather; the variant is always the wet one.
func (j *judge) splitWet(base part) (in part, ok bool) {
	if !base.dry || !base.wet {
		return in, false
	}
	in = base
	in.dry = false
	var s perHour
	s.sum(j, base, true)
	return in, s.cars[0] > 0 && s.cars[1] > 0 && s.most-s.one >= variantRare
}

// localHours is a contiguous range of UTC hours (bits) in local solar time, which is an hour
// ahead of UTC for every 15 degrees east.
func localHours(hours uint32, edge road.Edge) (from, to uint8) {
	box := edge.Tile().Box()
	shift := int(math.Round((float64(box.West)+float64(box.East))/2e7/15)) + hoursADay
	first := 0
	for first < hoursADay-1 && (hours>>first&1 == 0 || hours>>((first+hoursADay-1)%hoursADay)&1 == 1) {
		first++
	}
	return uint8((first + shift) % hoursADay), uint8((first + bits.OnesCount32(hours) + shift) % hoursADay)
}
