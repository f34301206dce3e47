// Package learn holds what is learned from the fleet as values that add up: counts,
// histograms and bitmaps whose sum does not depend on order or grouping. That is what
// lets workers write deltas without reading, folds run at leisure, and readers
// sum a base and its deltas at any moment.
package learn

import (
	"math"
	"time"
)

// Bucket is the width of a time bucket of Speed aggregates, aligned to the Unix epoch.
const Bucket = 5 * time.Minute

// BucketStart is the start of the bucket that an event time, in ms since the epoch,
// falls into, in the same unit.
func BucketStart(ms int64) int64 {
	const w = int64(Bucket / time.Millisecond)
	m := ms % w
	if m < 0 {
		m += w
	}
	return ms - m
}

// Speed is what is known about the speeds driven on a directed segment in a bucket of
// time. The zero value is empty. Not safe for concurrent use.
type Speed struct {
	N        uint32 // samples with a speed
	SumCMPS  int64  // sum of their speeds, 0.01 m/s
	Vehicles Vehicles
	Bins     SpeedBins
}

// Add counts a sample's speed, in 0.01 m/s, of a vehicle known by its pseudonym.
func (s *Speed) Add(cmps uint16, vehicle uint64) {
	s.AddUnseen(cmps)
	s.Vehicles.Add(vehicle)
}

// AddUnseen counts a sample's speed, but not who drove: for samples of another UTC day than
// the pseudonym's.
func (s *Speed) AddUnseen(cmps uint16) {
	s.N++
	s.SumCMPS += int64(cmps)
	s.Bins.Add(cmps)
}

// Merge adds another aggregate.
func (s *Speed) Merge(o *Speed) {
	s.N += o.N
	s.SumCMPS += o.SumCMPS
	s.Vehicles.Merge(o.Vehicles)
	s.Bins.Merge(&o.Bins)
}

// MergeEncoded adds an aggregate in its stored form. The error wraps ErrBins; a part of the
// histogram may have been added then, but nothing else.
func (s *Speed) MergeEncoded(n uint32, sumCMPS int64, vehicles Vehicles, bins []byte) error {
	if err := s.Bins.MergeEncoded(bins); err != nil {
		return err
	}
	s.N += n
	s.SumCMPS += sumCMPS
	s.Vehicles.Merge(vehicles)
	return nil
}

// MeanKMH is the mean speed in km/h, exact; NaN if there is none.
func (s *Speed) MeanKMH() float64 {
	if s.N == 0 {
		return math.NaN()
	}
	return float64(s.SumCMPS) / float64(s.N) * CMPSToKMH
}

// PercentileKMH is SpeedBins.PercentileKMH.
func (s *Speed) PercentileKMH(p float64) float64 { return s.Bins.PercentileKMH(p) }

// Publishable tells whether at least k distinct vehicles are behind the aggregate.
func (s *Speed) Publishable(k int) bool { return s.Vehicles.AtLeast() >= k }
