package match_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// both runs a test with all that vehicles report and with positions only.
func both(t *testing.T, test func(t *testing.T, bare bool)) {
	t.Run("everything reported", func(t *testing.T) { test(t, false) })
	t.Run("positions only", func(t *testing.T) { test(t, true) })
}

func wantNames(t *testing.T, w *world, path []match.Step, want ...string) {
	t.Helper()
	if got := w.names(path); !slices.Equal(got, want) {
		t.Errorf("drove %q, want %q", got, want)
	}
}

// TestParallelCarriageways drives both carriageways of a road, 12 m apart, with noise of
// 4 m: the direction tells them apart, and nobody drives the wrong way.
func TestParallelCarriageways(t *testing.T) {
	w := build(t,
		line{name: "east", at: []xy{{0, 0}, {1500, 0}}, oneWay: true, class: road.Primary},
		line{name: "west", at: []xy{{1500, 12}, {0, 12}}, oneWay: true, class: road.Primary},
	)
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(20) {
			for want, course := range map[string][]xy{"east": {{0, 0}, {1500, 0}}, "west": {{1500, 12}, {0, 12}}} {
				m := run(t, w, ride{course: course, speed: 15, noise: 4, bare: bare, seed: seed}.samples())
				wantNames(t, w, m.path, want)
				if n, _ := m.wrongWay(); n > 0 || m.breaks() > 0 {
					t.Errorf("seed %d: %d samples the wrong way, %d breaks", seed, n, m.breaks())
				}
			}
		}
	})
}

// TestParallelRoads drives a motorway beside a residential street: the speed says which.
func TestParallelRoads(t *testing.T) {
	w := build(t,
		line{name: "motorway", at: []xy{{0, 0}, {2000, 0}}, oneWay: true, class: road.Motorway},
		line{name: "street", at: []xy{{0, 14}, {2000, 14}}, class: road.Residential},
	)
	m := run(t, w, ride{course: []xy{{0, 8}, {2000, 8}}, speed: 33, accuracy: 5}.samples())
	if got := m.share(w, "motorway"); got < 1 {
		t.Errorf("%.0f %% on the motorway", 100*got)
	}
	m = run(t, w, ride{course: []xy{{0, 8}, {2000, 8}}, speed: 9, accuracy: 5}.samples())
	if got := m.share(w, "street"); got < 1 {
		t.Errorf("%.0f %% on the street", 100*got)
	}
}

// grid is a town of streets 100 m apart; one-way ones alternate if asked for.
func grid(n int, oneWay bool) []line {
	var lines []line
	for k := range n {
		var we, sn []xy
		for j := range n {
			we, sn = append(we, xy{float64(100 * j), float64(100 * k)}), append(sn, xy{float64(100 * k), float64(100 * j)})
		}
		if oneWay && k%2 == 1 {
			slices.Reverse(we)
			slices.Reverse(sn)
		}
		lines = append(lines,
			line{name: fmt.Sprint("we", k), at: we, oneWay: oneWay, class: road.Residential},
			line{name: fmt.Sprint("sn", k), at: sn, oneWay: oneWay, class: road.Residential})
	}
	return lines
}

func TestTurnsInAGrid(t *testing.T) {
	w := build(t, grid(6, false)...)
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(20) {
			m := run(t, w, ride{course: []xy{{20, 0}, {200, 0}, {200, 300}, {400, 300}, {400, 180}}, speed: 8, noise: 4, bare: bare, seed: seed}.samples())
			wantNames(t, w, m.path, "we0", "sn2", "we3", "-sn4")
		}
	})
}

// TestOneWayDetour jumps 60 s at a time: the way between must respect one-way streets.
func TestOneWayDetour(t *testing.T) {
	w := build(t, grid(8, true)...)
	m := run(t, w, ride{course: []xy{{0, 0}, {600, 0}, {600, 400}, {200, 400}, {200, 700}}, speed: 6, everyS: 30, bare: true}.samples())
	for _, s := range m.path {
		if s.WrongWay {
			t.Errorf("drove %s the wrong way", w.name(s.Edge))
		}
	}
	if m.breaks() > 0 {
		t.Errorf("%d breaks", m.breaks())
	}
}

func TestSparseSampling(t *testing.T) {
	w := build(t, grid(12, false)...)
	course := []xy{{20, 0}, {500, 0}, {500, 500}, {900, 500}, {900, 1080}}
	for _, every := range []float64{1, 5, 15, 30, 60} {
		t.Run(fmt.Sprintf("every %.0f s", every), func(t *testing.T) {
			m := run(t, w, ride{course: course, speed: 9, noise: 4, bare: true, everyS: every, seed: 3}.samples())
			if m.breaks() > 0 {
				t.Errorf("%d breaks", m.breaks())
			}
			var driven float64
			for _, s := range m.path {
				driven += float64(s.ToM - s.FromM)
			}
			if want := 480 + 500 + 400 + 580.; math.Abs(driven-want) > 9*every+40 {
				t.Errorf("drove %.0f m, want %.0f", driven, want)
			}
			if every <= 15 {
				wantNames(t, w, m.path, "we0", "sn5", "we5", "sn9")
			}
		})
	}
}

// TestForbiddenTurn has a turn that must not be made, and a way around the block.
func TestForbiddenTurn(t *testing.T) {
	block := func(notTo string) *world {
		return build(t,
			line{name: "from", at: []xy{{0, 0}, {300, 0}}, notTo: notTo}, line{name: "on", at: []xy{{300, 0}, {400, 0}, {700, 0}}},
			line{name: "up", at: []xy{{400, 0}, {400, 100}}}, line{name: "over", at: []xy{{400, 100}, {300, 100}}},
			line{name: "to", at: []xy{{300, 0}, {300, 100}}}, line{name: "far", at: []xy{{300, 100}, {300, 500}}},
		)
	}
	around := ride{course: []xy{{0, 0}, {400, 0}, {400, 100}, {300, 100}, {300, 500}}, speed: 10, fromM: 100, bare: true}
	turning := ride{course: []xy{{0, 0}, {300, 0}, {300, 500}}, speed: 10, noise: 3}
	tests := map[string]struct {
		notTo     string
		ride      ride
		everyS    float64
		forbidden int
		want      []string
	}{
		"a way of a minute avoids it":      {"to", around, 60, 0, []string{"from", "on", "up", "over", "far"}},
		"it would be the shortest":         {"", around, 60, 0, []string{"from", "to", "far"}},
		"who goes around does not make it": {"to", around, 2, 0, []string{"from", "on", "up", "over", "far"}},
		"who makes it is seen to":          {"to", turning, 1, 1, []string{"from", "to", "far"}},
		"where it is allowed, nothing is":  {"", turning, 1, 0, []string{"from", "to", "far"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := block(tt.notTo)
			for seed := range uint64(10) {
				tt.ride.everyS, tt.ride.seed = tt.everyS, seed
				m := run(t, w, tt.ride.samples())
				wantNames(t, w, m.path, tt.want...)
				n := 0
				for _, s := range m.path {
					if s.Forbidden {
						n++
					}
				}
				if n != tt.forbidden || m.breaks() > 0 {
					t.Errorf("seed %d: %d forbidden turns, %d breaks", seed, n, m.breaks())
				}
			}
		})
	}
}

// circle is a ring of n places, counter-clockwise.
func circle(c xy, r float64, n int) []xy {
	var ring []xy
	for k := range n + 1 {
		sin, cos := math.Sincos(2 * math.Pi * float64(k%n) / float64(n))
		ring = append(ring, xy{math.Round(c.x + r*cos), math.Round(c.y + r*sin)})
	}
	return ring
}

func TestRoundabout(t *testing.T) {
	ring := circle(xy{0, 0}, 20, 16) // 0: east, 4: north, 8: west, 12: south
	w := build(t,
		line{name: "ring", at: ring, oneWay: true, flags: road.Roundabout},
		line{name: "east", at: []xy{{300, 0}, ring[0]}},
		line{name: "north", at: []xy{ring[4], {0, 300}}},
		line{name: "west", at: []xy{ring[8], {-300, 0}}},
		line{name: "south", at: []xy{ring[12], {0, -300}}},
	)
	right := append([]xy{{0, -300}}, ring[12:]...) // from the south: a quarter
	right = append(right, xy{300, 0})
	left := append([]xy{{0, -300}}, ring[12:]...) // three quarters
	left = append(append(left, ring[1:9]...), xy{-300, 0})
	around := append([]xy{{0, -300}}, ring[12:]...) // and back
	around = append(append(around, ring[1:13]...), xy{0, -300})
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(10) {
			for want, course := range map[string][]xy{"-east": right, "west": left, "south": around} {
				m := run(t, w, ride{course: course, speed: 7, noise: 2.5, bare: bare, seed: seed}.samples())
				wantNames(t, w, m.path, "-south", "ring", want)
				if n, _ := m.wrongWay(); n > 0 {
					t.Errorf("%d samples the wrong way", n)
				}
			}
		}
	})
}

// TestRamp leaves a motorway on a ramp that runs beside it for long, and stays on it.
func TestRamp(t *testing.T) {
	w := build(t,
		line{name: "motorway", at: []xy{{0, 0}, {500, 0}, {2000, 0}}, oneWay: true, class: road.Motorway},
		line{name: "ramp", at: []xy{{500, 0}, {600, -10}, {900, -14}, {1000, -60}, {1000, -300}}, oneWay: true, class: road.MotorwayLink},
	)
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(10) {
			m := run(t, w, ride{course: []xy{{0, 0}, {500, 0}, {600, -10}, {900, -14}, {1000, -60}, {1000, -300}}, speed: 20, noise: 4, bare: bare, seed: seed}.samples())
			wantNames(t, w, m.path, "motorway", "ramp")
			m = run(t, w, ride{course: []xy{{0, 0}, {2000, 0}}, speed: 30, noise: 4, bare: bare, seed: seed}.samples())
			wantNames(t, w, m.path, "motorway")
		}
	})
}

// TestTunnel has no positions for three minutes: the way through the tunnel is filled in.
func TestTunnel(t *testing.T) {
	w := build(t,
		line{name: "before", at: []xy{{0, 0}, {500, 0}}, class: road.Trunk},
		line{name: "tunnel", at: []xy{{500, 0}, {2000, 400}, {4000, 0}}, class: road.Trunk, flags: road.Tunnel},
		line{name: "after", at: []xy{{4000, 0}, {4500, 0}}, class: road.Trunk},
		line{name: "over", at: []xy{{500, 0}, {1500, -2500}, {4000, 0}}, class: road.Tertiary},
	)
	both(t, func(t *testing.T, bare bool) {
		samples := ride{course: []xy{{0, 0}, {500, 0}, {2000, 400}, {4000, 0}, {4500, 0}}, speed: 20, noise: 3, bare: bare}.samples()
		samples = slices.DeleteFunc(samples, func(s telemetry.Sample) bool { return s.T > 26_000 && s.T < 203_000 })
		m := run(t, w, samples)
		wantNames(t, w, m.path, "before", "tunnel", "after")
		if m.breaks() > 0 {
			t.Errorf("%d breaks", m.breaks())
		}
		tunnel := m.path[1]
		if took := float64(tunnel.LeaveMS-tunnel.EnterMS) / 1000; tunnel.Last-tunnel.First > 4 || math.Abs(took-180) > 5 {
			t.Errorf("%.0f s in the tunnel with samples %d to %d", took, tunnel.First, tunnel.Last)
		}
	})
}

// TestParked stands for ten minutes, with noise; before and after it drives.
func TestParked(t *testing.T) {
	w := build(t, grid(4, false)...)
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(10) {
			samples := ride{course: []xy{{20, 100}, {160, 100}}, speed: 10, noise: 3, bare: bare, seed: seed}.samples()
			rnd := rand.New(rand.NewPCG(seed, 9))
			t0 := samples[len(samples)-1].T
			for k := range 600 {
				s := sampleAt(xy{160 + 3*rnd.NormFloat64(), 100 + 3*rnd.NormFloat64()}, t0+1000*int64(k+1), 360*rnd.Float64(), 0.2*rnd.Float64(), 3)
				if bare {
					s.Has = 0
				}
				samples = append(samples, s)
			}
			samples = append(samples, ride{course: []xy{{160, 100}, {280, 100}}, speed: 10, noise: 3, bare: bare, seed: seed, startMS: t0 + 601_000}.samples()...)
			m := run(t, w, samples)
			wantNames(t, w, m.path, "we1")
			if len(m.path) != 3 || m.breaks() > 0 { // three segments between junctions
				t.Errorf("seed %d: %d steps, %d breaks", seed, len(m.path), m.breaks())
			}
		}
	})
}

// TestJitter only stands: one step, no turning round.
func TestJitter(t *testing.T) {
	w := build(t, line{name: "road", at: []xy{{0, 0}, {500, 0}}})
	rnd := rand.New(rand.NewPCG(4, 4))
	var samples []telemetry.Sample
	ex, ey := 0., 0.
	for k := range 300 {
		ex, ey = 0.9*ex+2.2*rnd.NormFloat64(), 0.9*ey+2.2*rnd.NormFloat64()
		s := sampleAt(xy{250 + ex, ey}, int64(k)*1000, 0, 0, 5)
		s.Has = 0
		samples = append(samples, s)
	}
	m := run(t, w, samples)
	if len(m.path) != 1 || m.share(w, w.name(m.path[0].Edge)) < 1 {
		t.Errorf("%d steps, %q", len(m.path), w.names(m.path))
	}
}

func TestUTurn(t *testing.T) {
	w := build(t, line{name: "road", at: []xy{{0, 0}, {1000, 0}}})
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(10) {
			m := run(t, w, ride{course: []xy{{0, 0}, {600, 0}, {600, 4}, {100, 4}}, speed: 10, noise: 3, bare: bare, seed: seed}.samples())
			wantNames(t, w, m.path, "road", "-road")
			if at := m.path[0].ToM; math.Abs(float64(at)-600) > 25 || m.breaks() > 0 {
				t.Errorf("seed %d: turned at %.0f m, %d breaks", seed, at, m.breaks())
			}
		}
	})
}

// TestTeleport jumps 5 km: a break, and no way between. A single spike is left out.
func TestTeleport(t *testing.T) {
	w := build(t, line{name: "road", at: []xy{{0, 0}, {6000, 0}}})
	both(t, func(t *testing.T, bare bool) {
		samples := ride{course: []xy{{0, 0}, {300, 0}}, speed: 10, bare: bare}.samples()
		n := len(samples)
		samples = append(samples, ride{course: []xy{{5000, 0}, {5300, 0}}, speed: 10, bare: bare, startMS: samples[n-1].T + 1000}.samples()...)
		m := run(t, w, samples)
		if m.breaks() != 1 || !m.results[n].Break || len(m.path) != 2 {
			t.Errorf("%d breaks, path %+v", m.breaks(), m.path)
		}
		samples = ride{course: []xy{{0, 0}, {600, 0}}, speed: 10, bare: bare}.samples()
		spike := xy{3000, 0}.point()
		samples[30].LatE7, samples[30].LonE7 = spike.LatE7, spike.LonE7
		m = run(t, w, samples)
		if m.breaks() != 0 || m.results[30].OK || len(m.path) != 1 {
			t.Errorf("spike: %d breaks, %+v", m.breaks(), m.results[30])
		}
	})
}

// TestNoRouteIsABreak changes to a road that the other does not lead to.
func TestNoRouteIsABreak(t *testing.T) {
	w := build(t,
		line{name: "one", at: []xy{{0, 0}, {500, 0}}},
		line{name: "other", at: []xy{{500, 40}, {1000, 40}}},
	)
	m := run(t, w, ride{course: []xy{{0, 0}, {480, 0}, {520, 40}, {1000, 40}}, speed: 10, accuracy: 5}.samples())
	wantNames(t, w, m.path, "one", "other")
	if m.breaks() != 1 {
		t.Errorf("%d breaks", m.breaks())
	}
}

// TestOffRoad leaves the road for a place without roads: those samples have none. Where
// the vehicle comes back near by it goes on, where the way between is another one not.
func TestOffRoad(t *testing.T) {
	w := build(t,
		line{name: "road", at: []xy{{0, 0}, {500, 0}, {500, 600}, {0, 600}}},
	)
	m := run(t, w, ride{course: []xy{{100, 0}, {200, 0}, {250, 45}, {300, 0}, {400, 0}}, speed: 8, accuracy: 4}.samples())
	off := 0
	for _, r := range m.results {
		if !r.OK {
			off++
		}
	}
	if off < 2 || m.breaks() > 0 {
		t.Errorf("beside the road: %d samples without a road, %d breaks", off, m.breaks())
	}
	m = run(t, w, ride{course: []xy{{100, 0}, {200, 0}, {200, 600}, {100, 600}}, speed: 8, accuracy: 4}.samples())
	if m.breaks() != 1 || len(m.path) != 2 {
		t.Errorf("across country: %d breaks, path %q", m.breaks(), w.names(m.path))
	}
}

// TestFrozen repeats a position for 20 s at speed: it counts nowhere, and the way goes on.
func TestFrozen(t *testing.T) {
	w := build(t, line{name: "road", at: []xy{{0, 0}, {1500, 0}}})
	samples := ride{course: []xy{{0, 0}, {1200, 0}}, speed: 15}.samples()
	for k := 21; k <= 40; k++ {
		samples[k].LatE7, samples[k].LonE7 = samples[20].LatE7, samples[20].LonE7
	}
	m := run(t, w, samples)
	for k, r := range m.results {
		if frozen := k >= 21 && k <= 40; r.OK == frozen {
			t.Errorf("sample %d: %+v", k, r)
		}
	}
	if len(m.path) != 1 || m.breaks() > 0 {
		t.Errorf("path %+v", m.path)
	}
}

func TestDuplicateTimes(t *testing.T) {
	w := build(t, line{name: "road", at: []xy{{0, 0}, {1500, 0}}})
	both(t, func(t *testing.T, bare bool) {
		samples := ride{course: []xy{{0, 0}, {600, 0}}, speed: 12, bare: bare}.samples()
		for k := 1; k < len(samples); k += 2 {
			samples[k].T = samples[k-1].T
		}
		m := run(t, w, samples)
		wantNames(t, w, m.path, "road")
		if m.breaks() > 0 || m.share(w, "road") < 1 {
			t.Errorf("%d breaks, %.0f %% matched", m.breaks(), 100*m.share(w, "road"))
		}
	})
}

// TestWrongWay drives against a one-way street for 150 m.
func TestWrongWay(t *testing.T) {
	w := build(t,
		line{name: "in", at: []xy{{-300, 0}, {0, 0}}},
		line{name: "oneway", at: []xy{{150, 0}, {75, 2}, {0, 0}}, oneWay: true},
		line{name: "out", at: []xy{{150, 0}, {400, 0}}},
		line{name: "around", at: []xy{{0, 0}, {0, 200}, {150, 200}, {150, 0}}},
	)
	course := []xy{{-300, 0}, {0, 0}, {75, 2}, {150, 0}, {400, 0}}
	both(t, func(t *testing.T, bare bool) {
		for seed := range uint64(10) {
			m := run(t, w, ride{course: course, speed: 9, noise: 2.5, bare: bare, seed: seed}.samples())
			wantNames(t, w, m.path, "in", "-oneway", "out")
			samples, steps := m.wrongWay()
			if steps != 1 || samples < 10 || m.breaks() > 0 {
				t.Errorf("seed %d: %d samples and %d steps the wrong way, %d breaks", seed, samples, steps, m.breaks())
			}
		}
	})
	t.Run("in batches", func(t *testing.T) {
		samples := ride{course: course, speed: 9, noise: 2.5}.samples()
		wrong := 0
		for at := 0; at < len(samples); at += 10 {
			from, to := max(at-3, 0), min(at+10, len(samples))
			m := run(t, w, samples[from:to])
			for _, r := range m.results[at-from:] {
				if r.WrongWay {
					wrong++
				}
			}
		}
		if wrong < 10 {
			t.Errorf("%d samples the wrong way", wrong)
		}
	})
}

// TestNotWrongWay is what must not be taken for driving the wrong way.
func TestNotWrongWay(t *testing.T) {
	w := build(t,
		line{name: "oneway", at: []xy{{1000, 0}, {0, 0}}, oneWay: true},
		line{name: "cross", at: []xy{{500, -300}, {500, 0}, {500, 300}}},
	)
	back := func(s []telemetry.Sample, n int) []telemetry.Sample { // headings of n samples reversed
		for k := range n {
			s[20+k].HeadingCDeg = (s[20+k].HeadingCDeg + 18000) % 36000
		}
		return s
	}
	tests := map[string][]telemetry.Sample{
		"two headings reversed": back(ride{course: []xy{{1000, 0}, {0, 0}}, speed: 12}.samples(), 2),
		"crossing it":           ride{course: []xy{{500, -300}, {500, 300}}, speed: 4, noise: 4}.samples(),
		"rolling back 10 m": append(ride{course: []xy{{1000, 0}, {800, 0}}, speed: 8}.samples(),
			ride{course: []xy{{800, 0}, {810, 0}}, speed: 2, bare: true, startMS: 26_000}.samples()...),
	}
	for name, samples := range tests {
		t.Run(name, func(t *testing.T) {
			if n, steps := run(t, w, samples).wrongWay(); n > 0 || steps > 0 {
				t.Errorf("%d samples, %d steps the wrong way", n, steps)
			}
		})
	}
}

// TestAcrossPartitions drives 9 km over several tiles, on a road whose segments are longer
// than a tile and on one of short ones.
func TestAcrossPartitions(t *testing.T) {
	var short []xy
	var lines []line
	for x := 0.; x <= 9000; x += 90 {
		short = append(short, xy{x, 30 * math.Sin(x/200)})
		lines = append(lines, line{name: "side", at: []xy{{x, 30 * math.Sin(x/200)}, {x, 30*math.Sin(x/200) + 80}}})
	}
	lines = append(lines, line{name: "short", at: short}, line{name: "long", at: []xy{{0, -400}, {4500, -800}, {9000, -400}}})
	w := build(t, lines...)
	for name, course := range map[string][]xy{"short": short, "long": {{0, -400}, {4500, -800}, {9000, -400}}} {
		for _, every := range []float64{1, 10, 60} {
			t.Run(fmt.Sprintf("%s, every %.0f s", name, every), func(t *testing.T) {
				m := run(t, w, ride{course: course, speed: 25, noise: 4, bare: true, everyS: every}.samples())
				tiles := map[uint32]bool{}
				for _, s := range m.path {
					tiles[s.Edge.Quadkey()] = true
				}
				wantNames(t, w, m.path, name)
				if m.breaks() > 0 || name == "short" && len(tiles) < 4 {
					t.Errorf("%d breaks over %d tiles", m.breaks(), len(tiles))
				}
			})
		}
	}
}

// TestLoop drives the same way round a block three times: thrice on the path.
func TestLoop(t *testing.T) {
	w := build(t, grid(3, false)...)
	lap := []xy{{0, 0}, {100, 0}, {100, 100}, {0, 100}}
	course := append(append(append([]xy{{0, 50}}, lap...), lap...), lap...)
	course = append(course, xy{0, 50})
	m := run(t, w, ride{course: course, speed: 8, noise: 2, seed: 2}.samples())
	n := 0
	for _, name := range w.names(m.path) {
		if name == "we0" {
			n++
		}
	}
	if n != 3 || m.breaks() > 0 {
		t.Errorf("drove we0 %d times, %d breaks: %q", n, m.breaks(), w.names(m.path))
	}
}

func TestEmptyBatch(t *testing.T) {
	m := match.New(build(t, line{name: "road", at: []xy{{0, 0}, {100, 0}}}))
	if err := m.Match(t.Context(), nil, nil); err != nil || len(m.Path()) != 0 {
		t.Errorf("%v, path %v", err, m.Path())
	}
}

// TestBoundedPartitions drives 180 km in samples a minute apart: what is loaded stays in
// proportion to the way, and what can't be loaded is an error, wherever it is met.
func TestBoundedPartitions(t *testing.T) {
	var at []xy
	for x := 0.; x <= 180_000; x += 500 {
		at = append(at, xy{x, 300 * math.Sin(x/3000)})
	}
	w := build(t, line{name: "road", at: at, class: road.Motorway})
	samples := ride{course: at, speed: 30, everyS: 60, bare: true}.samples()
	w.loads = 0
	m := run(t, w, samples)
	if m.breaks() > 0 || w.loads > 8*len(samples) {
		t.Errorf("%d breaks, %d partitions opened for %d samples", m.breaks(), w.loads, len(samples))
	}
	for n := range 20 {
		f := &failing{world: w, after: n}
		if err := match.New(f).Match(t.Context(), samples, make([]match.Result, len(samples))); !errors.Is(err, errBroken) {
			t.Errorf("after %d partitions: %v", n, err)
		}
	}
}

var errBroken = errors.New("broken")

// failing fails after some partitions.
type failing struct {
	*world
	after int
}

func (f *failing) Partition(ctx context.Context, q uint32) (*road.Partition, error) {
	if f.after--; f.after < 0 {
		return nil, errBroken
	}
	return f.world.Partition(ctx, q)
}

// TestManyEquallyFar has more roads at the same distance, since they meet there, than are
// looked at: the nearest road is always among those.
func TestManyEquallyFar(t *testing.T) {
	for shift := range 20 {
		y := 10 * float64(shift)
		lines := []line{{name: "road", at: []xy{{0, y}, {600, y}}}}
		for k := range 9 {
			lines = append(lines, line{name: "star", at: []xy{{200, y - 30}, {50 * float64(k), y - 300}}})
		}
		w := build(t, lines...)
		m := run(t, w, ride{course: []xy{{200, y + 4}, {350, y + 4}}, speed: 5, everyS: 15, bare: true}.samples())
		if got := m.share(w, "road"); got < 1 {
			t.Errorf("%.0f %% on the road", 100*got)
		}
	}
}

// TestJunctionOfAStep: how far the junction reaches by which a road was entered is known where
// more than two roads meet, and never more than half of the road.
func TestJunctionOfAStep(t *testing.T) {
	w := build(t,
		line{name: "in", at: []xy{{0, 0}, {300, 0}}},
		line{name: "side", at: []xy{{300, 0}, {300, 200}}, oneWay: true},
		line{name: "short", at: []xy{{300, 0}, {312, 0}}},
		line{name: "up", at: []xy{{312, 0}, {312, 200}}, oneWay: true},
		line{name: "on", at: []xy{{312, 0}, {600, 0}}},
		line{name: "further", at: []xy{{600, 0}, {900, 0}}},
	)
	m := run(t, w, ride{course: []xy{{0, 0}, {900, 0}}, speed: 15}.samples())
	want := []struct {
		name string
		m    float64
	}{{"in", 0}, {"short", 6}, {"on", 10}, {"further", 0}}
	if len(m.path) != len(want) {
		t.Fatalf("%d steps, want %d", len(m.path), len(want))
	}
	for i, s := range m.path {
		if w.name(s.Edge) != want[i].name || math.Abs(float64(s.JunctionM)-want[i].m) > 0.1 {
			t.Errorf("step %d on %q: the junction reaches %.1f m, want %q and %.0f", i, w.name(s.Edge), s.JunctionM, want[i].name, want[i].m)
		}
	}
}
