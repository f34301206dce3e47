package match_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// xy is a place in metres east and north of the origin of test maps.
type xy struct{ x, y float64 }

const originLat, originLon = 425000000, 15000000

func (p xy) point() geo.Point {
	return geo.Point{
		LatE7: originLat + int32(math.Round(p.y/geo.MetresPerE7)),
		LonE7: originLon + int32(math.Round(p.x/geo.Scale(originLat))),
	}
}

// line is a road through places; places that roads share are junctions.
type line struct {
	name   string
	at     []xy
	oneWay bool
	class  road.Class
	flags  road.Flags
	notTo  string // the road that must not be turned into from the last place
}

// world is a map cut into partitions, as road.Store does it.
type world struct {
	segs  []road.Segment
	parts map[uint32]*road.Partition
	graph *road.Graph
	loads int
}

func build(tb testing.TB, lines ...line) *world {
	tb.Helper()
	nodes := map[xy]int64{}
	var ways []road.Way
	var forbidden []road.Restriction
	ids := map[string]int64{}
	for i, l := range lines {
		ids[l.name] = int64(i)
	}
	for i, l := range lines {
		w := road.Way{ID: int64(i), Attributes: road.Attributes{Name: l.name, Class: l.class, Flags: l.flags | road.Forward}}
		if !l.oneWay {
			w.Flags |= road.Backward
		}
		if w.Class == road.UnknownClass {
			w.Class = road.Secondary
		}
		for _, p := range l.at {
			if nodes[p] == 0 {
				nodes[p] = int64(len(nodes) + 1)
			}
			w.Nodes, w.Points = append(w.Nodes, nodes[p]), append(w.Points, p.point())
		}
		ways = append(ways, w)
		if l.notTo != "" {
			forbidden = append(forbidden, road.Restriction{From: w.ID, Via: w.Nodes[len(w.Nodes)-1], To: ids[l.notTo]})
		}
	}
	segs, left := road.Build(ways, forbidden...)
	if left.Restrictions > 0 {
		tb.Fatalf("%d restrictions without a turn", left.Restrictions)
	}
	w := &world{segs: segs, parts: map[uint32]*road.Partition{}}
	touched := map[uint32]map[int]bool{}
	for i, s := range segs {
		road.TouchedTiles(s.Shape, road.MarginM, func(q uint32) {
			if touched[q] == nil {
				touched[q] = map[int]bool{}
			}
			touched[q][i] = true
		})
	}
	for q, in := range touched {
		var list []road.Segment
		for i := range segs {
			if in[i] {
				list = append(list, segs[i])
			}
		}
		p, err := road.NewPartition(q, list)
		if err != nil {
			tb.Fatal(err)
		}
		w.parts[q] = p
	}
	var err error
	if w.graph, err = road.NewGraph(segs, geo.EmptyBox()); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *world) Partition(_ context.Context, q uint32) (*road.Partition, error) {
	w.loads++
	if p, ok := w.parts[q]; ok {
		return p, nil
	}
	p, err := road.NewPartition(q, nil)
	return p, err
}

// name is that of an edge's road, with "-" before it against the drawing.
func (w *world) name(e road.Edge) string {
	i, ok := w.graph.Find(e)
	switch {
	case !ok:
		return "none"
	case e.Against():
		return "-" + w.graph.Name(i)
	default:
		return w.graph.Name(i)
	}
}

// names are the roads of a path, each once in a row.
func (w *world) names(path []match.Step) []string {
	var names []string
	for _, s := range path {
		if n := w.name(s.Edge); len(names) == 0 || names[len(names)-1] != n {
			names = append(names, n)
		}
	}
	return names
}

// ride makes samples along a course.
type ride struct {
	course   []xy
	speed    float64 // m/s
	everyS   float64 // default 1
	noise    float64 // metres, 1 sigma a coordinate, correlated over 10 s
	bare     bool    // positions and times only
	fromM    float64
	seed     uint64
	startMS  int64
	accuracy float64 // default noise, at least 3
}

func (r ride) samples() []telemetry.Sample {
	if r.everyS == 0 {
		r.everyS = 1
	}
	rnd := rand.New(rand.NewPCG(r.seed, 5))
	rho := math.Exp(-r.everyS / 10)
	ex, ey := r.noise*rnd.NormFloat64(), r.noise*rnd.NormFloat64()
	var out []telemetry.Sample
	for k := 0; ; k++ {
		p, heading, ok := along(r.course, r.fromM+float64(k)*r.everyS*r.speed)
		if !ok {
			return out
		}
		out = append(out, sampleAt(xy{p.x + ex, p.y + ey}, r.startMS+int64(float64(k)*r.everyS*1000), heading, r.speed, max(r.noise, r.accuracy, 3)))
		if r.bare {
			out[k].Has = 0
		}
		ex = rho*ex + math.Sqrt(1-rho*rho)*r.noise*rnd.NormFloat64()
		ey = rho*ey + math.Sqrt(1-rho*rho)*r.noise*rnd.NormFloat64()
	}
}

func sampleAt(p xy, t int64, headingDeg, speed, accuracy float64) telemetry.Sample {
	at := p.point()
	return telemetry.Sample{
		T: t, LatE7: at.LatE7, LonE7: at.LonE7,
		HeadingCDeg: uint16(math.Mod(headingDeg+360, 360) * 100), SpeedCMPS: uint16(speed * 100), AccuracyCM: uint32(accuracy * 100),
		Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
	}
}

// along is the place some metres along a course, and the heading there; false behind its end.
func along(course []xy, m float64) (p xy, headingDeg float64, ok bool) {
	for i := 1; i < len(course); i++ {
		a, b := course[i-1], course[i]
		dx, dy := b.x-a.x, b.y-a.y
		l := math.Hypot(dx, dy)
		if m <= l {
			return xy{a.x + dx*m/l, a.y + dy*m/l}, math.Atan2(dx, dy) * 180 / math.Pi, true
		}
		m -= l
	}
	return xy{}, 0, false
}

// matched is the outcome of a match, checked for what always holds.
type matched struct {
	results []match.Result
	path    []match.Step
}

func run(tb testing.TB, w *world, samples []telemetry.Sample) matched {
	tb.Helper()
	m := match.New(w)
	out := make([]match.Result, len(samples))
	if err := m.Match(tb.Context(), samples, out); err != nil {
		tb.Fatal(err)
	}
	checkInvariants(tb, w.graph, samples, out, m.Path())
	return matched{out, append([]match.Step(nil), m.Path()...)}
}

// checkInvariants checks that steps of a chain touch, that places are on their edges, and
// that results and path tell the same story.
func checkInvariants(tb testing.TB, g *road.Graph, samples []telemetry.Sample, out []match.Result, path []match.Step) {
	tb.Helper()
	length := func(e road.Edge) (road.Index, float64) {
		i, ok := g.Find(e)
		if !ok {
			tb.Fatalf("edge %d is not in the map", e)
		}
		return i, g.LengthM(i)
	}
	const eps = 0.01
	on := make([]int, len(samples)) // the step of each sample
	for i := range on {
		on[i] = -1
	}
	for k, s := range path {
		i, l := length(s.Edge)
		if s.FromM < -eps || s.FromM > s.ToM+eps || float64(s.ToM) > l+eps {
			tb.Fatalf("step %d from %.2f to %.2f m of %.2f", k, s.FromM, s.ToM, l)
		}
		if s.EnterMS > s.LeaveMS {
			tb.Fatalf("step %d leaves before it enters: %+v", k, s)
		}
		if s.Forbidden && (k == 0 || s.Break) {
			tb.Fatalf("step %d: a chain begins with a turn: %+v", k, s)
		}
		if s.WrongWay == g.Allowed(i) {
			tb.Fatalf("step %d: wrong way %v on edge that is allowed: %v", k, s.WrongWay, g.Allowed(i))
		}
		for n := s.First; n < s.Last; n++ {
			if on[n] >= 0 && out[n].OK {
				tb.Fatalf("sample %d is on the steps %d and %d", n, on[n], k)
			}
			on[n] = k
			if out[n].OK && out[n].Edge != s.Edge {
				tb.Fatalf("sample %d is on edge %d, its step %d on %d", n, out[n].Edge, k, s.Edge)
			}
		}
		if k == 0 || s.Break {
			if k == 0 && !s.Break {
				tb.Fatal("the path does not begin a chain")
			}
			continue
		}
		b := path[k-1]
		j, bl := length(b.Edge)
		switch {
		case b.LeaveMS != s.EnterMS:
			tb.Fatalf("step %d enters at %d, the one before leaves at %d", k, s.EnterMS, b.LeaveMS)
		case s.Edge == b.Edge.Reverse() && math.Abs(float64(s.FromM)-(bl-float64(b.ToM))) < eps:
		case g.Target(j) == g.Source(i) && math.Abs(float64(b.ToM)-bl) < eps && s.FromM < eps:
		default:
			tb.Fatalf("steps %d and %d do not touch: %+v, %+v", k-1, k, b, s)
		}
	}
	for n, r := range out[:len(samples)] {
		if !r.OK {
			if r != (match.Result{}) {
				tb.Fatalf("sample %d: %+v", n, r)
			}
			continue
		}
		_, l := length(r.Edge)
		if r.OffsetM < 0 || float64(r.OffsetM) > l+eps || r.DistM < 0 || math.IsNaN(float64(r.DistM)) {
			tb.Fatalf("sample %d: %+v on an edge of %.2f m", n, r, l)
		}
		if on[n] < 0 {
			tb.Fatalf("sample %d is on no step", n)
		}
		if r.Break != (path[on[n]].Break && on[n] > 0 && int32(n) == path[on[n]].First) {
			tb.Fatalf("sample %d: break %v, step %+v", n, r.Break, path[on[n]])
		}
	}
}

func (m matched) breaks() (n int) {
	for _, r := range m.results {
		if r.Break {
			n++
		}
	}
	return n
}

// share is the part of the samples on roads with one of the names.
func (m matched) share(w *world, names ...string) float64 {
	n := 0
	for _, r := range m.results {
		for _, name := range names {
			if r.OK && w.name(r.Edge) == name {
				n++
			}
		}
	}
	return float64(n) / float64(len(m.results))
}

func (m matched) wrongWay() (samples, steps int) {
	for _, r := range m.results {
		if r.WrongWay {
			samples++
		}
	}
	for _, s := range m.path {
		if s.WrongWay {
			steps++
		}
	}
	return samples, steps
}
