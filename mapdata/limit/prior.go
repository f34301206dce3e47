package limit

import (
	"math"

	"github.com/carasso/carasso/mapdata/road"
)

// Prior is what is known of an edge besides what vehicles said. Values are km/h,
// road.Unlimited, or road.NoLimitKnown.
type Prior struct {
	MapKMH uint8
	Class  road.Class
	// UpstreamKMH is the limit in force on a road next to this one, mostly one that leads here:
	// what holds on if no sign stands between the two.
	UpstreamKMH uint8
	// UpstreamMapKMH is the map's limit there, UpstreamPosterior the probability of
	// UpstreamKMH; 0: 0.9.
	UpstreamMapKMH    uint8
	UpstreamPosterior float64
	// Silent is how many vehicles with a camera drove from one to the other and read nothing on
	// the way; 0: not known.
	Silent float64
	// Passes is how many distinct vehicles drove the edge on the day with the most, of the
	// days of the evidence, a lower bound; 0: not known. That few of them read a sign says that
	// none stands there.
	Passes int
	// PublishedKMH is what is published of the edge; NoLimitKnown: nothing. It stays so with less than it took, see Config.Hold.
	// Unsaid is that no road around says anything: then it stays although nobody reads it on the edge itself.
	PublishedKMH uint8
	Unsaid       bool
	// GeneralKMH is the legal limit of the country where no sign stands: what the end of a
	// limit or of a town leads to.
	GeneralKMH uint8
	// UrbanKMH is what a town sign stands for; NoLimitKnown: 50.
	UrbanKMH uint8
}

const (
	maxCandidates = 32
	mapRight      = 0.9  // share of the map's limits that are right,
	mapTwiceRight = 0.97 // where it is the one before as well,
	mapWrongAgain = 0.3  // where it was found wrong before, and has the same limit here
	upstreamRight = 0.5  // where the map is wrong, the one before holds on,
	upstreamOnly  = 0.6  // or where it has none,
	upstreamAgain = 0.8  // or where it was found wrong before
	upstreamSure  = 0.9  // probability of the one before, if not given
	urbanKMH      = 50
	unlimitedKMH  = 150 // as a number, to tell how far from it another limit is
)

func (p *Prior) urban() uint8 {
	if p.UrbanKMH == road.NoLimitKnown {
		return urbanKMH
	}
	return p.UrbanKMH
}

// candidates are the limits that are weighed against one another, each with its
// probability before any evidence, and right after a sign was changed.
type candidates struct {
	n     int
	kmh   [maxCandidates]uint8
	first [maxCandidates]float64 // sums to 1, each > 0
	again [maxCandidates]float64 // sums to 1, each > 0
}

func (c *candidates) index(kmh uint8) int {
	for j, v := range c.kmh[:c.n] {
		if v == kmh {
			return j
		}
	}
	return -1
}

func (c *candidates) add(kmh uint8) {
	if kmh != road.NoLimitKnown && c.n < maxCandidates && c.index(kmh) < 0 {
		c.kmh[c.n] = kmh
		c.n++
	}
}

// usual adds what the prior names, and what is posted anywhere.
func (c *candidates) usual(p *Prior) {
	for _, v := range [...]uint8{p.MapKMH, p.UpstreamKMH, p.GeneralKMH, p.urban()} {
		c.add(v)
	}
	for v := uint8(10); v <= 130; v += 10 {
		c.add(v)
	}
	c.add(road.Unlimited)
	c.add(5)
}

// weigh fills in the probabilities.
func (c *candidates) weigh(p *Prior) {
	var rest [maxCandidates]float64
	sum, upstream, onMap := 0.0, -1, -1
	for j, v := range c.kmh[:c.n] {
		switch v {
		case p.MapKMH:
			onMap = j
		case p.UpstreamKMH:
			upstream = j
		}
		if v != p.MapKMH || p.MapKMH == road.NoLimitKnown {
			rest[j] = p.likely(v)
			sum += rest[j]
		}
	}
	share, right := p.shares(onMap >= 0)
	if upstream < 0 {
		share = 0
	}
	for j := range c.n {
		rest[j] *= (1 - share) / sum
		if j == upstream {
			rest[j] += share
		}
		c.first[j] = rest[j]
		if onMap >= 0 {
			c.first[j] *= 1 - right
		}
		if j == onMap {
			c.first[j] = right
		}
	}
	for j := range c.n {
		c.again[j] = (c.first[j] + rest[j]) / 2
	}
}

// shares are the probability that the limit before holds on where the map is wrong, and that
// the map is right.
func (p *Prior) shares(onMap bool) (upstream, right float64) {
	sure := p.upstreamPosterior()
	switch {
	case p.UpstreamKMH == road.NoLimitKnown:
		return 0, mapRight
	case !onMap:
		return upstreamOnly * sure, 0
	case p.MapKMH == p.UpstreamKMH:
		return 0, mapTwiceRight
	case p.MapKMH == p.UpstreamMapKMH:
		return upstreamAgain * sure, mapWrongAgain
	default:
		return upstreamRight * sure, mapRight
	}
}

func (p *Prior) upstreamPosterior() float64 {
	if p.UpstreamPosterior == 0 {
		return upstreamSure
	}
	return p.UpstreamPosterior
}

// likely is how often a limit is posted where the map is wrong or says nothing, as a
// weight > 0.
func (p *Prior) likely(v uint8) float64 {
	w := math.Exp(-apart(v, typicalKMH(p.Class)) / 30)
	if p.MapKMH != road.NoLimitKnown {
		switch d := apart(v, p.MapKMH); {
		case d <= 10.5:
			w += 1
		case d <= 20.5:
			w += 0.5
		default:
			w += 0.05
		}
	}
	switch v {
	case p.UrbanKMH: // as the caller says
		w++
	case p.GeneralKMH, urbanKMH:
		w += 0.2
	}
	switch miles := p.MapKMH%5 != 0 && p.MapKMH != road.NoLimitKnown; {
	case v == road.Unlimited:
		if p.Class != road.Motorway && p.Class != road.Trunk {
			w *= 0.05
		}
	case !miles && v%10 != 0, miles && v%5 == 0:
		w *= 0.3
	}
	return w
}

// apart is by how many km/h two limits differ.
func apart(a, b uint8) float64 {
	number := func(v uint8) float64 {
		if v == road.Unlimited {
			return unlimitedKMH
		}
		return float64(v)
	}
	return math.Abs(number(a) - number(b))
}

// typicalKMH is the middle of what is posted on roads of a class.
func typicalKMH(c road.Class) uint8 {
	switch c {
	case road.Motorway:
		return 120
	case road.Trunk:
		return 100
	case road.MotorwayLink, road.Primary:
		return 70
	case road.TrunkLink, road.Secondary:
		return 60
	case road.Residential, road.Service:
		return 30
	case road.LivingStreet:
		return 15
	default:
		return 50
	}
}
