package bsm

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/telemetry"
)

// Trip is one vehicle's messages without a long pause, in order of time.
type Trip struct {
	Vehicle string
	Samples []telemetry.Sample
	Events  []telemetry.Event
}

// FromMS and ToMS are the event times of the first and the last sample.
func (t *Trip) FromMS() int64 { return t.Samples[0].T }

// ToMS is the last sample's event time.
func (t *Trip) ToMS() int64 { return t.Samples[len(t.Samples)-1].T }

// pauseMS is from which pause on a vehicle's next message begins another trip. J2735's ids
// change every few minutes, so trips are short anyway.
const pauseMS = 120_000

// Trips sorts messages into trips. Of several messages of a vehicle with the same time (one
// vehicle's are recorded by all around it) the first counts; doubles is how many others there are.
func Trips(messages []Message) (trips []Trip, doubles int) {
	sorted := slices.Clone(messages)
	slices.SortStableFunc(sorted, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.Vehicle, b.Vehicle), cmp.Compare(a.Sample.T, b.Sample.T))
	})
	for i := range sorted {
		m := &sorted[i]
		n := len(trips)
		if n == 0 || trips[n-1].Vehicle != m.Vehicle || m.Sample.T-trips[n-1].ToMS() > pauseMS {
			trips = append(trips, Trip{Vehicle: m.Vehicle})
			n++
		} else if trips[n-1].ToMS() == m.Sample.T {
			doubles++
			continue
		}
		t := &trips[n-1]
		t.Samples = append(t.Samples, m.Sample)
		t.Events = append(t.Events, m.Events...)
	}
	return trips, doubles
}
