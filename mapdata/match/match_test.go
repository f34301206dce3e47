package match_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// memory is an object store in memory.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (o *memory) Get(_ context.Context, key string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b, ok := o.m[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (o *memory) Put(_ context.Context, key string, body []byte, _, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.m[key] = body
	return nil
}

// andorra is the map of Andorra, as a store and as a graph.
func andorra(tb testing.TB) (*road.Store, *road.Graph) {
	tb.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/paulmach/osm").Output()
	path := filepath.Join(strings.TrimSpace(string(dir)), "testdata", "andorra-latest.osm.bz2")
	if _, statErr := os.Stat(path); err != nil || statErr != nil {
		tb.Fatalf("no map of Andorra (%v, %v): run `go mod download github.com/paulmach/osm`", err, statErr)
	}
	objects := &memory{m: make(map[string][]byte)}
	if _, err := mapdata.ImportFile(tb.Context(), path, objects, mapdata.ImportOptions{}); err != nil {
		tb.Fatal(err)
	}
	store, err := road.OpenStore(tb.Context(), objects, road.StoreConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	graph, _, err := road.LoadGraph(tb.Context(), objects)
	if err != nil {
		tb.Fatal(err)
	}
	return store, graph
}

// TestAndorra runs what needs a real map, which takes long to import, on one.
func TestAndorra(t *testing.T) {
	store, graph := andorra(t)
	for name, test := range map[string]func(*testing.T, *road.Store, *road.Graph){
		"accuracy":                     accuracy,
		"batches agree with the whole": batchesAgreeWithTheWhole,
		"long drive":                   longDrive,
		"allocates nothing":            allocatesNothing,
		"the graph is small":           graphIsSmall,
	} {
		t.Run(name, func(t *testing.T) { test(t, store, graph) })
	}
}

// truth is where a simulated sample was taken.
type truth struct {
	edge  road.Edge
	inner bool // at least 25 m from both ends
}

// drive takes random turns for n samples at 1 Hz, with correlated noise of 4 m (1 sigma a
// coordinate), 5° and 0.3 m/s.
func drive(g *road.Graph, r *rand.Rand, n int) ([]telemetry.Sample, []truth) {
	var samples []telemetry.Sample
	var truths []truth
	i := road.NoIndex
	for i < 0 || !g.Allowed(i) || g.LengthM(i) < 50 {
		i = road.Index(r.IntN(g.NumIndexes()))
	}
	const noise, rho = 4, 0.9
	at, ex, ey := 0.0, noise*r.NormFloat64(), noise*r.NormFloat64()
	for t := range n {
		speed := g.FreeKMH(i) / 3.6 * 0.9
		at += speed
		for at > g.LengthM(i) {
			at -= g.LengthM(i)
			next := i.Reverse() // a dead end
			if out := g.Out(g.Target(i)); len(out) > 0 {
				next = out[r.IntN(len(out))]
				for k := 0; k < 4 && next == i.Reverse(); k++ {
					next = out[r.IntN(len(out))]
				}
			} else if !g.Allowed(next) {
				return samples, truths
			}
			i = next
		}
		p, heading := g.PointAt(i, at)
		ex = rho*ex + math.Sqrt(1-rho*rho)*noise*r.NormFloat64()
		ey = rho*ey + math.Sqrt(1-rho*rho)*noise*r.NormFloat64()
		heading = math.Mod(heading+5*r.NormFloat64()+720, 360)
		samples = append(samples, telemetry.Sample{
			T:     int64(t) * 1000,
			LatE7: p.LatE7 + int32(ey/geo.MetresPerE7), LonE7: p.LonE7 + int32(ex/geo.Scale(p.LatE7)),
			SpeedCMPS: uint16(100 * max(speed+0.3*r.NormFloat64(), 0)), HeadingCDeg: uint16(100*heading) % 36000,
			AccuracyCM: 100 * noise, Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		})
		truths = append(truths, truth{g.Edge(i), at > 25 && at < g.LengthM(i)-25})
	}
	return samples, truths
}

// inBatches matches samples in batches with lead-in, as vehicles send them.
func inBatches(tb testing.TB, m *match.Matcher, samples []telemetry.Sample, out []match.Result, batch, leadIn int) {
	tb.Helper()
	scratch := make([]match.Result, batch+leadIn)
	for at := 0; at < len(samples); at += batch {
		from, to := max(at-leadIn, 0), min(at+batch, len(samples))
		if err := m.Match(tb.Context(), samples[from:to], scratch); err != nil {
			tb.Fatal(err)
		}
		copy(out[at:to], scratch[at-from:to-from])
	}
}

func accuracy(t *testing.T, store *road.Store, graph *road.Graph) {
	t.Helper()
	tests := map[string]struct {
		has        telemetry.Field
		batch      int
		all, inner float64 // the least share of right directed edges
	}{
		"speed, heading, accuracy": {telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy, 10, 0.975, 0.995},
		"positions only":           {0, 10, 0.94, 0.993},
		"positions only, at once":  {0, 600, 0.95, 0.995},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 11))
			m := match.New(store)
			out := make([]match.Result, 600)
			var all, allRight, inner, right, segment, missed int
			for range 50 {
				samples, truths := drive(graph, r, 600)
				for i := range samples {
					samples[i].Has = tt.has
				}
				inBatches(t, m, samples, out, tt.batch, 3)
				for i, want := range truths {
					all++
					if out[i].Edge == want.edge {
						allRight++
					}
					if !out[i].OK {
						missed++
					}
					if !want.inner {
						continue
					}
					inner++
					if out[i].Edge == want.edge {
						right++
					}
					if out[i].Edge.Segment() == want.edge.Segment() {
						segment++
					}
				}
			}
			share, innerShare := float64(allRight)/float64(all), float64(right)/float64(inner)
			t.Logf("right directed edge: %.2f %% of %d samples, %.2f %% of the %d more than 25 m from junctions (right segment: %.2f %%); without a match %.2f %%",
				100*share, all, 100*innerShare, inner, 100*float64(segment)/float64(inner), 100*float64(missed)/float64(all))
			if share < tt.all || innerShare < tt.inner {
				t.Errorf("%.2f %% of directed edges are right, %.2f %% inside roads; expected at least %.1f and %.1f %%", 100*share, 100*innerShare, 100*tt.all, 100*tt.inner)
			}
		})
	}
}

// batchesAgreeWithTheWhole cuts drives into batches with lead-in, at every place.
func batchesAgreeWithTheWhole(t *testing.T, store *road.Store, graph *road.Graph) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 5))
	m := match.New(store)
	whole, cut := make([]match.Result, 300), make([]match.Result, 300)
	same, all := 0, 0
	for range 20 {
		samples, _ := drive(graph, r, 300)
		if err := m.Match(t.Context(), samples, whole); err != nil {
			t.Fatal(err)
		}
		checkInvariants(t, graph, samples, whole, m.Path())
		for _, batch := range []int{7, 10, 13, 50} {
			inBatches(t, m, samples, cut, batch, 3)
			for i := range samples {
				all++
				if cut[i].Edge == whole[i].Edge {
					same++
				}
			}
		}
	}
	if share := float64(same) / float64(all); share < 0.985 {
		t.Errorf("%.2f %% of %d samples agree", 100*share, all)
	} else {
		t.Logf("%.2f %% of %d samples agree", 100*share, all)
	}
}

// longDrive is decoded in windows; what is found is what one window finds of any part.
func longDrive(t *testing.T, store *road.Store, graph *road.Graph) {
	t.Helper()
	r := rand.New(rand.NewPCG(17, 1))
	var samples []telemetry.Sample
	for len(samples) < 3000 {
		samples, _ = drive(graph, r, 4000)
	}
	m := match.New(store)
	whole, part := make([]match.Result, len(samples)), make([]match.Result, 200)
	if err := m.Match(t.Context(), samples, whole); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, graph, samples, whole, m.Path())
	same, all := 0, 0
	for at := 0; at+200 <= len(samples); at += 100 {
		if err := m.Match(t.Context(), samples[at:at+200], part); err != nil {
			t.Fatal(err)
		}
		for i := 50; i < 150; i++ {
			all++
			if part[i].Edge == whole[at+i].Edge {
				same++
			}
		}
	}
	if share := float64(same) / float64(all); share < 0.998 {
		t.Errorf("%.2f %% of %d samples agree", 100*share, all)
	}
}

func allocatesNothing(t *testing.T, store *road.Store, graph *road.Graph) {
	t.Helper()
	samples, _ := drive(graph, rand.New(rand.NewPCG(1, 1)), 300)
	bare := slices.Clone(samples)
	for i := range bare {
		bare[i].Has = 0
	}
	m := match.New(store)
	out := make([]match.Result, len(samples))
	ctx := t.Context()
	for name, samples := range map[string][]telemetry.Sample{"everything reported": samples, "positions only": bare} {
		for _, batch := range []int{10, len(samples)} {
			if n := testing.AllocsPerRun(5, func() {
				for at := 0; at+batch <= len(samples); at += batch {
					if err := m.Match(ctx, samples[at:at+batch], out); err != nil {
						t.Fatal(err)
					}
				}
			}); n != 0 {
				t.Errorf("%s, batches of %d: %v allocations", name, batch, n)
			}
		}
	}
}

// graphIsSmall bounds what a directed edge occupies in memory.
func graphIsSmall(t *testing.T, store *road.Store, graph *road.Graph) {
	t.Helper()
	edges := 0
	for i := range road.Index(graph.NumIndexes()) {
		if graph.Allowed(i) {
			edges++
		}
	}
	var parts, copies int64
	for _, q := range store.Manifest().Tiles {
		p, err := store.Partition(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		parts += p.MemoryBytes()
		for i := range road.Index(p.NumIndexes()) {
			if p.Allowed(i) {
				copies++
			}
		}
	}
	whole, part := float64(graph.MemoryBytes())/float64(edges), float64(parts)/float64(copies)
	t.Logf("%.0f bytes for each of %d directed edges; in partitions %.0f for each of %d", whole, edges, part, copies)
	if whole > 120 || part > 120 {
		t.Errorf("%.0f bytes a directed edge, in partitions %.0f", whole, part)
	}
}

// one is a map of a single partition around a point.
type one struct {
	p   *road.Partition
	err error
}

func (o one) Partition(context.Context, uint32) (*road.Partition, error) { return o.p, o.err }

// parallel is a map of two parallel roads to the east, 10 m apart; the northern one is one-way.
func parallel(t *testing.T) (one, road.Edge, road.Edge) {
	t.Helper()
	at := func(lat, lon int32) geo.Point { return geo.Point{LatE7: 425000000 + lat, LonE7: 15000000 + lon} }
	segs, _ := road.Build([]road.Way{
		{Nodes: []int64{1, 2}, Points: []geo.Point{at(0, 0), at(0, 40000)}, Attributes: road.Attributes{Class: road.Primary, Flags: road.Forward | road.Backward}},
		{Nodes: []int64{3, 4}, Points: []geo.Point{at(900, 0), at(900, 40000)}, Attributes: road.Attributes{Class: road.Primary, Flags: road.Forward}},
	})
	p, err := road.NewPartition(segs[0].ID.Quadkey(), segs)
	if err != nil {
		t.Fatal(err)
	}
	if segs[0].Shape[0].LatE7 != 425000000 {
		segs[0], segs[1] = segs[1], segs[0]
	}
	return one{p: p}, segs[0].ID.Edge(false), segs[1].ID.Edge(false)
}

func TestMatchRules(t *testing.T) {
	roads, south, north := parallel(t)
	sample := func(lat, lon int32, heading int, speed uint16) telemetry.Sample {
		s := telemetry.Sample{LatE7: 425000000 + lat, LonE7: 15000000 + lon, SpeedCMPS: speed, Has: telemetry.HasSpeed | telemetry.HasAccuracy, AccuracyCM: 500}
		if heading >= 0 {
			s.HeadingCDeg, s.Has = uint16(heading*100), s.Has|telemetry.HasHeading
		}
		return s
	}
	tests := map[string]struct {
		samples []telemetry.Sample
		want    []road.Edge // 0: no match
	}{
		"nearest":                     {[]telemetry.Sample{sample(700, 20000, 90, 1000)}, []road.Edge{north}},
		"not against a one-way":       {[]telemetry.Sample{sample(700, 20000, 270, 1000)}, []road.Edge{south.Reverse()}},
		"too far":                     {[]telemetry.Sample{sample(3500, 20000, 90, 1000)}, []road.Edge{0}},
		"heading of a standing car":   {[]telemetry.Sample{sample(0, 20000, 90, 1000), sample(0, 20010, 270, 20)}, []road.Edge{south, south}},
		"direction from movement":     {[]telemetry.Sample{sample(0, 20000, -1, 1000), sample(0, 18000, -1, 1000)}, []road.Edge{south.Reverse(), south.Reverse()}},
		"standing before driving off": {[]telemetry.Sample{sample(0, 20000, -1, 0), sample(0, 20000, -1, 0), sample(0, 18000, 270, 900)}, []road.Edge{south.Reverse(), south.Reverse(), south.Reverse()}},
		"stays when undecided":        {[]telemetry.Sample{sample(0, 10000, 90, 1000), sample(460, 11000, 90, 1000)}, []road.Edge{south, south}},
		"corrupt position":            {[]telemetry.Sample{{LatE7: math.MaxInt32, LonE7: math.MinInt32}}, []road.Edge{0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range tt.samples {
				tt.samples[i].T = int64(i) * 1000
			}
			out := make([]match.Result, len(tt.samples))
			if err := match.New(roads).Match(t.Context(), tt.samples, out); err != nil {
				t.Fatal(err)
			}
			for i, r := range out {
				if r.Edge != tt.want[i] || r.OK != (tt.want[i] != 0) {
					t.Errorf("sample %d: %+v, want edge %d (south %d, north %d)", i, r, tt.want[i], south, north)
				}
			}
		})
	}
}

func TestMatchReportsUnreadableMap(t *testing.T) {
	boom := errors.New("boom")
	err := match.New(one{err: boom}).Match(t.Context(), make([]telemetry.Sample, 1), make([]match.Result, 1))
	if !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
}

// BenchmarkMatch matches samples at 1 Hz in batches of 10.
func BenchmarkMatch(b *testing.B) {
	store, graph := andorra(b)
	edges := 0
	for i := range road.Index(graph.NumIndexes()) {
		if graph.Allowed(i) {
			edges++
		}
	}
	for name, has := range map[string]telemetry.Field{
		"everything": telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		"positions":  0,
	} {
		b.Run(name, func(b *testing.B) {
			samples, _ := drive(graph, rand.New(rand.NewPCG(1, 1)), 1000)
			for i := range samples {
				samples[i].Has = has
			}
			m := match.New(store)
			out := make([]match.Result, len(samples))
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				for at := 0; at+10 <= len(samples); at += 10 {
					if err := m.Match(ctx, samples[at:at+10], out[at:]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*len(samples))/b.Elapsed().Seconds(), "points/s")
			b.ReportMetric(float64(graph.MemoryBytes())/float64(edges), "B/edge")
		})
	}
}

// BenchmarkMatchLong matches a whole drive at once, sampled more and more rarely.
func BenchmarkMatchLong(b *testing.B) {
	store, graph := andorra(b)
	whole, _ := drive(graph, rand.New(rand.NewPCG(1, 1)), 3600)
	for _, every := range []int{1, 10, 60} {
		b.Run(fmt.Sprintf("every %d s", every), func(b *testing.B) {
			var samples []telemetry.Sample
			for i := 0; i < len(whole); i += every {
				samples = append(samples, whole[i])
			}
			m := match.New(store)
			out := make([]match.Result, len(samples))
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Match(b.Context(), samples, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(samples))/b.Elapsed().Seconds(), "points/s")
		})
	}
}
