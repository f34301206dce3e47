package learn

import "github.com/carasso/carasso/telemetry"

// SpeedRow is the Speed aggregate of one directed segment and bucket.
type SpeedRow struct {
	BucketMS int64  // start of the bucket, ms since the epoch
	Edge     uint64 // directed segment, see package road
	Speed
}

// HealthKey says whose sensors a Health is about.
type HealthKey struct {
	HourMS          int64 // start of the hour of event time, ms since the epoch
	Model, Software string
}

// Health counts what a kind of vehicle reports: what is missing, how often what fires.
// It adds up. Only counted samples enter.
type Health struct {
	Batches, Samples                    int64
	WithSpeed, WithHeading              int64
	WithAccuracy, SumAccuracyCM         int64
	Unmatched                           int64 // no plausible road within reach
	ABSActive, ESCActive, TCSActive     int64
	SignsSeen, SignsMissing, HazardSeen int64
}

// Merge adds another one.
func (h *Health) Merge(o *Health) {
	h.Batches += o.Batches
	h.Samples += o.Samples
	h.WithSpeed += o.WithSpeed
	h.WithHeading += o.WithHeading
	h.WithAccuracy += o.WithAccuracy
	h.SumAccuracyCM += o.SumAccuracyCM
	h.Unmatched += o.Unmatched
	h.ABSActive += o.ABSActive
	h.ESCActive += o.ESCActive
	h.TCSActive += o.TCSActive
	h.SignsSeen += o.SignsSeen
	h.SignsMissing += o.SignsMissing
	h.HazardSeen += o.HazardSeen
}

// HealthRow is the Health of one key.
type HealthRow struct {
	HealthKey
	Health
}

// Place is where an observation was made: the vehicle's sample nearest in time.
type Place struct {
	T            int64  // event time, ms since the epoch
	Edge         uint64 // 0 when no road was near
	LatE7, LonE7 int32
	Vehicle      uint64 // the day's pseudonym
}

// HazardObservation is a hazard as a vehicle noticed it.
type HazardObservation struct {
	Place
	Hazard             telemetry.Hazard
	ConfidencePermille uint16
}

// SignObservation is a traffic sign as a vehicle read it, or missed it.
type SignObservation struct {
	Place
	HasHeading         bool
	HeadingCDeg        uint16
	Missing            bool
	Sign               telemetry.Sign
	ValueKMH           uint16
	ConfidencePermille uint16
}

// DirtyTile is a z14 tile whose published layer may be out of date.
type DirtyTile struct {
	Tile       uint32 // z14 quadkey, 28 bits
	AcceptedMS int64  // when the receiver accepted the oldest data behind it, ms since the epoch
	EventMS    int64  // event time of the newest data behind it, ms since the epoch
}

// LiveSpeed is what is known about a directed segment over several buckets, without bins.
type LiveSpeed struct {
	Edge     uint64
	N        int64 // samples with a speed
	SumCMPS  int64 // sum of their speeds, 0.01 m/s
	Vehicles Vehicles
	OldestMS int64 // start of the oldest bucket behind it, ms since the epoch
}

// AddDay adds the same segment's speeds of another UTC day. Vehicles of different days can't
// be told apart or together: the fuller day's are kept, a lower bound of both.
func (l *LiveSpeed) AddDay(o LiveSpeed) {
	l.N += o.N
	l.SumCMPS += o.SumCMPS
	l.OldestMS = min(l.OldestMS, o.OldestMS)
	if o.Vehicles.AtLeast() > l.Vehicles.AtLeast() {
		l.Vehicles = o.Vehicles
	}
}
