package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/worker"
)

// reads notes from when on live speeds were asked for.
type reads struct {
	*storeAt
	since []time.Time
}

func (r *reads) LiveSpeeds(ctx context.Context, tiles []uint32, since, recent, until time.Time, each func(learn.LiveSpeed)) error {
	r.since = append(r.since, since)
	return r.storeAt.LiveSpeeds(ctx, tiles, since, recent, until, each)
}

// inOneDay is a time in the middle of a minute, with none of the live window on another day.
func inOneDay() time.Time {
	now := time.Now().UTC()
	if now.Add(-15*time.Minute).Day() != now.Add(6*time.Minute).Day() {
		now = now.Add(-time.Hour)
	}
	return now.Truncate(time.Minute).Add(20 * time.Second)
}

// Minutes that are over are read once, and their sums are added to what comes; news from them are seen at once all
// the same.
func TestSpeedsReadSettledMinutesOnce(t *testing.T) {
	w := newWorld(t)
	store := &reads{storeAt: &storeAt{w.db, inOneDay()}}
	out := newShelf()
	m := worker.NewProjectorMetrics(prometheus.NewRegistry())
	p := worker.NewProjector(worker.ProjectorConfig{}, worker.NewSpeeds(worker.SpeedsConfig{}, store, plainTiles{}, out, m), store, slog.New(slog.DiscardHandler), m)
	leaf := geo.Tile{X: 8260, Y: 6060, Z: 14}
	first, _ := road.EdgeRange(leaf.Quadkey())
	pass := func(what, want string) (oldest time.Duration) {
		t.Helper()
		store.since, store.now = nil, store.now.Add(time.Second)
		if _, err := p.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := out.tiles[leaf]; got != want {
			t.Errorf("%s: shown %q, want %q", what, got, want)
		}
		for _, s := range store.since {
			oldest = max(oldest, store.now.Sub(s))
		}
		return oldest
	}
	drove(t, w.db, store.now.Add(-4*time.Minute), first, 1, 2)
	drove(t, w.db, store.now, first+9, 7, 8, 9)
	if oldest := pass("at first", "9:36.0/3 "); oldest < 14*time.Minute {
		t.Errorf("the first pass read the last %s, want the whole window", oldest)
	}
	drove(t, w.db, store.now, first, 2, 3)
	if oldest := pass("one vehicle more", "0:36.0/3 9:36.0/3 "); oldest > 2*time.Minute {
		t.Errorf("a pass in the same minute read the last %s", oldest)
	}
	drove(t, w.db, store.now.Add(-6*time.Minute), first+1, 7, 8, 9)
	pass("belated news", "0:36.0/3 1:36.0/3 9:36.0/3 ")
	store.now = store.now.Add(9 * time.Minute)
	pass("all but the last minutes gone", "0:36.0/3 9:36.0/3 ")
}

// Overviews are drawn at once when they have not been for a while, and else when it is time, with no need of news.
func TestOverviewsWait(t *testing.T) {
	w := newWorld(t)
	store := &storeAt{w.db, inOneDay()}
	out := newShelf()
	m := worker.NewProjectorMetrics(prometheus.NewRegistry())
	p := worker.NewProjector(worker.ProjectorConfig{}, worker.NewSpeeds(worker.SpeedsConfig{Overviews: 10 * time.Second}, store, plainTiles{}, out, m), store, slog.New(slog.DiscardHandler), m)
	leaf := geo.Tile{X: 8260, Y: 6060, Z: 14}
	first, _ := road.EdgeRange(leaf.Quadkey())
	pass := func(after time.Duration, wantLeaf, wantAbove string) {
		t.Helper()
		store.now = store.now.Add(after)
		if _, err := p.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := out.tiles[leaf]; got != wantLeaf {
			t.Errorf("after %s: z14 %q, want %q", after, got, wantLeaf)
		}
		if got := out.tiles[leaf.Ancestor(13)]; got != wantAbove {
			t.Errorf("after %s: z13 %q, want %q", after, got, wantAbove)
		}
	}
	drove(t, w.db, store.now, first, 1, 2, 3)
	pass(0, "0:36.0/3 ", "0:36.0/3 ")
	drove(t, w.db, store.now, first+1, 1, 2, 3)
	pass(time.Second, "0:36.0/3 1:36.0/3 ", "0:36.0/3 ")
	pass(8*time.Second, "0:36.0/3 1:36.0/3 ", "0:36.0/3 ")
	pass(time.Second, "0:36.0/3 1:36.0/3 ", "0:36.0/3 1:36.0/3 ")
}
