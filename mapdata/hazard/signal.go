package hazard

import "github.com/carasso/carasso/telemetry"

// source is a set of what speaks for a hazard in one vehicle.
type source uint32

// The sources. Context bears nothing out by itself: weather that makes a road slippery counts
// only beside an intervention, slow driving only beside an event or a standing vehicle.
const (
	fromEvent        source = 1 << iota // the vehicle's own event
	fromIntervention                    // ABS, ESC or TCS at work
	fromFriction                        // a low friction estimate
	fromWeather                         // frost or a wet road (context)
	fromFogLight
	fromWiper
	fromRain
	fromLights   // hazard lights
	fromBraking  // a hard braking
	fromStop     // an emergency stop
	fromSlow     // far below the road's free speed (context)
	fromStanding // hazard lights at standstill, instead of fromLights
	fromSign     // a road works sign
	fromPath     // driven against a one-way road
	fromMotorway // and that on a motorway or trunk road
	fromGrip     // a braking that a slippery road does not allow (speaks against it)
	fromUnsure   // an event of low confidence: counts only if something bears it out
)

// Thresholds of the raw signals.
const (
	slipperyPercent  = 40  // friction estimate: packed snow has about 30, a wet road 50 to 70
	gripCMPS2        = 500 // a braking as hard as this shows that the road is not slippery: μ ≥ 0.5
	rollingCMPS      = 200 // below it interventions are of parking and starting off
	frostDC          = 30  // 3 °C: where cars warn of ice
	wetRainPercent   = 40  // rain that wets the road
	stormRainPercent = 75  // rain that is exceptional
	standingCMPS     = 100 // hardly moving
	standingMS       = 10_000
	fastRoadKMH      = 70.0 // free speed of roads on which nobody stands with hazard lights to unload
	slowShare        = 0.3  // of the free speed, on a fast road
	surePermille     = 500  // confidence below which an event is not a report by itself
	stuckSamples     = 8    // a chassis flag that is on in all of so many samples is stuck
)

// strength is what the sources come to; ok is false for nothing.
func strength(h telemetry.Hazard, s source) (_ Strength, ok bool) {
	n := raws(h, s)
	switch event := s&(fromEvent|fromUnsure) != 0; {
	case event && (n > 0 || s&fromSlow != 0 && related(h)), n > 1:
		return Strong, true
	case n == 1 && (h != telemetry.HardBraking || s&fromStop != 0): // many brake hard once
		return SignalAlone, true
	case s&fromEvent != 0:
		return EventAlone, true
	default:
		return 0, false
	}
}

// raws is how many independent raw signals speak for a category.
func raws(h telemetry.Hazard, s source) int {
	count := func(independent ...source) (n int) {
		for _, i := range independent {
			if s&i != 0 {
				n++
			}
		}
		return n
	}
	switch h {
	case telemetry.SlipperyRoad:
		n := count(fromIntervention, fromFriction)
		if s&fromIntervention != 0 && s&fromWeather != 0 {
			n++
		}
		return n
	case telemetry.ReducedVisibility:
		return count(fromFogLight)
	case telemetry.ExceptionalWeather:
		return count(fromWiper, fromRain)
	case telemetry.HardBraking:
		if s&(fromBraking|fromStop|fromEvent|fromUnsure) == 0 {
			return 0
		}
		return count(fromBraking|fromStop, fromLights, fromIntervention)
	case telemetry.BrokenDownVehicle:
		n := count(fromLights, fromStanding)
		if s&fromStanding != 0 && s&fromSlow != 0 {
			n++
		}
		return n
	case telemetry.Obstacle, telemetry.Accident, telemetry.Blockage:
		return count(fromLights|fromStanding, fromBraking)
	case telemetry.RoadWorks:
		return count(fromSign)
	case telemetry.WrongWayDriver:
		return count(fromPath, fromMotorway)
	default:
		return count(fromLights) // warningLights
	}
}

// notes are the sources that make a sample an observation of a category; others only bear
// it out. Categories that raw signals can't tell apart need an event of the drive.
func notes(h telemetry.Hazard, event bool) source {
	own := fromEvent | fromUnsure
	switch h {
	case telemetry.SlipperyRoad:
		return own | fromIntervention | fromFriction
	case telemetry.ReducedVisibility:
		return own | fromFogLight
	case telemetry.ExceptionalWeather:
		return own | fromWiper | fromRain
	case telemetry.HardBraking:
		if event {
			return own | fromBraking | fromLights
		}
		return fromBraking
	case telemetry.BrokenDownVehicle:
		if event {
			return own | fromStanding | fromLights
		}
		return fromStanding
	case telemetry.Obstacle, telemetry.Accident, telemetry.Blockage:
		if event {
			return own | fromLights | fromStanding | fromBraking
		}
		return 0
	case telemetry.RoadWorks:
		return own | fromSign
	case telemetry.WrongWayDriver:
		return own
	default:
		return fromLights // warningLights
	}
}

// sense sets what each sample's raw signals are sources of, roads aside, and is what any
// of them is. The slices are as long as the samples.
func (c *Collector) sense(samples []telemetry.Sample) (all source) {
	stuck := stuckFlags(samples)
	for i := range samples {
		o := senseSample(&samples[i], stuck)
		c.sources[i] = o
		all |= o
	}
	mark := func(bs []Braking, s source) {
		for _, b := range bs {
			for i := b.Hard; i <= b.Last; i++ { // where it began gently, nothing need be wrong
				c.sources[i] |= s
			}
			all |= s
		}
	}
	c.brakings = HardBraking().Find(c.brakings[:0], samples)
	mark(c.brakings, fromBraking)
	c.brakings = emergencyStop().Find(c.brakings[:0], samples)
	mark(c.brakings, fromStop)
	if all&fromLights != 0 {
		all |= c.standing(samples)
	}
	return all
}

func senseSample(s *telemetry.Sample, stuck telemetry.Flag) (o source) {
	moving := s.Has&telemetry.HasSpeed == 0 || s.SpeedCMPS >= rollingCMPS
	if s.On&^stuck&(telemetry.ABSActive|telemetry.ESCActive|telemetry.TCSActive) != 0 && moving {
		o |= fromIntervention
	}
	if s.Has&telemetry.HasFriction != 0 && s.FrictionPercent <= slipperyPercent {
		o |= fromFriction
	}
	if s.Has&telemetry.HasOutsideTemp != 0 && s.OutsideTempDC <= frostDC || s.Wiper >= telemetry.WiperSlow ||
		s.Has&telemetry.HasRain != 0 && s.RainPercent >= wetRainPercent {
		o |= fromWeather
	}
	if s.Has&telemetry.HasBrake != 0 && s.BrakeCMPS2 >= gripCMPS2 {
		o |= fromGrip
	}
	if s.On&telemetry.FogLightRear != 0 {
		o |= fromFogLight
	}
	if s.On&telemetry.HazardLight != 0 {
		o |= fromLights
	}
	if s.Wiper == telemetry.WiperFast {
		o |= fromWiper
	}
	if s.Has&telemetry.HasRain != 0 && s.RainPercent >= stormRainPercent {
		o |= fromRain
	}
	return o
}

// stuckFlags are the chassis flags that are on in every one of many samples: no
// intervention lasts so long.
func stuckFlags(samples []telemetry.Sample) telemetry.Flag {
	if len(samples) < stuckSamples {
		return 0
	}
	all := telemetry.ABSActive | telemetry.ESCActive | telemetry.TCSActive
	for i := range samples {
		all &= samples[i].On
	}
	return all
}

// standing turns hazard lights into those of a vehicle at standstill where it stands with
// them long enough; shorter stops are neither.
func (c *Collector) standing(samples []telemetry.Sample) (all source) {
	for i := 0; i < len(samples); {
		if !still(&samples[i]) {
			i++
			continue
		}
		end := i
		for end+1 < len(samples) && still(&samples[end+1]) {
			end++
		}
		long := samples[end].T-samples[i].T >= standingMS
		for ; i <= end; i++ {
			if c.sources[i]&fromLights == 0 {
				continue
			}
			c.sources[i] &^= fromLights
			if long {
				c.sources[i] |= fromStanding
				all |= fromStanding
			}
		}
	}
	return all
}

func still(s *telemetry.Sample) bool {
	return s.Has&telemetry.HasSpeed != 0 && s.SpeedCMPS < standingCMPS
}
