package postgres

import (
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

func TestHistoryOfLimitsAndHazards(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Second)
	edge := road.Edge(7<<25 | 2)
	for i, kmh := range []uint8{50, 30} {
		l := limit.Limit{Edge: edge, KMH: kmh, MapKMH: 50, Posterior: 0.98, Vehicles: 7, Readings: 21, SinceMS: now.UnixMilli()}
		must(t, db.StoreLimits(ctx, []limit.Limit{l}, now.Add(time.Duration(i-2)*time.Hour)))
	}
	ranges := [][2]uint64{{7 << 25, 8 << 25}}
	all, err := db.LimitHistory(ctx, now.Add(-3*time.Hour), now, ranges, 0, 10)
	must(t, err)
	if len(all) != 2 || all[0].ToKMH != 50 || all[0].Vehicles != 0 || all[1].FromKMH != 50 || all[1].ToKMH != 30 || all[1].Vehicles != 7 || all[1].Edge != edge {
		t.Errorf("changes %+v", all)
	}
	if rest, err := db.LimitHistory(ctx, now.Add(-3*time.Hour), now, ranges, all[0].ID, 10); err != nil || len(rest) != 1 {
		t.Errorf("after the first: %+v, %v", rest, err)
	}
	if none, err := db.LimitHistory(ctx, now.Add(-3*time.Hour), now, [][2]uint64{{8 << 25, 9 << 25}}, 0, 10); err != nil || len(none) != 0 {
		t.Errorf("elsewhere: %+v, %v", none, err)
	}

	at := geo.At(42.5, 1.5)
	ms := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	must(t, db.StoreHazards(ctx, []hazard.Hazard{
		{ID: 1, Category: telemetry.SlipperyRoad, At: at, StartedMS: ms(-3 * day), UpdatedMS: ms(-2 * day), EndedMS: ms(-2 * day)},
		{ID: 2, Category: telemetry.Accident, At: at, StartedMS: ms(-30 * day), UpdatedMS: ms(-29 * day), EndedMS: ms(-29 * day)},
		{ID: 3, Category: telemetry.Obstacle, At: at, StartedMS: ms(-time.Hour), UpdatedMS: ms(0)},
	}))
	box := geo.BoxOf([]geo.Point{at}).Expand(100)
	hs, err := db.HazardHistory(ctx, now.Add(-7*day), now, box, 10)
	must(t, err)
	if len(hs) != 2 || hs[0].ID != 1 || hs[1].ID != 3 {
		t.Errorf("hazards of the last week: %+v", hs)
	}
	// What ended a month ago is still there after retention was applied.
	if _, _, err := db.EndRetention(ctx); err != nil {
		t.Fatal(err)
	}
	if hs, err = db.HazardHistory(ctx, now.Add(-60*day), now, box, 10); err != nil || len(hs) != 3 {
		t.Errorf("%d hazards of two months, %v", len(hs), err)
	}
}
