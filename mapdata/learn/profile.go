package learn

import (
	"math"
	"time"
)

// WeekSlots is how many 5-minute slots a week has.
const WeekSlots = 7 * 24 * 12

const (
	bucketMS = int64(Bucket / time.Millisecond)
	weekMS   = 7 * DayMS
)

// TypicalBuckets are the starts (ms since the epoch) of the buckets of which a typical speed
// is made: those at nowMS's place in the week (UTC; by one of 2,016 slots), in each of
// the weeks before, and neighbours buckets on both sides. Where clocks change twice a year, the profile
// is an hour off until it has seen as many weeks.
func TypicalBuckets(nowMS int64, weeks, neighbours int) []int64 {
	at := BucketStart(nowMS)
	out := make([]int64, 0, weeks*(2*neighbours+1))
	for w := weeks; w >= 1; w-- {
		for n := -neighbours; n <= neighbours; n++ {
			out = append(out, at-int64(w)*weekMS+int64(n)*bucketMS)
		}
	}
	return out
}

// The hours of the night, local solar time, when roads are as empty as they get.
const (
	quietFromHour = 22
	quietToHour   = 5
)

// QuietBuckets are the starts of the buckets of the nights of the days whole UTC days before
// nowMS, at a longitude: when nothing but the road limits the speed.
func QuietBuckets(nowMS int64, lonE7 int32, days int) []int64 {
	today := nowMS - ((nowMS%DayMS)+DayMS)%DayMS
	solar := int64(float64(lonE7) / 1e7 / 360 * float64(DayMS)) // local solar time is ahead of UTC by that
	var out []int64
	for b := today - int64(days)*DayMS; b < today; b += bucketMS {
		hour := ((b+solar)%DayMS + DayMS) % DayMS / (60 * MinuteMS)
		if hour >= quietFromHour || hour < quietToHour {
			out = append(out, b)
		}
	}
	return out
}

// Typical is what is usual on a directed segment at some time of the week.
type Typical struct {
	KMH      float64 // mean, older days weighing less, see DecayedWeight
	Vehicles int     // distinct vehicles of the fullest day, a lower bound of all
}

// Publishable tells whether at least k distinct vehicles are behind it.
func (t Typical) Publishable(k int) bool { return t.Vehicles >= k }

// minFreeSamples is how many samples a free-flow speed needs: fewer say more of a driver than
// of the road.
const minFreeSamples = 30

// FreeFlowKMH is the speed of free flow from the speeds of quiet times: their 85th percentile, as
// traffic engineering has it; NaN with too few samples or fewer than k distinct vehicles.
func FreeFlowKMH(quiet *Speed, k int) float64 {
	if quiet.N < minFreeSamples || !quiet.Publishable(k) {
		return math.NaN()
	}
	return quiet.PercentileKMH(0.85)
}
