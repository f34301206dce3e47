package hazard

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// cars is the bitmap of cars by their bits.
func cars(bits ...int) (v learn.Vehicles) {
	for _, b := range bits {
		v[b/64] |= 1 << (b % 64)
	}
	return v
}

// vote is a row of evidence in a minute after noon, its reports in the middle of the minute.
func vote(minute int64, h telemetry.Hazard, s Strength, bits ...int) learn.Evidence {
	n := uint32(len(bits))
	return learn.Evidence{
		EvidenceKey: learn.EvidenceKey{Kind: learn.HazardEvidence, BucketMS: noon + minute*learn.MinuteMS, Key: 2},
		Votes:       learn.Votes{{Code: Code(h, s), N: n, Sum: [2]int64{30_000 * int64(n), 0}, Vehicles: cars(bits...)}},
	}
}

func passed(minute int64, bits ...int) learn.Pass {
	return learn.Pass{MinuteMS: noon + minute*learn.MinuteMS, Vehicles: cars(bits...)}
}

func at(minute int64) int64 { return noon + minute*learn.MinuteMS + 59_000 }

func TestFuse(t *testing.T) {
	const slip, wrong, brake = telemetry.SlipperyRoad, telemetry.WrongWayDriver, telemetry.HardBraking
	type votes = []learn.Evidence
	for _, tt := range []struct {
		name      string
		votes     votes
		passes    []learn.Pass
		minute    int64
		published []telemetry.Hazard
	}{
		{"nothing", nil, []learn.Pass{passed(0, 1, 2)}, 0, nil},
		{"one strong report", votes{vote(0, slip, Strong, 1)}, nil, 0, nil},
		{"two", votes{vote(0, slip, Strong, 1, 2)}, nil, 0, []telemetry.Hazard{slip}},
		{"two in two minutes", votes{vote(0, slip, Strong, 1), vote(3, slip, Strong, 2)}, nil, 3, []telemetry.Hazard{slip}},
		{"one car again and again", votes{vote(0, slip, Strong, 1), vote(1, slip, Strong, 1), vote(3, slip, Strong, 1), vote(9, slip, Strong, 1)}, nil, 9, nil},
		{"event and signal of one car in two batches, and another's", votes{vote(0, slip, EventAlone, 1), vote(1, slip, SignalAlone, 1), vote(1, slip, Strong, 2)}, nil, 1, []telemetry.Hazard{slip}},
		{"three signals", votes{vote(0, slip, SignalAlone, 1, 2, 3)}, nil, 0, []telemetry.Hazard{slip}},
		{"three events", votes{vote(0, slip, EventAlone, 1, 2, 3)}, nil, 0, nil},
		{"seven events", votes{vote(0, slip, EventAlone, 1, 2, 3, 4, 5, 6, 7)}, nil, 0, []telemetry.Hazard{slip}},
		{"seven events among clean passes", votes{vote(0, slip, EventAlone, 1, 2, 3, 4, 5, 6, 7)}, []learn.Pass{passed(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)}, 0, nil},
		{"too old", votes{vote(0, slip, Strong, 1, 2, 3)}, nil, 62, nil},
		{"faded", votes{vote(0, slip, Strong, 1, 2, 3)}, nil, 35, nil},
		{"ahead of the clock", votes{vote(4, slip, Strong, 1, 2)}, nil, 0, []telemetry.Hazard{slip}},
		{"too far ahead", votes{vote(7, slip, Strong, 1, 2)}, nil, 0, nil},
		{"three clean passes", votes{vote(0, slip, Strong, 1, 2, 3, 4)}, []learn.Pass{passed(1, 5, 6, 7)}, 1, nil},
		{"three clean passes in the minute of the last reports", votes{vote(0, slip, Strong, 1, 2), vote(1, slip, Strong, 3, 4)}, []learn.Pass{passed(1, 5, 6, 7)}, 1, nil},
		{"three clean passes in the minute of the first reports", votes{vote(0, slip, Strong, 1, 2)}, []learn.Pass{passed(0, 5, 6, 7)}, 0, []telemetry.Hazard{slip}}, // perhaps before them
		{"one clean pass", votes{vote(0, slip, Strong, 1, 2, 3, 4)}, []learn.Pass{passed(1, 5)}, 1, []telemetry.Hazard{slip}},
		{"few misses in dense traffic", votes{vote(0, slip, Strong, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)}, []learn.Pass{passed(0, 20, 21)}, 0, []telemetry.Hazard{slip}},
		{"reporters that stay on the edge", votes{vote(0, slip, Strong, 1, 2)}, []learn.Pass{passed(0, 1, 2), passed(1, 1, 2), passed(2, 1, 2), passed(3, 1, 2)}, 3, []telemetry.Hazard{slip}},
		{"reporters that come back", votes{vote(0, slip, Strong, 1, 2)}, []learn.Pass{passed(0, 1, 2), passed(5, 1, 2)}, 5, nil},
		{"wrong way: one strong report", votes{vote(0, wrong, Strong, 1)}, nil, 0, []telemetry.Hazard{wrong}},
		{"wrong way, seen a minute later", votes{vote(0, wrong, Strong, 1)}, nil, 2, []telemetry.Hazard{wrong}},
		{"wrong way, soon over", votes{vote(0, wrong, Strong, 1)}, nil, 6, nil},
		{"wrong way on a small road", votes{vote(0, wrong, SignalAlone, 1)}, nil, 0, nil},
		{"everybody drives the wrong way", votes{vote(0, wrong, Strong, 1), vote(5, wrong, Strong, 2), vote(9, wrong, Strong, 3)}, nil, 9, nil},
		{"two brake hard", votes{vote(0, brake, Strong, 1, 2)}, nil, 0, nil},
		{"three brake hard", votes{vote(0, brake, Strong, 1, 2, 3)}, nil, 0, []telemetry.Hazard{brake}},
		{"hazard lights go with what is named", votes{vote(0, telemetry.Accident, Strong, 1), vote(0, warningLights, SignalAlone, 2, 3)}, []learn.Pass{passed(0, 1, 2, 3)}, 0, []telemetry.Hazard{telemetry.Accident}},
		{"hazard lights go with what is named, though most brake", votes{vote(0, telemetry.Accident, Strong, 1), vote(0, telemetry.HardBraking, SignalAlone, 2, 3), vote(0, warningLights, SignalAlone, 2, 3)}, []learn.Pass{passed(0, 1, 2, 3)}, 0, []telemetry.Hazard{telemetry.Accident}},
		{"hazard lights go with braking where another name is not borne out", votes{vote(0, telemetry.Accident, EventAlone, 1), vote(0, telemetry.HardBraking, Strong, 2), vote(0, telemetry.HardBraking, SignalAlone, 3), vote(0, warningLights, SignalAlone, 2, 3, 4)}, []learn.Pass{passed(0, 1, 2, 3, 4)}, 0, []telemetry.Hazard{telemetry.HardBraking}},
		{"hazard lights only", votes{vote(0, warningLights, SignalAlone, 1, 2, 3)}, nil, 0, []telemetry.Hazard{telemetry.Obstacle}},
		{"who calls it otherwise is not unaware", votes{vote(0, telemetry.Accident, Strong, 1, 2, 3), vote(1, telemetry.Obstacle, EventAlone, 4, 5)}, []learn.Pass{passed(1, 4, 5)}, 1, []telemetry.Hazard{telemetry.Accident}},
		{"fog does not excuse from ice", votes{vote(0, slip, Strong, 1, 2, 3), vote(1, telemetry.ReducedVisibility, Strong, 4, 5, 6)}, []learn.Pass{passed(1, 4, 5, 6)}, 1, []telemetry.Hazard{telemetry.ReducedVisibility}},
		{"stays into the next minute with lights alone", votes{vote(0, telemetry.Accident, Strong, 1), vote(1, warningLights, SignalAlone, 1, 2)}, []learn.Pass{passed(0, 1), passed(1, 1, 2)}, 1, []telemetry.Hazard{telemetry.Accident}},
		{"comes back and has less to say", votes{vote(0, slip, Strong, 1), vote(5, slip, EventAlone, 1), vote(5, slip, SignalAlone, 2)}, []learn.Pass{passed(0, 1), passed(5, 1, 2)}, 5, nil},
		{"old false alarms of another name don't take the lights", votes{vote(0, telemetry.Obstacle, EventAlone, 20, 21), vote(40, telemetry.Accident, Strong, 1), vote(40, warningLights, SignalAlone, 2)}, nil, 40, []telemetry.Hazard{telemetry.Accident}},
		{
			"again, amid clean passes, soon after it ended",
			votes{vote(0, telemetry.Accident, Strong, 1, 2, 3, 4), vote(5, telemetry.Accident, Strong, 30, 31)},
			[]learn.Pass{passed(1, 5, 6), passed(2, 8, 9), passed(3, 10, 11), passed(4, 12, 13), passed(5, 14, 15, 16, 17, 18)},
			5,
			[]telemetry.Hazard{telemetry.Accident},
		},
		{"codes of a newer version", votes{vote(0, 60, Strong, 1, 2, 3)}, nil, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			var got []telemetry.Hazard
			for _, f := range Fuse([]EdgeEvidence{{Edge: 2, Minutes: tt.votes, Passes: tt.passes}}, at(tt.minute), &cfg) {
				if f.Published {
					got = append(got, f.Category)
				}
				if !(f.Probability >= 0 && f.Probability <= 1) || f.StartMS == 0 || f.FirstMS < f.StartMS || f.LastMS < f.StartMS {
					t.Errorf("finding %+v", f)
				}
			}
			if !slices.Equal(got, tt.published) {
				t.Errorf("published %v, want %v", got, tt.published)
			}
		})
	}
}

func TestFindingCounts(t *testing.T) {
	cfg := DefaultConfig()
	got := Fuse([]EdgeEvidence{{
		Edge:    2,
		Minutes: []learn.Evidence{vote(0, telemetry.Accident, Strong, 1, 2), vote(2, telemetry.Accident, Strong, 3)},
		Passes:  []learn.Pass{passed(2, 3), passed(3, 9)},
	}}, at(3), &cfg)
	if len(got) != 1 {
		t.Fatalf("found %+v, want one", got)
	}
	want := Finding{
		Category: telemetry.Accident, Edge: 2, Published: true, Vehicles: 3, Clean: 1, Probability: got[0].Probability,
		StartMS: noon, FirstMS: noon + 30_000, LastMS: noon + 3*learn.MinuteMS,
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("finding (-want +got):\n%s", diff)
	}
}

// Sums don't depend on the order of rows, on how they were split, or on repetition.
func TestFuseInvariance(t *testing.T) {
	cfg := DefaultConfig()
	for seed := range uint64(40) {
		w := newTraffic(t, seed)
		r := w.r
		now := noon
		for range 40 {
			h := []telemetry.Hazard{telemetry.SlipperyRoad, telemetry.Accident, 0, 0}[r.IntN(4)]
			w.pass(t, now, h, 0)
			now += w.gapMS(90)
		}
		edges := w.evidence(0)
		want := Fuse(edges, now, &cfg)
		for round := range 5 {
			other := slices.Clone(edges)
			for i := range other {
				e := &other[i]
				e.Minutes, e.Passes = slices.Clone(e.Minutes), slices.Clone(e.Passes)
				if round%2 == 0 { // fold what belongs together
					var set learn.EvidenceSet
					for _, row := range e.Minutes {
						for _, v := range row.Votes {
							set.Add(row.EvidenceKey, v)
						}
					}
					e.Minutes = slices.Clone(set.Rows())
				}
				if round > 2 {
					e.Minutes = append(e.Minutes, e.Minutes...)
					e.Passes = append(e.Passes, e.Passes...)
				}
				r.Shuffle(len(e.Minutes), func(i, j int) { e.Minutes[i], e.Minutes[j] = e.Minutes[j], e.Minutes[i] })
				r.Shuffle(len(e.Passes), func(i, j int) { e.Passes[i], e.Passes[j] = e.Passes[j], e.Passes[i] })
			}
			r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
			if diff := cmp.Diff(want, Fuse(other, now, &cfg)); diff != "" {
				t.Fatalf("seed %d, round %d (-want +got):\n%s", seed, round, diff)
			}
		}
	}
}

func TestLastVotes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		strong []int // minutes in which the one car reported strongly
		event  []int
		passed []int
		votes  []int // where its vote is: minute, negative for a clean pass
	}{
		{"passes", nil, nil, []int{3, 4}, []int{-4}},
		{"reports, then passes on", []int{3}, nil, []int{3, 4, 5}, []int{3}},
		{"reports again later", []int{3, 8}, nil, []int{3, 8}, []int{8}},
		{"comes back, notices nothing", []int{3}, nil, []int{3, 5}, []int{-5}},
		{"the stronger report of a minute", []int{3}, []int{3}, nil, []int{3}},
		{"the newest report of a visit", []int{3}, []int{4}, []int{3, 4, 5}, []int{4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := make([]minute, 12)
			for _, i := range tt.strong {
				m[i].strong = cars(7)
			}
			for _, i := range tt.event {
				m[i].event = cars(7)
			}
			for _, i := range tt.passed {
				m[i].passed = cars(7)
			}
			lastVotes(m, noon)
			var got []int
			for i := range m {
				if m[i].strong.AtLeast()+m[i].event.AtLeast() > 1 {
					t.Errorf("minute %d: two votes", i)
				}
				if m[i].reported().AtLeast() > 0 {
					got = append(got, i)
				}
				if m[i].passed.AtLeast() > 0 {
					got = append(got, -i)
				}
			}
			if !slices.Equal(got, tt.votes) {
				t.Errorf("votes at %v, want %v", got, tt.votes)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"window":    func(c *Config) { c.Window = 2 * time.Hour },
		"ahead":     func(c *Config) { c.Ahead = -1 },
		"prior":     func(c *Config) { c.Categories[1].Prior = 0 },
		"end":       func(c *Config) { c.Categories[2].End = 0.9 },
		"rates":     func(c *Config) { c.Categories[3].On.Event = 0.99 },
		"half-life": func(c *Config) { c.Categories[4].HalfLife = 0 },
		"vehicles":  func(c *Config) { c.Categories[6].MaxVehicles = -1 },
		"NaN":       func(c *Config) { c.Categories[5].Off.Signal = math.NaN() },
	} {
		c := DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The log-odds stay finite however much is said.
func TestFuseExtremes(t *testing.T) {
	cfg := DefaultConfig()
	all := make([]int, learn.VehicleBits)
	for i := range all {
		all[i] = i
	}
	e := EdgeEvidence{Edge: 2}
	for m := range int64(60) {
		for h := telemetry.HazardUnknown; int(h) < categories; h++ {
			for s := EventAlone; s <= Strong; s++ {
				e.Minutes = append(e.Minutes, vote(m, h, s, all...))
			}
		}
		e.Passes = append(e.Passes, passed(m, all...))
	}
	for _, f := range Fuse([]EdgeEvidence{e}, at(59), &cfg) {
		if math.IsNaN(f.Probability) || f.Probability > 1 {
			t.Errorf("%s: probability %v", f.Category, f.Probability)
		}
	}
}

func BenchmarkFuse(b *testing.B) {
	cfg := DefaultConfig()
	edges := make([]EdgeEvidence, 1000)
	r := newRand(1)
	for i := range edges {
		edges[i].Edge = road.Edge(2 * (i + 1))
		for m := range int64(60) {
			edges[i].Passes = append(edges[i].Passes, passed(m, r.IntN(128), r.IntN(128)))
			if r.IntN(20) == 0 {
				edges[i].Minutes = append(edges[i].Minutes, vote(m, telemetry.SlipperyRoad, Strong, r.IntN(128)))
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Fuse(edges, at(59), &cfg)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(edges)), "ns/edge")
}

func BenchmarkCollect(b *testing.B) {
	s := newStreet(b)
	var set learn.EvidenceSet
	for _, bb := range []struct {
		name   string
		change func(*learn.Drive)
	}{
		{"quiet", func(*learn.Drive) {}},
		{"hazard", func(d *learn.Drive) { event(d, 7, telemetry.SlipperyRoad, 900); d.Samples[8].On = telemetry.ABSActive }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			d := along(s, 14)
			bb.change(d)
			c := New(s)
			b.ReportAllocs()
			for b.Loop() {
				set.Reset()
				if err := c.Collect(b.Context(), d, &set); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestCellEvidence(t *testing.T) {
	cfg := DefaultConfig()
	key := learn.CellKey(geo.At(42.5, 1.5), 0)
	row := vote(0, telemetry.Obstacle, Strong, 1, 2)
	row.Kind, row.Key = learn.HazardCellEvidence, key
	got := Fuse([]EdgeEvidence{{Cell: key, Minutes: []learn.Evidence{row}}}, at(0), &cfg)
	if len(got) != 1 || !got[0].Published || got[0].Cell != key || got[0].Edge != 0 {
		t.Errorf("found %+v, want one in the cell", got)
	}
}
