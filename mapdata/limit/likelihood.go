package limit

import "github.com/carasso/carasso/mapdata/road"

// How a camera reads signs: logarithms of the probability of what is read, given what is
// posted. Of a hundred signs 92 are read right, and some cars read none right: 86 %. A wrong
// reading is more often 10 or 20 off.
const (
	logRight  = -0.15 // 0.86
	logOff10  = -3.69 // 0.025
	logOff20  = -4.42 // 0.012
	logFar    = -5.81 // 0.003
	logUnseen = -3.00 // 0.05: reported as missing though it stands there
	logGone   = -0.15 // 0.86: reported as missing, the limit before holds on
	logOther  = -1.20 // 0.3: reported as missing, another is posted
	logSuits  = -1.20 // 0.3: an end of limit or town that can lead to the limit
	logUnfit  = -5.30 // 0.005: one that can't
)

// How much one vehicle's vote weighs against reading a sign on the edge itself.
const (
	weightPosted    = 1.0
	weightMissing   = 0.6 // it may be hidden, and others of the same value remain
	weightEnd       = 0.6
	weightTown      = 0.4 // another sign may follow at once
	weightCarried   = 0.4 // of a sign on an edge before
	weightUncertain = 0.3 // of a value that is not posted on roads of the class
)

// weight is that of a reading on the edge itself.
func (p *Prior) weight(r Reading, v uint8) float64 {
	switch r {
	case Posted:
		if v != p.MapKMH && !plausible(p.Class, v) {
			return weightPosted * weightUncertain
		}
		return weightPosted
	case Missing:
		return weightMissing
	case End:
		return weightEnd
	default:
		return weightTown
	}
}

// plausible tells whether a limit is posted on roads of a class: signs for lorries, lanes,
// ramps and work sites are read too.
func plausible(c road.Class, v uint8) bool {
	switch c {
	case road.Motorway:
		return v >= 40
	case road.Trunk:
		return v >= 30
	case road.LivingStreet:
		return v <= 50
	case road.Residential, road.Service:
		return v <= 80
	default:
		return true
	}
}

// logLikelihood is the logarithm of the probability that a vehicle reports a reading of
// value v where the limit is kmh.
func (p *Prior) logLikelihood(r Reading, v, kmh uint8) float64 {
	switch r {
	case Posted:
		if v == kmh {
			return logRight
		}
		switch d := apart(v, kmh); {
		case kmh == road.Unlimited:
			return logFar
		case d <= 10.5:
			return logOff10
		case d <= 20.5:
			return logOff20
		default:
			return logFar
		}
	case Missing:
		switch kmh {
		case p.UpstreamKMH: // also if it is v: where the same limit holds before, none need stand here
			return logGone
		case v:
			return logUnseen
		default:
			return logOther
		}
	case Town:
		if kmh == p.urban() {
			return logRight
		}
		if kmh < p.urban() {
			return logOff10
		}
		return logUnfit
	default:
		return p.logEnd(r, v, kmh)
	}
}

// logEnd is logLikelihood where a limit of v or a town ends.
func (p *Prior) logEnd(r Reading, v, kmh uint8) float64 {
	if r == TownEnd {
		v = p.urban()
	}
	switch {
	case kmh <= v: // road.Unlimited is the greatest
		return logUnfit
	case p.GeneralKMH == road.NoLimitKnown:
		return logSuits
	case kmh == p.GeneralKMH:
		return logRight
	default:
		return logOff10
	}
}

// supports tells whether a reading of value v speaks for a limit of kmh.
func (p *Prior) supports(r Reading, v, kmh uint8) bool {
	switch r {
	case Posted:
		return v == kmh
	case Missing:
		return v != kmh || kmh == p.UpstreamKMH
	default:
		return p.logLikelihood(r, v, kmh) >= logSuits
	}
}
