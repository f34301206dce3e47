package learn

import (
	"testing"
	"time"
)

// A step begins no later than what falls into it and ends after it, also where clocks go forward at midnight, back over it, or a zone skips a day.
func TestStepsHoldTheirTimes(t *testing.T) {
	for name, year := range map[string]int{
		"UTC": 2026, "Europe/Andorra": 2026, "Atlantic/Azores": 2026, "America/Santiago": 2026, "America/Havana": 2026, "Africa/Cairo": 2026, "Asia/Beirut": 2026,
		"Australia/Lord_Howe": 2026, "America/Nuuk": 2026, "Asia/Kathmandu": 2026, "Pacific/Apia": 2011,
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []Step{FiveMinutes, QuarterHours, Hours, Days, Weeks, CalendarMonths} {
			if s == Hours && name == "Australia/Lord_Howe" {
				continue // its clocks go back by half an hour: one of its hours is no whole one
			}
			for at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() == year; at = at.Add(15 * time.Minute) {
				start := s.Start(at.In(zone))
				next := s.Next(start)
				if start.After(at) || !next.After(at) {
					t.Fatalf("%s, %s: %s in [%s, %s)", name, s, at.In(zone), start, next)
				}
				if again := s.Start(start); !again.Equal(start) {
					t.Fatalf("%s, %s: the step of %s begins at %s", name, s, start, again)
				}
				if after := s.Start(next); !after.Equal(next) {
					t.Fatalf("%s, %s: the step after %s begins at %s, not at %s", name, s, start, after, next)
				}
				if before := start.Add(-time.Minute); s == Days && before.Day() == start.Day() {
					t.Fatalf("%s: %s is of the same day as %s", name, before, start)
				}
			}
		}
	}
}
