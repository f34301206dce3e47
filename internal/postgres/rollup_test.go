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
	rows = append(rows, driven(t, db, r, start, 4*288, edges)...)
	if _, _, err := db.FoldAll(ctx); err != nil {
		t.Fatal(err)
	}
	addUp()
	check("added up again")
	checkZones("added up again")
	rows = append(rows, driven(t, db, r, start, 4*288, edges)...)
	addUp()
	checkZones("with what is not folded")
	if _, _, err := db.FoldAll(ctx); err != nil {
		t.Fatal(err)
	}
	addUp()
	before := count(t, db, "SELECT sum(n) FROM speed_day")
	addUp()
	if after := count(t, db, "SELECT sum(n) FROM speed_day"); after != before {
		t.Errorf("adding up without anything new changed %d to %d samples", before, after)
	}
}
