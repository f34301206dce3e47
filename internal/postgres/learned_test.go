package postgres

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

func TestHazardsAreFollowed(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	now := time.Now().UnixMilli()
	slippery := hazard.Hazard{
		ID: 1 << 52, Category: telemetry.SlipperyRoad, Edge: 77 << 25, Edges: []road.Edge{77 << 25, 77<<25 + 2}, At: geo.At(49.6, -6.1),
		Probability: 0.875, Vehicles: 4, StartedMS: now - 60_000, UpdatedMS: now,
	}
	away := hazard.Hazard{ID: 7, Category: telemetry.Obstacle, At: geo.At(-1, 2), Probability: 0.5, Vehicles: 3, StartedMS: now, UpdatedMS: now}
	must(t, db.StoreHazards(ctx, []hazard.Hazard{slippery, away}))
	active, seq, err := db.ActiveHazards(ctx, time.UnixMilli(now))
	must(t, err)
	if diff := cmp.Diff([]hazard.Hazard{away, slippery}, active); diff != "" {
		t.Errorf("active (-want +got):\n%s", diff)
	}
	follow := func(want ...hazard.Hazard) {
		t.Helper()
		var got []hazard.Hazard
		for {
			hs, next, err := db.HazardsSince(ctx, seq, 1)
			must(t, err)
			if len(hs) == 0 {
				break
			}
			got, seq = append(got, hs...), next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	}
	follow()
	before := slippery
	slippery.Vehicles, slippery.UpdatedMS = 5, now+1000
	must(t, db.StoreHazards(ctx, []hazard.Hazard{slippery}))
	away.EndedMS = now + 2000
	must(t, db.StoreHazards(ctx, []hazard.Hazard{away}))
	follow(slippery, away)
	// A projector that is late neither sets a hazard back nor brings it back.
	late := away
	late.EndedMS = 0
	must(t, db.StoreHazards(ctx, []hazard.Hazard{before, late}))
	follow()
	active, _, err = db.ActiveHazards(ctx, time.UnixMilli(now+2000))
	must(t, err)
	if diff := cmp.Diff([]hazard.Hazard{slippery}, active); diff != "" {
		t.Errorf("active in the end (-want +got):\n%s", diff)
	}
	for _, at := range []struct {
		after time.Duration
		want  int64 // the active one stays
	}{{DefaultRetention.History - day, 2}, {DefaultRetention.History + day, 1}} {
		if _, err := db.at(time.Now().Add(at.after)).deleteExpired(ctx); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "SELECT count(*) FROM hazard"); n != at.want {
			t.Errorf("%d hazards after %v, want %d", n, at.after, at.want)
		}
	}
}

// Whoever follows by cursor misses nothing, however many store at once.
func TestHazardCursorMissesNothing(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	const writers, each = 4, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				h := hazard.Hazard{ID: uint64(1 + w*each + i), StartedMS: 1, UpdatedMS: 1}
				if err := db.StoreHazards(ctx, []hazard.Hazard{h}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[uint64]bool{}
	var seq int64
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	for last := false; ; {
		hs, next, err := db.HazardsSince(ctx, seq, 1000)
		must(t, err)
		seq = next
		for i := range hs {
			seen[hs[i].ID] = true
		}
		if last {
			break
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
	if len(seen) != writers*each {
		t.Errorf("followed %d hazards, want %d", len(seen), writers*each)
	}
}

func TestLimitsKeepTheirHistory(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	at := time.Now().UTC().Truncate(time.Second)
	l := limit.Limit{
		Edge: 5 << 25, KMH: 50, MapKMH: 70, Posterior: 0.97, Vehicles: 6, Readings: 9, SinceMS: at.Add(-time.Hour).UnixMilli(),
		Candidates: []limit.Candidate{{KMH: 50, Probability: 0.97}, {KMH: 70, Probability: 0.02}},
		Variants:   []limit.Variant{{KMH: 30, FromHour: 22, ToHour: 6, Vehicles: 3, Posterior: 0.96}},
	}
	hidden := limit.Limit{Edge: 5<<25 + 2, MapKMH: road.Unlimited, Posterior: 0.5, SinceMS: l.SinceMS}
	other := limit.Limit{Edge: 6 << 25, KMH: road.Unlimited, Posterior: 0.99, SinceMS: l.SinceMS}
	must(t, db.StoreLimits(ctx, []limit.Limit{other, hidden, l}, at))
	read := func(published bool, ranges ...[2]uint64) []limit.Limit {
		t.Helper()
		var all []limit.Limit
		after := uint64(0)
		for {
			page, err := db.Limits(ctx, ranges, published, after, 1)
			must(t, err)
			if len(page) == 0 {
				return all
			}
			all, after = append(all, page...), uint64(page[0].Edge)
		}
	}
	if diff := cmp.Diff([]limit.Limit{l, hidden, other}, read(false, [2]uint64{0, 1 << 53})); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]limit.Limit{l}, read(true, [2]uint64{5 << 25, 6 << 25})); diff != "" {
		t.Errorf("published of a tile (-want +got):\n%s", diff)
	}
	l.KMH = 30
	must(t, db.StoreLimits(ctx, []limit.Limit{l}, at.Add(time.Hour)))
	must(t, db.StoreLimits(ctx, []limit.Limit{l, hidden}, at.Add(2*time.Hour)))
	must(t, db.DeleteLimits(ctx, []uint64{uint64(l.Edge), uint64(hidden.Edge), 99}, at.Add(3*time.Hour)))
	changes, err := db.LimitChanges(ctx, uint64(l.Edge), 10)
	must(t, err)
	want := []limit.Change{{FromKMH: 30, At: at.Add(3 * time.Hour)}, {FromKMH: 50, ToKMH: 30, At: at.Add(time.Hour)}, {ToKMH: 50, At: at}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	// What no evidence backs any more goes, and its tile is to be published anew.
	if _, err := db.at(at.Add(36 * day)).deleteExpired(ctx); err != nil {
		t.Fatal(err)
	}
	if left := read(false, [2]uint64{0, 1 << 53}); len(left) != 0 {
		t.Errorf("after the evidence: %+v", left)
	}
	tiles, _, err := db.DirtyTiles(ctx, "limits", 10)
	must(t, err)
	if len(tiles) != 1 || tiles[0].Tile != 6 {
		t.Errorf("dirty: %+v, want tile 6", tiles)
	}
}

func TestMapErrorsAreReviewed(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	at := time.Now().UTC().Truncate(time.Second)
	missing := maperror.Candidate{
		ID: 11, Type: maperror.MissingRoad, Geometry: []geo.Point{geo.At(49.1, -6.1), geo.At(49.2, 6.2)}, At: geo.At(49.1, -6.1),
		Vehicles: 9, Against: 1, Score: 0.75, FirstMS: at.UnixMilli(), LastMS: at.UnixMilli(),
	}
	turn := maperror.Candidate{ID: 12, Type: maperror.MissingTurn, Edge: 4 << 25, To: 4<<25 + 8, Vehicles: 6, FirstMS: at.UnixMilli(), LastMS: at.UnixMilli()}
	states := func() map[uint64]string {
		t.Helper()
		all, err := db.MapErrors(ctx, maperror.Filter{Most: 10})
		must(t, err)
		out := map[uint64]string{}
		for _, e := range all {
			out[e.ID] = string(e.Status)
		}
		return out
	}
	must(t, db.StoreMapErrors(ctx, 4, []maperror.Candidate{missing, turn}, at))
	known, err := db.KnownMapErrors(ctx, []uint32{3, 4})
	must(t, err)
	if diff := cmp.Diff([]maperror.Candidate{missing, turn}, known); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	if before, ok, err := db.ReviewMapError(ctx, 12, maperror.Rejected); !ok || err != nil || before != maperror.Open {
		t.Errorf("review: %v, %v", ok, err)
	}
	if _, ok, err := db.ReviewMapError(ctx, 13, maperror.Rejected); ok || err != nil {
		t.Errorf("review of none: %v, %v", ok, err)
	}
	if _, _, err := db.ReviewMapError(ctx, 11, "gone"); !isPermanent(err) {
		t.Errorf("review with a status that people do not give: %v", err)
	}
	must(t, db.StoreMapErrors(ctx, 4, nil, at))
	if diff := cmp.Diff(map[uint64]string{11: "gone", 12: "rejected"}, states()); diff != "" {
		t.Errorf("without evidence (-want +got):\n%s", diff)
	}
	must(t, db.StoreMapErrors(ctx, 4, []maperror.Candidate{turn, missing}, at))
	must(t, db.StoreMapErrors(ctx, 5, nil, at))
	if diff := cmp.Diff(map[uint64]string{11: "open", 12: "rejected"}, states()); diff != "" {
		t.Errorf("evidence again (-want +got):\n%s", diff)
	}
	open, err := db.MapErrors(ctx, maperror.Filter{Tiles: []uint32{4}, Status: []maperror.Status{maperror.Open}, After: 10, Most: 5})
	must(t, err)
	if len(open) != 1 || open[0].ID != 11 || !open[0].UpdatedAt.Equal(at) {
		t.Errorf("open: %+v", open)
	}
}

func TestDayPasses(t *testing.T) {
	today := time.Now().UTC().Truncate(day)
	db := openTest(t)
	const edge = 21<<25 + 2
	for d := range 3 {
		at := today.AddDate(0, 0, -d).Add(time.Hour)
		must(t, store(t.Context(), db, []learn.SpeedRow{minuteRow(at, edge, 1, 2), minuteRow(at.Add(9*time.Hour), edge, 2, 3)}, nil))
		_, _, err := db.FoldAll(t.Context())
		must(t, err)
	}
	n := 0
	must(t, db.DayPasses(t.Context(), []uint32{21}, today.AddDate(0, 0, -1), today, func(e uint64, dayMS, samples int64, v learn.Vehicles) {
		if e != edge || dayMS != today.AddDate(0, 0, n-1).UnixMilli() || samples != 4 || v.AtLeast() != 3 {
			t.Errorf("day %d: %d samples of %d vehicles on segment %d", n, samples, v.AtLeast(), e)
		}
		n++
	}))
	if n != 2 {
		t.Errorf("%d days, want 2", n)
	}
	n = 0
	must(t, db.FullestDays(t.Context(), []uint32{20, 21}, today.AddDate(0, 0, -2), today, func(e uint64, v int) {
		if n++; e != edge || v != 3 {
			t.Errorf("%d vehicles on segment %d, want 3 on %d", v, e, edge)
		}
	}))
	if n != 1 {
		t.Errorf("%d segments, want 1", n)
	}
	tiles, err := db.DrivenTiles(t.Context(), today)
	must(t, err)
	if len(tiles) != 1 || tiles[0] != 21 {
		t.Errorf("driven in: %v, want tile 21", tiles)
	}
}
