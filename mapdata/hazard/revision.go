package hazard

import "time"

// Revision is a hazard in a state that was stored.
type Revision struct {
	Hazard
	Seq       int64     // grows with every change of any hazard, in the order in which changes became visible
	FirstAt   time.Time // when the hazard was first stored
	ChangedAt time.Time // when this state was
}
