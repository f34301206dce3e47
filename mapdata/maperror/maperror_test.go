package maperror_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// origin is well inside a z14 tile, so that the small town around it is, too.
var origin = func() geo.Point {
	b := geo.TileAt(geo.At(42.5, 1.5), road.Zoom).Box()
	return geo.Between(geo.Point{LatE7: b.South, LonE7: b.West}, geo.Point{LatE7: b.North, LonE7: b.East}, 0.3)
}()

// at is a place in metres east and north of the town's origin.
func at(x, y float64) geo.Point {
	return geo.Point{LatE7: origin.LatE7 + int32(y/geo.MetresPerE7), LonE7: origin.LonE7 + int32(x/geo.Scale(origin.LatE7))}
}

// town has two parallel roads to the east, 300 m apart, joined in the middle by a one-way
// to the north, and a road that ends 12 m before the northern one's end.
//
//	4 ------ 5 ------- 6  7 ---- 8
//	         ^
//	1 ------ 2 ------- 3
func town(t *testing.T) (memoryRoads, func(a, b int64) road.Edge) {
	t.Helper()
	places := map[int64]geo.Point{
		1: at(0, 0), 2: at(400, 0), 3: at(800, 0), 4: at(0, 300), 5: at(400, 300), 6: at(800, 300), 7: at(812, 300), 8: at(1100, 300),
	}
	way := func(flags road.Flags, nodes ...int64) road.Way {
		w := road.Way{Nodes: nodes, Attributes: road.Attributes{Class: road.Secondary, Flags: flags}}
		for _, n := range nodes {
			w.Points = append(w.Points, places[n])
		}
		return w
	}
	segs, _ := road.Build([]road.Way{
		way(directions, 1, 2, 3), way(directions, 4, 5, 6), way(road.Forward, 2, 5), way(directions, 7, 8),
	})
	return cut(t, segs), func(a, b int64) road.Edge {
		for _, s := range segs {
			switch {
			case s.From == a && s.To == b:
				return s.ID.Edge(false)
			case s.From == b && s.To == a:
				return s.ID.Edge(true)
			}
		}
		t.Fatalf("no road from %d to %d", a, b)
		return 0
	}
}

// follow drives along a line at 12 m/s with a sample a second.
func follow(r *rand.Rand, startMS int64, line ...geo.Point) []telemetry.Sample {
	var samples []telemetry.Sample
	const noise = 2.0
	for k, far := 0, 12*r.Float64(); far < length(line); k, far = k+1, far+12 {
		rest, i := far, 1
		for ; i < len(line)-1 && rest > geo.DistanceM(line[i-1], line[i]); i++ {
			rest -= geo.DistanceM(line[i-1], line[i])
		}
		p := geo.Between(line[i-1], line[i], rest/geo.DistanceM(line[i-1], line[i]))
		heading := geo.BearingDeg(line[i-1], line[i])
		samples = append(samples, telemetry.Sample{
			T:     startMS + int64(k)*1000,
			LatE7: p.LatE7 + int32(noise*r.NormFloat64()/geo.MetresPerE7), LonE7: p.LonE7 + int32(noise*r.NormFloat64()/geo.Scale(p.LatE7)),
			SpeedCMPS: 1200, HeadingCDeg: uint16(100*heading) % 36000, AccuracyCM: 300,
			Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		})
	}
	return samples
}

// trip is one vehicle's way on a day.
type trip struct {
	vehicle uint64
	day     int64
	line    []geo.Point
}

func trips(first, n int, day int64, line ...geo.Point) []trip {
	var out []trip
	for v := range n {
		out = append(out, trip{uint64(first+v) * 7919, day, line})
	}
	return out
}

// collect drives trips in batches of 10 samples with 3 of lead-in.
func collect(t *testing.T, roads memoryRoads, all []trip) ([]learn.Evidence, map[road.Edge][]maperror.DayPasses) {
	t.Helper()
	var set learn.EvidenceSet
	passes := map[road.Edge][]maperror.DayPasses{}
	m, c := match.New(roads), maperror.NewFollowing(roads, 1)
	for k, trip := range all {
		dayMS := day0 + trip.day*learn.DayMS
		samples := follow(rand.New(rand.NewPCG(trip.vehicle, uint64(trip.day))), dayMS+3600_000+int64(k)*20_000, trip.line...)
		for at := 0; at < len(samples); at += 10 {
			lead := min(at, 3)
			d := &learn.Drive{Vehicle: trip.vehicle, DayMS: dayMS, LeadIn: lead, Samples: samples[at-lead : min(at+10, len(samples))]}
			d.Matches = make([]match.Result, len(d.Samples))
			if err := m.Match(t.Context(), d.Samples, d.Matches); err != nil {
				t.Fatal(err)
			}
			d.Path = m.Path()
			if err := c.Collect(t.Context(), d, &set); err != nil {
				t.Fatal(err)
			}
			for _, r := range d.Matches[lead:] {
				if r.OK {
					pass(passes, r.Edge, dayMS, trip.vehicle)
				}
			}
		}
	}
	return set.Rows(), passes
}

func pass(passes map[road.Edge][]maperror.DayPasses, e road.Edge, dayMS int64, vehicle uint64) {
	for i := range passes[e] {
		if passes[e][i].DayMS == dayMS {
			passes[e][i].N++
			passes[e][i].Vehicles.Add(vehicle)
			return
		}
	}
	passes[e] = append(passes[e], maperror.DayPasses{DayMS: dayMS})
	pass(passes, e, dayMS, vehicle)
}

func input(t *testing.T, roads memoryRoads, evidence []learn.Evidence, passes map[road.Edge][]maperror.DayPasses) maperror.Input {
	t.Helper()
	q := geo.TileAt(origin, road.Zoom).Quadkey()
	g, err := maperror.Area(t.Context(), roads, q)
	if err != nil {
		t.Fatal(err)
	}
	return maperror.Input{Tile: q, Map: g, Evidence: evidence, Passes: passes}
}

func judge(t *testing.T, roads memoryRoads, all []trip, cfg maperror.Config) []maperror.Candidate {
	t.Helper()
	evidence, passes := collect(t, roads, all)
	return maperror.Judge(input(t, roads, evidence, passes), cfg)
}

func TestCandidates(t *testing.T) {
	roads, edge := town(t)
	// A curved road that the map lacks, from the southern to the northern one.
	missing := []geo.Point{at(200, 0), at(180, 60), at(150, 120), at(140, 180), at(150, 240), at(200, 300)}
	through := append(append([]geo.Point{at(20, 0)}, missing...), at(380, 300))
	back := make([]geo.Point, len(through))
	for i, p := range through {
		back[len(back)-1-i] = p
	}
	along := []geo.Point{at(20, 0), at(780, 0)}
	beside := []geo.Point{at(20, 16), at(390, 16)}
	join := func(lists ...[]trip) []trip {
		var out []trip
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	type want struct {
		typ  maperror.Type
		edge road.Edge
	}
	for name, tt := range map[string]struct {
		trips []trip
		cfg   maperror.Config
		want  []want
	}{
		"as mapped": {trips: join(trips(1, 20, 0, along...), trips(50, 20, 0, at(20, 0), at(400, 0), at(400, 300), at(780, 300)))},

		"missing road":             {trips: trips(1, 7, 0, through...), want: []want{{typ: maperror.MissingRoad}}},
		"missing road, both ways":  {trips: join(trips(1, 5, 0, through...), trips(50, 5, 0, back...)), want: []want{{typ: maperror.MissingRoad}}},
		"too few vehicles":         {trips: trips(1, 4, 0, through...)},
		"few vehicles every day":   {trips: join(trips(1, 4, 0, through...), trips(11, 4, 1, through...), trips(21, 4, 2, through...))},
		"one vehicle all the time": {trips: join(trips(1, 1, 0, through...), trips(1, 1, 0, through...), trips(1, 1, 0, through...), trips(1, 1, 0, back...), trips(1, 1, 0, back...))},
		"fewer are enough":         {trips: trips(1, 4, 0, through...), cfg: maperror.Config{MinVehicles: 3}, want: []want{{typ: maperror.MissingRoad}}},
		"but never fewer than k":   {trips: trips(1, 2, 0, through...), cfg: maperror.Config{MinVehicles: 1}},

		"wrong one-way": {
			trips: trips(1, 8, 0, at(780, 300), at(400, 300), at(400, 0), at(20, 0)), want: []want{{maperror.WrongOneWay, edge(5, 2)}},
		},
		"a few drive against a one-way": {trips: join(
			trips(1, 6, 0, at(780, 300), at(400, 300), at(400, 0), at(20, 0)),
			trips(50, 30, 0, at(20, 0), at(400, 0), at(400, 300), at(780, 300)))},

		"moved": {trips: trips(1, 12, 0, beside...), want: []want{{maperror.MovedGeometry, edge(1, 2)}}},
		"moved, half of the positions off every road": {
			trips: trips(1, 12, 0, at(20, 12), at(390, 12)), want: []want{{maperror.MovedGeometry, edge(1, 2)}},
		},
		"some drive beside": {trips: join(trips(1, 4, 0, beside...), trips(50, 40, 0, along...))},

		"missing turn": {
			trips: trips(1, 8, 0, at(500, 300), at(1050, 300)), want: []want{{maperror.MissingTurn, edge(5, 6)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(t, roads, tt.trips, tt.cfg)
			if len(got) != len(tt.want) {
				t.Fatalf("candidates %+v, want %+v", got, tt.want)
			}
			for i, c := range got {
				w := tt.want[i]
				if c.Type != w.typ || w.edge != 0 && c.Edge.Segment() != w.edge.Segment() || w.typ == maperror.WrongOneWay && c.Edge != w.edge {
					t.Errorf("candidate %+v, want %+v", c, w)
				}
				if c.ID == 0 || c.ID >= 1<<53 || c.Score <= 0 || c.Score > 1 || c.FirstMS < day0 || c.LastMS < c.FirstMS || c.Vehicles < learn.DefaultK {
					t.Errorf("implausible candidate %+v", c)
				}
				if c.Type == maperror.MissingRoad {
					for _, p := range c.Geometry {
						if d := distance(through, p); d > 15 {
							t.Errorf("the suggested course is %.0f m off the road", d)
						}
					}
					if l := length(c.Geometry); math.Abs(l-length(missing)) > 60 {
						t.Errorf("the suggested course is %.0f m long, the road %.0f m", l, length(missing))
					}
				}
				if c.Type == maperror.MovedGeometry {
					if d := distance([]geo.Point{at(0, 16), at(400, 16)}, c.Geometry[0]); d > 5 {
						t.Errorf("the suggested course is %.0f m off", d)
					}
				}
			}
		})
	}
}

// TestMovedOrMissing: what is beside a road may be that road, moved, or another one.
func TestMovedOrMissing(t *testing.T) {
	roads, edge := town(t)
	// A dozen vehicles drive 12 m beside the road, half of their positions off every road, and stand for a third of the time.
	all := trips(1, 12, 0, at(20, 12), at(390, 12))
	// One with a bad receiver is on the other side for some seconds.
	all = append(all, trips(90, 1, 0, at(20, -12), at(140, -12))...)
	evidence, passes := collect(t, roads, all)
	for range 12 {
		for v := range uint64(12) {
			pass(passes, edge(1, 2), day0, (1+v)*7919)
		}
	}
	for name, tt := range map[string]struct {
		from, to road.Edge // of a gap that ten vehicles cross
		moved    bool
	}{
		"a bad receiver on the other side":        {0, 0, true},
		"breaks between it and the next road":     {edge(1, 2), edge(2, 3), true},
		"breaks between the road before, and it":  {edge(3, 2), edge(2, 1), true},
		"they come from it to where none leads":   {edge(1, 2), edge(5, 6), false},
		"they come to it from where none leads":   {edge(4, 5), edge(2, 1), false},
		"breaks between roads that don't concern": {edge(4, 5), edge(5, 6), true},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, roads, slices.Clone(evidence), passes)
			if tt.from != 0 {
				v := learn.Vote{Code: uint64(tt.to), N: 10, Sum: [2]int64{10 * 30_000, 10 * 2_000}}
				for k := range uint64(10) {
					v.Vehicles.Add((1 + k) * 7919)
				}
				in.Evidence = append(in.Evidence, learn.Evidence{EvidenceKey: learn.EvidenceKey{Kind: learn.TurnEvidence, BucketMS: day0, Key: uint64(tt.from)}, Votes: learn.Votes{v}})
			}
			moved := false
			got := maperror.Judge(in, maperror.Config{})
			for _, c := range got {
				moved = moved || c.Type == maperror.MovedGeometry && c.Edge.Segment() == edge(1, 2).Segment()
				if tt.moved && c.Type == maperror.MissingRoad {
					t.Errorf("a second candidate of one cause: %+v", c)
				}
			}
			if moved != tt.moved {
				t.Errorf("moved: %v, want %v: %+v", moved, tt.moved, got)
			}
		})
	}
}

// What is found must not depend on the order of drives, nor on how evidence was grouped
// before it was summed.
func TestOrderAndGroupingDoNotMatter(t *testing.T) {
	roads, _ := town(t)
	all := append(trips(1, 9, 0, at(20, 0), at(200, 0), at(150, 150), at(200, 300), at(380, 300)),
		trips(50, 9, 1, at(780, 300), at(400, 300), at(400, 0), at(20, 0))...)
	evidence, passes := collect(t, roads, all)
	want := maperror.Judge(input(t, roads, evidence, passes), maperror.Config{})
	if len(want) < 2 {
		t.Fatalf("only %d candidates", len(want))
	}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var split []learn.Evidence // one row for each vote of each half
	var more map[road.Edge][]maperror.DayPasses
	for _, half := range [][]trip{all[:7], all[7:]} {
		rows, p := collect(t, roads, half)
		for _, e := range rows {
			for _, v := range e.Votes {
				split = append(split, learn.Evidence{EvidenceKey: e.EvidenceKey, Votes: learn.Votes{v}})
			}
		}
		if more == nil {
			more = p
			continue
		}
		for e, days := range p {
			for _, d := range days {
				merge(more, e, d)
			}
		}
	}
	r.Shuffle(len(split), func(i, j int) { split[i], split[j] = split[j], split[i] })
	if diff := cmp.Diff(want, maperror.Judge(input(t, roads, split, more), maperror.Config{})); diff != "" {
		t.Errorf("other order, other candidates (-want +got):\n%s", diff)
	}
}

func merge(passes map[road.Edge][]maperror.DayPasses, e road.Edge, d maperror.DayPasses) {
	for i := range passes[e] {
		if passes[e][i].DayMS == d.DayMS {
			passes[e][i].N += d.N
			passes[e][i].Vehicles.Merge(d.Vehicles)
			return
		}
	}
	passes[e] = append(passes[e], d)
}

func TestIDsOutliveMoreEvidence(t *testing.T) {
	roads, _ := town(t)
	line := []geo.Point{at(20, 0), at(200, 0), at(150, 150), at(200, 300), at(380, 300)}
	before := judge(t, roads, trips(1, 6, 0, line...), maperror.Config{})
	evidence, passes := collect(t, roads, append(trips(1, 6, 0, line...), trips(40, 30, 1, line...)...))
	in := input(t, roads, evidence, passes)
	in.Known = before
	after := maperror.Judge(in, maperror.Config{})
	if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID || after[0].Vehicles <= before[0].Vehicles {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// Only what belongs to counted samples of the pseudonym's day is counted.
func TestLeadInAndOtherDaysAreNotCounted(t *testing.T) {
	roads, _ := town(t)
	samples := follow(rand.New(rand.NewPCG(1, 2)), day0+1000, at(100, 100), at(300, 200))
	drive := func(leadIn int, dayMS int64) int {
		var set learn.EvidenceSet
		d := &learn.Drive{Vehicle: 5, DayMS: dayMS, LeadIn: leadIn, Samples: samples, Matches: make([]match.Result, len(samples))}
		if err := maperror.New(roads).Collect(t.Context(), d, &set); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, e := range set.Rows() {
			for _, v := range e.Votes {
				n += int(v.N)
			}
		}
		return n
	}
	n := drive(0, day0)
	if n < len(samples)-2 {
		t.Errorf("%d samples away from roads counted, of %d", n, len(samples))
	}
	if lead := drive(5, day0); lead > n-5+2 || lead < n-5 {
		t.Errorf("%d counted with 5 of lead-in, %d without", lead, n)
	}
	if other := drive(0, day0-learn.DayMS); other != 0 {
		t.Errorf("%d samples of another day counted", other)
	}
}

// TestClosedRoadTakesTrafficFromOthers: the roads around a closed one are driven less or not at all, too. They
// hide it not, and are no candidates of their own.
func TestClosedRoadTakesTrafficFromOthers(t *testing.T) {
	roads, edge := town(t)
	closed, leadsThere, elsewhere := edge(2, 3), edge(1, 2), edge(4, 5)
	passes := map[road.Edge][]maperror.DayPasses{}
	for day := range int64(8) {
		drive := func(e road.Edge, n uint64) {
			for v := range n {
				pass(passes, e, day0+day*learn.DayMS, v+100*uint64(day))
			}
		}
		drive(elsewhere, 60)
		if day < 5 {
			drive(closed, 40)
			drive(leadsThere, 38)
			drive(edge(7, 8), 1)
		}
	}
	in := input(t, roads, nil, passes)
	in.ThroughMS = day0 + 8*learn.DayMS
	got := maperror.Judge(in, maperror.Config{})
	if len(got) != 1 || got[0].Type != maperror.ClosedRoad || got[0].Edge.Segment() != closed.Segment() {
		t.Fatalf("%+v, want the closed road alone", got)
	}
	if l := length(got[0].Geometry); l < 790 || l > 810 {
		t.Errorf("the stretch is %.0f m long, want both roads' 800", l)
	}
}

// TestSilenceThatAClosureExplains: a road that only those drove who drove on the closed one, too, is
// driven no more because of that, wherever it is. Not so if others drove it, or if the bitmaps are too full to tell.
func TestSilenceThatAClosureExplains(t *testing.T) {
	roads, edge := town(t)
	closed, afar := edge(2, 3), edge(7, 8)
	for name, tt := range map[string]struct {
		drove, shared uint64 // vehicles on the closed road, and how many of the other one's 30 were of them
		want          []road.Edge
	}{
		"all of them":         {60, 30, []road.Edge{closed}},
		"all but strays":      {60, 28, []road.Edge{closed}},
		"half of them":        {60, 15, []road.Edge{closed, afar}},
		"none":                {60, 0, []road.Edge{closed, afar}},
		"too many drive":      {2000, 30, []road.Edge{closed, afar}},
		"the other lost more": {25, 25, []road.Edge{afar}},
		"too many, and none":  {2000, 0, []road.Edge{closed, afar}},
	} {
		t.Run(name, func(t *testing.T) {
			passes := map[road.Edge][]maperror.DayPasses{}
			for day := range int64(8) {
				drive := func(e road.Edge, from, n uint64) {
					for v := range n {
						pass(passes, e, day0+day*learn.DayMS, from+v+10_000*uint64(day))
					}
				}
				drive(edge(4, 5), 5000, 200)
				if day < 5 {
					drive(closed, 0, tt.drove)
					drive(afar, 0, tt.shared)
					drive(afar, 3000, 30-tt.shared)
				}
			}
			in := input(t, roads, nil, passes)
			in.ThroughMS = day0 + 8*learn.DayMS
			var got []road.Edge
			for _, c := range maperror.Judge(in, maperror.Config{}) {
				if c.Type != maperror.ClosedRoad {
					t.Errorf("%+v", c)
				}
				got = append(got, c.Edge.Segment().Edge(false))
			}
			slices.Sort(got)
			for i := range tt.want {
				tt.want[i] = tt.want[i].Segment().Edge(false)
			}
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("closed: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestQuietFleetClosesNoRoad: where fewer vehicles drive everywhere, few on one road are no surprise.
func TestQuietFleetClosesNoRoad(t *testing.T) {
	roads, edge := town(t)
	for name, tt := range map[string]struct {
		elsewhere uint64 // vehicles there on each quiet day
		want      int
	}{"busy": {60, 1}, "nearly nobody": {2, 0}} {
		t.Run(name, func(t *testing.T) {
			passes := map[road.Edge][]maperror.DayPasses{}
			for day := range int64(8) {
				n := uint64(60)
				if day >= 5 {
					n = tt.elsewhere
				}
				for v := range n {
					pass(passes, edge(4, 5), day0+day*learn.DayMS, v+100*uint64(day))
					if day < 5 && v < 20 {
						pass(passes, edge(2, 3), day0+day*learn.DayMS, v+100*uint64(day))
					}
				}
			}
			in := input(t, roads, nil, passes)
			in.ThroughMS = day0 + 8*learn.DayMS
			if got := maperror.Judge(in, maperror.Config{}); len(got) != tt.want {
				t.Errorf("%+v, want %d", got, tt.want)
			}
		})
	}
}

func TestClosedRoad(t *testing.T) {
	roads, edge := town(t)
	closed := edge(2, 3)
	history := func(quiet int, neighbourGoesOn bool) map[road.Edge][]maperror.DayPasses {
		passes := map[road.Edge][]maperror.DayPasses{}
		for day := range int64(10) {
			for v := range uint64(15) {
				if day < int64(10-quiet) {
					pass(passes, closed, day0+day*learn.DayMS, v+100*uint64(day))
				}
				if day < int64(10-quiet) || neighbourGoesOn {
					pass(passes, edge(1, 2), day0+day*learn.DayMS, v+100*uint64(day))
				}
			}
		}
		return passes
	}
	for name, tt := range map[string]struct {
		passes  map[road.Edge][]maperror.DayPasses
		through int64
		want    int
	}{
		"closed for 3 days":      {history(3, true), 10, 1},
		"open":                   {history(0, true), 10, 0},
		"one quiet day":          {history(1, true), 10, 0},
		"nobody drives anywhere": {history(3, false), 10, 0},
		"days not yet complete":  {history(3, true), 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t, roads, nil, tt.passes)
			in.ThroughMS = day0 + tt.through*learn.DayMS
			got := maperror.Judge(in, maperror.Config{})
			if len(got) != tt.want {
				t.Fatalf("%+v, want %d", got, tt.want)
			}
			for _, c := range got {
				if c.Type != maperror.ClosedRoad || c.Edge.Segment() != closed.Segment() {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}
