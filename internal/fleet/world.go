package fleet

import (
	"math"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// What random draws are for, so that they are independent of one another.
const (
	purposeDestination uint64 = iota + 1
	purposeCar
	purposeSegment
	purposeCongested
	purposeDepth
	purposeZone
	purposeSign
	purposeWeather
	purposeDriver
	purposeModel
	purposeBatch
	purposeUsual
	purposeRepeat
	purposeVariant
	purposeVariantKind
	purposeFault
	purposePatch
)

// world is what vehicles experience on the network: how fast each road is really
// driven, where hazards are and when, what signs really stand. It depends on the seed and
// Config's shares alone, and is immutable.
type world struct {
	seed     uint64
	dayStart time.Duration
	lonDeg   float64 // of the middle, for the solar time
	posted   *postedLimits
	factor   []float32 // by arc: share of the free speed that is driven on an empty road
	depth    []float32 // by arc: share of it that is lost at the height of the commuter peak
	zones    []zone
	zoneOf   []int16 // by arc; -1 = none
	near     []bool  // by arc: a zone may be reached within a period

	hollows, downpours []patch // where fog lies and heavy rain falls
}

// zone is a place where something is wrong from time to time: from every start + k ×
// cycle on, for as long as active.
type zone struct {
	arc                  int32
	hazard               telemetry.Hazard
	start, cycle, active int64 // ms since the simulation's start
}

// zoneSpeed is the share of its speed that a vehicle keeps in an active zone.
const zoneSpeed = 0.7

// noZone marks arcs without a zone.
const noZone = -1

func newWorld(n *Network, cfg *Config) *world {
	seed := cfg.World
	if seed == 0 {
		seed = cfg.Seed
	}
	w := &world{
		seed: seed, dayStart: cfg.DayStart, lonDeg: (n.west + n.east) / 2,
		posted: newPostedLimits(n, cfg, seed),
		factor: make([]float32, len(n.arcs)),
		depth:  make([]float32, len(n.arcs)),
		zoneOf: make([]int16, len(n.arcs)),
	}
	for i := range n.arcs {
		edge := n.edges[i]
		w.zoneOf[i] = noZone
		w.factor[i] = float32(0.82 + 0.22*hash(seed, purposeSegment, edge))
		if kmh := w.posted.kmh[i]; kmh != 0 { // drivers follow what is posted, not the map
			w.factor[i] *= float32(min(kmh, 130)) / 3.6 / n.arcs[i].freeMPS
		}
		// Main roads are the ones that jam.
		if n.arcs[i].freeMPS > 40/3.6 && hash(seed, purposeCongested, edge) < 0.25 {
			w.depth[i] = float32(0.25 + 0.4*hash(seed, purposeDepth, edge))
		}
	}
	w.placeZones(n)
	w.nearZones(n, cfg.period())
	w.placePatches(n)
	return w
}

func (w *world) placeZones(n *Network) {
	kinds := [...]telemetry.Hazard{
		telemetry.SlipperyRoad, telemetry.Obstacle, telemetry.ReducedVisibility, telemetry.SlipperyRoad, telemetry.RoadWorks,
		telemetry.ExceptionalWeather, telemetry.BrokenDownVehicle, telemetry.SlipperyRoad, telemetry.Accident, telemetry.Blockage,
		telemetry.HardBraking,
	}
	random := rng(mix(w.seed ^ purposeZone))
	want := min(max(len(n.arcs)/300, 4), 500)
	for try := 0; len(w.zones) < want && try < 20*want; try++ {
		a := n.draw(random.float())
		if w.zoneOf[a] != noZone || n.arcs[a].lengthM < 30 {
			continue
		}
		w.zoneOf[a] = int16(len(w.zones))
		cycle := int64(15+random.intn(30)) * time.Minute.Milliseconds()
		w.zones = append(w.zones, zone{
			arc: a, hazard: kinds[len(w.zones)%len(kinds)],
			start: -int64(random.float() * float64(cycle)), cycle: cycle, active: cycle * int64(30+random.intn(30)) / 100,
		})
	}
}

// hazard is what is wrong on an arc at an instant, in ms since the simulation's start;
// HazardUnknown if nothing is.
func (w *world) hazard(arc int32, ms int64) telemetry.Hazard {
	z := w.zoneOf[arc]
	if z == noZone || !w.zones[z].on(ms) {
		return telemetry.HazardUnknown
	}
	return w.zones[z].hazard
}

func (z *zone) on(ms int64) bool {
	phase := (ms - z.start) % z.cycle
	if phase < 0 {
		phase += z.cycle
	}
	return phase < z.active
}

// conditions are what all vehicles share at an instant.
type conditions struct {
	peak   float32 // 0 to 1: how far congestion is developed
	rain   uint8   // percent, where most falls
	tempDC int16   // 0.1 °C
	fog    float64 // 0 to 1: how far it has spread
	night  bool
}

// conditions at ms after a start at unix milliseconds.
func (w *world) conditions(startMS, ms int64) conditions {
	day := w.dayStart
	if day < 0 {
		day = time.Duration(startMS%(24*3600*1000)) * time.Millisecond
	}
	hour := math.Mod((day + time.Duration(ms)*time.Millisecond).Hours(), 24)
	solar, h := hour, float64(ms)/3.6e6
	if w.dayStart < 0 { // the weather follows the clock too
		solar, h = math.Mod(hour+w.lonDeg/15+24, 24), float64(startMS+ms)/3.6e6
	}
	bump := func(at, width float64) float64 { return math.Exp(-(hour - at) * (hour - at) / (2 * width * width)) }
	rain := rainPercent(w.seed, h)
	temp := 8 + 9*math.Sin(2*math.Pi*(hour-9)/24) - rain/25
	fog := 0.0
	if hash(w.seed, purposeWeather, 2) < 0.15 {
		fog = max(0, (bump(6, 2)-0.3)/0.7)
	}
	return conditions{
		peak:   float32(math.Min(1, bump(8, 0.9)+bump(17.5, 1.2))),
		rain:   uint8(rain),
		tempDC: int16(temp * 10),
		fog:    fog,
		night:  solar >= NightFrom || solar < NightTo,
	}
}

// rainPercent changes over hours: two waves whose phases the seed decides.
func rainPercent(seed uint64, hours float64) float64 {
	wave := math.Sin(2*math.Pi*(hours/5+hash(seed, purposeWeather, 0))) + 0.6*math.Sin(2*math.Pi*(hours/1.7+hash(seed, purposeWeather, 1)))
	return math.Max(0, math.Min(100, (wave-0.5)*90))
}

// WetAt reports whether roads are wet at an instant, if the simulation follows the clock
// (Config.DayStart below 0), by the seed of its truth.
func WetAt(seed uint64, at time.Time) bool {
	return uint8(rainPercent(seed, float64(at.UnixMilli())/3.6e6)) > wetPercent
}

// Zone is the truth about a place where something is wrong from time to time.
type Zone struct {
	Arc    int32
	Hazard telemetry.Hazard
}

// Zones are the places where hazards are, now and then; see HazardAt.
func (s *Simulation) Zones() []Zone {
	out := make([]Zone, len(s.world.zones))
	for i, z := range s.world.zones {
		out[i] = Zone{Arc: z.arc, Hazard: z.hazard}
	}
	return out
}

// HazardAt is what is wrong on an arc at an instant, Unix ms, and since and until when;
// HazardUnknown if nothing is, with the zero times.
func (s *Simulation) HazardAt(arc int32, unixMS int64) (h telemetry.Hazard, since, until int64) {
	ms := unixMS - s.startMS
	if h = s.world.hazard(arc, ms); h == telemetry.HazardUnknown {
		return h, 0, 0
	}
	z := &s.world.zones[s.world.zoneOf[arc]]
	phase := (ms - z.start) % z.cycle
	if phase < 0 {
		phase += z.cycle
	}
	return h, unixMS - phase, unixMS - phase + z.active
}
