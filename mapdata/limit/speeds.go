package limit

import (
	"math"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// The speeds driven, as evidence: the 85th percentile, by which traffic engineers set
// limits, lies a little above the limit on a free road, and anywhere below it where traffic,
// curves or crossings hinder.
const (
	drivenPercentile = 0.85
	drivenOverKMH    = 2.0 // by which it usually exceeds the limit
	drivenSpreadKMH  = 5.0 // spread above, for a limit of 0,
	drivenSpreadRate = 0.05
	hinderedKMH      = 6.0 // and below
	hinderedRate     = 0.16
	freeKMH          = 128.0 // what is driven where there is no limit
	drivenEnough     = 20    // speeds from which on they count in full
	drivenMostLog    = 5.0   // what they count at most: not quite one and a half readings
)

// drivenLog fills in the logarithm of the likelihood of the speeds for each candidate,
// greatest 0, bounded below; false if there are none. Standing counts for nothing.
func drivenLog(driven *learn.SpeedBins, c *candidates, ll []float64) bool {
	if driven == nil {
		return false
	}
	moving := *driven
	clear(moving[:3]) // below 6 km/h
	n := moving.Count()
	if n == 0 {
		return false
	}
	v := moving.PercentileKMH(drivenPercentile)
	top := math.Inf(-1)
	for j, kmh := range c.kmh[:c.n] {
		limit := float64(kmh)
		if kmh == road.Unlimited {
			limit = freeKMH
		}
		sigma := drivenSpreadKMH + drivenSpreadRate*limit
		below := hinderedKMH + hinderedRate*limit
		over := v - limit - drivenOverKMH
		s := sigma
		if over < 0 {
			s = below
		}
		ll[j] = -over*over/(2*s*s) - math.Log(sigma+below)
		top = max(top, ll[j])
	}
	weight := min(1, float64(n)/drivenEnough)
	for j := range ll {
		ll[j] = max((ll[j]-top)*weight, -drivenMostLog)
	}
	return true
}

// FromSpeeds estimates a limit from the speeds driven alone, without the map's: the most
// probable one for the class and its probability. It is right a little more often than not,
// and never published by itself. NoLimitKnown if no speed is known.
func FromSpeeds(driven *learn.SpeedBins, class road.Class) (kmh uint8, probability float32) {
	prior := Prior{Class: class}
	var c candidates
	c.usual(&prior)
	c.weigh(&prior)
	f := filter{prior: &prior, cands: &c}
	f.start(&c.first)
	if !drivenLog(driven, &c, f.logs[:c.n]) {
		return road.NoLimitKnown, 0
	}
	f.update(f.logs[:c.n])
	best := f.best()
	return c.kmh[best], float32(f.p[best])
}
