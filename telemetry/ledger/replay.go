package ledger

import (
	"encoding/json"
	"errors"
	"time"
)

// ReplayState is where a replay stands.
type ReplayState string

// The states. A replay is Built when all of the archive is in it; it can then be Swapped for the live version, or Dropped.
const (
	ReplayBuilding ReplayState = "building"
	ReplayBuilt    ReplayState = "built"
	ReplaySwapped  ReplayState = "swapped"
	ReplayDropped  ReplayState = "dropped"
)

// Replay is a version of the aggregates of some UTC days of event time, rebuilt from the raw archive.
type Replay struct {
	ID         int64
	From, To   time.Time // starts of UTC days; To is exclusive
	MapVersion string    // of the roads that its batches are matched to
	State      ReplayState
	CreatedAt  time.Time
	BuiltAt    time.Time       // zero before
	EndedAt    time.Time       // swapped or dropped; zero before
	Diff       json.RawMessage // ReplayDiff; nil before it is built
}

// ReplayObject is an object of the archive that a replay has not taken in yet.
type ReplayObject struct {
	Key     string
	Flushes []int64 // ids in the manifest whose batches are to be taken from it
	Mixed   bool    // it also holds batches of others, which were taken in before the objects were put together
}

// ReplayDiff tells how a replay differs from the live aggregates.
type ReplayDiff struct {
	Speeds   TableDiff       `json:"speeds"` // amount: samples
	Days     TableDiff       `json:"edge_days"`
	Health   TableDiff       `json:"sensor_health"`
	Evidence TableDiff       `json:"evidence"` // amount: rows
	Segments []SegmentChange `json:"segments"` // those that change most, most first
}

// Equal tells whether nothing differs.
func (d *ReplayDiff) Equal() bool {
	for _, t := range []TableDiff{d.Speeds, d.Days, d.Health, d.Evidence} {
		if t.Changed+t.Missing+t.New > 0 {
			return false
		}
	}
	return true
}

// TableDiff counts a table's rows, and what they add up to on either side.
type TableDiff struct {
	Equal      int64 `json:"equal"`
	Changed    int64 `json:"changed"`
	Missing    int64 `json:"missing"` // live only
	New        int64 `json:"new"`     // replayed only
	LiveAmount int64 `json:"live_amount"`
	NewAmount  int64 `json:"new_amount"`
}

// SegmentChange is what a replay changes of a directed segment over all of its days. Means are null for fewer
// than k vehicles.
type SegmentChange struct {
	Edge        uint64   `json:"edge,string"`
	LiveSamples int64    `json:"live_samples"`
	NewSamples  int64    `json:"new_samples"`
	LiveMeanKMH *float64 `json:"live_mean_kmh"`
	NewMeanKMH  *float64 `json:"new_mean_kmh"`
}

// What replays may be refused with.
var (
	ErrNoReplay     = errors.New("no such replay")
	ErrReplayState  = errors.New("the replay's state does not allow this")
	ErrReplayMap    = errors.New("the map has changed since the replay began")
	ErrReplays      = errors.New("too many replays are neither swapped nor dropped")
	ErrReplayRange  = errors.New("the days are not stored any more, or not yet")
	ErrReplayOrigin = errors.New("an object was put together from others of which it can't be told any more what was taken in")
)
