// Package limit learns the speed limit that is really posted on each directed segment from
// the signs that vehicles read, the ones they miss, and the speeds they drive.
package limit

import (
	"time"

	"github.com/carasso/carasso/mapdata/road"
)

// Limit is what is known of the limit of a directed segment. Values are km/h, or
// road.Unlimited, or road.NoLimitKnown.
type Limit struct {
	Edge       road.Edge
	KMH        uint8   // learned, if published; NoLimitKnown: nothing may be published yet
	MapKMH     uint8   // what the map says
	Posterior  float32 // of KMH, 0 to 1
	Vehicles   int     // distinct vehicles behind it, a lower bound
	Readings   int     // signs read or missed behind it
	SinceMS    int64   // event time of the oldest bucket behind it
	Variants   []Variant
	Candidates []Candidate // the posterior, most probable first; at most 5
}

// Candidate is a limit with its probability.
type Candidate struct {
	KMH         uint8
	Probability float32
}

// Variant is another limit that holds under a condition.
type Variant struct {
	KMH      uint8
	Wet      bool  // holds on a wet road only
	FromHour uint8 // local solar hour from which it holds, 0 to 23
	ToHour   uint8 // up to which it holds; equal to FromHour: all day
	Vehicles int
	// Posterior is the variant's, 0 to 1.
	Posterior float32
}

// Published reports whether the learned limit may be shown.
func (l *Limit) Published() bool { return l.KMH != road.NoLimitKnown }

// Differs reports whether the map says another limit than the learned one; a map that knows
// none does not.
func (l *Limit) Differs() bool {
	return l.Published() && l.MapKMH != road.NoLimitKnown && l.KMH != l.MapKMH
}

// Effective is what a driver should be told: the learned limit if published, else the map's.
func (l *Limit) Effective() uint8 {
	if l.Published() {
		return l.KMH
	}
	return l.MapKMH
}

// Change is when what is published of a segment's limit changed; road.NoLimitKnown: nothing
// was, or is, published.
type Change struct {
	FromKMH, ToKMH uint8
	At             time.Time
}
