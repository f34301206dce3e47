package vehiclestatus

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func TestSketchCounts(t *testing.T) {
	var s Sketch
	n := 0
	for _, want := range []int{0, 1, 2, 10, 100, 1000, 5000, 10_000, 20_000, 100_000, 500_000} {
		for ; n < want; n++ {
			s.Add(id(fmt.Sprint("car-", n)))
			s.Add(id(fmt.Sprint("car-", n/2))) // again
		}
		// Four standard errors; few vehicles are counted nearly exactly.
		if got := s.Count(); math.Abs(float64(got)-float64(want)) > max(1, 0.065*float64(want)) || want <= 100 && got != int64(want) {
			t.Errorf("%d counted, want %d", got, want)
		}
	}
}

func TestSketchesMerge(t *testing.T) {
	var all, even, odd, third Sketch
	for i := range 9000 {
		v := id(fmt.Sprint("car-", i))
		all.Add(v)
		if i%2 == 0 {
			even.Add(v)
		} else {
			odd.Add(v)
		}
		if i%3 == 0 {
			third.Add(v)
		}
	}
	var merged Sketch
	for _, s := range []Sketch{third, odd, nil, even, odd, Sketch("nonsense"), third} {
		merged.Merge(s)
	}
	if !slices.Equal(all, merged) {
		t.Errorf("%d counted after merging, want %d", merged.Count(), all.Count())
	}
}

// Vehicles are counted where they were seen, whichever receivers saw them and how often they say so.
func TestSummary(t *testing.T) {
	store := newMemory()
	now := time.Date(2026, 11, 30, 12, 7, 0, 0, time.UTC)
	sight := func(ago time.Duration, first, last int, refused int64) {
		t.Helper()
		var a Activity
		for i := first; i < last; i++ {
			a.Seen.Add(id(fmt.Sprint("car-", i)))
		}
		if refused > 0 {
			a.Refused = map[string]int64{"invalid-batch": refused}
		}
		for _, s := range spans() {
			if err := a.store(t.Context(), store, s, now.Add(-ago)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sight(time.Minute, 0, 20, 1)
	sight(time.Minute, 10, 30, 2) // another receiver
	sight(50*time.Minute, 30, 40, 0)
	sight(5*time.Hour, 40, 60, 5)
	sight(23*time.Hour, 0, 10, 0)
	sight(10*24*time.Hour, 60, 100, 7)
	sight(33*24*time.Hour, 100, 200, 9) // forgotten
	for _, c := range []struct {
		silence, rounded time.Duration
		silent           int64
	}{
		{time.Hour, time.Hour, 60},
		{90 * time.Minute, 2 * time.Hour, 60},
		{24 * time.Hour, 24 * time.Hour, 40},
		{25 * time.Hour, 48 * time.Hour, 40},
		{12 * 24 * time.Hour, 12 * 24 * time.Hour, 0},
	} {
		got, err := Summarize(t.Context(), store, now, c.silence)
		if err != nil {
			t.Fatal(err)
		}
		if got.LastHour != 40 || got.LastDay != 60 || got.Known != 100 || got.SilentLonger != c.silent || got.Silence != c.rounded {
			t.Errorf("%v: %+v", c.silence, got)
		}
		if got.RefusedHour["invalid-batch"] != 3 || got.RefusedDay["invalid-batch"] != 8 {
			t.Errorf("refused %v, %v", got.RefusedHour, got.RefusedDay)
		}
	}
}
