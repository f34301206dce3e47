package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/worker"
)

// buggy is a store that panics on demand, and counts how often a layer begins.
type buggy struct {
	storeAt
	bug    bool
	begins int
}

func (b *buggy) LiveTiles(ctx context.Context, layer string) ([]uint32, error) {
	b.begins++
	return b.storeAt.LiveTiles(ctx, layer)
}

func (b *buggy) LiveSpeeds(ctx context.Context, tiles []uint32, since, recent, until time.Time, each func(learn.LiveSpeed)) error {
	if b.bug {
		panic("bug in a layer")
	}
	return b.storeAt.LiveSpeeds(ctx, tiles, since, recent, until, each)
}

func newBuggy(db *postgres.DB) *buggy { return &buggy{storeAt: storeAt{db, time.Now()}} }

var (
	hereTile  = geo.Tile{X: 8260, Y: 6060, Z: 14}
	thereTile = geo.Tile{X: 8300, Y: 6100, Z: 14}
)

func edgeIn(id tile.ID) road.Edge {
	first, _ := road.EdgeRange(id.Quadkey())
	return first
}

func TestProjectorSurvivesPanics(t *testing.T) {
	w := newWorld(t)
	store, out := newBuggy(w.db), newShelf()
	var log strings.Builder
	reg := prometheus.NewRegistry()
	m := worker.NewProjectorMetrics(reg)
	p := worker.NewProjector(worker.ProjectorConfig{}, worker.NewSpeeds(worker.SpeedsConfig{Overviews: time.Millisecond}, store, plainTiles{}, out, m), store,
		slog.New(slog.NewTextHandler(&log, nil)), m)
	drove(t, w.db, store.now, edgeIn(hereTile), 1, 2, 3)
	for _, bug := range []*bool{&store.bug, &out.bug} {
		*bug = true
		if _, err := p.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "bug in a") {
			t.Errorf("error = %v, want the panic", err)
		}
		*bug = false
	}
	store.now = store.now.Add(time.Second)
	if _, err := p.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := out.tiles[hereTile]; got != "0:36.0/3 " {
		t.Errorf("tile = %q after the panics", got)
	}
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	panics := 0.0
	for _, f := range all {
		if f.GetName() == "carasso_projector_panics_total" {
			panics = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if panics < 2 {
		t.Errorf("%v panics counted", panics)
	}
	// Run logs where it was.
	store.bug = true
	drove(t, w.db, store.now, edgeIn(hereTile)+1, 1, 2, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "setbacks_test.go") {
		t.Errorf("no stack in the log: %s", log.String())
	}
}

// A tile that fails holds up no other, renews nothing, and is tried again.
func TestOneTileFails(t *testing.T) {
	w := newWorld(t)
	store, out := newBuggy(w.db), newShelf()
	p := speedsProjector(worker.ProjectorConfig{}, store, out)
	drove(t, w.db, store.now, edgeIn(hereTile), 1, 2, 3)
	drove(t, w.db, store.now, edgeIn(thereTile), 1, 2, 3)
	out.refuse = hereTile
	for range 3 {
		if _, err := p.Pass(t.Context()); err == nil {
			t.Error("a tile that fails must be told of")
		}
		if n := w.number("SELECT count(*) FROM outbox"); n != 0 {
			t.Errorf("%d rows left in the outbox: they would pile up", n)
		}
		store.now = store.now.Add(2 * time.Second)
	}
	if out.tiles[thereTile] == "" || out.tiles[hereTile.Ancestor(13)] == "" {
		t.Errorf("tiles = %v, want all others", out.tiles)
	}
	out.refuse = tile.ID{}
	store.now = store.now.Add(time.Minute)
	if _, err := p.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out.tiles[hereTile] != "0:36.0/3 " {
		t.Errorf("tiles = %v after the repetition", out.tiles)
	}
	if store.begins != 1 {
		t.Errorf("begun %d times", store.begins)
	}
}

// What loses to another version is published again, and on the list of live tiles until it has won.
func TestLostPublicationIsRepeated(t *testing.T) {
	w := newWorld(t)
	store, out := newBuggy(w.db), newShelf()
	p := speedsProjector(worker.ProjectorConfig{}, store, out)
	pass := func(after time.Duration) {
		t.Helper()
		store.now = store.now.Add(after)
		if _, err := p.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	drove(t, w.db, store.now, edgeIn(hereTile), 1, 2, 3)
	other := store.now.Add(2500 * time.Millisecond).UnixMilli()
	out.versions[hereTile], out.tiles[hereTile] = other, "another's"
	pass(time.Second)
	pass(time.Second)
	if out.tiles[hereTile] != "another's" {
		t.Fatal("the shelf took an older version")
	}
	pass(2 * time.Second)
	if out.tiles[hereTile] != "0:36.0/3 " {
		t.Errorf("tile = %q, want what had lost", out.tiles[hereTile])
	}
	out.versions[hereTile] = store.now.Add(26 * time.Minute).UnixMilli()
	pass(25 * time.Minute)
	if n := w.number("SELECT count(*) FROM live_tile"); n != 1 {
		t.Errorf("%d tiles on the list while an old state is shown, want 1", n)
	}
	pass(2 * time.Minute)
	if n := w.number("SELECT count(*) FROM live_tile"); n != 0 || out.tiles[hereTile] != "" {
		t.Errorf("%d tiles on the list, tile = %q; want none", n, out.tiles[hereTile])
	}
}

// narrowed shows nothing of what is hidden.
type narrowed struct {
	plainTiles
	hide *bool
}

func (n narrowed) Affected(ctx context.Context, quadkeys []uint32) ([]tile.ID, error) {
	if *n.hide {
		return nil, nil
	}
	return n.plainTiles.Affected(ctx, quadkeys)
}

func (n narrowed) Build(ctx context.Context, id tile.ID, speed func(road.Edge) (tile.Speed, bool)) ([]byte, error) {
	if *n.hide {
		return nil, nil
	}
	return n.plainTiles.Build(ctx, id, speed)
}

func TestTilesWithoutRoadsAreCleared(t *testing.T) {
	w := newWorld(t)
	store, out := newBuggy(w.db), newShelf()
	version, gone := "1", false
	m := worker.NewProjectorMetrics(prometheus.NewRegistry())
	p := worker.NewProjector(worker.ProjectorConfig{MapVersion: func() string { return version }},
		worker.NewSpeeds(worker.SpeedsConfig{Overviews: time.Millisecond}, store, narrowed{hide: &gone}, out, m), store, slog.New(slog.DiscardHandler), m)
	drove(t, w.db, store.now, edgeIn(hereTile), 1, 2, 3)
	for _, want := range []string{"0:36.0/3 ", ""} {
		store.now = store.now.Add(time.Second)
		if _, err := p.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range []tile.ID{hereTile, hereTile.Ancestor(13)} {
			if got := out.tiles[id]; got != want {
				t.Errorf("tile %s of map %s = %q, want %q", id, version, got, want)
			}
		}
		version, gone = "2", true
	}
}

// torn is a street whose map of its tile can't be read on demand.
type torn struct {
	*street
	fail bool
}

func (s *torn) Partition(ctx context.Context, quadkey uint32) (*road.Partition, error) {
	if s.fail && quadkey == s.part.Quadkey {
		return nil, errors.New("partition is torn")
	}
	return s.street.Partition(ctx, quadkey)
}

// A limit's change makes its neighbourhood dirty in the database, not in memory alone; and a tile that can't be
// judged stays dirty, without holding up the others.
func TestLimitsGoOnFromTheDatabase(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	w.start(config(), s.deps(w))
	start := tenMinutesAgo()
	for v := range uint64(6) {
		s.drive(w, 1+v, start.Add(time.Duration(v)*time.Second), func(b *telemetry.Batch) {
			b.Events = append(b.Events, telemetry.Event{
				T: b.Samples[13].T, Type: telemetry.SignSeen, Sign: telemetry.SpeedLimit, ValueKMH: 50, ConfidencePermille: 950,
			})
		})
	}
	ids, _, err := w.db.Outbox(t.Context(), worker.LayerLimits, 100)
	if err == nil {
		err = w.db.DeleteOutbox(t.Context(), ids)
	}
	id := s.tile()
	next := geo.Tile{X: id.X + 1, Y: id.Y, Z: id.Z}.Quadkey()
	err = errors.Join(err, w.db.MarkDirty(t.Context(), worker.LayerLimits, []uint32{next}, start, false))
	if err != nil {
		t.Fatal(err)
	}
	roads, out := &torn{street: s, fail: true}, newShelf()
	c := newClocked(t, w.db, start.Add(time.Minute), func(db *storeAt, m *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		l, err := worker.NewLimits(worker.LimitsConfig{}, db, roads, textLimits{s}, out, m)
		if err != nil {
			t.Fatal(err)
		}
		return l, time.Second
	})
	if _, err := c.p.Pass(t.Context()); err == nil {
		t.Error("a tile that can't be judged must be told of")
	}
	tiles, _, err := w.db.DirtyTiles(t.Context(), worker.LayerLimits, 100)
	if err != nil || len(tiles) != 1 || tiles[0].Tile != id.Quadkey() {
		t.Errorf("dirty = %+v, %v; want the tile that failed alone", tiles, err)
	}
	roads.fail = false
	tiles, marks, err := w.db.DirtyTiles(t.Context(), worker.LayerLimits, 100)
	err = errors.Join(err, w.db.DeleteDirtyTiles(t.Context(), worker.LayerLimits, tiles, marks),
		w.db.MarkDirty(t.Context(), worker.LayerLimits, []uint32{next}, start, false))
	if err != nil {
		t.Fatal(err)
	}
	c.pass(start.Add(2 * time.Minute))
	if got := out.tiles[id]; got == "" {
		t.Error("nothing learned from next door")
	}
	if tiles, _, err = w.db.DirtyTiles(t.Context(), worker.LayerLimits, 100); err != nil || len(tiles) != 3 {
		t.Errorf("dirty = %+v, %v; want the three tiles beyond the changed one", tiles, err)
	}
}

// Layers that are slow take few tiles at once.
func TestSlowLayersTakeFewTiles(t *testing.T) {
	w, s := newWorld(t), newStreet(t)
	c := newClocked(t, w.db, time.Now(), func(db *storeAt, _ *worker.ProjectorMetrics) (worker.Layer, time.Duration) {
		return worker.NewErrors(worker.ErrorsConfig{}, db, s), time.Second
	})
	var tiles []uint32
	for q := range uint32(250) {
		tiles = append(tiles, s.tile().Quadkey()+q)
	}
	if err := w.db.MarkDirty(t.Context(), worker.LayerErrors, tiles, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{50, 0} {
		c.pass(c.store.now.Add(time.Second))
		if n := w.number("SELECT count(*) FROM dirty_tile"); n != want {
			t.Errorf("%d tiles left, want %d", n, want)
		}
	}
}
