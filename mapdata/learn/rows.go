package learn

// SpeedRow is the Speed aggregate of one directed segment and bucket: a minute as workers
// write it, five as it is stored.
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
	WithTemperature, HazardLight        int64
	DistanceM                           int64    // by the speeds between samples
	StepCMPS                            int64    // sum of the mean speeds of those steps, 0.01 m/s: DistanceM over it is a sample's time
	SignsCompared, SignsDisagree        int64    // limits read where one is published; of them, those of another value
	Vehicles                            Vehicles // of the day of the hour
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
	h.WithTemperature += o.WithTemperature
	h.HazardLight += o.HazardLight
	h.DistanceM += o.DistanceM
	h.StepCMPS += o.StepCMPS
	h.SignsCompared += o.SignsCompared
	h.SignsDisagree += o.SignsDisagree
	h.Vehicles.Merge(o.Vehicles)
}

// HealthRow is the Health of one key.
type HealthRow struct {
	HealthKey
	Health
}

// DirtyTile is a z14 tile whose published layer may be out of date.
type DirtyTile struct {
	Tile       uint32 // z14 quadkey, 28 bits
	AcceptedMS int64  // when the receiver accepted the oldest data behind it, ms since the epoch
	EventMS    int64  // event time of the newest data behind it, ms since the epoch
}
