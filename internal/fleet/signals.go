package fleet

import "github.com/carasso/carasso/telemetry"

// model is a kind of vehicle with the sensors that it has.
type model struct {
	name     string
	software [3]string
	has      telemetry.Field
}

const everyCar = telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy |
	telemetry.HasABS | telemetry.HasESC | telemetry.HasTCS | telemetry.HasWiper | telemetry.HasHazardLight

// models are equally common.
var models = [...]model{
	{"G30", [3]string{"23-03.4", "23-07.1", "23-11.0"}, everyCar | telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasBrake | telemetry.HasOutsideTemp | telemetry.HasFriction},
	{"G20", [3]string{"23-03.4", "23-07.1", "24-01.2"}, everyCar | telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasOutsideTemp},
	{"F45", [3]string{"21-11.9", "22-07.3", "23-03.0"}, everyCar | telemetry.HasFogLightRear | telemetry.HasOutsideTemp},
	{"I20", [3]string{"23-07.1", "23-11.0", "24-03.1"}, everyCar | telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasBrake | telemetry.HasOutsideTemp | telemetry.HasFriction},
	{"U11", [3]string{"23-07.1", "23-11.0", "24-01.2"}, everyCar | telemetry.HasRain | telemetry.HasOutsideTemp},
	{"F56", [3]string{"22-03.1", "22-07.3", "23-03.0"}, everyCar | telemetry.HasOutsideTemp},
}

// sample reports where the car is at ms after the start, with the errors of its sensors.
func (s *Simulation) sample(c *car, ms int64, brakeMPS2 float32) {
	g1, g2, g3, g4, g5 := c.rng.gauss5()
	// First-order Gauss-Markov (Gelb 1974): correlation exp(-dt/tau), constant variance.
	c.errEastM = s.decay*c.errEastM + s.drive1*g1
	c.errNorthM = s.decay*c.errNorthM + s.drive1*g2
	lat, lon, heading := s.position(c)
	m := &models[c.model%uint8(len(models))]
	speed := max(c.speedMPS+0.15*g3, 0)
	accuracy := max(float32(s.cfg.GPSSigmaM)*(1+0.15*g5), 0.5)
	o := telemetry.Sample{
		T:          s.startMS + ms,
		LatE7:      int32(lat + float64(c.errNorthM*s.e7PerMetreLat)),
		LonE7:      int32(lon + float64(c.errEastM/s.net.arcs[c.arc].metresPerLonE7)),
		SpeedCMPS:  uint16(speed*100 + 0.5),
		AccuracyCM: uint32(accuracy * 100),
		Has:        m.has,
	}
	if c.speedMPS < 1 {
		o.Has &^= telemetry.HasHeading // a standing receiver has none
	} else {
		o.HeadingCDeg = uint16((int32(heading) + int32(150*g4) + 36000) % 36000)
	}
	if s.cfg.Altitude {
		o.Has |= telemetry.HasAltitude
		o.AltitudeDM = altitudeDM(lat, lon) + int32(30*g5)
	}
	s.weather(c, &o, m.has, lat, lon)
	s.chassis(c, &o, m.has, brakeMPS2)
	if c.fault != 0 {
		s.spoil(c, &o, ms)
	}
	s.batch.Samples = append(s.batch.Samples, o)
}

// weather sets what the car senses of it.
func (s *Simulation) weather(c *car, o *telemetry.Sample, has telemetry.Field, latE7, lonE7 float64) {
	rain, fog := s.world.at(&s.now, latE7, lonE7, 0)
	temp := s.now.tempDC
	switch c.hazard {
	case telemetry.ExceptionalWeather:
		rain = max(rain, 85)
	case telemetry.ReducedVisibility:
		fog = true
	case telemetry.SlipperyRoad:
		temp = min(temp, -5)
	}
	switch {
	case rain > heavyPercent:
		o.Wiper = telemetry.WiperFast
	case rain > 25:
		o.Wiper = telemetry.WiperSlow
	case rain > 0:
		o.Wiper = telemetry.WiperInterval
	}
	if has&telemetry.HasRain != 0 {
		o.RainPercent = rain
	}
	if has&telemetry.HasFogLightRear != 0 && fog {
		o.On |= telemetry.FogLightRear
	}
	if has&telemetry.HasOutsideTemp != 0 {
		o.OutsideTempDC = temp
	}
}

// chassis sets what the car does against slipping, and how it brakes.
func (s *Simulation) chassis(c *car, o *telemetry.Sample, has telemetry.Field, brakeMPS2 float32) {
	friction := uint8(85 - int(s.now.rain)/4)
	switch c.hazard {
	case telemetry.SlipperyRoad:
		friction = 30
		switch c.rng.intn(8) {
		case 0:
			o.On |= telemetry.ABSActive
		case 1, 2:
			o.On |= telemetry.ESCActive
		case 3:
			o.On |= telemetry.TCSActive
		}
	default:
		if c.hazard != telemetry.HazardUnknown && inTheWay(c.hazard) {
			o.On |= telemetry.HazardLight
		}
	}
	if has&telemetry.HasBrake != 0 && brakeMPS2 > 0 {
		o.BrakeCMPS2 = int16(min(brakeMPS2, 19) * 100)
	}
	if has&telemetry.HasFriction != 0 {
		o.FrictionPercent = friction
	}
}

// altitudeDM is a smooth invented terrain around 1,200 m.
func altitudeDM(latE7, lonE7 float64) int32 {
	x, y := lonE7*1e-7*60, latE7*1e-7*60
	return int32(12000 + 3000*sine(x) + 2000*sine(1.7*y))
}

// sine is a parabola through sine's zeros and extremes: within 0.06, and cheap.
func sine(turns float64) float64 {
	f := turns - float64(int64(turns))
	if f < 0 {
		f++
	}
	if f < 0.5 {
		return 16 * f * (0.5 - f)
	}
	return -16 * (f - 0.5) * (1 - f)
}

// hazardReported is the share of cars that report the hazard they feel.
const hazardReported = 0.7

// falseHazards are what is reported where nothing is wrong.
var falseHazards = [...]telemetry.Hazard{telemetry.SlipperyRoad, telemetry.Obstacle, telemetry.SlipperyRoad, telemetry.ReducedVisibility, telemetry.HardBraking, telemetry.RoadWorks}

// feelHazard reports at ms what is wrong on the arc just entered, or nothing, or something
// that is not.
func (s *Simulation) feelHazard(c *car, ms int64) {
	if c.hazard == telemetry.HazardUnknown {
		if c.rng.chance(s.cfg.FalseAlarms) {
			kind := falseHazards[c.rng.intn(len(falseHazards))]
			s.event(c, ms, telemetry.Event{Type: telemetry.HazardSeen, Hazard: kind, ConfidencePermille: uint16(550 + c.rng.intn(300))})
		}
		return
	}
	if c.rng.chance(hazardReported) {
		s.event(c, ms, telemetry.Event{Type: telemetry.HazardSeen, Hazard: c.hazard, ConfidencePermille: uint16(650 + c.rng.intn(340))})
	}
	if c.hazard == telemetry.RoadWorks {
		s.seeWorks(c, ms)
	}
}

// seeWorks lets the camera read the sign that stands before road works (A, 15 of the Vienna Convention on Road
// Signs and Signals), as well as it reads any other; a broken one reads none.
func (s *Simulation) seeWorks(c *car, ms int64) {
	if c.fault != 0 && s.faults[c.fault-1].kind == BrokenCamera || !c.rng.chance(signRight) {
		return
	}
	s.event(c, ms, telemetry.Event{Type: telemetry.SignSeen, Sign: telemetry.RoadWorksSign, ConfidencePermille: uint16(850 + c.rng.intn(140))})
}

// event adds to the batch in the making what the car noticed at ms. A batch holds at most
// as many events as samples, so that its size stays bounded.
func (s *Simulation) event(c *car, ms int64, e telemetry.Event) {
	if len(s.batch.Events) < s.cfg.BatchSize {
		e.T = s.startMS + ms + s.skew(c)
		s.batch.Events = append(s.batch.Events, e)
	}
}
