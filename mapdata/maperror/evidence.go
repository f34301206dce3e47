package maperror

import (
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// Codes of votes on an edge (learn.EdgeFaultEvidence): N counts samples, Sum[0] sums how
// far they were to the right of the road in the direction driven, in cm, Sum[1] the squares
// of it. Numbers are stored: never reuse one.
const (
	wrongWayCode    = 1 // driven against the one-way road; the key is the direction driven
	besideRightCode = 2 // on the road's right, farther than besideM
	besideLeftCode  = 3 // on its left
	mistakenCode    = 4 // of wrongWayCode's: taken for a pass in the permitted direction
)

// Votes on a turn (learn.TurnEvidence) have the edge turned into as code, and sum how far
// along it and the edge turned from vehicles were seen before and after, in cm. offBetween is
// added to the code if samples away from roads lie between: then the way led there.
// A turn that the map forbids is counted beside them with forbiddenTurn in its code: N counts
// times, nothing is summed.
const (
	offBetween    = uint64(road.MaxEdge) + 1
	forbiddenTurn = offBetween << 1
)

// Votes on the trail of a vehicle (learn.TrailEvidence) have the edge turned into as code,
// with the slot of the day in the bits above, so that the few vehicles of one vote can be
// told from others and followed from junction to junction. Sum[0] sums when they passed the
// junction, in ms of the day.
const (
	trailShift  = 53
	trailSlotMS = 60_000
)

// Votes away from roads (learn.OffRoadEvidence) have as code which of the cell's 64 parts
// they are in, row by row from the south-west, and sum how far they are from the cell's
// south-west corner, east and north, in cm. N counts samples.
const partsPerSide = 8

// part is the part of a cell that p is in, and p's distance from the cell's corner in cm.
func part(cell geo.Box, p geo.Point) (code uint64, east, north int64) {
	dx, dy := int64(p.LonE7)-int64(cell.West), int64(p.LatE7)-int64(cell.South)
	w, h := max(int64(cell.East)-int64(cell.West), 1), max(int64(cell.North)-int64(cell.South), 1)
	x := min(max(dx*partsPerSide/w, 0), partsPerSide-1)
	y := min(max(dy*partsPerSide/h, 0), partsPerSide-1)
	return uint64(y*partsPerSide + x), int64(100 * float64(dx) * geo.Scale(cell.South)), int64(100 * float64(dy) * geo.MetresPerE7)
}

// meanPoint is where the samples of a vote away from roads are on average; n > 0.
func meanPoint(cell geo.Box, v *learn.Vote) geo.Point {
	n := 100 * float64(v.N)
	return geo.Point{
		LonE7: cell.West + int32(float64(v.Sum[0])/n/geo.Scale(cell.South)),
		LatE7: cell.South + int32(float64(v.Sum[1])/n/geo.MetresPerE7),
	}
}

// octant is the eighth of the compass that a direction is in: 0 north, 1 north-east, …
func octant(headingDeg float64) uint8 { return uint8(int(headingDeg+22.5)/45) & 7 }
