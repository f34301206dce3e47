package hazard

import "github.com/carasso/carasso/telemetry"

// Strength is how well a vehicle's report is borne out by the vehicle itself.
type Strength uint8

// The strengths. Numbers are stored: never change one.
const (
	EventAlone  Strength = 1 // the vehicle's own event, without a raw signal that bears it out
	SignalAlone Strength = 2 // one raw signal, without an event: a weak report like EventAlone
	Strong      Strength = 3 // an event that a raw signal bears out, or two independent raw signals
)

// warningLights is the category of hazard lights on a moving vehicle without an event:
// something is wrong ahead, but not what. Fuse adds it to the category of its family
// (see related) that most vehicles name, hard braking last.
const warningLights = telemetry.HazardUnknown

// categories is the number of hazards of the wire contract, HazardUnknown included.
const categories = int(telemetry.HardBraking) + 1

// Code is the code of a vote in learn.HazardEvidence and learn.HazardCellEvidence: the
// category's number, then two bits strength. A vote's N counts reports, Sum[0] is the sum of
// their times in ms from the start of the bucket, and Sum[1] is 0.
func Code(h telemetry.Hazard, s Strength) uint64 { return uint64(h)<<2 | uint64(s) }

// ParseCode is the inverse of Code; ok is false for what is no code.
func ParseCode(code uint64) (h telemetry.Hazard, s Strength, ok bool) {
	s = Strength(code & 3)
	if code>>2 >= uint64(categories) || s == 0 {
		return 0, 0, false
	}
	return telemetry.Hazard(code >> 2), s, true
}

// related reports whether a category is of the family that hazard lights may mean: who
// reports one of it noticed what others call by another name of it, and has not passed
// unaware.
func related(h telemetry.Hazard) bool {
	switch h {
	case telemetry.Obstacle, telemetry.Accident, telemetry.Blockage, telemetry.BrokenDownVehicle, telemetry.HardBraking, telemetry.RoadWorks:
		return true
	default:
		return false
	}
}
