package fleet

import (
	"math"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

func TestSpeedsFollowTheRoad(t *testing.T) {
	cfg := fixtureConfig()
	cfg.DayStart = 12 * time.Hour // away from the peaks
	n := fixtureNetwork(t)
	w := newWorld(n, &cfg)
	sums := make([]speedSum, n.Arcs())
	err := Generate(cfg, n, fixtureStart, 40_000, func(u *Upload) error {
		for _, tr := range u.Truth {
			sums[tr.Arc].n++
			sums[tr.Arc].sumCMPS += int64(tr.SpeedCMPS)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var compared int
	for i, s := range sums {
		if s.n < 200 || w.zoneOf[i] != noZone {
			continue
		}
		compared++
		mean := float64(s.sumCMPS) / float64(s.n) / 100
		target := float64(n.arcs[i].freeMPS * w.factor[i])
		// Turns and stops slow down; nobody drives faster than the road and the driver allow.
		if mean > target*1.08 || mean < target*0.35 {
			t.Errorf("arc %d: mean %.1f m/s, target %.1f", i, mean, target)
		}
	}
	if compared < 100 {
		t.Errorf("only %d arcs compared", compared)
	}
}

func TestCommuterPeakSlowsCongestedRoads(t *testing.T) {
	n := fixtureNetwork(t)
	mean := func(day time.Duration) (jammed, free float64) {
		cfg := fixtureConfig()
		cfg.DayStart = day
		w := newWorld(n, &cfg)
		var sums [2]speedSum
		err := Generate(cfg, n, fixtureStart, 10_000, func(u *Upload) error {
			for _, tr := range u.Truth {
				k := 0
				if w.depth[tr.Arc] == 0 {
					k = 1
				}
				sums[k].n++
				sums[k].sumCMPS += int64(tr.SpeedCMPS)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return float64(sums[0].sumCMPS) / float64(sums[0].n), float64(sums[1].sumCMPS) / float64(sums[1].n)
	}
	peakJammed, peakFree := mean(8 * time.Hour)
	noonJammed, noonFree := mean(12 * time.Hour)
	if peakJammed > 0.85*noonJammed {
		t.Errorf("congested roads: %.0f cm/s at the peak, %.0f at noon", peakJammed, noonJammed)
	}
	if math.Abs(peakFree/noonFree-1) > 0.06 {
		t.Errorf("other roads: %.0f cm/s at the peak, %.0f at noon", peakFree, noonFree)
	}
}

// TestPositionErrorIsGaussMarkov estimates deviation and correlation of what the
// vehicles report against where they are.
func TestPositionErrorIsGaussMarkov(t *testing.T) {
	cfg := fixtureConfig()
	cfg.OfflineShare = 0
	sim, err := NewSimulation(cfg, fixtureNetwork(t), fixtureStart)
	if err != nil {
		t.Fatal(err)
	}
	var u Upload
	series := make(map[int][]float64)
	for range 200 * 60 {
		if !sim.Next(&u) {
			continue
		}
		c := &sim.cars[u.Vehicle]
		lat, _, _ := sim.position(c)
		got := u.Batch.Samples[len(u.Batch.Samples)-1]
		series[u.Vehicle] = append(series[u.Vehicle], (float64(got.LatE7)-lat)*geo.MetresPerE7)
	}
	var sum, square, product, pairs, n float64
	for _, s := range series {
		for i, v := range s {
			n++
			sum += v
			square += v * v
			if i > 0 {
				product += v * s[i-1]
				pairs++
			}
		}
	}
	sigma := math.Sqrt(square / n)
	if math.Abs(sum/n) > 0.3 || math.Abs(sigma-4) > 0.2 {
		t.Errorf("mean %.2f m, deviation %.2f m; want 0, 4", sum/n, sigma)
	}
	// A turn is 10 s; parking lengthens a few gaps.
	want := math.Exp(-10.0 / 30)
	if got := product / pairs / (square / n); math.Abs(got-want) > 0.06 {
		t.Errorf("correlation after 10 s: %.3f, want %.3f", got, want)
	}
}

func TestSignsAreMostlyRight(t *testing.T) {
	cfg := fixtureConfig()
	n := fixtureNetwork(t)
	var right, wrong, missing int
	err := Generate(cfg, n, fixtureStart, 40_000, func(u *Upload) error {
		for _, e := range u.Batch.Events {
			switch {
			case e.Type == telemetry.SignMissing:
				missing++
			case e.Type == telemetry.SignSeen && (e.ValueKMH == 30 || e.ValueKMH == 50 || e.ValueKMH == 70):
				right++
			case e.Type == telemetry.SignSeen:
				wrong++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of the signs read, 92 of 95 are right; some wrong readings hit another usual value.
	if share := float64(right) / float64(right+wrong); right+wrong < 1000 || share < 0.93 || share > 0.99 {
		t.Errorf("%d readings of usual limits, %d of others, %d missing", right, wrong, missing)
	}
}

func TestHazardsAreReportedWhereTheyAre(t *testing.T) {
	cfg := fixtureConfig()
	n := fixtureNetwork(t)
	w := newWorld(n, &cfg)
	var inside, outside, slipping, slippery int
	err := Generate(cfg, n, fixtureStart, 60_000, func(u *Upload) error {
		felt := make(map[int64]int32)
		for i, tr := range u.Truth {
			felt[tr.TimeMS] = tr.Arc
			s := u.Batch.Samples[i]
			if w.hazard(tr.Arc, tr.TimeMS-fixtureStart.UnixMilli()) == telemetry.SlipperyRoad {
				slippery++
				if s.On&(telemetry.ABSActive|telemetry.ESCActive|telemetry.TCSActive) != 0 {
					slipping++
				}
			} else if s.On&telemetry.ABSActive != 0 && w.zoneOf[tr.Arc] == noZone {
				t.Fatalf("ABS on dry road: %+v", s)
			}
		}
		for _, e := range u.Batch.Events {
			if e.Type != telemetry.HazardSeen {
				continue
			}
			if w.hazard(felt[e.T], e.T-fixtureStart.UnixMilli()) == e.Hazard {
				inside++
			} else {
				outside++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if share := float64(outside) / float64(inside+outside); inside < 100 || share > 0.06 {
		t.Errorf("%d hazards reported in place, %d elsewhere", inside, outside)
	}
	if share := float64(slipping) / float64(slippery); slippery < 300 || share < 0.3 || share > 0.7 {
		t.Errorf("control systems at work in %d of %d samples on slippery roads", slipping, slippery)
	}
}
