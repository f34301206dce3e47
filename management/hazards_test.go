package management_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// Area, time and cursor choose the hazards before the limit cuts them off.
func TestHazardsFromPostgreSQL(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	db := openDatabase(t)
	b := newBench(t, func(_ *management.Config, d *management.Deps) { d.Store = db })
	now := time.Now().UnixMilli()
	hour := time.Hour.Milliseconds()
	at := func(id uint64, lat, lon float64, endedMS int64) hazard.Hazard {
		return hazard.Hazard{
			ID: id, Category: telemetry.Obstacle, At: geo.At(lat, lon), Probability: 0.9, Vehicles: 1,
			StartedMS: now - 4*hour, UpdatedMS: now - 3*hour, EndedMS: endedMS,
		}
	}
	err := db.StoreHazards(ctx, []hazard.Hazard{
		at(1<<53-1, 42.5, 1.5, 0), at(2, 42.5, 1.6, 0), at(3, -33.9, -70.6, 0), at(4, 42.5, 1.55, now-hour),
		at(5, 42.5, 1.55, now-3*hour), at(6, 42.6, 1.7, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	since := fmt.Sprintf("&ended_since=%d", now-2*hour)
	for query, want := range map[string][]uint64{
		"":                                {2, 3, 6, 1<<53 - 1},
		since:                             {2, 3, 4, 6, 1<<53 - 1},
		"&bbox=1.5,42.4,1.6,42.5" + since: {2, 4, 1<<53 - 1}, // the box's edges are in it
		"&bbox=-71,-34,-70,-33":           {3},
		"&bbox=3,42,4,43":                 nil,
	} {
		for _, limit := range []int{1, 2, 5, 1000} {
			var got []uint64
			cursor := ""
			for range len(want) + 1 {
				page := b.features(t, fmt.Sprintf("/v1/hazards?limit=%d%s%s", limit, query, cursor))
				if len(page.Features) > limit {
					t.Errorf("%q: a page of %d, want at most %d", query, len(page.Features), limit)
				}
				for _, f := range page.Features {
					got = append(got, f.ID)
				}
				if page.NextCursor == "" {
					break
				}
				cursor = "&cursor=" + page.NextCursor
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q in pages of %d: %d, want %d", query, limit, got, want)
			}
		}
	}
}
