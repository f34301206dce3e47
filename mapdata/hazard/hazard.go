// Package hazard fuses what vehicles notice into the safety-related traffic information
// of the delegated regulation (EU) 886/2013: where it is slippery, blocked or foggy now.
package hazard

import (
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Hazard is one hazard from its first publication to its end.
type Hazard struct {
	ID          uint64 // stable from start to end; below 2^53
	Category    telemetry.Hazard
	Edge        road.Edge   // the directed segment where it begins; 0 away from roads
	Edges       []road.Edge // all the segments that it covers; of weather (see Track) Edge alone
	At          geo.Point   // where to draw it
	Probability float32     // 0 to 1
	Vehicles    int         // distinct vehicles that noticed it
	Clean       int         // distinct vehicles that passed since and noticed nothing
	StartedMS   int64       // event time of the first report, ms since the epoch
	UpdatedMS   int64       // event time of the last report or clean pass that changed it
	EndedMS     int64       // when it ended; 0 while it is active
	ToldMS      int64       // when Track last started or updated it, ms since the epoch; not stored: 0 for one that was read back
}

// Active reports whether the hazard has not ended.
func (h *Hazard) Active() bool { return h.EndedMS == 0 }
