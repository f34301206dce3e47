// Package maperror finds where the map is wrong from where vehicles drive: roads that are
// missing, closed, moved, one-way the other way round, or not connected as mapped.
package maperror

import (
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// Type is the kind of an error of the map. Numbers are stored: never reuse one.
type Type uint8

// The types.
const (
	MissingRoad   Type = 1 // vehicles drive where the map has no road
	WrongOneWay   Type = 2 // vehicles drive against a one-way road
	MovedGeometry Type = 3 // vehicles drive beside the road, always to the same side
	ClosedRoad    Type = 4 // nobody drives any more where many did
	MissingTurn   Type = 5 // vehicles turn where the map does not connect
	WrongTurn     Type = 6 // the map connects, but nobody turns
)

// Candidate is an error that the evidence speaks for, to be reviewed.
type Candidate struct {
	ID       uint64 // stable as long as the place and type are; below 2^53
	Type     Type
	Edge     road.Edge   // concerned; 0 for a missing road
	To       road.Edge   // the edge turned into, for turns
	Geometry []geo.Point // suggested: the missing or moved course, ≥ 2 points; of a closed road the stretch that nobody drives, of which the edge is a part; empty where the edge's own is meant
	At       geo.Point   // where to draw it
	Vehicles int         // distinct vehicles on the fullest day, a lower bound
	Against  int         // distinct vehicles whose drives contradict it
	Score    float32     // 0 to 1
	FirstMS  int64       // event time of the oldest bucket behind it
	LastMS   int64       // of the newest
}
