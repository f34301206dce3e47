package hazard

import "github.com/carasso/carasso/telemetry"

// Braking is one deceleration of a vehicle.
type Braking struct {
	First, Last    int     // samples between which the vehicle slowed down, First < Last unless one sensor reading is all there is
	Hard           int     // the first sample towards which it was hard; before it the vehicle may have slowed down gently
	FromMS, ToMS   int64   // event times of First and Last
	FromMPS, ToMPS float64 // their speeds; 0 where none is known
	PeakMPS2       float64 // greatest deceleration: the sensor's, else the mean between two samples
	Sensor         bool    // PeakMPS2 is of the brake signal, not of differences in speed
}

// BrakingRule says which decelerations are hard.
type BrakingRule struct {
	// SensorMPS2 is the least deceleration of the brake signal, m/s².
	SensorMPS2 float64
	// SpeedMPS2 is the least mean deceleration between two samples of a vehicle without that
	// signal, m/s². The mean over a second of a speed that a receiver has smoothed is well below the peak.
	SpeedMPS2 float64
	// FromMPS is the least speed, m/s, from which the vehicle brakes as hard as this, where a speed is
	// known: below it receivers that clamp walking pace to zero feign braking.
	FromMPS float64
}

// HardBraking is the rule of SAE J2945/1's hard-braking event flag, 0.4 g, for the brake
// signal; 3.5 m/s² over the time between two samples for speeds; from 20 km/h on.
func HardBraking() BrakingRule {
	return BrakingRule{SensorMPS2: 3.92, SpeedMPS2: 3.5, FromMPS: 20 / 3.6}
}

// emergencyStop is the rule of UN Regulation 13-H's emergency stop signal, 6 m/s² from 50 km/h
// on, for speeds too.
func emergencyStop() BrakingRule { return BrakingRule{SensorMPS2: 6, SpeedMPS2: 6, FromMPS: 50 / 3.6} }

// The farthest that two samples may be apart for their speeds to tell of braking, ms, and the
// nearest: the resolution of their times and speeds allows no better.
const (
	maxBrakeGapMS = 3_000
	minBrakeGapMS = 400
)

// Brakings are the hard brakings in a vehicle's samples by the rule HardBraking.
func Brakings(samples []telemetry.Sample) []Braking { return HardBraking().Find(nil, samples) }

// Find appends the brakings that the rule calls hard, in order of time. One lasts from where
// the vehicle begins to slow down to where it no longer does. A vehicle with a brake signal
// is judged by it alone. Samples must be in time order.
func (r BrakingRule) Find(dst []Braking, samples []telemetry.Sample) []Braking {
	for i := 0; i < len(samples); i++ {
		mps2, sensor := deceleration(samples, i)
		if !r.hard(mps2, sensor) || tooSlow(samples, i, r.FromMPS) {
			continue
		}
		first, last := i, i
		if i > 0 && samples[i].T-samples[i-1].T <= maxBrakeGapMS {
			first = i - 1
		}
		b := Braking{Hard: i, PeakMPS2: mps2, Sensor: sensor}
		for first > 0 && slowing(samples, first) {
			first--
		}
		for last+1 < len(samples) {
			m, s := deceleration(samples, last+1)
			if !slowing(samples, last+1) && !r.hard(m, s) {
				break
			}
			last++
			if m > b.PeakMPS2 && s == b.Sensor {
				b.PeakMPS2 = m
			}
		}
		i = last
		b.First, b.Last = first, last
		b.FromMS, b.ToMS = samples[first].T, samples[last].T
		if samples[first].Has&samples[last].Has&telemetry.HasSpeed != 0 {
			b.FromMPS, b.ToMPS = speedMPS(&samples[first]), speedMPS(&samples[last])
		}
		dst = append(dst, b)
	}
	return dst
}

// tooSlow reports whether the vehicle is known to have been slower than a speed when it began
// to brake towards sample i: how it slowed down to that speed before does not count.
func tooSlow(samples []telemetry.Sample, i int, mps float64) bool {
	s := &samples[i]
	if i > 0 && s.T-samples[i-1].T <= maxBrakeGapMS && samples[i-1].Has&telemetry.HasSpeed != 0 {
		s = &samples[i-1]
	}
	return s.Has&telemetry.HasSpeed != 0 && speedMPS(s) < mps
}

func (r BrakingRule) hard(mps2 float64, sensor bool) bool {
	if sensor {
		return mps2 >= r.SensorMPS2
	}
	return mps2 >= r.SpeedMPS2
}

// deceleration is that at a sample, m/s², positive when slowing down: the brake signal's, else
// the mean since the sample before; 0 if neither is known.
func deceleration(samples []telemetry.Sample, i int) (mps2 float64, sensor bool) {
	s := &samples[i]
	if s.Has&telemetry.HasBrake != 0 {
		return float64(s.BrakeCMPS2) / 100, true
	}
	if i == 0 {
		return 0, false
	}
	p := &samples[i-1]
	gap := s.T - p.T
	if s.Has&p.Has&telemetry.HasSpeed == 0 || gap < minBrakeGapMS || gap > maxBrakeGapMS {
		return 0, false
	}
	return (speedMPS(p) - speedMPS(s)) / (float64(gap) / 1000), false
}

// slowing reports whether the vehicle slowed down, by 1 m/s² or more, towards sample i.
func slowing(samples []telemetry.Sample, i int) bool {
	p, s := &samples[i-1], &samples[i]
	gap := s.T - p.T
	if s.Has&p.Has&telemetry.HasSpeed == 0 || gap < minBrakeGapMS || gap > maxBrakeGapMS {
		return false
	}
	return speedMPS(p)-speedMPS(s) >= float64(gap)/1000
}

func speedMPS(s *telemetry.Sample) float64 { return float64(s.SpeedCMPS) / 100 }
