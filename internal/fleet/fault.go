package fleet

import "github.com/carasso/carasso/telemetry"

// Fault is what is broken in a car for as long as it drives.
type Fault uint8

// The faults; bad cars have each as often.
const (
	Sound        Fault = iota
	FrozenGPS          // stands still from time to time, heading included
	OffsetGPS          // 20 to 60 m beside the truth
	JumpingGPS         // up to some kilometres away, for a few samples
	SkewedClock        // up to two minutes fast or slow
	BrokenCamera       // reads other limits than are posted
	faults
)

// String names the fault.
func (f Fault) String() string {
	switch f {
	case Sound:
		return "sound"
	case FrozenGPS:
		return "frozen GPS"
	case OffsetGPS:
		return "offset GPS"
	case JumpingGPS:
		return "jumping GPS"
	case SkewedClock:
		return "skewed clock"
	case BrokenCamera:
		return "broken camera"
	default:
		return "unknown"
	}
}

// astray reports whether what is broken misplaces samples.
func (f Fault) astray() bool { return f == FrozenGPS || f == OffsetGPS || f == JumpingGPS }

// fault is the state of a bad car's fault.
type fault struct {
	kind         Fault
	active       bool    // frozen, or away
	until        int64   // ms since the simulation's start: when that changes
	eastM        float32 // how far from the truth
	northM       float32
	latE7, lonE7 int32 // where frozen
	headingCDeg  uint16
	skewMS       int64
}

// Bounds of the faults.
const (
	offsetMinM, offsetMaxM = 20, 60
	jumpMinM, jumpMaxM     = 100, 5000
	jumpShare              = 0.02 // of samples
	jumpMaxMS              = 5_000
	frozenMinMS            = 20_000
	frozenMaxMS            = 120_000
	skewMaxMS              = 120_000
)

// break1 makes car i a bad one, if it is its lot.
func (s *Simulation) break1(i int) {
	which := mix(s.cfg.Seed ^ purposeFault<<56 ^ uint64(i))
	if s.cfg.BadCars == 0 || unit(which) >= s.cfg.BadCars {
		return
	}
	r := rng(which)
	f := fault{kind: Sound + 1 + Fault(r.intn(int(faults-1)))}
	switch f.kind {
	case OffsetGPS:
		f.eastM, f.northM = towards(&r, offsetMinM, offsetMaxM)
	case SkewedClock:
		f.skewMS = skewMaxMS/6 + int64(r.intn(skewMaxMS*5/6))
		if r.chance(0.5) {
			f.skewMS = -f.skewMS
		}
	case FrozenGPS:
		f.until = int64(r.intn(frozenMaxMS))
	}
	s.faults = append(s.faults, f)
	s.cars[i].fault = uint16(len(s.faults))
}

// towards is a vector in a random direction, of a length between two bounds in m.
func towards(r *rng, minM, maxM float64) (eastM, northM float32) {
	turn := r.float()
	m := minM + (maxM-minM)*r.float()
	return float32(m * sine(turn)), float32(m * sine(turn+0.25))
}

// spoil applies a bad car's fault to a sample taken at ms.
func (s *Simulation) spoil(c *car, o *telemetry.Sample, ms int64) {
	f := &s.faults[c.fault-1]
	switch f.kind {
	case FrozenGPS:
		if ms >= f.until {
			f.active = !f.active
			f.until = ms + frozenMinMS + int64(c.rng.intn(frozenMaxMS-frozenMinMS))
			f.latE7, f.lonE7, f.headingCDeg = o.LatE7, o.LonE7, o.HeadingCDeg
		}
		if f.active {
			o.LatE7, o.LonE7 = f.latE7, f.lonE7
			if o.Has&telemetry.HasHeading != 0 {
				o.HeadingCDeg = f.headingCDeg
			}
		}
		return
	case JumpingGPS:
		if ms >= f.until {
			f.eastM, f.northM = 0, 0
		}
		if c.rng.chance(jumpShare) {
			f.eastM, f.northM = towards(&c.rng, jumpMinM, jumpMaxM)
			f.until = ms + 1 + int64(c.rng.intn(jumpMaxMS))
		}
	}
	o.LatE7 += int32(f.northM * s.e7PerMetreLat)
	o.LonE7 += int32(f.eastM / s.net.arcs[c.arc].metresPerLonE7)
	o.T += f.skewMS
}

// skew is how fast the car's clock is, in ms.
func (s *Simulation) skew(c *car) int64 {
	if c.fault == 0 {
		return 0
	}
	return s.faults[c.fault-1].skewMS
}

// Fault is what is broken in vehicle i.
func (s *Simulation) Fault(i int) Fault {
	if f := s.cars[i].fault; f != 0 {
		return s.faults[f-1].kind
	}
	return Sound
}
