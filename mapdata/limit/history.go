package limit

import (
	"time"

	"github.com/carasso/carasso/mapdata/road"
)

// PastChange is a change of what was published of a directed segment's limit, and the evidence for the limit that it became, as
// long as that stands.
type PastChange struct {
	ID        uint64 // in the order in which changes were entered
	Edge      road.Edge
	FromKMH   uint8 // road.NoLimitKnown: nothing was published
	ToKMH     uint8 // the same
	At        time.Time
	Posterior float32 // the rest is 0 when the limit has changed since
	Vehicles  int
	Readings  int64
}
