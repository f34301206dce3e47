package match

import "github.com/carasso/carasso/mapdata/road"

// Result is where one sample was taken.
type Result struct {
	Edge     road.Edge
	OffsetM  float32 // from the edge's start, in the direction of travel
	DistM    float32 // from the sample to the road
	OK       bool    // false: no plausible road; the other fields are zero
	Break    bool    // no plausible drive leads here from the sample before: a new chain begins
	WrongWay bool    // driven against a one-way road; Edge is the direction driven
}

// Step is a directed edge that the vehicle travelled, wholly or in part, in the order
// driven. Steps of one chain touch: each starts where the one before ends. Several steps
// may be of one edge only if the vehicle turned round or went in circles.
type Step struct {
	Edge             road.Edge
	FromM, ToM       float32 // from the edge's start, in the direction of travel
	EnterMS, LeaveMS int64   // event times, interpolated along the way between samples
	First, Last      int32   // the samples on it: [First, Last); none if passed between two
	Break            bool    // the first of a chain
	WrongWay         bool    // driven against a one-way road
	Forbidden        bool    // entered by a turn that the map forbids
	// JunctionM is how far from the edge's start the junction reaches that it was entered by;
	// 0 if none was, or if the vehicle turned round on the way or was not seen before.
	JunctionM float32
}
