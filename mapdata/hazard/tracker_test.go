package hazard

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// chain is n edges of 100 m that follow one another eastward: 2, 4, 6, …
func chain(n int) Spots {
	s := Spots{}
	for i := range n {
		s[road.Edge(2*(i+1))] = Spot{At: geo.At(0, float64(i)*0.0009), From: int64(i), To: int64(i + 1)}
	}
	return s
}

func finding(h telemetry.Hazard, e road.Edge, change ...func(*Finding)) Finding {
	f := Finding{Category: h, Edge: e, Probability: 0.9, Published: true, Vehicles: 3, StartMS: noon, FirstMS: noon + 5000, LastMS: noon + 7000}
	for _, c := range change {
		c(&f)
	}
	return f
}

// apply is the state after changes.
func apply(known []Hazard, c Changes) []Hazard {
	out := slices.Clone(known)
	for _, x := range slices.Concat(c.Updated, c.Ended) {
		out[slices.IndexFunc(out, func(k Hazard) bool { return k.ID == x.ID })] = x
	}
	return append(out, c.Started...)
}

func TestTrackLife(t *testing.T) {
	const slip = telemetry.SlipperyRoad
	spots := chain(8)
	var known []Hazard
	step := func(name string, started, updated, ended int, nowMS int64, findings ...Finding) {
		t.Helper()
		c := Track(known, findings, spots, nowMS)
		if len(c.Started) != started || len(c.Updated) != updated || len(c.Ended) != ended {
			t.Fatalf("%s: %+v, want %d started, %d updated, %d ended", name, c, started, updated, ended)
		}
		known = apply(known, c)
		if again := Track(known, findings, spots, nowMS+1000); !again.Empty() {
			t.Fatalf("%s: the same again changes %+v", name, again)
		}
	}
	hold := func(f *Finding) { f.Published, f.Probability = false, 0.4 }
	step("nothing", 0, 0, 0, noon)
	step("probable only", 0, 0, 0, noon, finding(slip, 4, hold))
	step("starts", 1, 0, 0, noon+10_000, finding(slip, 4), finding(slip, 6))
	first := known[0]
	if first.Edge != 4 || !slices.Equal(first.Edges, []road.Edge{4, 6}) || first.At != spots[4].At || first.StartedMS != noon+5000 || first.ID == 0 || first.ID >= 1<<53 {
		t.Errorf("started as %+v", first)
	}
	step("hardly changes", 0, 0, 0, noon+11_000, finding(slip, 4, func(f *Finding) { f.Probability = 0.87 }), finding(slip, 6))
	step("grows, and not by what is only probable", 0, 1, 0, noon+12_000, finding(slip, 4), finding(slip, 6), finding(slip, 8), finding(slip, 10, hold))
	step("holds, not told yet", 0, 0, 0, noon+20_000, finding(slip, 4, hold), finding(slip, 6, hold), finding(slip, 8, hold))
	step("holds", 0, 1, 0, noon+72_000, finding(slip, 4, hold), finding(slip, 6, hold), finding(slip, 8, hold))
	step("loses its first edge, not told yet", 0, 0, 0, noon+80_000, finding(slip, 6, hold), finding(slip, 8, hold))
	step("loses its first edge", 0, 1, 0, noon+132_000, finding(slip, 6, hold), finding(slip, 8, hold))
	if k := known[0]; k.ID != first.ID || k.Edge != 6 || k.StartedMS != first.StartedMS {
		t.Errorf("became %+v, want the same hazard from edge 6 on", k)
	}
	step("grows at once", 0, 1, 0, noon+140_000, finding(slip, 4), finding(slip, 6, hold), finding(slip, 8, hold))
	vehicles := func(n int) func(*Finding) { return func(f *Finding) { hold(f); f.Vehicles = n } }
	calm := []Finding{finding(slip, 4), finding(slip, 6, hold), finding(slip, 8, hold)}
	step("a few more vehicles", 0, 0, 0, noon+210_000, append(slices.Clone(calm[:2]), finding(slip, 8, vehicles(5)))...)
	step("many more vehicles", 0, 1, 0, noon+220_000, append(slices.Clone(calm[:2]), finding(slip, 8, vehicles(6)))...)
	step("ends at once", 0, 0, 1, noon+221_000)
	if k := known[0]; k.Active() || k.EndedMS != noon+221_000 || k.Probability != 0 {
		t.Errorf("ended as %+v", k)
	}
	step("again, from the same minute", 1, 0, 0, noon+230_000, finding(slip, 4))
	if known[1].ID == first.ID {
		t.Error("the id of an ended hazard was given again")
	}
}

func TestTrackGroups(t *testing.T) {
	const slip, obstacle = telemetry.SlipperyRoad, telemetry.Obstacle
	cell := func(h telemetry.Hazard, lat, lon float64) Finding {
		return finding(h, 0, func(f *Finding) { f.Cell = learn.CellKey(geo.At(lat, lon), 0) })
	}
	two := chain(12)
	two[3] = Spot{At: two[2].At, From: two[2].To, To: two[2].From} // 2 the other way
	for _, tt := range []struct {
		name     string
		findings []Finding
		want     [][]road.Edge
	}{
		{"edges that follow", []Finding{finding(obstacle, 2), finding(obstacle, 4), finding(obstacle, 6)}, [][]road.Edge{{2, 4, 6}}},
		{"a gap", []Finding{finding(obstacle, 2), finding(obstacle, 6)}, [][]road.Edge{{2}, {6}}},
		{"a gap within an area", []Finding{finding(slip, 2), finding(slip, 6)}, [][]road.Edge{{2, 6}}},
		{"a wide gap", []Finding{finding(slip, 2), finding(slip, 12)}, [][]road.Edge{{2}, {12}}},
		{"both directions", []Finding{finding(obstacle, 2), finding(obstacle, 3)}, [][]road.Edge{{2}, {3}}},
		{"both directions of an area", []Finding{finding(slip, 2), finding(slip, 3)}, [][]road.Edge{{2, 3}}},
		{"two categories", []Finding{finding(slip, 2), finding(obstacle, 2)}, [][]road.Edge{{2}, {2}}},
		{"edges that the map has not", []Finding{finding(slip, 1000), finding(slip, 1002)}, nil},
		{"cells", []Finding{cell(obstacle, 10, 10), cell(obstacle, 10, 10.001), cell(obstacle, 11, 10)}, [][]road.Edge{nil, nil}},
		{"a cell by the road", []Finding{cell(slip, 0, 0.001), finding(slip, 2)}, [][]road.Edge{{2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Track(nil, tt.findings, two, noon)
			var got [][]road.Edge
			for _, x := range c.Started {
				got = append(got, x.Edges)
			}
			order := slices.Compare[[]road.Edge]
			slices.SortFunc(got, order)
			slices.SortFunc(tt.want, order)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("hazards (-want +got):\n%s", diff)
			}
			if again := Track(apply(nil, c), tt.findings, two, noon); !again.Empty() {
				t.Errorf("the same again changes %+v", again)
			}
			slices.Reverse(tt.findings)
			if diff := cmp.Diff(c, Track(nil, tt.findings, two, noon)); diff != "" {
				t.Errorf("in another order (-want +got):\n%s", diff)
			}
		})
	}
}

// Two hazards that grow into one: the older stays.
func TestTrackMerge(t *testing.T) {
	const accident = telemetry.Accident
	spots := chain(3)
	later := func(f *Finding) { f.StartMS, f.FirstMS = noon+60_000, noon+61_000 }
	known := apply(nil, Track(nil, []Finding{finding(accident, 2, later), finding(accident, 6)}, spots, noon))
	c := Track(known, []Finding{finding(accident, 2, later), finding(accident, 4), finding(accident, 6)}, spots, noon+90_000)
	if len(c.Started) != 0 || len(c.Updated) != 1 || len(c.Ended) != 1 {
		t.Fatalf("%+v, want one updated and one ended", c)
	}
	if u := c.Updated[0]; u.StartedMS != noon+5000 || u.Edge != 6 || !slices.Equal(u.Edges, []road.Edge{2, 4, 6}) {
		t.Errorf("merged into %+v, want the older one, on all edges", u)
	}
	known = apply(known, c)
	// It falls apart again, and stays one.
	if c := Track(known, []Finding{finding(accident, 2, later), finding(accident, 6)}, spots, noon+150_000); len(c.Updated) != 1 || len(c.Started)+len(c.Ended) != 0 {
		t.Errorf("without its middle: %+v, want one update", c)
	}
}

// A hazard takes in a bounded number of edges.
func TestTrackBound(t *testing.T) {
	spots := chain(3 * maxEdges)
	var findings []Finding
	for e := range spots {
		findings = append(findings, finding(telemetry.SlipperyRoad, e))
	}
	c := Track(nil, findings, spots, noon)
	total := 0
	for _, x := range c.Started {
		total += len(x.Edges)
		if len(x.Edges) > maxEdges {
			t.Errorf("a hazard of %d edges", len(x.Edges))
		}
	}
	if total != len(spots) || len(c.Started) > 12 {
		t.Errorf("%d hazards with %d edges, want few with %d", len(c.Started), total, len(spots))
	}
	if again := Track(apply(nil, c), findings, spots, noon); !again.Empty() {
		t.Errorf("the same again changes %d", len(again.Started)+len(again.Updated)+len(again.Ended))
	}
}

// Weather is one hazard a tile, which does not move with the vehicles that drive into it.
func TestTrackWeather(t *testing.T) {
	const fog = telemetry.ReducedVisibility
	here, there := geo.TileAt(geo.At(42.5, 1.5), road.Zoom).Quadkey(), geo.TileAt(geo.At(42.5, 1.6), road.Zoom).Quadkey()
	edge := func(q uint32, n uint64) road.Edge { return road.SegmentID(uint64(q)<<24 | n).Edge(false) }
	spots, all := Spots{}, []Finding(nil)
	for n := range uint64(300) {
		for i, q := range []uint32{here, there} {
			e := edge(q, n+1)
			spots[e] = Spot{At: geo.At(42.5, 1.5+0.1*float64(i)), From: -int64(2*n + 1), To: -int64(2*n + 2)}
			all = append(all, finding(fog, e))
		}
	}
	if q := edge(here, 1).Quadkey(); q != here {
		t.Fatalf("edges of tile %d are made in %d", here, q)
	}
	all = append(all, finding(fog, 0, func(f *Finding) { f.Cell = learn.CellKey(geo.At(42.5, 1.5), 0) }))
	first := Track(nil, all[:2], spots, noon)
	if len(first.Started) != 2 || len(first.Started[0].Edges) != 1 {
		t.Fatalf("started %+v, want one a tile", first.Started)
	}
	if c := Track(nil, all, spots, noon); len(c.Started) != 2 || c.Started[0].ID != first.Started[0].ID || c.Started[1].ID != first.Started[1].ID {
		t.Errorf("from all edges %+v, want the same ids as from one a tile", c.Started)
	}
	known := apply(nil, first)
	if c := Track(known, all, spots, noon+3_600_000); !c.Empty() {
		t.Errorf("spread within their tiles: %+v, want nothing to tell", c)
	}
	if c := Track(known, all[2:], spots, noon+3_600_000); !c.Empty() {
		t.Errorf("over where they began: %+v, want nothing to tell", c)
	}
	if c := Track(known, all[2:3], spots, noon+1000); len(c.Ended) != 1 || len(c.Started)+len(c.Updated) != 0 || tileOf(&c.Ended[0]) != there {
		t.Errorf("over in one tile: %+v, want it to end there", c)
	}
	// As it was told before: all edges, and several hazards in a tile.
	old := []Hazard{
		{ID: 1, Category: fog, Edge: edge(here, 1), Edges: []road.Edge{edge(here, 1), edge(here, 2), edge(there, 1)}, Probability: 0.9, Vehicles: 3, StartedMS: noon},
		{ID: 2, Category: fog, Edge: edge(here, 3), Edges: []road.Edge{edge(here, 3)}, Probability: 0.9, Vehicles: 3, StartedMS: noon + 1},
	}
	if c := Track(old, all, spots, noon+1000); len(c.Updated) != 1 || len(c.Updated[0].Edges) != 1 || len(c.Ended) != 1 || c.Ended[0].ID != 2 || len(c.Started) != 1 {
		t.Errorf("many became %+v, want one a tile", c)
	}
}

// Random lives: ids are unique, nothing ends twice, and projectors that see the findings in another
// order agree.
func TestTrackRandom(t *testing.T) {
	spots := chain(30)
	for seed := range uint64(6) {
		r := newRand(seed)
		var known []Hazard
		for n := range int64(200) {
			var findings []Finding
			for e := range spots {
				for _, h := range []telemetry.Hazard{telemetry.SlipperyRoad, telemetry.Accident, telemetry.ReducedVisibility} {
					if r.IntN(4) == 0 {
						findings = append(findings, finding(h, e, func(f *Finding) {
							f.Published, f.Probability, f.Vehicles = r.IntN(2) == 0, r.Float64(), 1+r.IntN(9)
							f.StartMS = noon + n/20*60_000
							f.FirstMS, f.LastMS = f.StartMS, f.StartMS
						}))
					}
				}
			}
			now := noon + n*20_000
			c := Track(known, findings, spots, now)
			r.Shuffle(len(findings), func(i, j int) { findings[i], findings[j] = findings[j], findings[i] })
			r.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
			if diff := cmp.Diff(c, Track(known, findings, spots, now)); diff != "" {
				t.Fatalf("seed %d: in another order (-want +got):\n%s", seed, diff)
			}
			known = apply(known, c)
			if again := Track(known, findings, spots, now); !again.Empty() {
				t.Fatalf("seed %d: the same again changes %+v", seed, again)
			}
			seen := map[uint64]bool{}
			on := map[telemetry.Hazard]map[road.Edge]bool{}
			for _, k := range known {
				if seen[k.ID] || k.ID == 0 || k.ID >= 1<<53 {
					t.Fatalf("seed %d: id %d given twice, or out of range", seed, k.ID)
				}
				seen[k.ID] = true
				for _, e := range k.Edges {
					if !k.Active() {
						continue
					}
					if on[k.Category] == nil {
						on[k.Category] = map[road.Edge]bool{}
					}
					if on[k.Category][e] {
						t.Fatalf("seed %d: two active hazards of a category on edge %d", seed, e)
					}
					on[k.Category][e] = true
				}
			}
		}
	}
}

func TestSurvey(t *testing.T) {
	s := newStreet(t)
	spots := Spots{}
	if err := spots.Survey(t.Context(), s, s.before, s.zone, s.zone.Reverse(), 0, s.zone^4); err != nil {
		t.Fatal(err)
	}
	if len(spots) != 3 || spots[s.before].To != spots[s.zone].From || spots[s.zone].From != spots[s.zone.Reverse()].To {
		t.Errorf("spots %+v", spots)
	}
	if d := geo.DistanceM(spots[s.zone].At, geo.At(42.5, 1.5015)); d > 1 {
		t.Errorf("the zone is drawn %.1f m beside its middle", d)
	}
	if err := spots.Survey(t.Context(), broken{}, s.off); err == nil {
		t.Error("no error without a map")
	}
}

func BenchmarkTrack(b *testing.B) {
	spots := chain(1000)
	var findings []Finding
	for e := range spots {
		if e%10 < 6 {
			findings = append(findings, finding(telemetry.SlipperyRoad, e))
		}
	}
	known := apply(nil, Track(nil, findings, spots, noon))
	b.ReportAllocs()
	for b.Loop() {
		Track(known, findings, spots, noon+1000)
	}
}

func TestNoHazardOnARoadThatTheMapHasNot(t *testing.T) {
	f := Finding{Category: telemetry.SlipperyRoad, Edge: 4 << 25, Published: true, Probability: 0.99, Vehicles: 5, FirstMS: 1000, LastMS: 2000}
	if got := Track(nil, []Finding{f}, Spots{}, 3000); !got.Empty() {
		t.Errorf("told where nothing is: %+v", got)
	}
	known := Hazard{ID: 1, Category: telemetry.SlipperyRoad, Edge: f.Edge, Edges: []road.Edge{f.Edge}, StartedMS: 500}
	if got := Track([]Hazard{known}, []Finding{f}, Spots{}, 3000); len(got.Ended) != 1 {
		t.Errorf("goes on where no road is any more: %+v", got)
	}
}
