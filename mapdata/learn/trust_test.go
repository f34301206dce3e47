package learn

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/telemetry"
)

// eastward is a drive of n samples at 1 Hz and 14 m/s along a road, with 4 m of noise.
func eastward(r *rand.Rand, n int) *Drive {
	d := &Drive{Samples: make([]telemetry.Sample, n), Matches: make([]match.Result, n)}
	at := geo.At(42.5, 1.5)
	ex, ey := 4*r.NormFloat64(), 4*r.NormFloat64()
	for i := range d.Samples {
		ex, ey = 0.9*ex+1.74*r.NormFloat64(), 0.9*ey+1.74*r.NormFloat64()
		d.Samples[i] = telemetry.Sample{
			T:     int64(i) * 1000,
			LatE7: at.LatE7 + int32(ey/geo.MetresPerE7), LonE7: at.LonE7 + int32((14*float64(i)+ex)/geo.Scale(at.LatE7)),
			SpeedCMPS: 1400, HeadingCDeg: 9000, AccuracyCM: 400,
			Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		}
		d.Matches[i] = match.Result{Edge: 2, OK: true, DistM: float32(math.Abs(ey))}
	}
	return d
}

func TestTrust(t *testing.T) {
	each := func(change func(i int, s *telemetry.Sample, m *match.Result)) func(*Drive) {
		return func(d *Drive) {
			for i := range d.Samples {
				change(i, &d.Samples[i], &d.Matches[i])
			}
		}
	}
	type sample = telemetry.Sample
	for name, tt := range map[string]struct {
		change   func(*Drive)
		min, max float64
	}{
		"good":                    {func(*Drive) {}, 1, 1},
		"on a road the map lacks": {each(func(_ int, _ *sample, m *match.Result) { *m = match.Result{} }), 1, 1},
		"lacking road, positions only": {each(func(_ int, s *sample, m *match.Result) {
			*m, s.Has = match.Result{}, 0
		}), 0.5, 0.5},
		"positions only": {each(func(_ int, s *sample, _ *match.Result) { s.Has = 0 }), 1, 1},
		"standing, jittering": {func(d *Drive) {
			for i := range d.Samples {
				d.Samples[i].LonE7 = d.Samples[0].LonE7 + int32(i%3*300)
				d.Samples[i].SpeedCMPS = 0
			}
		}, 1, 1},
		"frozen": {func(d *Drive) {
			for i := range d.Samples {
				d.Samples[i].LatE7, d.Samples[i].LonE7 = d.Samples[0].LatE7, d.Samples[0].LonE7
			}
		}, 0, 0},
		"frozen from the middle on": {func(d *Drive) {
			for i := 6; i < len(d.Samples); i++ {
				d.Samples[i].LatE7, d.Samples[i].LonE7 = d.Samples[6].LatE7, d.Samples[6].LonE7
			}
		}, 0, 0.2},
		"jumped once": {func(d *Drive) {
			for i := 6; i < len(d.Samples); i++ {
				d.Samples[i].LatE7 += 20000
			}
		}, 0.3, 0.3},
		"one wild position":    {func(d *Drive) { d.Samples[6].LatE7 += 20000 }, 0, 0.1},
		"offset by 30 m":       {each(func(_ int, _ *sample, m *match.Result) { m.DistM = 30 }), 0.6, 0.6},
		"wide road":            {each(func(_ int, _ *sample, m *match.Result) { m.DistM = 9 }), 1, 1},
		"heading turned about": {each(func(_ int, s *sample, _ *match.Result) { s.HeadingCDeg = 27000 }), 0, 0},
		"clock stands":         {each(func(_ int, s *sample, _ *match.Result) { s.T = 0 }), 0, 0.3},
		"clock runs back":      {each(func(i int, s *sample, _ *match.Result) { s.T = -int64(i) * 1000 }), 0, 0},
		"clock far too fast":   {each(func(i int, s *sample, _ *match.Result) { s.T = int64(i) * 100; s.LonE7 += int32(i) * 4000 }), 0, 0.1},
		"poor by its own word": {each(func(_ int, s *sample, _ *match.Result) { s.AccuracyCM = 10000 }), 0.2, 0.3},
		"every 20 s, between standing and driving": {func(d *Drive) {
			for i := range d.Samples {
				s := &d.Samples[i]
				s.T, s.LonE7 = s.T*20, 15000000+20*(s.LonE7-15000000)/2
				if i%2 == 0 {
					s.SpeedCMPS = 0
				}
			}
		}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) {
				d := eastward(rand.New(rand.NewPCG(seed, 1)), 13)
				tt.change(d)
				if got := Trust(d); got < tt.min-1e-9 || got > tt.max+1e-9 || math.IsNaN(got) {
					t.Fatalf("seed %d: trust %.3f, want %.2f to %.2f", seed, got, tt.min, tt.max)
				}
			}
		})
	}
	for _, d := range []*Drive{{}, {Samples: make([]telemetry.Sample, 1), Matches: make([]match.Result, 1)}} {
		if got := Trust(d); got < 0 || got > 1 || math.IsNaN(got) {
			t.Errorf("%d samples: trust %v", len(d.Samples), got)
		}
	}
}
