package learn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sumOf(kmh float64, samples int, vehicles ...uint64) SpeedSum {
	s := SpeedSum{N: int64(samples), SumCMPS: int64(math.Round(kmh / CMPSToKMH * float64(samples)))}
	for _, v := range vehicles {
		s.Vehicles.Add(v)
	}
	return s
}

func TestEstimate(t *testing.T) {
	none := math.NaN()
	few, many := []uint64{1, 2}, []uint64{1, 2, 3, 4}
	for name, tt := range map[string]struct {
		live    LiveSpeed
		typical float64
		kmh     float64
		ok      bool
	}{
		"enough lately":               {LiveSpeed{Recent: sumOf(30, 40, many...), Whole: sumOf(50, 80, many...)}, none, 30, true},
		"too few lately":              {LiveSpeed{Recent: sumOf(30, 40, few...), Whole: sumOf(50, 80, many...)}, none, 50, true},
		"too few":                     {LiveSpeed{Recent: sumOf(30, 40, few...), Whole: sumOf(50, 80, few...)}, 60, 0, false},
		"nothing":                     {LiveSpeed{}, 60, 0, false},
		"seen by nobody of today":     {LiveSpeed{Whole: SpeedSum{N: 9, SumCMPS: 900}}, none, 0, false},
		"drawn to what is typical":    {LiveSpeed{Recent: sumOf(30, 40, many...)}, 60, (4.06*30 + 2*60) / 6.06, true},
		"as usual stays as it is":     {LiveSpeed{Recent: sumOf(60, 40, many...)}, 60, 60, true},
		"samples don't count as cars": {LiveSpeed{Recent: sumOf(30, 4000, many...)}, 60, (4.06*30 + 2*60) / 6.06, true},
	} {
		t.Run(name, func(t *testing.T) {
			kmh, n, ok := tt.live.Estimate(3, tt.typical)
			if ok != tt.ok || math.Abs(kmh-tt.kmh) > 0.1 || ok && n < 3 {
				t.Errorf("%.2f km/h of %d vehicles, %v; want %.2f, %v", kmh, n, ok, tt.kmh, tt.ok)
			}
		})
	}
}

// Neither order nor grouping matters, and no day's cars are taken for another's.
func TestLiveAddsDays(t *testing.T) {
	days := []LiveSpeed{
		{Edge: 4, Whole: sumOf(50, 7, 1, 2, 3), OldestMS: 20},
		{Edge: 4, Whole: sumOf(40, 5, 11, 12), Recent: sumOf(40, 3, 11), OldestMS: 10},
		{Edge: 4, Whole: sumOf(30, 2, 21), OldestMS: 30},
	}
	var want LiveSpeed
	for perm := range 10 {
		r := rand.New(rand.NewPCG(uint64(perm), 1))
		r.Shuffle(len(days), func(i, j int) { days[i], days[j] = days[j], days[i] })
		got := days[0]
		got.AddDay(days[1])
		got.AddDay(days[2])
		if perm == 0 {
			want = got
			if got.Whole.N != 14 || got.Whole.Vehicles.AtLeast() != 3 || got.Recent.Vehicles.AtLeast() != 1 || got.OldestMS != 10 {
				t.Errorf("sum of days = %+v", got)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order matters (-first +this):\n%s", diff)
		}
	}
}

func TestMinuteStart(t *testing.T) {
	for ms, want := range map[int64]int64{0: 0, 59_999: 0, 60_000: 60_000, -1: -60_000, -60_000: -60_000} {
		if got := MinuteStart(ms); got != want {
			t.Errorf("MinuteStart(%d) = %d, want %d", ms, got, want)
		}
	}
}

func TestTypicalBuckets(t *testing.T) {
	now := time.Date(2026, 11, 24, 11, 7, 3, 0, time.UTC)
	got := TypicalBuckets(now.UnixMilli(), 2, 1)
	var want []int64
	for _, d := range []int{10, 17} {
		for _, m := range []int{0, 5, 10} {
			want = append(want, time.Date(2026, 11, d, 11, m, 0, 0, time.UTC).UnixMilli())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQuietBucketsAreNights(t *testing.T) {
	now := time.Date(2026, 11, 24, 11, 7, 3, 0, time.UTC)
	for _, lon := range []float64{0, 6.1, -75.5, 179, -179} {
		got := QuietBuckets(now.UnixMilli(), int32(lon*1e7), 3)
		if len(got) < 3*83 || len(got) > 3*85 || !slices.IsSorted(got) {
			t.Errorf("longitude %v: %d buckets, want 3 nights of 84", lon, len(got))
		}
		for _, ms := range got {
			solar := time.UnixMilli(ms).UTC().Add(time.Duration(lon / 15 * float64(time.Hour)))
			if h := solar.Hour(); h >= 5 && h < 22 {
				t.Errorf("longitude %v: %v is no night", lon, solar)
			}
			if !time.UnixMilli(ms).Before(now.Truncate(24 * time.Hour)) {
				t.Errorf("longitude %v: a bucket of today", lon)
			}
		}
	}
}

func TestFreeFlow(t *testing.T) {
	var s Speed
	for i := range 100 {
		s.Add(uint16(float64(i)/CMPSToKMH), uint64(i%4))
	}
	if got := FreeFlowKMH(&s, 3); math.Abs(got-85) > SpeedBinWidthKMH {
		t.Errorf("free flow %.1f km/h, want 85", got)
	}
	if got := FreeFlowKMH(&s, 5); !math.IsNaN(got) {
		t.Errorf("free flow of too few vehicles: %.1f", got)
	}
	var few Speed
	for i := range 10 {
		few.Add(1000, uint64(i))
	}
	if got := FreeFlowKMH(&few, 3); !math.IsNaN(got) {
		t.Errorf("free flow of too few samples: %.1f", got)
	}
}
