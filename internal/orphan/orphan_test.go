package orphan_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/orphan"
	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/internal/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// shelf is an object store in which time is set by hand.
type shelf struct {
	at  map[string]time.Time
	now time.Time
	die int // the deletion that fails; 0: none
}

func (s *shelf) put(keys ...string) {
	for _, k := range keys {
		s.at[k] = s.now
	}
}

func (s *shelf) Delete(_ context.Context, key string) error {
	if s.die--; s.die == 0 {
		return context.Canceled
	}
	delete(s.at, key)
	return nil
}

func (s *shelf) List(_ context.Context, prefix string, each func(string, int64, time.Time) error) error {
	for _, k := range slices.Sorted(maps.Keys(s.at)) {
		if strings.HasPrefix(k, prefix) {
			if err := each(k, 10, s.at[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *shelf) keys() []string { return slices.Sorted(maps.Keys(s.at)) }

type ignored struct{}

func (ignored) Set(int64, int64, string) {}

type bench struct {
	*shelf
	named map[string]bool
	c     *orphan.Collector
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: pgtest.New(t)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{shelf: &shelf{at: map[string]time.Time{}, now: time.Now().Add(-48 * time.Hour)}, named: map[string]bool{}}
	area := orphan.Area{Prefix: "a/", Reused: true, Named: func(_ context.Context, keys []string) (map[string]bool, error) {
		out := map[string]bool{}
		for _, k := range keys {
			out[k] = b.named[k]
		}
		return out, nil
	}}
	if b.c, err = orphan.New(orphan.Config{Grace: time.Hour, Page: 2, Now: func() time.Time { return b.now }}, db, b.shelf, []orphan.Area{area}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) run(t *testing.T, dry bool) orphan.Report {
	t.Helper()
	r, err := b.c.Run(t.Context(), orphan.Args{DryRun: dry}, ignored{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTwoPhases(t *testing.T) {
	b := newBench(t)
	b.named["a/1"] = true
	b.put("a/1", "a/2", "a/3", "b/4")
	b.now = time.Now()
	if r := b.run(t, true); r.Orphans != 2 || r.Waiting != 2 || r.Bytes != 20 || r.Objects != 3 {
		t.Errorf("dry run: %+v", r)
	}
	// First they are only noted, however old they are, even by a dry run before.
	if r := b.run(t, false); r.Deleted != 0 || r.Waiting != 2 {
		t.Errorf("first: %+v", r)
	}
	// One is named within the grace period.
	b.named["a/2"] = true
	b.now = time.Now().Add(2 * time.Hour)
	if r := b.run(t, false); r.Deleted != 1 || r.DeletedBytes != 10 {
		t.Errorf("second: %+v", r)
	}
	if got := b.keys(); !slices.Equal(got, []string{"a/1", "a/2", "b/4"}) {
		t.Errorf("left: %v", got)
	}
	// One that was named in between starts anew.
	b.named["a/2"] = false
	if r := b.run(t, false); r.Deleted != 0 || r.Waiting != 1 {
		t.Errorf("anew: %+v", r)
	}
}

// What a flush has just stored under a key that was an orphan long ago is not taken from it, though the manifest does not
// name it yet.
func TestStoredAgain(t *testing.T) {
	b := newBench(t)
	b.put("a/1")
	b.now = time.Now()
	b.run(t, false)
	b.now = time.Now().Add(2 * time.Hour)
	b.put("a/1") // a redelivery's, about to be committed
	if r := b.run(t, false); r.Deleted != 0 || r.Waiting != 1 {
		t.Errorf("%+v", r)
	}
}

// Ended between any two deletions, the next run ends what was begun.
func TestInterruptedBetweenDeletions(t *testing.T) {
	for n := 1; n <= 3; n++ {
		b := newBench(t)
		b.put("a/1", "a/2", "a/3")
		b.now = time.Now()
		b.run(t, false)
		b.now = time.Now().Add(2 * time.Hour)
		b.die = n
		if _, err := b.c.Run(t.Context(), orphan.Args{}, ignored{}); err == nil {
			t.Fatal("it was not interrupted")
		}
		if len(b.at) != 3-(n-1) {
			t.Errorf("after %d: %v", n, b.keys())
		}
		b.die = 0
		b.run(t, false)
		if len(b.at) != 0 {
			t.Errorf("left: %v", b.keys())
		}
	}
}

func TestGraceIsBounded(t *testing.T) {
	if _, err := orphan.New(orphan.Config{Grace: time.Minute}, nil, nil, nil, nil); err == nil {
		t.Error("a grace of a minute is accepted")
	}
}
