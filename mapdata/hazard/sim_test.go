package hazard

import (
	"slices"
	"testing"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// rates of traffic, cars an hour.
var rates = []float64{20, 60, 120}

// sameWarning reports whether one of the published categories warns of h: the same one, or of a family.
func sameWarning(published []telemetry.Hazard, h telemetry.Hazard) bool {
	return slices.ContainsFunc(published, func(p telemetry.Hazard) bool { return p == h || related(p) && related(h) })
}

// Fifteen cars pass, then a hazard begins: cars that report as the simulated fleet does drive into it until it is
// published, ten more confirm it, then the hazard is over. Shares are of 900 runs, at 20, 60 and 120 cars an hour.
func TestPublishedAndGone(t *testing.T) {
	cfg := DefaultConfig()
	for _, tt := range []struct {
		h      telemetry.Hazard
		within int
		share  float64 // that must be published within so many cars
		blind  bool    // nobody reads signs
	}{
		{telemetry.SlipperyRoad, 3, 0.99, false},
		{telemetry.Obstacle, 3, 0.99, false},
		{telemetry.Accident, 3, 0.99, false},
		{telemetry.Blockage, 3, 0.99, false},
		{telemetry.BrokenDownVehicle, 3, 0.99, false},
		{telemetry.ExceptionalWeather, 3, 0.99, false},
		{telemetry.HardBraking, 3, 0.96, false},       // takes three, of which two look like one in the bitmap at 2.3 %
		{telemetry.ReducedVisibility, 3, 0.75, false}, // a third of the models has no fog light
		{telemetry.RoadWorks, 3, 0.93, false},         // cameras miss a sign in twelve: three cars that read none are too few
		{telemetry.RoadWorks, 20, 0.50, true},         // events only
	} {
		name := tt.h.String()
		if tt.blind {
			name += " without signs"
		}
		t.Run(name, func(t *testing.T) {
			const each = 300
			runs, inTime, exact, gone, gone1 := 0, 0, 0, 0, 0
			for _, rate := range rates {
				for seed := range uint64(each) {
					runs++
					w := newTraffic(t, seed)
					if tt.blind {
						w.reads = 0
					}
					at := noon + int64(w.r.IntN(60_000))
					for range 15 { // nothing is wrong yet
						w.pass(t, at, 0, 0)
						at += w.gapMS(rate)
					}
					for n := 1; n <= tt.within; n++ {
						w.pass(t, at, tt.h, 0)
						if p := w.published(at+10_000, &cfg); sameWarning(p, tt.h) {
							inTime++
							if slices.Contains(p, tt.h) {
								exact++
							}
							break
						}
						at += w.gapMS(rate)
					}
					for range 10 {
						at += w.gapMS(rate)
						w.pass(t, at, tt.h, 0)
					}
					for n := range 3 {
						at += w.gapMS(rate)
						w.pass(t, at, 0, 0)
						if n == 0 && !sameWarning(w.published(at+10_000, &cfg), tt.h) {
							gone1++
						}
					}
					if !sameWarning(w.published(at+60_000, &cfg), tt.h) {
						gone++
					}
				}
			}
			of := func(n int) float64 { return 100 * float64(n) / float64(runs) }
			t.Logf("published within %d cars: %.1f %% (under its exact name %.1f %%); gone 60 s after 3 clean passes: %.1f %%, after the first: %.1f %%",
				tt.within, of(inTime), of(exact), of(gone), of(gone1))
			if of(inTime) < 100*tt.share {
				t.Errorf("published in time in %.1f %% of the runs, want %.0f %%", of(inTime), 100*tt.share)
			}
			if of(gone) < 98 {
				t.Errorf("gone in time in %.1f %% of the runs, want 98 %%", of(gone))
			}
		})
	}
}

// A hazard that stays must not flicker, although cars miss it.
func TestStaysPublished(t *testing.T) {
	cfg := DefaultConfig()
	for _, tt := range []struct {
		h     telemetry.Hazard
		share float64
	}{
		{telemetry.SlipperyRoad, 0.97},
		{telemetry.Obstacle, 0.97},
		{telemetry.ReducedVisibility, 0.95},
		{telemetry.RoadWorks, 0.97},
	} {
		w := newTraffic(t, 1)
		at, on, all := noon, 0, 0
		started := false
		for at < noon+40*3_600_000 {
			w.pass(t, at, tt.h, 0)
			is := slices.Contains(w.published(at+10_000, &cfg), tt.h)
			started = started || is
			if started {
				all++
				if is {
					on++
				}
			}
			at += w.gapMS(60)
			w.forget(at - 2*MaxWindow.Milliseconds())
		}
		share := float64(on) / float64(max(all, 1))
		t.Logf("%s: published at %.1f %% of %d passes", tt.h, 100*share, all)
		if share < tt.share {
			t.Errorf("%s: published at %.1f %% of the passes, want %.0f %%", tt.h, 100*share, 100*tt.share)
		}
	}
}

// cell is an edge where nothing is wrong, but some cars report falsely.
type cell struct {
	traffic
	h        telemetry.Hazard
	fleet    []uint64 // pseudonyms; the first bad of them always report
	bad      int
	alarms   float64 // share of the others' passes with a false alarm
	at       int64
	reported bool
	rows     []learn.Evidence
	passed   []learn.Pass
}

func newCell(seed uint64, h telemetry.Hazard, alarms, badShare float64) *cell {
	c := &cell{traffic: traffic{r: newRand(seed)}, h: h, alarms: alarms, at: noon, fleet: make([]uint64, 2000)}
	for i := range c.fleet {
		c.fleet[i] = c.r.Uint64()
	}
	c.bad = int(badShare * float64(len(c.fleet)))
	return c
}

// next lets the next car pass.
func (c *cell) next(rate float64) {
	c.at += c.gapMS(rate)
	i := c.r.IntN(len(c.fleet))
	var v learn.Vehicles
	v.Add(c.fleet[i] + uint64(c.at/learn.DayMS)) // another pseudonym each day
	m := learn.MinuteStart(c.at)
	c.passed = append(c.passed, learn.Pass{MinuteMS: m, Vehicles: v})
	c.reported = i < c.bad || c.r.Float64() < c.alarms
	if c.reported {
		c.rows = append(c.rows, learn.Evidence{
			EvidenceKey: learn.EvidenceKey{Kind: learn.HazardEvidence, BucketMS: m, Key: 2},
			Votes:       learn.Votes{{Code: Code(c.h, EventAlone), N: 1, Vehicles: v}},
		})
	}
	old := m - MaxWindow.Milliseconds() - learn.MinuteMS
	for c.passed[0].MinuteMS < old {
		c.passed = c.passed[1:]
	}
	for len(c.rows) > 0 && c.rows[0].BucketMS < old {
		c.rows = c.rows[1:]
	}
}

func (c *cell) found(cfg *Config) []Finding {
	return Fuse([]EdgeEvidence{{Edge: road.Edge(2), Minutes: c.rows, Passes: c.passed}}, c.at, cfg)
}

// 1,000 hours of one edge at each rate: false alarms, also with one car in twenty that always
// reports, must publish nothing.
func TestNoFalsePublication(t *testing.T) {
	cfg := DefaultConfig()
	for _, h := range []telemetry.Hazard{telemetry.SlipperyRoad, telemetry.Obstacle, telemetry.ReducedVisibility, telemetry.RoadWorks, telemetry.WrongWayDriver} {
		for _, bad := range []float64{0, 0.05} {
			for _, rate := range rates {
				c := newCell(uint64(h), h, 0.02, bad)
				passes, alarms := 0, 0
				for c.at < noon+1000*3_600_000 {
					c.next(rate)
					passes++
					if !c.reported { // only a report can publish
						continue
					}
					alarms++
					for _, f := range c.found(&cfg) {
						if f.Published {
							t.Errorf("%s, %.0f %% bad cars, %.0f cars/h: published after %d passes", h, 100*bad, rate, passes)
						}
					}
				}
				if alarms < passes/60 {
					t.Fatalf("only %d alarms in %d passes", alarms, passes)
				}
			}
		}
	}
}

// Cars that always report must not keep a hazard alive that is over.
func TestBadCarsKeepNothingAlive(t *testing.T) {
	cfg := DefaultConfig()
	for _, h := range []telemetry.Hazard{telemetry.SlipperyRoad, telemetry.Accident, telemetry.ReducedVisibility, telemetry.RoadWorks} {
		late, again := 0, 0
		for seed := range uint64(200) {
			w := newTraffic(t, seed)
			at := noon
			for range 20 {
				w.pass(t, at, h, 0)
				at += w.gapMS(60)
			}
			clean := 0
			for clean < 30 {
				at += w.gapMS(60)
				falsely := telemetry.HazardUnknown
				if w.r.Float64() < 0.05 {
					falsely = h
				} else {
					clean++
				}
				w.pass(t, at, 0, falsely)
				if slices.Contains(w.published(at+10_000, &cfg), h) {
					switch {
					case clean > 10:
						again++
					case clean > 4:
						late++
					}
				}
			}
		}
		t.Logf("%s: still published after 5 to 10 clean cars at %d of 1,200 passes, later at %d", h, late, again)
		if late > 12 || again > 0 {
			t.Errorf("%s: bad cars keep it alive: %d, %d", h, late, again)
		}
	}
}

// Around midnight every car gets a new pseudonym: what was published stays so while cars
// confirm it, and nothing starts by cars that seem to be two.
func TestMidnight(t *testing.T) {
	cfg := DefaultConfig()
	midnight := noon + learn.DayMS/2
	w := newTraffic(t, 3)
	at := midnight - 30*60_000
	for at < midnight+30*60_000 {
		w.pass(t, at, telemetry.SlipperyRoad, 0)
		if at > midnight-20*60_000 && !slices.Contains(w.published(at+10_000, &cfg), telemetry.SlipperyRoad) {
			t.Errorf("not published %d s after midnight", (at-midnight)/1000)
		}
		at += w.gapMS(60)
	}
	for range 3 {
		at += 15_000
		w.pass(t, at, 0, 0)
	}
	if p := w.published(at+60_000, &cfg); len(p) > 0 {
		t.Errorf("still %v after three clean cars", p)
	}

	// The same bit on both days is two cars, and only the fuller day is counted.
	var v learn.Vehicles
	v.Add(7)
	row := func(ms int64) learn.Evidence {
		return learn.Evidence{EvidenceKey: learn.EvidenceKey{Kind: learn.HazardEvidence, BucketMS: ms, Key: 2}, Votes: learn.Votes{{Code: Code(telemetry.SlipperyRoad, Strong), N: 1, Vehicles: v}}}
	}
	found := Fuse([]EdgeEvidence{{Edge: 2, Minutes: []learn.Evidence{row(midnight - 60_000), row(midnight)}}}, midnight+1000, &cfg)
	if len(found) != 1 || found[0].Published || found[0].Vehicles != 1 {
		t.Errorf("one car before and after midnight: %+v, want one unpublished finding by one vehicle", found)
	}
}
