package learn

import "time"

// Clock sorts times into the groups of a Grouping. It remembers the last one, because times come in runs and
// calendars are slow: not safe for concurrent use.
type Clock struct {
	by   TimeBy
	step Step
	zone *time.Location
	last int64 // quarter of an hour, ms since the epoch
	key  int64
}

// NewClock is the clock of a grouping.
func NewClock(g *Grouping) *Clock {
	c := &Clock{by: g.By, step: g.Step, zone: g.Zone, last: -1}
	if c.zone == nil {
		c.zone = time.UTC
	}
	return c
}

// Key is the group of a time in ms since the epoch: see TimeBy.
func (c *Clock) Key(ms int64) int64 {
	if c.by == WholeRange {
		return 0
	}
	if c.by == BySteps && c.step == FiveMinutes {
		return BucketStart(ms)
	}
	// Time zones differ by quarters of an hour.
	const quarter = int64(15 * time.Minute / time.Millisecond)
	if q := ms - ((ms%quarter)+quarter)%quarter; q != c.last {
		c.last, c.key = q, c.slow(q)
	}
	return c.key
}

func (c *Clock) slow(ms int64) int64 {
	t := time.UnixMilli(ms).In(c.zone)
	switch c.by {
	case ByHour:
		return int64(t.Hour())
	case ByWeekday:
		return int64((t.Weekday()+6)%7) + 1
	default:
		return c.step.Start(t).UnixMilli()
	}
}

// ByDay reports whether whole UTC days suffice to sort: no group begins or ends within one.
func (g *Grouping) ByDay() bool {
	if g.By == WholeRange {
		return true
	}
	utc := g.Zone == nil || g.Zone == time.UTC || g.Zone.String() == "UTC"
	return utc && (g.By == ByWeekday || g.By == BySteps && (g.Step == Days || g.Step == Weeks || g.Step == CalendarMonths))
}
