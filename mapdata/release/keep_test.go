package release

import (
	"errors"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/limit"
)

// Deleting all that Named does not name leaves the newest releases whole, and the list ends with them.
func TestOldReleasesMayGo(t *testing.T) {
	o := newStore(t, town)
	e := edges(t, o)
	src := &source{}
	now := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	var all []*Manifest
	for i, kmh := range []uint8{30, 50, 70} {
		src.limits = []limit.Limit{learned(e[0], kmh, 80)}
		m, created := create(t, o, src, now.AddDate(0, 0, i))
		if !created {
			t.Fatal("nothing has changed")
		}
		if _, size, err := Publish(t.Context(), o, m, t.TempDir()); err != nil || size == 0 {
			t.Fatalf("publish: %d bytes, %v", size, err)
		}
		if _, size, err := Publish(t.Context(), o, m, t.TempDir()); err != nil || size != 0 {
			t.Errorf("published twice: %d bytes, %v", size, err)
		}
		all = append(all, m)
	}
	named, err := Named(t.Context(), o, 2)
	if err != nil {
		t.Fatal(err)
	}
	before := len(o.m)
	for key := range o.m {
		if len(key) > len(Prefix) && key[:len(Prefix)] == Prefix && !named(key) {
			delete(o.m, key)
		}
	}
	if len(o.m) >= before {
		t.Error("nothing could go")
	}
	list, err := List(t.Context(), o, 10)
	if err != nil || len(list) != 2 || list[0].Version != all[2].Version || list[1].Version != all[1].Version {
		t.Fatalf("%d releases are left, %v", len(list), err)
	}
	if _, err := Compare(t.Context(), o, list[1], list[0]); err != nil {
		t.Error(err)
	}
	for _, m := range list {
		delete(o.m, ExportKey(m.Version)+".done")
		if _, _, err := Publish(t.Context(), o, m, t.TempDir()); err != nil {
			t.Errorf("%s is not whole: %v", m.Version, err)
		}
	}
	if _, err := Read(t.Context(), o, all[0].Version); !errors.Is(err, ErrNoRelease) {
		t.Errorf("the oldest: %v", err)
	}
}

// However far a release and its archive came, the next run ends with the same.
func TestReleaseInterruptedAtEveryObject(t *testing.T) {
	now := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	run := func(o *memory) (*Manifest, error) {
		m, _, err := Create(t.Context(), o, &source{limits: []limit.Limit{learned(edges(t, o)[0], 50, 80)}}, Config{Now: now})
		if err != nil {
			return nil, err
		}
		_, _, err = Publish(t.Context(), o, m, t.TempDir())
		return m, err
	}
	whole := newStore(t, town)
	want, err := run(whole)
	if err != nil {
		t.Fatal(err)
	}
	interrupted := 0
	for n := 1; ; n++ {
		o := newStore(t, town)
		o.failN = o.puts + n
		if _, err := run(o); err == nil {
			break
		}
		interrupted++
		got, err := run(o)
		if err != nil || got.Version != want.Version {
			t.Fatalf("after the end at object %d: %v, %v", n, got, err)
		}
		if string(o.m[ExportKey(want.Version)]) != string(whole.m[ExportKey(want.Version)]) {
			t.Errorf("after the end at object %d the archive is another", n)
		}
	}
	if interrupted < 5 {
		t.Errorf("only %d interruptions", interrupted)
	}
}
