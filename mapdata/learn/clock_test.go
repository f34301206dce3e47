package learn

import (
	"testing"
	"time"
)

// A day's part is another group's than the rest, whatever the zone and the season, and both are what the clock says of each quarter.
func TestPartsOfDays(t *testing.T) {
	const quarter = int64(15 * time.Minute / time.Millisecond)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for _, name := range []string{"UTC", "Europe/Andorra", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Kiritimati", "Atlantic/Azores", "Australia/Lord_Howe", "America/Santiago", "America/Havana"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range []Grouping{{By: BySteps, Step: Days}, {By: BySteps, Step: Weeks}, {By: BySteps, Step: CalendarMonths}, {By: ByWeekday}, {}} {
			g.Zone = zone
			c, parted := NewClock(&g), 0
			for d := start; d < start+366*DayMS; d += DayMS {
				p, ok := c.Part(d)
				if !ok {
					t.Errorf("%s, %s %s: %s falls into more than two", name, g.By, g.Step, time.UnixMilli(d).UTC())
					continue
				}
				if p.From < p.To {
					parted++
				}
				if p.To-p.From > DayMS/2 {
					t.Errorf("%s: a part of %v", name, time.Duration(p.To-p.From)*time.Millisecond)
				}
				for at := d; at < d+DayMS; at += quarter {
					if in := at >= p.From && at < p.To; in == (c.Key(at) == p.Key) {
						t.Fatalf("%s, %s %s: %s in the part: %v", name, g.By, g.Step, time.UnixMilli(at).UTC(), in)
					}
				}
			}
			if want := name != "UTC" && g.By != WholeRange; (parted > 0) != want {
				t.Errorf("%s, %s %s: %d days in parts", name, g.By, g.Step, parted)
			}
		}
	}
	// Hours are more than two groups.
	if _, ok := NewClock(&Grouping{By: ByHour}).Part(start); ok {
		t.Error("a day of hours falls into two groups")
	}
}
