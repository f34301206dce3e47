package learn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Step is the width of the steps of a series.
type Step string

// The steps. Those from a day on follow the calendar of a time zone; weeks begin on Monday.
const (
	FiveMinutes    Step = "5min"
	QuarterHours   Step = "15min"
	Hours          Step = "hour"
	Days           Step = "day"
	Weeks          Step = "week"
	CalendarMonths Step = "month"
)

// Start is the start of the step that t falls into, in t's time zone.
func (s Step) Start(t time.Time) time.Time {
	y, m, d := t.Date()
	switch s {
	case FiveMinutes:
		return t.Truncate(Bucket)
	case QuarterHours:
		return t.Truncate(3 * Bucket)
	case Hours:
		// Not by Date: in the hour that a clock repeats, there would be two answers.
		return t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	case Days:
		return midnight(y, m, d, t.Location())
	case Weeks:
		return midnight(y, m, d-int(t.Weekday()+6)%7, t.Location())
	default:
		return midnight(y, m, 1, t.Location())
	}
}

// Next is the start of the step after the one that starts at t, in t's time zone.
func (s Step) Next(t time.Time) time.Time {
	y, m, d := t.Date()
	switch s {
	case FiveMinutes:
		return t.Add(Bucket)
	case QuarterHours:
		return t.Add(3 * Bucket)
	case Hours:
		return t.Add(time.Hour)
	case Days:
		return midnight(y, m, d+1, t.Location())
	case Weeks:
		return midnight(y, m, d+7, t.Location())
	default:
		return midnight(y, m+1, 1, t.Location())
	}
}

// midnight is the first moment of a date, or of the one after it if the zone skips it. Where clocks go forward at midnight that is not
// 0:00, which time.Date puts on the day before or after; where they go back at 1:00, 0:00 comes twice.
func midnight(y int, m time.Month, d int, zone *time.Location) time.Time {
	date := func(t time.Time) time.Time {
		y, m, d := t.Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	const quarter = 15 * time.Minute // by which clocks go forward and back
	want := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	at := time.Date(y, m, d, 0, 0, 0, 0, zone)
	for date(at).Before(want) {
		at = at.Add(quarter)
	}
	for before := at.Add(-quarter); !date(before).Before(want); before = at.Add(-quarter) {
		at = before
	}
	return at
}

// TimeBy is how times are grouped.
type TimeBy string

// The groupings of times, and the keys of their groups.
const (
	WholeRange TimeBy = ""            // not at all; 0
	BySteps    TimeBy = "time"        // in steps; the step's start in ms since the epoch
	ByHour     TimeBy = "hour_of_day" // 0 to 23
	ByWeekday  TimeBy = "weekday"     // 1 (Monday) to 7, as ISO 8601 has it
)

// Grouping is a range of time and its groups.
type Grouping struct {
	From, To time.Time // half-open
	By       TimeBy
	Step     Step           // of BySteps
	Zone     *time.Location // of hours, days and all above, nil is UTC; its name must be one of the IANA data base
}

// CellQuery asks for speeds by directed segment and group of time; a bucket belongs to where it starts.
type CellQuery struct {
	Grouping
	// Ranges are half-open ranges of directed segments' ids, rising.
	Ranges [][2]uint64
	// Edges, unless 0, is the number of segments above After to answer, lowest first. Then cells come in order of
	// segment and key, else in any.
	After uint64
	Edges int
	// Sorted cells come in order of segment and key, one after the other and as many as there are: for exports.
	Sorted bool
	// Counts leaves the histograms out.
	Counts bool
}

// FreshnessQuery asks how long ago segments were driven on.
type FreshnessQuery struct {
	Since, Until time.Time
	Ranges       [][2]uint64 // half-open, of directed segments' ids, rising
	K            int
}

// SpeedCell is the speeds on a directed segment in a group of time. Vehicles are not in the sum, because
// bitmaps of several days can't be united.
type SpeedCell struct {
	Edge    uint64
	Key     int64 // see TimeBy
	AtLeast int   // distinct vehicles of the fullest UTC day: a lower bound of all
	Sum     Speed
}

// HealthQuery asks for sensor health by kind of vehicle and group of time; an hour belongs to where it starts.
type HealthQuery struct {
	Grouping
	Models, Softwares []string // only these; empty: all
	Most              int      // cells, before it is too much
}

// HealthCell is the health of a model and software version in a group of time. Its Vehicles are empty: bitmaps of
// several days can't be united.
type HealthCell struct {
	Key             int64 // see TimeBy
	Model, Software string
	AtLeast         int // distinct vehicles of the fullest UTC day: a lower bound of all
	Health
}

// ErrTooMuch is wrapped when an answer would be larger than a query allows.
var ErrTooMuch = errors.New("the answer would be too large")

// MergeConcatenated adds encoded histograms, one after the other in src.
func (b *SpeedBins) MergeConcatenated(src []byte) error {
	return eachBin(src, func(bin int, n uint64) { b[bin] = saturate(uint64(b[bin]) + n) })
}

// TakeConcatenated takes encoded histograms, one after the other in src, away; no bin gets below 0.
func (b *SpeedBins) TakeConcatenated(src []byte) error {
	return eachBin(src, func(bin int, n uint64) { b[bin] -= uint32(min(n, uint64(b[bin]))) })
}

func eachBin(src []byte, f func(bin int, n uint64)) error {
	for pos := 0; pos < len(src); {
		bin := int(src[pos])
		if bin >= SpeedBinCount {
			return fmt.Errorf("%w: bin %d", ErrBins, bin)
		}
		pos++
		c, n := binary.Uvarint(src[pos:])
		if n <= 0 || c == 0 || c > math.MaxUint32 {
			return fmt.Errorf("%w: count at byte %d", ErrBins, pos)
		}
		pos += n
		f(bin, c)
	}
	return nil
}
