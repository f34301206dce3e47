package maperror_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/osm"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

const day0 = int64(1_764_028_800_000) // a UTC midnight

// memoryRoads is a road graph cut into partitions, in memory.
type memoryRoads map[uint32]*road.Partition

func (m memoryRoads) Partition(_ context.Context, q uint32) (*road.Partition, error) {
	if p := m[q]; p != nil {
		return p, nil
	}
	p, err := road.NewPartition(q, nil)
	if err == nil {
		m[q] = p
	}
	return p, err
}

func cut(tb testing.TB, segs []road.Segment) memoryRoads {
	tb.Helper()
	in := map[uint32]map[road.SegmentID]road.Segment{}
	for _, s := range segs {
		add := func(q uint32) {
			if in[q] == nil {
				in[q] = map[road.SegmentID]road.Segment{}
			}
			in[q][s.ID] = s
		}
		road.TouchedTiles(s.Shape, road.MarginM, add)
		add(s.ID.Quadkey())
	}
	out := memoryRoads{}
	for q, list := range in {
		p, err := road.NewPartition(q, slices.Collect(maps.Values(list)))
		if err != nil {
			tb.Fatal(err)
		}
		out[q] = p
	}
	return out
}

func andorra(tb testing.TB) []road.Way {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/paulmach/osm").Output()
	path := filepath.Join(strings.TrimSpace(string(dir)), "testdata", "andorra-latest.osm.bz2")
	b, readErr := os.ReadFile(path)
	if err != nil || readErr != nil {
		tb.Fatalf("no map of Andorra (%v, %v): run `go mod download github.com/paulmach/osm`", err, readErr)
	}
	extract, _, err := osm.Read(tb.Context(), bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return extract.Ways
}

// broken is a map with known errors.
type broken struct {
	ways    []road.Way
	removed map[int]bool // places in the true ways
	flipped map[int]bool
}

const directions = road.Forward | road.Backward

func breakMap(ways []road.Way, r *rand.Rand, removed, flipped float64) broken {
	b := broken{removed: map[int]bool{}, flipped: map[int]bool{}}
	for i, w := range ways {
		oneWay := w.Flags&directions != directions
		switch {
		case r.Float64() < removed:
			b.removed[i] = true
			continue
		case oneWay && r.Float64() < flipped:
			b.flipped[i] = true
			w.Flags ^= directions
		}
		b.ways = append(b.ways, w)
	}
	return b
}

// truth is what cars drive on: the true graph, and the way that each segment is of.
type truth struct {
	graph *road.Graph
	way   map[road.SegmentID]int
}

func newTruth(tb testing.TB, ways []road.Way) truth {
	tb.Helper()
	segs, _ := road.Build(ways)
	g, err := road.NewGraph(segs, geo.EmptyBox())
	if err != nil {
		tb.Fatal(err)
	}
	type ends struct {
		a, b geo.Point
		n    int64
	}
	of := map[ends]int{}
	for i, w := range ways {
		for k := range w.Points {
			for _, d := range [2]int{-1, 1} {
				if k+d >= 0 && k+d < len(w.Points) {
					of[ends{w.Points[k], w.Points[k+d], w.Nodes[k]}] = i
				}
			}
		}
	}
	t := truth{g, map[road.SegmentID]int{}}
	for _, s := range segs {
		i, ok := of[ends{s.Shape[0], s.Shape[1], s.From}]
		if !ok {
			tb.Fatalf("segment %d is of no way", s.ID)
		}
		t.way[s.ID] = i
	}
	return t
}

// fault is what is wrong with a car's receiver.
type fault int

const (
	sound fault = iota
	offset
	frozen
	teleporting
)

// drive takes random turns on the true graph for n samples, with correlated noise of 4 m
// (1 sigma a coordinate), 5° and 0.3 m/s, and reports the ways driven.
func (t truth) drive(r *rand.Rand, n int, everyMS int64, f fault, visit func(way int)) []telemetry.Sample {
	g := t.graph
	var samples []telemetry.Sample
	i := road.NoIndex
	for i < 0 || !g.Allowed(i) || g.LengthM(i) < 50 {
		i = road.Index(r.IntN(g.NumIndexes()))
	}
	const noise = 4.0
	dt := float64(everyMS) / 1000
	rho := math.Pow(0.9, dt)
	at, ex, ey := 0.0, noise*r.NormFloat64(), noise*r.NormFloat64()
	var offX, offY float64
	if f == offset {
		far, deg := 20+40*r.Float64(), 2*math.Pi*r.Float64()
		offX, offY = far*math.Sin(deg), far*math.Cos(deg)
	}
	start := day0 + 3600_000 + r.Int64N(20*3600_000)
	var stuck geo.Point
	stuckFor, away := 0, 0
	for k := range n {
		speed := g.FreeKMH(i) / 3.6 * 0.9
		at += speed * dt
		for at > g.LengthM(i) {
			at -= g.LengthM(i)
			next := i.Reverse() // a dead end
			if out := g.Out(g.Target(i)); len(out) > 0 {
				next = out[r.IntN(len(out))]
				for k := 0; k < 4 && next == i.Reverse(); k++ {
					next = out[r.IntN(len(out))]
				}
			} else if !g.Allowed(next) {
				return samples
			}
			i = next
			if at <= g.LengthM(i) || everyMS > 1000 {
				visit(t.way[g.Edge(i).Segment()])
			}
		}
		visit(t.way[g.Edge(i).Segment()])
		p, heading := g.PointAt(i, at)
		ex = rho*ex + math.Sqrt(1-rho*rho)*noise*r.NormFloat64()
		ey = rho*ey + math.Sqrt(1-rho*rho)*noise*r.NormFloat64()
		heading = math.Mod(heading+5*r.NormFloat64()+720, 360)
		x, y := ex+offX, ey+offY
		if f == teleporting {
			switch {
			case away > 0:
				away--
				x, y = x+offX, y+offY
			case r.IntN(15) == 0:
				away = r.IntN(6)
				far, deg := 60+400*r.Float64(), 2*math.Pi*r.Float64()
				offX, offY = far*math.Sin(deg), far*math.Cos(deg)
			default:
				offX, offY = 0, 0
			}
		}
		q := geo.Point{LatE7: p.LatE7 + int32(y/geo.MetresPerE7), LonE7: p.LonE7 + int32(x/geo.Scale(p.LatE7))}
		if f == frozen {
			if stuckFor == 0 && r.IntN(12) == 0 {
				stuck, stuckFor = q, 5+r.IntN(20)
			}
			if stuckFor > 0 {
				q = stuck
				stuckFor--
			}
		}
		samples = append(samples, telemetry.Sample{
			T: start + int64(k)*everyMS, LatE7: q.LatE7, LonE7: q.LonE7,
			SpeedCMPS: uint16(100 * max(speed+0.3*r.NormFloat64(), 0)), HeadingCDeg: uint16(100*heading) % 36000,
			AccuracyCM: 100 * noise, Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		})
	}
	return samples
}

// experiment is a fleet that drives on the truth while the map is broken.
type experiment struct {
	cars, samples int
	everyMS       int64
	bad           float64 // share of cars with bad receivers
	removed       float64
	flipped       float64
	seed          uint64
}

// outcome is how well the errors were found, of those driven by enough cars.
type outcome struct {
	removed, removedFound int
	flipped, flippedFound int
	candidates, false     int // false ones among them
	samples, votes        int
	missed, wrong         []string
	perType               map[maperror.Type]int
}

const enoughCars = 10

func (x experiment) run(tb testing.TB, ways []road.Way) outcome {
	tb.Helper()
	r := rand.New(rand.NewPCG(x.seed, 77))
	t := newTruth(tb, ways)
	b := breakMap(ways, r, x.removed, x.flipped)
	segs, _ := road.Build(b.ways)
	roads := cut(tb, segs)

	drove := make([]map[int]bool, len(ways)) // cars on each way
	var set learn.EvidenceSet
	passes := map[road.Edge][]maperror.DayPasses{}
	m := match.New(roads)
	c := maperror.New(roads)
	out := outcome{perType: map[maperror.Type]int{}}
	results := make([]match.Result, 13)
	for car := range x.cars {
		f := sound
		if r.Float64() < x.bad {
			f = fault(1 + r.IntN(3))
		}
		samples := t.drive(r, x.samples, x.everyMS, f, func(way int) {
			if f != sound {
				return
			}
			if drove[way] == nil {
				drove[way] = map[int]bool{}
			}
			drove[way][car] = true
		})
		out.samples += len(samples)
		vehicle := r.Uint64()
		for at := 0; at < len(samples); at += 10 {
			lead := min(at, 3)
			batch := samples[at-lead : min(at+10, len(samples))]
			if err := m.Match(tb.Context(), batch, results); err != nil {
				tb.Fatal(err)
			}
			d := &learn.Drive{
				Vehicle: vehicle, DayMS: day0, LeadIn: lead, Samples: batch,
				Matches: results[:len(batch)], Path: m.Path(),
			}
			if err := c.Collect(tb.Context(), d, &set); err != nil {
				tb.Fatal(err)
			}
			for _, res := range d.Matches[lead:] {
				if !res.OK {
					continue
				}
				if passes[res.Edge] == nil {
					passes[res.Edge] = []maperror.DayPasses{{DayMS: day0}}
				}
				passes[res.Edge][0].N++
				passes[res.Edge][0].Vehicles.Add(vehicle)
			}
		}
	}
	candidates := judgeAll(tb, roads, set.Rows(), passes)
	for _, e := range set.Rows() {
		out.votes += len(e.Votes)
	}
	x.score(&out, candidates, ways, b, roads, drove)
	return out
}

func judgeAll(tb testing.TB, roads memoryRoads, evidence []learn.Evidence, passes map[road.Edge][]maperror.DayPasses) []maperror.Candidate {
	tb.Helper()
	byTile := map[uint32][]learn.Evidence{}
	for _, e := range evidence {
		byTile[uint32(e.Key>>25)] = append(byTile[uint32(e.Key>>25)], e)
	}
	tiles := map[uint32]bool{}
	for q := range byTile {
		for _, n := range maperror.Neighbours(q) {
			tiles[n] = true
		}
	}
	var candidates []maperror.Candidate
	for _, q := range slices.Sorted(maps.Keys(tiles)) {
		in := maperror.Input{Tile: q, Passes: passes}
		for _, n := range maperror.Neighbours(q) {
			in.Evidence = append(in.Evidence, byTile[n]...)
		}
		g, err := maperror.Area(tb.Context(), roads, q)
		if err != nil {
			tb.Fatal(err)
		}
		in.Map = g
		candidates = append(candidates, maperror.Judge(in, maperror.Config{})...)
	}
	return candidates
}

func (x experiment) score(out *outcome, candidates []maperror.Candidate, ways []road.Way, b broken, roads memoryRoads, drove []map[int]bool) {
	const nearM = 30.0
	found := map[int]bool{}
	edgesOf := map[int][]road.Edge{}
	for i := range b.flipped {
		for _, s := range segmentsAlong(roads, ways[i]) {
			edgesOf[i] = append(edgesOf[i], s.ID.Edge(false), s.ID.Edge(true))
		}
	}
	for _, c := range candidates {
		out.candidates++
		out.perType[c.Type]++
		right := false
		switch c.Type {
		case maperror.WrongOneWay:
			for i := range b.flipped {
				if slices.Contains(edgesOf[i], c.Edge) {
					right, found[i] = true, true
				}
			}
		case maperror.MissingRoad, maperror.MissingTurn:
			n := 0
			points := along(c.Geometry)
			for _, p := range points {
				near := false
				for i := range b.removed {
					if distance(ways[i].Points, p) <= nearM {
						near = true
					}
				}
				if near {
					n++
				}
			}
			right = 2*n > len(points)
			for i := range b.removed {
				n, points := 0, along(ways[i].Points)
				for _, p := range points {
					if distance(c.Geometry, p) <= nearM {
						n++
					}
				}
				// The whole of it or the part that anybody drove.
				if right && (3*n > len(points) || n >= 10) {
					found[i] = true
				}
			}
		default:
		}
		if !right {
			out.false++
			nearest, kind := math.Inf(1), ""
			for i, w := range ways {
				if d := distance(w.Points, c.At); d < nearest && (b.removed[i] || b.flipped[i]) {
					nearest, kind = d, fmt.Sprintf("removed %v, flipped %v, way %d of %.0f m", b.removed[i], b.flipped[i], w.ID, length(w.Points))
				}
			}
			out.wrong = append(out.wrong, fmt.Sprintf("type %d at %.5f,%.5f edge %d to %d, %d vehicles, %d against, score %.2f, %.0f m; nearest error in %.0f m: %s",
				c.Type, c.At.Lat(), c.At.Lon(), c.Edge, c.To, c.Vehicles, c.Against, c.Score, length(c.Geometry), nearest, kind))
		}
	}
	for i := range ways {
		if len(drove[i]) < enoughCars || !b.removed[i] && !b.flipped[i] {
			continue
		}
		kind := "removed"
		if b.removed[i] {
			out.removed++
			if found[i] {
				out.removedFound++
			}
		} else {
			kind = "flipped"
			out.flipped++
			if found[i] {
				out.flippedFound++
			}
		}
		if !found[i] {
			w := ways[i]
			out.missed = append(out.missed, fmt.Sprintf("%s way %d (%s, %.0f m, %d cars) at %.5f,%.5f",
				kind, w.ID, w.Class, length(w.Points), len(drove[i]), w.Points[len(w.Points)/2].Lat(), w.Points[len(w.Points)/2].Lon()))
		}
	}
	slices.Sort(out.missed)
}

// segmentsAlong are the segments of a map that lie on a way.
func segmentsAlong(roads memoryRoads, w road.Way) []road.Segment {
	nodes := map[geo.Point]bool{}
	for _, p := range w.Points {
		nodes[p] = true
	}
	var out []road.Segment
	for _, p := range roads {
		for n := range p.NumSegments() {
			s := p.SegmentAt(n)
			all := true
			for _, q := range s.Shape {
				all = all && nodes[q]
			}
			if all {
				out = append(out, s)
			}
		}
	}
	return out
}

// along are points of a line, at most 5 m apart.
func along(line []geo.Point) []geo.Point {
	var out []geo.Point
	for i := 1; i < len(line); i++ {
		n := int(geo.DistanceM(line[i-1], line[i])/5) + 1
		for k := range n {
			out = append(out, geo.Between(line[i-1], line[i], float64(k)/float64(n)))
		}
	}
	return append(out, line[len(line)-1])
}

func distance(line []geo.Point, p geo.Point) float64 {
	best := math.Inf(1)
	for i := 1; i < len(line); i++ {
		d2, _ := road.Foot(p, line[i-1], line[i], geo.Scale(p.LatE7))
		best = min(best, d2)
	}
	return math.Sqrt(best)
}

func length(line []geo.Point) float64 {
	d := 0.0
	for i := 1; i < len(line); i++ {
		d += geo.DistanceM(line[i-1], line[i])
	}
	return d
}

func (o *outcome) log(tb testing.TB) {
	tb.Helper()
	tb.Logf("removed found %d of %d, flipped found %d of %d; %d candidates %v, %d of them false; %d votes of %d samples",
		o.removedFound, o.removed, o.flippedFound, o.flipped, o.candidates, o.perType, o.false, o.votes, o.samples)
	for _, m := range o.missed {
		tb.Log("missed: " + m)
	}
	for _, m := range o.wrong {
		tb.Log("false: " + m)
	}
}

// add pools the outcome of another run.
func (o *outcome) add(p outcome) {
	o.removed, o.removedFound = o.removed+p.removed, o.removedFound+p.removedFound
	o.flipped, o.flippedFound = o.flipped+p.flipped, o.flippedFound+p.flippedFound
	o.candidates, o.false = o.candidates+p.candidates, o.false+p.false
	o.samples, o.votes = o.samples+p.samples, o.votes+p.votes
	o.missed, o.wrong = append(o.missed, p.missed...), append(o.wrong, p.wrong...)
}

// A guard against getting worse, on one broken map and with bad receivers in a twentieth of
// the cars; BenchmarkExperiment has the figures.
func TestExperiment(t *testing.T) {
	o := experiment{cars: 2000, samples: 600, everyMS: 1000, removed: 0.02, flipped: 0.01, bad: 0.05, seed: 11}.run(t, andorra(t))
	o.log(t)
	if all, found := o.removed+o.flipped, o.removedFound+o.flippedFound; all < 20 || 100*found < 85*all {
		t.Errorf("%d of %d errors found, want at least 85 %% of 20 or more", found, all)
	}
	if 10*o.false > o.candidates {
		t.Errorf("%d of %d candidates are false, want at most 10 %%", o.false, o.candidates)
	}
}

// Nothing is wrong with the map, but with one in twenty cars: a third each have a frozen, a
// jumping and an offset position (20 to 60 m).
func TestBadCarsMakeNoCandidates(t *testing.T) {
	o := experiment{cars: 1500, samples: 600, everyMS: 1000, bad: 0.05, seed: 12}.run(t, andorra(t))
	if o.log(t); o.candidates > 0 {
		t.Errorf("%d candidates of a map without errors", o.candidates)
	}
}

// BenchmarkExperiment prints what is found and missed, over several broken maps:
//
//	go test ./mapdata/maperror -run '^$' -bench Experiment -benchtime 1x -v
func BenchmarkExperiment(b *testing.B) {
	ways := andorra(b)
	for _, c := range []struct {
		name  string
		runs  uint64
		setup experiment
	}{
		{"2 % removed, 1 % flipped, 1 s", 10, experiment{cars: 2000, samples: 600, everyMS: 1000, removed: 0.02, flipped: 0.01}},
		{"the same, 5 % bad cars", 5, experiment{cars: 2000, samples: 600, everyMS: 1000, removed: 0.02, flipped: 0.01, bad: 0.05}},
		{"10 % flipped, 1 s", 3, experiment{cars: 2000, samples: 600, everyMS: 1000, flipped: 0.1}},
		{"2 % removed, 1 % flipped, 5 s", 5, experiment{cars: 2000, samples: 200, everyMS: 5000, removed: 0.02, flipped: 0.01}},
		{"nothing wrong, 5 % bad cars", 3, experiment{cars: 3000, samples: 600, everyMS: 1000, bad: 0.05}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var o outcome
			for range b.N {
				for seed := range c.runs {
					c.setup.seed = 500 + seed // 100 and on were tuned with
					o.add(c.setup.run(b, ways))
				}
			}
			o.log(b)
		})
	}
}
