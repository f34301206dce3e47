package limit

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
)

// day is what was said of an edge on one UTC day.
type day struct {
	ms       int64 // its start
	votes    learn.Votes
	from, to int // its tallies in judge.tallies, of all its votes
}

// maxDays bounds how many days are looked at, the newest first.
const maxDays = 366

// daysOf appends the evidence by day, ascending, each day once, without what lies after now
// (clocks may be wrong by an hour) and without days that are too old. Neither the order of
// evidence nor how it is grouped matters.
func daysOf(evidence []learn.Evidence, nowMS int64, dst []day) []day {
	latest := nowMS + 60*learn.MinuteMS
	for i := range evidence {
		e := &evidence[i]
		if e.Kind != learn.LimitEvidence || e.BucketMS > latest || len(e.Votes) == 0 {
			continue
		}
		dst = append(dst, day{ms: e.BucketMS, votes: e.Votes})
	}
	ascending := func(a, b day) int { return cmp.Compare(a.ms, b.ms) }
	if !slices.IsSortedFunc(dst, ascending) {
		slices.SortFunc(dst, ascending)
	}
	n := 0
	for i := 0; i < len(dst); n++ {
		one, j := dst[i], i+1
		for ; j < len(dst) && dst[j].ms == one.ms; j++ {
			if j == i+1 { // the caller's votes must stay as they are
				one.votes = slices.Clone(one.votes)
			}
			one.votes.Merge(dst[j].votes)
		}
		dst[n], i = one, j
	}
	return dst[max(0, n-maxDays):n]
}

// part is which votes are looked at: those of some hours, on dry roads, wet ones or both.
type part struct {
	hours    uint32 // bit h: hour h UTC
	dry, wet bool
}

const allHours = 1<<24 - 1

func everything() part { return part{hours: allHours, dry: true, wet: true} }

func (p part) has(c Code) bool {
	if c.Wet && !p.wet || !c.Wet && !p.dry {
		return false
	}
	return p.hours>>c.HourUTC&1 == 1
}

// tally is who said one thing on one day, whatever the hour and the weather: a vehicle has
// one vote a day on a value.
type tally struct {
	reading Reading
	kmh     uint8
	n       uint64
	direct  learn.Vehicles // who read it on the edge
	all     learn.Vehicles // and who brought it along
	own     float64        // how many read it on the edge,
	brought float64        // and how many only brought it along
}

// worth is how many votes the tally counts for, if one of a sign on the edge itself counts
// for believe. One that was brought along counts less.
func (t *tally) worth(believe float64) float64 {
	if t.reading == Missing {
		believe = 1
	}
	return believe*t.own + weightCarried*t.brought
}

// maxTallies bounds what is told apart in a day; what comes later is left out.
const maxTallies = 64

// tallyDay appends a tally of the votes of a day that are in the part. Their order is that
// of the codes.
func tallyDay(votes learn.Votes, in part, to []tally) []tally {
	first := len(to)
	dst := to[first:]
	last := -1
	for i := range votes {
		v := &votes[i]
		c, ok := DecodeCode(v.Code)
		if !ok || !in.has(c) {
			continue
		}
		if last < 0 || dst[last].reading != c.Reading || dst[last].kmh != c.KMH {
			last = slices.IndexFunc(dst, func(t tally) bool { return t.reading == c.Reading && t.kmh == c.KMH })
		}
		if last < 0 {
			if len(to)-first == maxTallies {
				continue
			}
			to = append(to, tally{reading: c.Reading, kmh: c.KMH})
			dst = to[first:]
			last = len(dst) - 1
		}
		t := &dst[last]
		t.n += uint64(v.N)
		t.all.Merge(v.Vehicles)
		if !c.Carried {
			t.direct.Merge(v.Vehicles)
		}
	}
	for i := range dst {
		t := &dst[i]
		t.own = t.direct.Estimate()
		if t.all != t.direct {
			t.brought = max(0, t.all.Estimate()-t.own)
		}
	}
	return to
}
