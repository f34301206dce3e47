package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/internal/objecttest"
)

func openDisk(t *testing.T) objects {
	t.Helper()
	o, err := disk.Open(disk.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSplitIsOneStore(t *testing.T) {
	t.Parallel()
	objecttest.Run(t, func(t *testing.T) objecttest.Store {
		t.Helper()
		return split{public: openDisk(t), rest: openDisk(t)}
	}, objecttest.Options{})
}

// keys are those under prefix, in the order in which they are listed.
func keys(t *testing.T, o objects, prefix string) (all []string) {
	t.Helper()
	if err := o.List(t.Context(), prefix, func(key string, _ int64, _ time.Time) error {
		all = append(all, key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSplitKeepsTheArchiveApart(t *testing.T) {
	t.Parallel()
	s := split{public: openDisk(t), rest: openDisk(t)}
	for _, key := range []string{"raw/a", "quarantine/b", "map/current", "tiles/speeds/14/1/1/1.mvt.gz", "release/current"} {
		if err := s.Put(context.WithoutCancel(t.Context()), key, []byte(key), "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, s.public, ""); !slices.Equal(got, []string{"release/current", "tiles/speeds/14/1/1/1.mvt.gz"}) {
		t.Errorf("public: %v", got)
	}
	if got := keys(t, s, ""); len(got) != 5 || !slices.IsSorted(got) {
		t.Errorf("both: %v", got)
	}
	if got := keys(t, s, "tiles/speeds/"); len(got) != 1 {
		t.Errorf("one: %v", got)
	}
}
