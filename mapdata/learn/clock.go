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

// ByDay reports whether groups are made of days: of UTC, or of the grouping's time zone.
func (g *Grouping) ByDay() bool {
	return g.By == WholeRange || g.By == ByWeekday || g.By == BySteps && (g.Step == Days || g.Step == Weeks || g.Step == CalendarMonths)
}

// DayPart is how a UTC day falls into two groups: all of it is the group Key's but for the five minutes that start in [From, To), ms since
// the epoch, which lie at its start or its end and are no more than half of it. They are none if the day lies within a group.
type DayPart struct {
	Key      int64
	From, To int64
}

// Part tells how a UTC day, ms since the epoch, falls into groups. ok is false if it does into more than two.
func (c *Clock) Part(dayMS int64) (p DayPart, ok bool) {
	const quarter = int64(15 * time.Minute / time.Millisecond)
	end := dayMS + DayMS
	first, last := c.Key(dayMS), c.Key(end-quarter)
	cut := end
	for at := dayMS; at < end; at += quarter {
		switch k := c.Key(at); {
		case k == last && cut == end && k != first:
			cut = at
		case cut == end && k != first, cut < end && k != last:
			return p, false
		}
	}
	switch {
	case cut == end:
		return DayPart{Key: first}, true
	case cut-dayMS <= end-cut:
		return DayPart{Key: last, From: dayMS, To: cut}, true
	default:
		return DayPart{Key: first, From: cut, To: end}, true
	}
}
