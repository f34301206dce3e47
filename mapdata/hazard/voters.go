package hazard

import (
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
)

// minute is who reported one category from an edge in a minute, and who passed.
type minute struct {
	strong, signal, event learn.Vehicles
	lights                learn.Vehicles // hazard lights that are taken for it; part of signal from then on
	passed                learn.Vehicles // and did not report anything related
	sumMS, n              int64          // of the reports: times from the minute's start, and their number
}

func (m *minute) reported() learn.Vehicles { return union(union(m.strong, m.signal), m.event) }

// weight is what its reports speak for the category: their log-likelihood ratio.
func (m *minute) weight(w *weights) float64 {
	return float64(m.strong.AtLeast())*w.strong + float64(m.signal.AtLeast())*w.signal + float64(m.event.AtLeast())*w.event
}

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
// one visit: if it reported anything during it, that is its vote, at the minute of the last report and as strong as the
// strongest, else that it passed the last time is. Pseudonyms of different UTC days are different vehicles.
func lastVotes(minutes []minute, firstMS int64) {
	var voted, open learn.Vehicles // open: whose visit goes on into older minutes, without a report yet
	var spoke learn.Vehicles       // whose visit goes on into older minutes, with a report
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
		spoke = intersection(spoke, present)
		strengthen(minutes, i, intersection(spoke, reported))
		fresh := union(minus(present, voted), late)
		m.strong = intersection(m.strong, fresh)
		m.signal = minus(intersection(m.signal, fresh), m.strong)
		m.event = minus(minus(intersection(m.event, fresh), m.strong), m.signal)
		m.passed = minus(intersection(m.passed, fresh), reported)
		open = union(intersection(minus(open, late), present), m.passed)
		spoke = union(spoke, intersection(reported, fresh))
		voted = union(voted, present)
		if midnight(firstMS, i) {
			voted, open, spoke = learn.Vehicles{}, learn.Vehicles{}, learn.Vehicles{}
		}
	}
}

// strengthen raises the votes of vehicles, which came later in their visits, to what they said in minute i.
func strengthen(minutes []minute, i int, of learn.Vehicles) {
	strong, signal := intersection(minutes[i].strong, of), intersection(minutes[i].signal, of)
	if strong == (learn.Vehicles{}) && signal == (learn.Vehicles{}) {
		return
	}
	for j := i + 1; j < len(minutes); j++ {
		m := &minutes[j]
		up := intersection(strong, m.reported())
		m.strong = union(m.strong, up)
		m.signal = union(minus(m.signal, up), minus(intersection(signal, m.event), up))
		m.event = minus(m.event, union(m.strong, m.signal))
	}
}

// midnight reports whether minute i is the first of a UTC day.
func midnight(firstMS int64, i int) bool { return (firstMS+int64(i)*learn.MinuteMS)%learn.DayMS == 0 }

func union(a, b learn.Vehicles) learn.Vehicles { return learn.Vehicles{a[0] | b[0], a[1] | b[1]} }

func intersection(a, b learn.Vehicles) learn.Vehicles {
	return learn.Vehicles{a[0] & b[0], a[1] & b[1]}
}

func minus(a, b learn.Vehicles) learn.Vehicles { return learn.Vehicles{a[0] &^ b[0], a[1] &^ b[1]} }
