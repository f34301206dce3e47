package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// plainTiles shows a z14 tile's edges in that tile alone and in its z13 parent, as text.
type plainTiles struct{}

func (plainTiles) Affected(_ context.Context, quadkeys []uint32) ([]tile.ID, error) {
	seen := map[tile.ID]bool{}
	var ids []tile.ID
	for _, q := range quadkeys {
		id := geo.FromQuadkey(14, q)
		for _, id := range []tile.ID{id, id.Ancestor(13)} {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func (plainTiles) Build(_ context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]byte, error) {
	quadkeys := []uint32{id.Quadkey()}
	if id.Z == 13 {
		q := id.Quadkey() << 2
		quadkeys = []uint32{q, q + 1, q + 2, q + 3}
	}
	var body []byte
	for _, q := range quadkeys {
		first, _ := road.EdgeRange(q)
		for e := first; e < first+10; e++ {
			if s, ok := speed(e); ok {
				body = fmt.Appendf(body, "%d:%.1f/%d ", e-first, s.KMH, s.Vehicles)
			}
		}
	}
	return body, nil
}

func (p plainTiles) Records(ctx context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]tile.Record, error) {
	return nil, nil
}

// shelf keeps published tiles.
type shelf struct {
	mu       sync.Mutex
	tiles    map[tile.ID]string
	versions map[tile.ID]int64
	fail     bool
	refuse   tile.ID // fails alone
	bug      bool
	times    int
}

func newShelf() *shelf { return &shelf{tiles: map[tile.ID]string{}, versions: map[tile.ID]int64{}} }

func (s *shelf) PublishLayer(_ context.Context, _ string, id tile.ID, version int64, mvt []byte, _ []tile.Record) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail && id.Z == 13 {
		return false, errors.New("store does not answer")
	}
	if s.bug {
		panic("bug in a store")
	}
	if id == s.refuse {
		return false, errors.New("store refuses this tile")
	}
	s.times++
	if version <= s.versions[id] {
		return false, nil
	}
	s.versions[id], s.tiles[id] = version, string(mvt)
	return true, nil
}

// at is a store whose clock stands where the test wants it.
type storeAt struct {
	*postgres.DB
	now time.Time
}

func (s *storeAt) Now(context.Context) (time.Time, error) { return s.now, nil }

func drove(t *testing.T, db *postgres.DB, at time.Time, e road.Edge, vehicles ...uint64) {
	t.Helper()
	f, err := db.BeginFlush(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Rollback(t.Context())
	row := learn.SpeedRow{BucketMS: learn.MinuteStart(at.UnixMilli()), Edge: uint64(e)}
	for _, v := range vehicles {
		row.Add(1000, v)
	}
	err = errors.Join(f.Speeds(t.Context(), []learn.SpeedRow{row}),
		f.Dirty(t.Context(), "speeds", []learn.DirtyTile{{Tile: e.Quadkey(), AcceptedMS: at.UnixMilli(), EventMS: at.UnixMilli()}}),
		f.Commit(t.Context(), ledger.Flush{}))
	if err != nil {
		t.Fatal(err)
	}
}

// speedsDB is what the speeds layer and its projector read.
type speedsDB interface {
	worker.ProjectorStore
	worker.SpeedStore
}

func speedsProjector(cfg worker.ProjectorConfig, db speedsDB, out worker.TilePublisher) *worker.Projector {
	m := worker.NewProjectorMetrics(prometheus.NewRegistry())
	return worker.NewProjector(cfg, worker.NewSpeeds(worker.SpeedsConfig{Overviews: time.Millisecond}, db, plainTiles{}, out, m), db, slog.New(slog.DiscardHandler), m)
}

func TestProjector(t *testing.T) {
	w := newWorld(t)
	store := &storeAt{w.db, time.Now()}
	out := newShelf()
	projector := func() *worker.Projector {
		return speedsProjector(worker.ProjectorConfig{}, store, out)
	}
	p := projector()
	pass := func() {
		t.Helper()
		store.now = store.now.Add(time.Second)
		if _, err := p.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, want map[tile.ID]string) {
		t.Helper()
		if diff := cmp.Diff(want, out.tiles); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	leaf := geo.Tile{X: 8260, Y: 6060, Z: 14}
	parent := leaf.Ancestor(13)
	first, _ := road.EdgeRange(leaf.Quadkey())

	drove(t, w.db, store.now, first, 1, 2)
	pass()
	expect("two vehicles stay hidden", map[tile.ID]string{leaf: "", parent: ""})

	drove(t, w.db, store.now, first, 3)
	drove(t, w.db, store.now, first+1, 21, 22, 23)
	pass()
	shown := map[tile.ID]string{leaf: "0:36.0/3 1:36.0/3 ", parent: "0:36.0/3 1:36.0/3 "}
	expect("three are shown", shown)
	if n := w.number("SELECT count(*) FROM outbox"); n != 0 {
		t.Errorf("%d rows left in the outbox", n)
	}
	if n := w.number("SELECT count(*) FROM projection"); n != 2 {
		t.Errorf("%d projections recorded, want 2", n)
	}

	times := out.times
	pass()
	if out.times != times {
		t.Error("published again though nothing changed")
	}

	// A tile that failed is owed, and its tile on the list: a successor repeats it.
	drove(t, w.db, store.now, first+2, 7, 8, 9)
	out.fail = true
	store.now = store.now.Add(time.Second)
	if _, err := p.Pass(t.Context()); err == nil {
		t.Error("a failed publication must fail the pass")
	}
	if n := w.number("SELECT count(*) FROM live_tile"); n != 1 {
		t.Errorf("%d tiles are left to a successor, want 1", n)
	}
	out.fail = false
	p = projector()
	pass()
	shown = map[tile.ID]string{leaf: "0:36.0/3 1:36.0/3 2:36.0/3 ", parent: "0:36.0/3 1:36.0/3 2:36.0/3 "}
	expect("repeated", shown)

	// A second projector with an older clock can't put its state over the newer.
	late := &storeAt{w.db, store.now.Add(-30 * time.Minute)}
	old := speedsProjector(worker.ProjectorConfig{}, late, out)
	if _, err := old.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("an older state is refused", shown)

	// Data ages out without anything new, also under a successor.
	if err := w.db.SetLiveTiles(t.Context(), "speeds", []uint32{leaf.Quadkey()}, nil); err != nil {
		t.Fatal(err)
	}
	p = projector()
	pass()
	expect("still live", shown)
	store.now = store.now.Add(25 * time.Minute)
	pass()
	expect("aged out", map[tile.ID]string{leaf: "", parent: ""})
	if n := w.number("SELECT count(*) FROM live_tile"); n != 0 {
		t.Errorf("%d tiles still listed as live", n)
	}
}

func TestProjectorRuns(t *testing.T) {
	w := newWorld(t)
	out := newShelf()
	p := speedsProjector(worker.ProjectorConfig{Interval: 5 * time.Millisecond, Duty: 1}, w.db, out)
	h := worker.NewHousekeeper(worker.HousekeeperConfig{FoldInterval: 5 * time.Millisecond}, w.db, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{p.Run, h.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	first, _ := road.EdgeRange(geo.Tile{X: 8260, Y: 6060, Z: 14}.Quadkey())
	drove(t, w.db, time.Now(), first, 1, 2, 3)
	waitFor(t, func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return out.tiles[geo.Tile{X: 8260, Y: 6060, Z: 14}] == "0:36.0/3 "
	})
	cancel()
	wg.Wait()
}
