package postgres

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/learn"
)

// Questions by day get the same answer before days are added up, after, and when deltas come late.
func TestDaysAddedUp(t *testing.T) {
	db := openTest(t)
	ctx := context.WithoutCancel(t.Context())
	r := rand.New(rand.NewPCG(3, 4))
	edges := []uint64{1<<25 + 2, 1<<25 + 3, 7 << 25}
	start := time.Now().UTC().Truncate(day).Add(-3 * day)
	rows := driven(t, db, r, start, 4*288, edges)
	queries := map[string]learn.Grouping{
		"whole": {From: start.Add(-day), To: start.Add(5 * day)}, "weekday": {From: start, To: start.Add(4 * day), By: learn.ByWeekday},
		"day":         {From: start.Add(90 * time.Minute), To: start.Add(70 * time.Hour), By: learn.BySteps, Step: learn.Days},
		"hour of day": {From: start, To: start.Add(4 * day), By: learn.ByHour},
	}
	check := func(when string) {
		t.Helper()
		for name, g := range queries {
			g.Zone = time.UTC
			q := learn.CellQuery{Grouping: g, Ranges: [][2]uint64{{0, 1 << 53}}}
			var got []learn.SpeedCell
			must(t, db.SpeedCells(ctx, q, func(c *learn.SpeedCell) error {
				got = append(got, *c)
				return nil
			}))
			slices.SortFunc(got, compareCells)
			if d := gocmp.Diff(cellOracle(rows, &q), got); d != "" {
				t.Errorf("%s, %s: %s", name, when, d)
			}
		}
	}
	// Days of other time zones: the same sums, of vehicles a lower bound.
	checkZones := func(when string) {
		t.Helper()
		for _, name := range []string{"Europe/Andorra", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Kiritimati"} {
			zone, err := time.LoadLocation(name)
			must(t, err)
			for by, g := range map[string]learn.Grouping{
				"day": {By: learn.BySteps, Step: learn.Days}, "week": {By: learn.BySteps, Step: learn.Weeks}, "weekday": {By: learn.ByWeekday},
				"part": {By: learn.BySteps, Step: learn.Days, From: start.Add(90 * time.Minute), To: start.Add(70 * time.Hour)},
			} {
				if g.Zone = zone; g.From.IsZero() {
					g.From, g.To = start, start.Add(4*day)
				}
				q := learn.CellQuery{Grouping: g, Ranges: [][2]uint64{{1 << 25, 8 << 25}}, Sorted: by == "week"}
				var got []learn.SpeedCell
				must(t, db.SpeedCells(ctx, q, func(c *learn.SpeedCell) error {
					got = append(got, *c)
					return nil
				}))
				slices.SortFunc(got, compareCells)
				want := cellOracle(rows, &q)
				for i := range min(len(want), len(got)) {
					if got[i].AtLeast > want[i].AtLeast || got[i].AtLeast == 0 {
						t.Errorf("%s by %s, %s: %d vehicles at least, of %d", name, by, when, got[i].AtLeast, want[i].AtLeast)
					}
					got[i].AtLeast = want[i].AtLeast
				}
				if d := gocmp.Diff(want, got); d != "" {
					t.Errorf("%s by %s, %s: %s", name, by, when, d)
				}
			}
		}
	}
	addUp := func() {
		t.Helper()
		if _, err := db.AddUpDays(ctx); err != nil {
			t.Fatal(err)
		}
	}
	check("before")
	if _, _, err := db.FoldAll(ctx); err != nil {
		t.Fatal(err)
	}
	addUp()
	if n := count(t, db, "SELECT count(DISTINCT bucket) FROM speed_day"); n != 3 {
		t.Errorf("%d days added up, want the three that are over", n)
	}
	check("added up")
	checkZones("added up")
	// What comes late is in the answers at any time: in the deltas, and folded.
	rows = append(rows, driven(t, db, r, start, 4*288, append(edges, 5<<25))...)
	check("with what is not folded")
	checkZones("with what is not folded")
	if _, _, err := db.FoldAll(ctx); err != nil {
		t.Fatal(err)
	}
	check("with what came late")
	checkZones("with what came late")
	const lacks = "SELECT count(*) FROM edge_day e LEFT JOIN speed_day s ON s.bucket = e.day AND s.edge = e.edge WHERE e.day < date_trunc('day', now(), 'UTC') AND e.n IS DISTINCT FROM s.n"
	if n := count(t, db, lacks); n != 0 {
		t.Errorf("%d sums of days lack what came late", n)
	}
	before := count(t, db, "SELECT sum(n) FROM speed_day")
	addUp()
	if after := count(t, db, "SELECT sum(n) FROM speed_day"); after != before {
		t.Errorf("adding up without anything new changed %d to %d samples", before, after)
	}
}

// Days are added up however long nobody did, as long as there are five minutes of them; and of days of which there are none any more,
// those of other time zones lose nothing at the ends of a range.
func TestOldDaysAddedUp(t *testing.T) {
	db := openTest(t)
	ctx := context.WithoutCancel(t.Context())
	r := rand.New(rand.NewPCG(5, 6))
	edges := []uint64{1<<25 + 2, 7 << 25}
	start := time.Now().UTC().Truncate(day).Add(-3 * day)
	rows := driven(t, db, r, start, 2*288, edges)
	if _, _, err := db.FoldAll(ctx); err != nil {
		t.Fatal(err)
	}
	today := db.now
	db.now = func() time.Time { return today().Add(30 * day) } // nobody added up for a month
	if n, err := db.AddUpDays(ctx); err != nil || n != 4 {
		t.Fatalf("%d segments' days added up, want 4: %v", n, err)
	}
	db.now = func() time.Time { return today().Add(60 * day) }
	if _, err := db.pool.Exec(ctx, "TRUNCATE segment_speed"); err != nil {
		t.Fatal(err)
	}
	var all int64
	for i := range rows {
		all += int64(rows[i].N)
	}
	// Less than a day of them is not told by the whole day.
	for name, g := range map[string]learn.Grouping{"five minutes": {To: start.Add(12*time.Hour + learn.Bucket)}, "an hour": {To: start.Add(13 * time.Hour), By: learn.ByWeekday}} {
		g.From, g.Zone = start.Add(12*time.Hour), time.UTC
		must(t, db.SpeedCells(ctx, learn.CellQuery{Grouping: g, Ranges: [][2]uint64{{0, 1 << 53}}}, func(c *learn.SpeedCell) error {
			t.Errorf("%s of a day without five minutes: %+v", name, c)
			return nil
		}))
	}
	for _, name := range []string{"America/Los_Angeles", "Asia/Tokyo", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12", "Etc/GMT-12"} {
		zone, err := time.LoadLocation(name)
		must(t, err)
		// The two days of the zone that the two UTC days are the larger part of.
		noon := start.Add(12 * time.Hour).In(zone)
		from := time.Date(noon.Year(), noon.Month(), noon.Day(), 0, 0, 0, 0, zone)
		for days := range 3 {
			q := learn.CellQuery{Grouping: learn.Grouping{From: from, To: from.AddDate(0, 0, days), By: learn.BySteps, Step: learn.Days, Zone: zone}, Ranges: [][2]uint64{{0, 1 << 53}}}
			keys, n := map[int64]bool{}, int64(0)
			must(t, db.SpeedCells(ctx, q, func(c *learn.SpeedCell) error {
				keys[c.Key] = true
				n += int64(c.Sum.N)
				if c.Key < q.From.UnixMilli() || c.Key >= q.To.UnixMilli() {
					t.Errorf("%s: a group outside of the range, %v", name, time.UnixMilli(c.Key).In(zone))
				}
				return nil
			}))
			if len(keys) != days || days == 2 && n != all {
				t.Errorf("%s, %d days: %d groups of %d samples, want all %d in two days", name, days, len(keys), n, all)
			}
		}
	}
}
