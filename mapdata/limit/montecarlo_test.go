package limit

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// outcome counts what came of segments with as many traversals.
type outcome struct {
	segments, published, right, variants int
	wrongMap, found                      int
}

// simulate drives a fleet over segments whose limits are known: 92 % of signs are read
// right, 5 % missed, 3 % read wrong; on 10 % of the segments the map is wrong; 5 % of the
// cars read every sign wrong.
func simulate(segments int, seed uint64, days int, traversals func(*rand.Rand) int, count func(n int) *outcome) {
	r := rand.New(rand.NewPCG(seed, 77))
	usual := []struct {
		class road.Class
		kmh   []uint8
	}{
		{road.Motorway, []uint8{100, 110, 120, 130, road.Unlimited}},
		{road.Trunk, []uint8{80, 90, 100, 110}},
		{road.Primary, []uint8{50, 60, 70, 80, 90}},
		{road.Secondary, []uint8{50, 60, 70, 80}},
		{road.Residential, []uint8{20, 30, 40, 50}},
		{road.Primary, []uint8{48, 64, 80, 97}},
	}
	bad := func(car uint64) bool { return car%20 == 0 }
	misread := func(kmh uint8) uint8 {
		if kmh == road.Unlimited {
			return 120
		}
		switch r.IntN(3) {
		case 0:
			return kmh + 10
		case 1:
			return kmh + 20
		default:
			return max(kmh-10, 10)
		}
	}
	for range segments {
		kind := usual[r.IntN(len(usual))]
		truth := kind.kmh[r.IntN(len(kind.kmh))]
		prior := Prior{Class: kind.class, MapKMH: truth, GeneralKMH: road.Unlimited}
		if kind.class != road.Motorway {
			prior.GeneralKMH = 100
		}
		wrongMap := r.IntN(10) == 0
		if wrongMap {
			prior.MapKMH = misread(truth)
		}
		var s said
		n := traversals(r)
		for range n {
			car, hour := r.Uint64N(4000), uint8(r.IntN(24))
			c := Code{KMH: truth, HourUTC: hour, Wet: r.IntN(5) == 0}
			if truth == road.Unlimited {
				c = Code{Reading: End, KMH: 120, HourUTC: hour}
			}
			switch u := r.Float64(); {
			case u < 0.05:
				continue
			case bad(car) || u < 0.08:
				c.Reading = Posted
				if c.KMH, _ = Canonical(uint16(misread(truth))); c.KMH == 0 {
					continue
				}
			}
			s.add(r.IntN(days), car, c)
		}
		got := Judge(edgeAt(8), s.set.Rows(), nil, prior, time.UnixMilli(day0+int64(days)*learn.DayMS), Config{})
		o := count(n)
		o.segments++
		o.variants += len(got.Variants)
		if got.Published() {
			o.published++
			if got.KMH == truth {
				o.right++
			}
		}
		if wrongMap {
			o.wrongMap++
			if got.KMH == truth {
				o.found++
			}
		}
	}
}

func TestMonteCarlo(t *testing.T) {
	for _, days := range []int{1, 3} {
		var few, many outcome
		simulate(8000, uint64(days), days, func(r *rand.Rand) int { return 1 + r.IntN(30) }, func(n int) *outcome {
			if n < 10 {
				return &few
			}
			return &many
		})
		for name, o := range map[string]*outcome{"under 10 traversals": &few, "10 to 30 traversals": &many} {
			t.Logf("%d days, %s: %d segments, %.1f %% published, %.2f %% of them right; %d of %d wrong map limits found; %d variants",
				days, name, o.segments, 100*float64(o.published)/float64(o.segments), 100*float64(o.right)/float64(o.published), o.found, o.wrongMap, o.variants)
			if float64(o.right) < 0.99*float64(o.published) {
				t.Errorf("%s: %d of %d published are right", name, o.right, o.published)
			}
			if o.variants > o.segments/1000 {
				t.Errorf("%s: %d variants where there are none", name, o.variants)
			}
		}
		if float64(many.published) < 0.9*float64(many.segments) {
			t.Errorf("%d of %d published", many.published, many.segments)
		}
		if float64(many.found) < 0.9*float64(many.wrongMap) {
			t.Errorf("%d of %d wrong map limits found", many.found, many.wrongMap)
		}
	}
}
