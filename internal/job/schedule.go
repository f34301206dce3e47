package job

import (
	"fmt"
	"time"
)

// Schedule is when a kind is due: every Every since the Unix epoch, UTC, and At after that. So the hours of an
// hourly one are those of the clock, and whoever computes the next time computes the same.
type Schedule struct {
	Every time.Duration
	At    time.Duration // below Every
}

func (s Schedule) validate() error {
	switch {
	case s == Schedule{}:
		return nil
	case s.Every < time.Second || s.Every > 366*24*time.Hour:
		return fmt.Errorf("schedule every %v: expected 1 s to 366 days", s.Every)
	case s.At < 0 || s.At >= s.Every:
		return fmt.Errorf("schedule at %v: expected 0 to below %v", s.At, s.Every)
	}
	return nil
}

// Next is the first due time after t; zero if there is no schedule.
func (s Schedule) Next(t time.Time) time.Time {
	if s.Every == 0 {
		return time.Time{}
	}
	epoch := time.Unix(0, 0)
	since := t.Sub(epoch) - s.At
	next := epoch.Add(since - since%s.Every + s.At)
	for !next.After(t) {
		next = next.Add(s.Every)
	}
	return next.UTC()
}

// String is for people.
func (s Schedule) String() string {
	switch {
	case s.Every == 0:
		return "on demand"
	case s.At == 0:
		return "every " + short(s.Every)
	default:
		return "every " + short(s.Every) + ", " + short(s.At) + " after its start"
	}
}

// short leaves out what is zero: 1h, not 1h0m0s.
func short(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return d.String()
	}
}
