package maperror

import "time"

// Status is what became of a candidate.
type Status string

// The states of a candidate.
const (
	Open     Status = "open"     // to be reviewed
	Accepted Status = "accepted" // a person agrees
	Rejected Status = "rejected" // a person does not
	Gone     Status = "gone"     // the evidence speaks for it no more, and nobody has decided
)

// Reviewed is a candidate and what became of it.
type Reviewed struct {
	Candidate
	Status    Status
	UpdatedAt time.Time
}

// Filter says which candidates to list.
type Filter struct {
	Tiles  []uint32 // z14 quadkeys; none: everywhere
	Status []Status // none: any
	After  uint64   // ids above it
	Most   int      // at most so many
}

// String is the type's name in the API.
func (t Type) String() string {
	switch t {
	case MissingRoad:
		return "missing_road"
	case WrongOneWay:
		return "wrong_oneway"
	case MovedGeometry:
		return "moved_geometry"
	case ClosedRoad:
		return "closed_road"
	case MissingTurn:
		return "missing_turn"
	case WrongTurn:
		return "wrong_turn"
	}
	return "unknown"
}
