package fleet

import (
	"math"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// mainRoads is the fixture's town with main roads only, so that all that the truth can hold
// is in it: signs, limits that vary, one-way roads that may be driven the wrong way.
func mainRoads(tb testing.TB) *Network {
	tb.Helper()
	nodes, roads := fixtureRoads()
	for i := range roads {
		roads[i].Main = true
		roads[i].Usual = [2]uint8{60, 80}
		roads[i].OneWay = i+1 < len(roads) && roads[i+1].Edge == roads[i].Edge|2
	}
	n, err := Build(nodes, roads)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestLimitsDifferFromTheMapInTheirShares(t *testing.T) {
	n := mainRoads(t)
	var known, wrong, gone, usual, unknown, varies, fast float64
	for seed := range uint64(40) {
		cfg := fixtureConfig()
		cfg.Seed, cfg.WrongLimits, cfg.Variants, cfg.Vehicles = seed+1, 0.1, 0.2, 1
		sim, err := NewSimulation(cfg, n, fixtureStart)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int32(n.Arcs()) {
			l := sim.Limit(i)
			if int(l.MapKMH) != n.MapKMH(i) {
				t.Fatalf("map's limit %d, is %d", l.MapKMH, n.MapKMH(i))
			}
			if l.KMH >= variantFrom {
				fast++
			}
			if l.Varies {
				varies++
				if l.OtherIs != l.KMH-variantLess {
					t.Fatalf("varies: %+v", l)
				}
			}
			switch {
			case l.MapKMH == 0:
				unknown++
				if l.KMH == 60 || l.KMH == 80 {
					usual++
				}
				continue
			case l.KMH == 0:
				gone++
			case l.KMH != l.MapKMH:
				wrong++
				if d := math.Abs(float64(l.KMH) - float64(l.MapKMH)); d != 10 && d != 20 {
					t.Fatalf("wrong by %+v", l)
				}
			}
			known++
		}
	}
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"wrong", wrong / known, 0.1},
		{"gone", gone / known, signGoneShare},
		{"usual where unknown", usual / unknown, 1},
		{"varying", varies / fast, 0.2},
	} {
		if math.Abs(c.got-c.want) > 0.3*c.want {
			t.Errorf("%s: share %.4f, want %.4f", c.what, c.got, c.want)
		}
	}
}

// TestSignsStandWhereTheyShould compares what cameras read with the truth, by arc.
func TestSignsStandWhereTheyShould(t *testing.T) {
	n := mainRoads(t)
	cfg := fixtureConfig()
	cfg.WrongLimits, cfg.Variants, cfg.DayStart = 0.1, 0, 12*time.Hour
	sim, err := NewSimulation(cfg, n, fixtureStart)
	if err != nil {
		t.Fatal(err)
	}
	var u Upload
	last := make(map[int]int32)
	var due, right, wrong, missingRight, missingWrong float64
	for range 40_000 {
		if !sim.Next(&u) {
			continue
		}
		was, known := last[u.Vehicle]
		arcs := []int32{}
		for _, tr := range u.Truth {
			if known && tr.Arc != was {
				arcs = append(arcs, tr.Arc)
				if l := sim.Limit(tr.Arc); l.KMH != 0 && (l.KMH != sim.Limit(was).KMH || sim.world.posted.repeated[tr.Arc]) {
					due++
				}
			}
			was, known = tr.Arc, true
		}
		last[u.Vehicle] = was
		if u.Batch.Trip.Final {
			delete(last, u.Vehicle)
		}
		on := func(kmh uint16) bool {
			for _, a := range arcs {
				if uint16(sim.Limit(a).KMH) == kmh {
					return true
				}
			}
			return false
		}
		for _, e := range u.Batch.Events {
			switch {
			case e.Type == telemetry.SignSeen && len(arcs) > 0 && on(e.ValueKMH):
				right++
			case e.Type == telemetry.SignSeen && len(arcs) > 0:
				wrong++
			case e.Type == telemetry.SignMissing && len(arcs) > 0 && on(e.ValueKMH):
				missingWrong++
			case e.Type == telemetry.SignMissing:
				missingRight++
			}
			if e.T > u.Batch.Samples[len(u.Batch.Samples)-1].T {
				t.Fatal("a sign was read after the batch's end")
			}
		}
	}
	if share := right / due; due < 5000 || share < 0.88 || share > 0.96 {
		t.Errorf("%.0f signs passed, %.0f read right", due, right)
	}
	if share := wrong / due; share < 0.005 || share > 0.05 {
		t.Errorf("%.0f signs passed, %.0f read wrong", due, wrong)
	}
	if missingRight < 100 || missingWrong > 0.2*missingRight {
		t.Errorf("%.0f signs reported missing that are, %.0f that are not", missingRight, missingWrong)
	}
}

func TestLimitsVaryByNightAndWhenWet(t *testing.T) {
	n := mainRoads(t)
	seen := make(map[bool]int) // by wet
	for _, c := range []struct {
		at    time.Duration
		night bool
	}{{0, true}, {5 * time.Hour, true}, {12 * time.Hour, false}, {23 * time.Hour, true}} {
		for seed := range uint64(40) {
			cfg := fixtureConfig()
			cfg.Variants, cfg.DayStart, cfg.Seed, cfg.Vehicles = 1, c.at, seed+1, 1
			sim, err := NewSimulation(cfg, n, fixtureStart)
			if err != nil {
				t.Fatal(err)
			}
			if sim.now.night != c.night {
				t.Fatalf("night at %s: %v", c.at, sim.now.night)
			}
			for i := range int32(n.Arcs()) {
				l := sim.Limit(i)
				want := l.KMH
				if l.Varies && (l.Wet && sim.now.rain > wetPercent || !l.Wet && c.night) {
					want = l.OtherIs
					seen[l.Wet]++
				}
				if sim.kmh[i] != want {
					t.Fatalf("at %s, rain %d: %d posted, want %d of %+v", c.at, sim.now.rain, sim.kmh[i], want, l)
				}
				ratio := sim.factor[i] / sim.world.factor[i]
				if l.KMH > 0 && math.Abs(float64(ratio)-float64(want)/float64(l.KMH)) > 1e-5 {
					t.Fatalf("driven at %.2f of the usual speed under %+v", ratio, l)
				}
			}
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("variants seen by wet: %v", seen)
	}
}

// TestHazardsAreReportedAtOnce: a report of one that is there waits at most for the next
// sample, unless the car has just departed.
func TestHazardsAreReportedAtOnce(t *testing.T) {
	cfg := fixtureConfig()
	cfg.FalseAlarms, cfg.LeadIn = 0, 3
	var prompt, late int
	previous := make(map[int]int64)
	trips := make(map[int]string)
	generate(t, cfg, 60_000, func(u *Upload) {
		departed := trips[u.Vehicle] != u.Batch.Trip.ID
		trips[u.Vehicle] = u.Batch.Trip.ID
		for _, e := range u.Batch.Events {
			switch {
			case e.Type != telemetry.HazardSeen || departed:
			case u.DueMS-e.T <= 1000:
				prompt++
			default:
				late++
			}
		}
		first, last := u.Batch.Samples[u.Batch.LeadIn].T, u.Batch.Samples[len(u.Batch.Samples)-1].T
		if first <= previous[u.Vehicle] || last > u.DueMS {
			t.Fatalf("vehicle %d, due at %d: samples from %d to %d after %d", u.Vehicle, u.DueMS, first, last, previous[u.Vehicle])
		}
		previous[u.Vehicle] = last
	})
	if prompt < 100 || late > prompt/50 {
		t.Errorf("%d hazards reported at once, %d later", prompt, late)
	}
}

func TestFalseAlarmsHaveTheirShare(t *testing.T) {
	cfg := fixtureConfig()
	cfg.FalseAlarms = 0.02
	n := fixtureNetwork(t)
	sim, err := NewSimulation(cfg, n, fixtureStart)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sim.world.zoneOf { // nothing is wrong anywhere
		sim.world.zoneOf[i] = noZone
	}
	var u Upload
	var entered, alarms float64
	last := make(map[int]int32)
	for range 40_000 {
		if !sim.Next(&u) {
			continue
		}
		for _, tr := range u.Truth {
			if was, ok := last[u.Vehicle]; ok && was != tr.Arc {
				entered++
			}
			last[u.Vehicle] = tr.Arc
		}
		for _, e := range u.Batch.Events {
			if e.Type == telemetry.HazardSeen {
				alarms++
			}
		}
	}
	if share := alarms / entered; entered < 10_000 || share < 0.015 || share > 0.026 {
		t.Errorf("%.0f roads entered, %.0f false alarms", entered, alarms)
	}
}

// TestBadCarsAreBad checks the share of each fault and what it does.
func TestBadCarsAreBad(t *testing.T) {
	cfg := fixtureConfig()
	cfg.Vehicles, cfg.BadCars = 2000, 0.1
	n := fixtureNetwork(t)
	sim, err := NewSimulation(cfg, n, fixtureStart)
	if err != nil {
		t.Fatal(err)
	}
	var count [faults]int
	for i := range cfg.Vehicles {
		count[sim.Fault(i)]++
	}
	if bad := cfg.Vehicles - count[Sound]; bad < 160 || bad > 240 {
		t.Errorf("%d bad cars of %d", bad, cfg.Vehicles)
	}
	var u Upload
	var far, astray, samples [faults]float64
	for range 30_000 {
		if !sim.Next(&u) {
			continue
		}
		f := sim.Fault(u.Vehicle)
		for i, tr := range u.Truth {
			samples[f]++
			if tr.Astray {
				astray[f]++
			}
			if o := u.Batch.Samples[i]; n.distM(tr.Arc, o.LatE7, o.LonE7) > 18 {
				far[f]++
			}
			if ahead := tr.TimeMS - u.DueMS; f != SkewedClock && ahead > 0 || f == SkewedClock && ahead > skewMaxMS {
				t.Fatalf("%s: sample %d ms ahead", f, ahead)
			}
		}
	}
	for f := range faults {
		if count[f] < 20 {
			t.Errorf("%d cars with %s", count[f], f)
		}
		misplaced := far[f] / samples[f]
		want, wantFar := astray[f] == samples[f], misplaced > 0.05
		if f.astray() != want || f.astray() != wantFar {
			t.Errorf("%s: %.0f of %.0f samples astray, %.3f far from the road", f, astray[f], samples[f], misplaced)
		}
	}
}

// distM is how far a place is from an arc, in m.
func (n *Network) distM(arc, latE7, lonE7 int32) float64 {
	a := &n.arcs[arc]
	best := math.Inf(1)
	for k := a.point; k < a.point+a.pieces; k++ {
		s, e := n.points[k], n.points[k+1]
		ax, ay := float64(lonE7-s.lon)*float64(a.metresPerLonE7), float64(latE7-s.lat)*geo.MetresPerE7
		bx, by := float64(e.lon-s.lon)*float64(a.metresPerLonE7), float64(e.lat-s.lat)*geo.MetresPerE7
		f := min(max((ax*bx+ay*by)/(bx*bx+by*by), 0), 1)
		best = min(best, math.Hypot(ax-f*bx, ay-f*by))
	}
	return best
}

func TestWrongWayDriversGetBack(t *testing.T) {
	n := mainRoads(t)
	if n.Arcs() == int(n.proper) {
		t.Fatal("no road can be driven the wrong way")
	}
	cfg := fixtureConfig()
	cfg.WrongWays = 0.05
	sim, err := NewSimulation(cfg, n, fixtureStart)
	if err != nil {
		t.Fatal(err)
	}
	var u Upload
	last := make(map[int]int32)
	var wrong, back int
	for range 40_000 {
		if !sim.Next(&u) {
			continue
		}
		for _, tr := range u.Truth {
			was := last[u.Vehicle]
			last[u.Vehicle] = tr.Arc
			if n.WrongWay(tr.Arc) && was != tr.Arc {
				wrong++
			}
			if n.WrongWay(was) && !n.WrongWay(tr.Arc) {
				back++
			}
		}
	}
	if wrong < 100 || back < wrong*9/10 {
		t.Errorf("%d passes the wrong way, %d ended", wrong, back)
	}
	for i := range n.proper {
		if n.WrongWay(i) {
			t.Fatalf("arc %d is a proper one", i)
		}
	}
}
