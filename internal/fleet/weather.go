package fleet

import "github.com/carasso/carasso/mapdata/geo"

// Fog lies in hollows and heavy rain falls in downpours, each some kilometres wide: not on the whole country at once. Lighter
// rain is the same everywhere.
const (
	patchKM2     = 250 // of the network's box for each patch of a kind
	maxPatches   = 16
	fogRadiusM   = 1500 // of the least one, when fog is at its thickest; the largest has half as much again
	heavyRadiusM = 1200
	heavyPercent = 60 // rain from which on wipers go fast
	lightPercent = 55 // the rain beside a downpour
)

// patch is a place of its own weather.
type patch struct {
	lat, lon float64 // degrees times 10^7
	perLonE7 float64 // metres
	radiusM  float64
}

// holds reports whether a point is within the patch, of which a share of its radius is there, or within a margin of it.
func (p *patch) holds(latE7, lonE7, share, marginM float64) bool {
	dy := (latE7 - p.lat) * geo.MetresPerE7
	dx := (lonE7 - p.lon) * p.perLonE7
	r := p.radiusM*share + marginM
	return dx*dx+dy*dy <= r*r
}

func anyHolds(list []patch, latE7, lonE7, share, marginM float64) bool {
	for i := range list {
		if list[i].holds(latE7, lonE7, share, marginM) {
			return true
		}
	}
	return false
}

// placePatches lays hollows and downpours where roads are.
func (w *world) placePatches(n *Network) {
	west, south, east, north := n.Bounds()
	box := geo.DistanceM(geo.At(south, west), geo.At(south, east)) * geo.DistanceM(geo.At(south, west), geo.At(north, west)) / 1e6
	random := rng(mix(w.seed ^ purposePatch))
	for range min(max(int(box/patchKM2), 1), maxPatches) {
		w.hollows = append(w.hollows, n.patch(&random, fogRadiusM))
		w.downpours = append(w.downpours, n.patch(&random, heavyRadiusM))
	}
}

func (n *Network) patch(random *rng, leastM float64) patch {
	a := &n.arcs[n.draw(random.float())]
	at := &n.points[a.point]
	return patch{
		lat: float64(at.lat), lon: float64(at.lon), perLonE7: geo.Scale(at.lat), radiusM: leastM * (1 + 0.5*random.float()),
	}
}

// at is the rain in percent and whether there is fog at a place, or within a margin of it.
func (w *world) at(c *conditions, latE7, lonE7, marginM float64) (rainPercent uint8, fog bool) {
	rainPercent = c.rain
	if c.rain > heavyPercent && !anyHolds(w.downpours, latE7, lonE7, 1, marginM) {
		rainPercent = lightPercent
	}
	return rainPercent, c.fog > 0 && anyHolds(w.hollows, latE7, lonE7, c.fog, marginM)
}

// Weather is what it is like at an instant. The zero Weather is that of no instant.
type Weather struct {
	world *world
	now   conditions
}

// Weather is the weather at an instant, Unix ms.
func (s *Simulation) Weather(unixMS int64) Weather {
	return Weather{world: s.world, now: s.world.conditions(s.startMS, unixMS-s.startMS)}
}

// Rain is the heaviest that falls anywhere, in percent.
func (x Weather) Rain() uint8 { return x.now.rain }

// Near tells whether it rains so heavily that wipers go fast, and whether there is fog, within a margin of one of the points.
func (x Weather) Near(points []geo.Point, marginM float64) (heavy, fog bool) {
	if x.world == nil || x.now.rain <= heavyPercent && x.now.fog <= 0 {
		return false, false
	}
	for _, p := range points {
		rain, f := x.world.at(&x.now, float64(p.LatE7), float64(p.LonE7), marginM)
		heavy, fog = heavy || rain > heavyPercent, fog || f
	}
	return heavy, fog
}
