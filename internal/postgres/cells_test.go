package postgres

import (
	"errors"
	"testing"

	"github.com/carasso/carasso/mapdata/learn"
)

// The memory of a question is bounded, however its segments, times and days are spread.
func TestCellsAreBounded(t *testing.T) {
	bins := (&learn.SpeedBins{}).AppendEncoded(nil)
	row := func(edge uint64, bucketMS int64) *rawSpeed {
		r := &rawSpeed{n: 1, bins: bins}
		r.key = speedKey{bucketMS: bucketMS, edge: edge}
		r.vehicles[0] = 1 << (uint(bucketMS/learn.DayMS) % 64)
		return r
	}
	c := newCellSums(&learn.Grouping{By: learn.BySteps, Step: learn.FiveMinutes})
	// Each segment was driven on in the first and the last of 9,000 steps.
	const step, steps = int64(300_000), int64(9_000)
	for s := range steps {
		if err := c.add(row(1, s*step)); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for edge := uint64(2); edge < 1000; edge++ {
		for _, at := range []int64{(steps - 1) * step, 0} {
			if err := c.add(row(edge, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, places := range c.at {
		held += cap(places)
	}
	if most := 2 * len(c.sums); held > most {
		t.Errorf("%d places for %d cells", held, len(c.sums))
	}
	// A year of days, one cell each: as many are remembered as matter.
	c = newCellSums(&learn.Grouping{})
	for d := range int64(400) {
		r := row(1, d*learn.DayMS)
		if d == 200 {
			r.vehicles[0] = 1<<10 - 1
		}
		if err := c.add(r); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.sums[0].days); n > mostDays {
		t.Errorf("%d days remembered", n)
	}
	fullest := learn.Vehicles{1<<10 - 1}
	if err := c.each(true, func(s *learn.SpeedCell) error {
		if want := fullest.AtLeast(); s.AtLeast != want {
			t.Errorf("%d vehicles on the fullest day, want %d", s.AtLeast, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// And no more than a part of the memory of a machine.
	c = newCellSums(&learn.Grouping{By: learn.BySteps, Step: learn.FiveMinutes})
	var err error
	for i := int64(0); err == nil && i < 4*mostCells; i++ {
		err = c.add(row(uint64(i%1000), i/1000*step))
	}
	if !errors.Is(err, learn.ErrTooMuch) || len(c.sums) > mostCells || c.bytes > mostBytes+1<<10 {
		t.Errorf("%d cells of %d bytes: %v", len(c.sums), c.bytes, err)
	}
}
