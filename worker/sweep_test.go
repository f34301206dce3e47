package worker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
)

func TestSweepBeginsAtOnceAndLosesNothing(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	var all []uint32
	for q := range uint32(250) {
		all = append(all, q)
	}
	var s sweep
	if _, err := s.next(now, time.Hour, func() ([]uint32, error) { return nil, errors.New("no answer") }); err == nil {
		t.Error("no error")
	}
	list := func() ([]uint32, error) { return slices.Clone(all), nil }
	var seen []uint32
	for pass := range 6 {
		due, err := s.next(now, time.Hour, list)
		if err != nil || len(due) > sweepTiles {
			t.Fatalf("%d tiles, %v", len(due), err)
		}
		if pass == 1 {
			continue // failed: these come again
		}
		seen = append(seen, due...)
		s.done()
	}
	slices.Sort(seen)
	if !slices.Equal(seen, all) {
		t.Errorf("%d tiles swept, want each of %d once", len(seen), len(all))
	}
	if due, _ := s.next(now.Add(time.Hour), time.Hour, list); len(due) != sweepTiles {
		t.Errorf("%d tiles in the next sweep", len(due))
	}
}

// counted counts which tiles' profiles are read.
type counted struct {
	SpeedStore
	read map[uint32]int
}

func (c *counted) TypicalSpeeds(_ context.Context, tiles []uint32, _ int64, _ int, _ func(uint64, learn.Typical)) error {
	for _, q := range tiles {
		c.read[q]++
	}
	return nil
}

func (*counted) StoredHistograms(context.Context, []uint32, []int64, func(uint64, *learn.Speed)) error {
	return nil
}

// With more tiles than a slot's passes can read, all have their turn, and none shows a slot long gone.
func TestProfilesTakeTurns(t *testing.T) {
	c := &counted{read: map[uint32]int{}}
	p := profiles{store: c, k: 3, weeks: 1, tiles: map[uint32]*profile{}}
	var tiles []uint32
	for q := range uint32(3 * slotTiles) {
		tiles = append(tiles, q)
	}
	now := time.UnixMilli(1_700_000_000_000)
	for slot := range 3 {
		if err := p.read(t.Context(), tiles, now.Add(time.Duration(slot)*learn.Bucket)); err != nil {
			t.Fatal(err)
		}
		if slot == 0 {
			p.set(5<<25, func(u *usual) { *u = usual{typical: 50, free: 90} })
		}
	}
	if len(c.read) != len(tiles) {
		t.Errorf("%d tiles read in three slots, want %d", len(c.read), len(tiles))
	}
	if u := p.of(5 << 25); u.typical != 0 || u.free != 90 {
		t.Errorf("usual = %+v two slots later, want free flow alone", u)
	}
}
