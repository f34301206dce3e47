package fleet

import (
	"math"

	"github.com/carasso/carasso/telemetry"
)

// Limit is the truth about the limit of a directed segment.
type Limit struct {
	KMH     uint8 // posted, in general; 0 = nothing is
	MapKMH  uint8 // what the map says; 0 = unknown or none
	Varies  bool  // another one holds under a condition:
	OtherIs uint8 // this one,
	Wet     bool  // on a wet road, else by night: from NightFrom to NightTo
	Sign    bool  // one stands at its start, wherever one comes from
}

// The local solar hours between which a limit for the night holds.
const (
	NightFrom = 22
	NightTo   = 6
)

// postedLimits are the limits that really stand along the roads. It depends on the seed
// and the shares of Config, and is immutable.
type postedLimits struct {
	kmh      []uint8 // by arc, in general; 0 = nothing is posted
	mapKMH   []uint8 // by arc
	repeated []bool  // by arc: a sign stands at its start even if nothing changes there
	varying  []varyingLimit
}

// varyingLimit is an arc whose limit is lower under a condition.
type varyingLimit struct {
	arc int32
	kmh uint8 // under the condition
	wet bool  // else: by night
}

// Shares of the truth about limits that are not configured.
const (
	signGoneShare = 0.005 // of limits on the map of which nothing stands
	sideRepeats   = 1.0 / 3
	repeatMinM    = 100
	variantFrom   = 60 // km/h: lower limits do not vary
	variantLess   = 20 // km/h
)

func newPostedLimits(n *Network, cfg *Config, seed uint64) *postedLimits {
	p := &postedLimits{
		kmh: make([]uint8, len(n.arcs)), mapKMH: make([]uint8, len(n.arcs)), repeated: make([]bool, len(n.arcs)),
	}
	for i := range n.arcs {
		p.mapKMH[i] = uint8(min(n.arcs[i].limitKMH, math.MaxUint8))
		p.kmh[i] = postedKMH(seed, &n.specs[i], p.mapKMH[i], cfg.WrongLimits)
	}
	stretch := make([]uint64, len(n.arcs))
	for i := range n.arcs {
		stretch[i] = n.specs[i].stretch
	}
	p.joinShort(n, stretch)
	for i := range n.arcs {
		a, s := &n.arcs[i], &n.specs[i]
		if p.kmh[i] == 0 {
			continue
		}
		share := cfg.SignEvery
		if !s.main {
			share *= sideRepeats
		}
		p.repeated[i] = a.lengthM >= repeatMinM && hash(seed, purposeRepeat, n.edges[i]) < share
		if s.main && p.kmh[i] >= variantFrom && hash(seed, purposeVariant, stretch[i]) < cfg.Variants {
			wet := hash(seed, purposeVariantKind, stretch[i]) < 0.5
			p.varying = append(p.varying, varyingLimit{arc: int32(i), kmh: p.kmh[i] - variantLess, wet: wet})
		}
	}
	return p
}

// Roads shorter than this have no limit of their own, unless the map says so.
const shortM = 50

// joinShort gives short roads the limit of the longest one that leads to or from them, so
// that no two signs stand some metres apart at every border between stretches.
func (p *postedLimits) joinShort(n *Network, stretch []uint64) {
	into, firstIn := n.incoming()
	for range 3 { // chains of short ones
		for i := range n.proper {
			a := &n.arcs[i]
			if a.lengthM >= shortM {
				continue
			}
			longest := i
			for _, list := range [2][]int32{into[firstIn[a.from]:firstIn[a.from+1]], n.leaving(a.to)} {
				for _, o := range list {
					if n.arcs[o].lengthM > n.arcs[longest].lengthM && n.edges[o]>>1 != n.edges[i]>>1 && (p.mapKMH[i] == 0 || p.mapKMH[i] == p.mapKMH[o]) {
						longest = o
					}
				}
			}
			p.kmh[i], stretch[i] = p.kmh[longest], stretch[longest]
		}
	}
}

// postedKMH is what is really posted where the map says mapKMH.
func postedKMH(seed uint64, s *spec, mapKMH uint8, wrong float64) uint8 {
	if mapKMH == 0 {
		return s.usual[int(hash(seed, purposeUsual, s.stretch)*2)]
	}
	switch h := hash(seed, purposeSign, s.stretch); {
	case h < signGoneShare:
		return 0
	case h < signGoneShare+wrong:
		return wrongKMH(mapKMH, uint64(h*1e9))
	default:
		return mapKMH
	}
}

// wrongKMH is another limit than the one given, 10 or 20 km/h off.
func wrongKMH(kmh uint8, salt uint64) uint8 {
	switch {
	case kmh >= 120:
		return kmh - 10 - 10*uint8(salt%2)
	case kmh > 20 && salt%3 == 2:
		return kmh - 10
	default:
		return kmh + 10 + 10*uint8(salt%2)
	}
}

// Limit is the truth about the limit of arc i.
func (s *Simulation) Limit(i int32) Limit {
	p := s.world.posted
	l := Limit{KMH: p.kmh[i], MapKMH: p.mapKMH[i], Sign: p.repeated[i]}
	for _, v := range p.varying {
		if v.arc == i {
			l.Varies, l.OtherIs, l.Wet = true, v.kmh, v.wet
		}
	}
	return l
}

// follow sets the limits and speeds that vary to what holds under the conditions.
func (s *Simulation) follow(now conditions) {
	wet, night := now.rain > wetPercent, now.night
	if wet == s.wet && night == s.night {
		return
	}
	s.wet, s.night = wet, night
	p := s.world.posted
	for _, v := range p.varying {
		s.kmh[v.arc], s.factor[v.arc] = p.kmh[v.arc], s.world.factor[v.arc]
		if v.wet && wet || !v.wet && night {
			s.kmh[v.arc] = v.kmh
			s.factor[v.arc] *= float32(v.kmh) / float32(p.kmh[v.arc])
		}
	}
}

// wetPercent is the rain from which on a road is wet: wipers go at least slowly.
const wetPercent = 25

// Shares of what the camera makes of a sign, in sum 1.
const (
	signRight  = 0.92
	signMissed = 0.05
)

// signAfterM is how far behind the start of a road its sign stands, and half its length at most.
const signAfterM = 15

// seeSign reports what stands at the start of an arc that was entered before ms: a sign
// where the limit changes or is repeated; the absence of one where the map's limit changes
// and the camera sees none.
func (s *Simulation) seeSign(c *car, was, arc int32, ms int64) {
	p := s.world.posted
	posted := s.kmh[arc]
	if beyond := c.offsetM - min(signAfterM, s.net.arcs[arc].lengthM/2); beyond > 0 {
		ms -= int64(beyond / max(c.speedMPS, minSpeedMPS) * 1000) // when it passed the sign
	}
	stands := posted != 0 && (posted != s.kmh[was] || p.repeated[arc])
	if !stands {
		if m := p.mapKMH[arc]; m != 0 && m != p.mapKMH[was] && c.rng.chance(signRight) {
			s.event(c, ms, telemetry.Event{Type: telemetry.SignMissing, Sign: telemetry.SpeedLimit, ValueKMH: uint16(m), ConfidencePermille: 700})
		}
		return
	}
	u := c.rng.float()
	if u >= signRight && u < signRight+signMissed {
		return
	}
	confidence := uint16(850 + c.rng.intn(140))
	switch {
	case c.fault != 0 && s.faults[c.fault-1].kind == BrokenCamera:
		posted = wrongKMH(wrongKMH(posted, c.rng.next()>>8), c.rng.next()>>8)
	case u >= signRight:
		posted, confidence = s.misread(c, was, arc, posted), confidence-200
	}
	s.event(c, ms, telemetry.Event{Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: uint16(posted), ConfidencePermille: confidence})
}

// misread is another limit than the one posted: half the time that of another road at the
// junction, if it has another one, else a number like it.
func (s *Simulation) misread(c *car, was, arc int32, posted uint8) uint8 {
	salt := c.rng.next() >> 8
	if salt&1 == 0 {
		node := s.net.arcs[arc].from
		for _, o := range s.net.leaving(node) {
			if k := s.kmh[o]; o != arc && o != was && k != 0 && k != posted {
				return k
			}
		}
	}
	return wrongKMH(posted, salt>>1)
}
