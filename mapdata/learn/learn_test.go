package learn

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSpeedBinEdges(t *testing.T) {
	for _, tt := range []struct {
		cmps uint16
		want int
	}{{0, 0}, {55, 0}, {56, 1}, {1388, 24}, {1389, 25}, {7055, 126}, {7056, 127}, {15000, 127}, {math.MaxUint16, 127}} {
		if got := SpeedBin(tt.cmps); got != tt.want {
			t.Errorf("SpeedBin(%d) = %d, want %d", tt.cmps, got, tt.want)
		}
	}
}

func TestEncodedRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var b SpeedBins
		for range r.IntN(300) {
			b.Add(uint16(r.IntN(math.MaxUint16 + 1)))
		}
		b[r.IntN(SpeedBinCount)] = r.Uint32()
		var got SpeedBins
		if err := got.MergeEncoded(b.AppendEncoded(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, got); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	}
}

func TestMalformedBins(t *testing.T) {
	for name, src := range map[string][]byte{
		"no count":      {3},
		"bin too high":  {128, 1},
		"not ascending": {5, 1, 5, 1},
		"zero count":    {5, 0},
		"cut varint":    {5, 0x80},
		"count too big": {5, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		var b SpeedBins
		if err := b.MergeEncoded(src); !errors.Is(err, ErrBins) {
			t.Errorf("%s: error %v, want ErrBins", name, err)
		}
	}
}

func TestBinsSaturate(t *testing.T) {
	var a, b SpeedBins
	a[7], b[7] = math.MaxUint32, 2
	a.Merge(&b)
	if err := a.MergeEncoded(b.AppendEncoded(nil)); err != nil || a[7] != math.MaxUint32 {
		t.Errorf("bin = %d, %v; want it full", a[7], err)
	}
}

// The sum must not depend on order or grouping, in memory or encoded.
func TestSpeedIsAdditive(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var whole Speed
	parts := make([]Speed, 7)
	for range 5000 {
		speed, vehicle := uint16(r.IntN(15001)), r.Uint64N(90)
		whole.Add(speed, vehicle)
		parts[r.IntN(len(parts))].Add(speed, vehicle)
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	var sum Speed
	for i := range parts {
		if i%2 == 0 {
			sum.Merge(&parts[i])
			continue
		}
		p := &parts[i]
		if err := sum.MergeEncoded(p.N, p.SumCMPS, p.Vehicles, p.Bins.AppendEncoded(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(whole, sum); diff != "" {
		t.Errorf("sum of parts (-want +got):\n%s", diff)
	}
}

func TestPercentilesWithinABin(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var s Speed
		speeds := make([]float64, 1+r.IntN(400))
		for i := range speeds {
			c := uint16(r.IntN(7000))
			speeds[i] = float64(c) * CMPSToKMH
			s.Add(c, 1)
		}
		slices.Sort(speeds)
		for _, p := range []float64{0, 0.15, 0.5, 0.85, 1} {
			exact := speeds[min(max(int(math.Ceil(p*float64(len(speeds))))-1, 0), len(speeds)-1)]
			if got := s.PercentileKMH(p); math.Abs(got-exact) > SpeedBinWidthKMH {
				t.Fatalf("p%.0f of %d speeds = %.2f, exact %.2f", p*100, len(speeds), got, exact)
			}
		}
	}
	var empty Speed
	if !math.IsNaN(empty.MeanKMH()) || !math.IsNaN(empty.PercentileKMH(0.5)) {
		t.Error("an empty aggregate has no mean and no percentile")
	}
}

func TestVehicles(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 50, 150} {
		var v Vehicles
		for i := range n {
			v.Add(uint64(i))
			v.Add(uint64(i))
		}
		if v.AtLeast() > n {
			t.Errorf("%d vehicles: lower bound %d", n, v.AtLeast())
		}
		if e := v.Estimate(); math.Abs(e-float64(n)) > 1+0.25*float64(n) {
			t.Errorf("%d vehicles: estimate %.1f", n, e)
		}
	}
	full := Vehicles{math.MaxUint64, math.MaxUint64}
	if e := full.Estimate(); math.IsInf(e, 0) || e < 600 {
		t.Errorf("full bitmap estimates %v", e)
	}
}

func TestBucketStart(t *testing.T) {
	const w = int64(300_000)
	for ms, want := range map[int64]int64{0: 0, w - 1: 0, w: w, -1: -w, -w: -w, 1764000000123: 1764000000000} {
		if got := BucketStart(ms); got != want {
			t.Errorf("BucketStart(%d) = %d, want %d", ms, got, want)
		}
	}
}

func FuzzMergeEncoded(f *testing.F) {
	f.Add([]byte{5, 1, 9, 0x80, 1})
	f.Fuzz(func(t *testing.T, src []byte) {
		var b, again SpeedBins
		if b.MergeEncoded(src) != nil {
			return
		}
		if err := again.MergeEncoded(b.AppendEncoded(nil)); err != nil || again != b {
			t.Fatalf("accepted form does not round-trip: %v", err)
		}
	})
}

func BenchmarkSpeed(b *testing.B) {
	var s, o Speed
	r := rand.New(rand.NewPCG(7, 8))
	for range 60 {
		o.Add(uint16(1200+r.IntN(600)), r.Uint64())
	}
	encoded := o.Bins.AppendEncoded(nil)
	b.Run("Add", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			s.Add(uint16(i&4095), uint64(i))
		}
	})
	b.Run("Merge", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			s.Merge(&o)
		}
	})
	b.Run("AppendEncoded", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 1024)
		for range b.N {
			buf = o.Bins.AppendEncoded(buf[:0])
		}
		b.ReportMetric(float64(len(buf)), "B")
	})
	b.Run("MergeEncoded", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := s.MergeEncoded(1, 1, o.Vehicles, encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}
