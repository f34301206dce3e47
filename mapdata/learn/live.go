package learn

import "math"

// MinuteStart is the start of the minute that an event time, in ms since the epoch, falls
// into, in the same unit.
func MinuteStart(ms int64) int64 {
	m := ms % MinuteMS
	if m < 0 {
		m += MinuteMS
	}
	return ms - m
}

// SpeedSum is what is known about speeds over some time, without bins. The zero value is
// empty.
type SpeedSum struct {
	N        int64 // samples with a speed
	SumCMPS  int64 // sum of their speeds, 0.01 m/s
	Vehicles Vehicles
}

// AddDay adds the same segment's speeds of another UTC day. Vehicles of different days can't
// be told apart or together: the fuller day's are kept, a lower bound of both.
func (s *SpeedSum) AddDay(o SpeedSum) {
	s.N += o.N
	s.SumCMPS += o.SumCMPS
	if o.Vehicles.AtLeast() > s.Vehicles.AtLeast() {
		s.Vehicles = o.Vehicles
	}
}

// Add adds the same segment's speeds of another time of the same UTC day.
func (s *SpeedSum) Add(o SpeedSum) {
	s.N += o.N
	s.SumCMPS += o.SumCMPS
	s.Vehicles.Merge(o.Vehicles)
}

// MeanKMH is the mean speed in km/h; NaN if there is none.
func (s *SpeedSum) MeanKMH() float64 {
	if s.N == 0 {
		return math.NaN()
	}
	return float64(s.SumCMPS) / float64(s.N) * CMPSToKMH
}

// LiveSpeed is what is known about a directed segment now.
type LiveSpeed struct {
	Edge     uint64
	Recent   SpeedSum // of the last minutes
	Whole    SpeedSum // of the whole live window, Recent included
	OldestMS int64    // start of the oldest minute behind Whole, ms since the epoch
}

// AddDay is SpeedSum.AddDay for both windows.
func (l *LiveSpeed) AddDay(o LiveSpeed) {
	l.Recent.AddDay(o.Recent)
	l.Whole.AddDay(o.Whole)
	l.OldestMS = min(l.OldestMS, o.OldestMS)
}

// Add is SpeedSum.Add for both windows.
func (l *LiveSpeed) Add(o LiveSpeed) {
	l.Recent.Add(o.Recent)
	l.Whole.Add(o.Whole)
	l.OldestMS = min(l.OldestMS, o.OldestMS)
}

// PriorVehicles is how many vehicles the typical speed weighs as much as.
const PriorVehicles = 2

// Estimate is the present speed, km/h, and the number of distinct vehicles behind it, a lower
// bound: the mean of the recent minutes if at least k vehicles drove then, else of the
// whole window, drawn towards the typical speed by PriorVehicles against those vehicles. NaN as
// typical stands for none known. ok is false with fewer than k vehicles: nothing may be published.
func (l *LiveSpeed) Estimate(k int, typicalKMH float64) (kmh float64, vehicles int, ok bool) {
	w := &l.Recent
	if w.Vehicles.AtLeast() < k || w.N == 0 {
		w = &l.Whole
	}
	vehicles = w.Vehicles.AtLeast()
	if vehicles < k || w.N == 0 {
		return 0, vehicles, false
	}
	return Shrink(w.MeanKMH(), w.Vehicles.Estimate(), typicalKMH), vehicles, true
}

// Shrink draws a mean over n vehicles towards a prior one that weighs PriorVehicles; without a
// prior (NaN) it is the mean.
func Shrink(mean, n, prior float64) float64 {
	if math.IsNaN(prior) {
		return mean
	}
	return (n*mean + PriorVehicles*prior) / (n + PriorVehicles)
}
