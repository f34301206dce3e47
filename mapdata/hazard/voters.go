package hazard

import (
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
)

// minute is who reported one category from an edge in a minute, and who passed.
type minute struct {
	strong, signal, event learn.Vehicles
	passed                learn.Vehicles // and did not report anything related
	sumMS, n              int64          // of the reports: times from the minute's start, and their number
}

func (m *minute) reported() learn.Vehicles { return union(union(m.strong, m.signal), m.event) }

// corroborate makes events strong reports where the same vehicle's raw signals came with
// another batch, in the same or a neighbouring minute of one day.
func corroborate(minutes []minute, firstMS int64) {
	before := learn.Vehicles{} // signals of the minute before
	for i := range minutes {
		m := &minutes[i]
		near := m.signal
		if !midnight(firstMS, i) {
			near = union(near, before)
		}
		if i+1 < len(minutes) && !midnight(firstMS, i+1) {
			near = union(near, minutes[i+1].signal)
		}
		before = m.signal
		m.strong = union(m.strong, intersection(m.event, near))
	}
}

// lastVotes leaves each vehicle its newest vote only. What it does in successive minutes is
// one visit: if it reported anything during it, its last report is its vote, else that it
// passed the last time is. Of several reports in a minute the strongest stays. Pseudonyms of
// different UTC days are different vehicles.
func lastVotes(minutes []minute, firstMS int64) {
	var voted, open learn.Vehicles // open: whose visit goes on into older minutes, without a report yet
	for i := range slices.Backward(minutes) {
		m := &minutes[i]
		reported := m.reported()
		present := union(reported, m.passed)
		late := intersection(reported, open)
		if late != (learn.Vehicles{}) {
			for j := i + 1; j < len(minutes); j++ {
				minutes[j].passed = minus(minutes[j].passed, late)
			}
		}
		fresh := union(minus(present, voted), late)
		m.strong = intersection(m.strong, fresh)
		m.signal = minus(intersection(m.signal, fresh), m.strong)
		m.event = minus(minus(intersection(m.event, fresh), m.strong), m.signal)
		m.passed = minus(intersection(m.passed, fresh), reported)
		open = union(intersection(minus(open, late), present), m.passed)
		voted = union(voted, present)
		if midnight(firstMS, i) {
			voted, open = learn.Vehicles{}, learn.Vehicles{}
		}
	}
}

// midnight reports whether minute i is the first of a UTC day.
func midnight(firstMS int64, i int) bool { return (firstMS+int64(i)*learn.MinuteMS)%learn.DayMS == 0 }

func union(a, b learn.Vehicles) learn.Vehicles { return learn.Vehicles{a[0] | b[0], a[1] | b[1]} }

func intersection(a, b learn.Vehicles) learn.Vehicles {
	return learn.Vehicles{a[0] & b[0], a[1] & b[1]}
}

func minus(a, b learn.Vehicles) learn.Vehicles { return learn.Vehicles{a[0] &^ b[0], a[1] &^ b[1]} }
