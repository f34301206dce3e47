package sumo

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

func TestReadNetwork(t *testing.T) {
	nodes, err := ReadNodes(strings.NewReader(`<nodes><location netOffset="0,0"/><node id="-1" x="6.1" y="49.6" type="priority"/><node id="cluster_-2_-3" x="6.2" y="49.7"/></nodes>`))
	if err != nil {
		t.Fatal(err)
	}
	edges, err := ReadEdges(strings.NewReader(`<edges>
		<edge id="-5#0" from="-1" to="cluster_-2_-3" speed="13.89"/>
		<edge id="--5#0" from="cluster_-2_-3" to="-1" speed="13.89" shape="6.2,49.7 6.15,49.65,300.5 6.1,49.6"><lane index="0"/></edge>
		<edge id="gone" from="-9" to="-1"/></edges>`), nodes)
	if err != nil {
		t.Fatal(err)
	}
	if len(edges) != 2 || len(edges[0].Shape) != 2 || len(edges[1].Shape) != 3 || edges[1].Shape[1] != geo.At(49.65, 6.15) || edges[0].LimitMPS != 13.89 {
		t.Errorf("%+v", edges)
	}
	means, err := ReadMeans(strings.NewReader(`<meandata><interval begin="0.00" end="900.00"><edge id="a" sampledSeconds="10" speed="5" departed="1" entered="9"/><edge id="b" sampledSeconds="0.00" departed="0" entered="0"/></interval></meandata>`))
	if err != nil || len(means) != 2 || means[0] != (Mean{Edge: "a", EndS: 900, SampledS: 10, Cars: 10, SpeedMPS: 5}) {
		t.Errorf("%+v, %v", means, err)
	}
	for name, err := range map[string]error{
		"node nowhere": second(ReadNodes(strings.NewReader(`<nodes><node id="1" x="400" y="1"/></nodes>`))),
		"cut off":      second(ReadNodes(strings.NewReader(`<nodes><node id="1"`))),
		"bad shape":    second(ReadEdges(strings.NewReader(`<edges><edge id="1" shape="1 2"/></edges>`), nil)),
		"bad speed":    second(ReadEdges(strings.NewReader(`<edges><edge id="1" speed="x"/></edges>`), nil)),
		"bad mean":     second(ReadMeans(strings.NewReader(`<m><interval begin="x" end="1"/></m>`))),
	} {
		if !errors.Is(err, eval.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestReadTraffic(t *testing.T) {
	const head = "t_s,vehicle_id,lat,lon,speed_mps,heading_deg,accel_mps2\n"
	const truthHead = "t_s,vehicle_id,lane_id,pos_on_lane_m\n"
	tr, err := ReadTraffic(strings.NewReader(head+"0,a,49.6,6.1,0.00,284.46,0\n0,b,49.6,6.1,12.34,360,0\n1,a,49.6,6.1,1.84,0,1.84\n"),
		strings.NewReader(truthHead+"0,a,--3#1_0,5\n0,b,:-4_3_0,5\n1,a,--3#1_1,7\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tr.Edges, []string{"--3#1", ":-4_3"}) || tr.Rows != 3 || len(tr.Cars) != 2 || len(tr.Cars[0].Rows) != 2 {
		t.Errorf("%+v", tr)
	}
	if r := tr.Cars[1].Rows[0]; r.SpeedCMPS != 1234 || r.HeadingCDeg != 0 || r.Edge != 1 {
		t.Errorf("%+v", r)
	}
	for name, in := range map[string][2]string{
		"truth ends":     {"0,a,1,1,1,1,1\n", ""},
		"other car":      {"0,a,1,1,1,1,1\n", "0,b,x_0,1\n"},
		"few columns":    {"0,a,1\n", "0,a,x_0,1\n"},
		"out of range":   {"0,a,91,1,1,1,1\n", "0,a,x_0,1\n"},
		"not a number":   {"0,a,NaN,1,1,1,1\n", "0,a,x_0,1\n"},
		"time falls":     {"1,a,1,1,1,1,1\n0,a,1,1,1,1,1\n", "1,a,x_0,1\n0,a,x_0,1\n"},
		"speed nonsense": {"0,a,1,1,-1,1,1\n", "0,a,x_0,1\n"},
	} {
		if _, err := ReadTraffic(strings.NewReader(head+in[0]), strings.NewReader(truthHead+in[1]), nil); !errors.Is(err, eval.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoise(t *testing.T) {
	car := &Car{ID: "7", Rows: make([]Row, 20_000)}
	for i := range car.Rows {
		car.Rows[i] = Row{T: int64(i) * 1000, At: geo.At(49.6, 6.1), SpeedCMPS: 1000, HeadingCDeg: 9000}
	}
	n := DefaultNoise()
	a, b := n.Samples(car, nil), n.Samples(car, nil)
	if !slices.Equal(a, b) {
		t.Error("the same seed gives other noise")
	}
	var sum, product, square float64
	last := 0.0
	for i := range a {
		y := float64(a[i].LatE7-car.Rows[i].At.LatE7) * geo.MetresPerE7
		sum += y
		square += y * y
		product += y * last
		last = y
	}
	count := float64(len(a))
	sigma, rho := math.Sqrt(square/count-sum/count*sum/count), product/square
	if math.Abs(sigma-n.PositionM) > 0.3 || math.Abs(rho-math.Exp(-1/n.TauS)) > 0.01 {
		t.Errorf("sigma %.2f m, correlation over 1 s %.3f; want %.2f and %.3f", sigma, rho, n.PositionM, math.Exp(-1/n.TauS))
	}
}

// crossing is two roads of 800 m across one another, as OSM and as SUMO has them: the
// eastern arm is one edge less long there, since SUMO splits it where OSM does not.
const crossingOSM = `<osm version="0.6">
<node id="-1" lat="49.6000" lon="6.0900"/><node id="-2" lat="49.6000" lon="6.1000"/><node id="-3" lat="49.6000" lon="6.1100"/>
<node id="-4" lat="49.5950" lon="6.1000"/><node id="-5" lat="49.6050" lon="6.1000"/>
<way id="-10"><nd ref="-1"/><nd ref="-2"/><nd ref="-3"/><tag k="highway" v="primary"/></way>
<way id="-11"><nd ref="-4"/><nd ref="-2"/><nd ref="-5"/><tag k="highway" v="residential"/></way></osm>`

var crossingEdges = []SEdge{
	{ID: "west", Shape: []geo.Point{geo.At(49.6, 6.09), geo.At(49.6, 6.1)}},
	{ID: "-west", Shape: []geo.Point{geo.At(49.6, 6.1), geo.At(49.6, 6.09)}},
	{ID: "east#0", Shape: []geo.Point{geo.At(49.6, 6.1), geo.At(49.6, 6.105)}},
	{ID: "east#1", Shape: []geo.Point{geo.At(49.6, 6.105), geo.At(49.6, 6.11)}},
	{ID: "south to north", Shape: []geo.Point{geo.At(49.595, 6.1), geo.At(49.605, 6.1)}},
	{ID: "away", Shape: []geo.Point{geo.At(49.7, 6.1), geo.At(49.71, 6.1)}},
}

func crossing(t *testing.T) *road.Graph {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.osm")
	if err := os.WriteFile(path, []byte(crossingOSM), 0o600); err != nil {
		t.Fatal(err)
	}
	graph, _, err := eval.ImportMap(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return graph
}

func TestMapping(t *testing.T) {
	g := crossing(t)
	m := NewMapping(g, crossingEdges)
	west, back := m.Of("west"), m.Of("-west")
	if len(west) != 1 || len(back) != 1 || back[0] != west[0].Reverse() {
		t.Fatalf("west %v, back %v", west, back)
	}
	east := m.Of("east#0")
	if len(east) != 1 || !slices.Equal(east, m.Of("east#1")) {
		t.Errorf("the two parts of one segment: %v and %v", east, m.Of("east#1"))
	}
	north := m.Of("south to north")
	if len(north) != 2 {
		t.Fatalf("one edge over two segments: %v", north)
	}
	if m.Of("away") != nil {
		t.Errorf("an edge away from all roads: %v", m.Of("away"))
	}
	lower, upper := north[0], north[1]
	if g.Target(lower) != g.Source(upper) {
		lower, upper = upper, lower
	}
	for name, tt := range map[string]struct {
		at   geo.Point
		i    road.Index
		want bool
	}{
		"on the lower":                {geo.At(49.597, 6.1), lower, true},
		"not on the upper":            {geo.At(49.597, 6.1), upper, false},
		"at the border: the lower":    {geo.At(49.60001, 6.1), lower, true},
		"at the border: the upper":    {geo.At(49.60001, 6.1), upper, true},
		"against":                     {geo.At(49.597, 6.1), lower.Reverse(), false},
		"on another road at the node": {geo.At(49.6, 6.1), west[0], false},
	} {
		if got := m.Right("south to north", tt.at, tt.i); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !m.RightInJunction("west", "east#0", west[0]) || !m.RightInJunction("west", "east#0", east[0]) || m.RightInJunction("west", "east#0", upper) || m.RightInJunction("", "", west[0]) {
		t.Error("in the junction: the edge before, the one after, and no other")
	}
	sumo, graph, n := m.Groups()
	if n != 4 || sumo["east#0"] != sumo["east#1"] || graph[lower] != graph[upper] || sumo["west"] == sumo["-west"] {
		t.Errorf("%d groups: %v, %v", n, sumo, graph)
	}
}

// TestRun scores a car that drives from west to east, beside one that stands.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var obs, truth, nodes, edges strings.Builder
	obs.WriteString("t_s,vehicle_id,lat,lon,speed_mps,heading_deg,accel_mps2\n")
	truth.WriteString("t_s,vehicle_id,lane_id,pos_on_lane_m\n")
	for s := range 140 {
		lon := 6.0901 + 0.00014*float64(s)
		edge := "west"
		switch {
		case lon > 6.1051:
			edge = "east#1"
		case lon > 6.1001:
			edge = "east#0"
		case lon > 6.0999:
			edge = ":-2_0"
		}
		fmt.Fprintf(&obs, "%d,0,49.5999900,%.7f,10.10,90.00,0\n", s, lon)
		fmt.Fprintf(&truth, "%d,0,%s_0,1\n", s, edge)
	}
	nodes.WriteString("<nodes/>")
	edges.WriteString("<edges>")
	for _, e := range crossingEdges {
		fmt.Fprintf(&edges, `<edge id="%s" shape="%f,%f %f,%f"/>`, e.ID, e.Shape[0].Lon(), e.Shape[0].Lat(), e.Shape[1].Lon(), e.Shape[1].Lat())
	}
	edges.WriteString("</edges>")
	write("obs.csv", obs.String())
	write("truth_lane.csv", truth.String())
	write("n_nodes.nod.xml", nodes.String())
	write("n_edges.edg.xml", edges.String())
	write("truth_edge_meanspeed_900s.xml", `<m><interval begin="0" end="900"><edge id="west" sampledSeconds="70" speed="10.1" entered="12" departed="0"/></interval></m>`)
	write("x.osm", crossingOSM)
	pictures := t.TempDir()
	rep, err := Run(t.Context(), Config{Options: eval.Options{Dir: dir, Pictures: pictures, Workers: 2}, Noise: DefaultNoise(), Batch: 10, LeadIn: 3, Draw: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Aims) != 2 || rep.Aims[0].Got < 97 || rep.Aims[1].Got > 1 {
		t.Errorf("%+v", rep.Aims)
	}
	if found, err := filepath.Glob(filepath.Join(pictures, "*.svg")); err != nil || len(found) != 1 {
		t.Errorf("pictures: %v, %v", found, err)
	}
	if err := os.Remove(filepath.Join(dir, "x.osm")); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Config{Options: eval.Options{Dir: dir}}); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("without a map: %v", err)
	}
}

func FuzzReadTraffic(f *testing.F) {
	f.Add("h\n0,a,49.6,6.1,0.00,284.46,0\n", "h\n0,a,--3#1_0,5\n")
	f.Fuzz(func(t *testing.T, obs, truth string) {
		tr, err := ReadTraffic(strings.NewReader(obs), strings.NewReader(truth), nil)
		if err != nil {
			return
		}
		n := 0
		for _, c := range tr.Cars {
			for _, r := range c.Rows {
				n++
				if !r.At.Valid() || int(r.Edge) >= len(tr.Edges) {
					t.Errorf("%+v", r)
				}
			}
		}
		if n != tr.Rows {
			t.Errorf("%d rows, counted %d", n, tr.Rows)
		}
	})
}

func FuzzReadXML(f *testing.F) {
	f.Add(`<edges><edge id="1" from="a" to="b" speed="1" shape="1,2 3,4"/></edges>`)
	f.Add(`<m><interval begin="0" end="1"><edge id="a" sampledSeconds="1" speed="2" entered="3"/></interval></m>`)
	f.Fuzz(func(t *testing.T, text string) {
		if edges, err := ReadEdges(strings.NewReader(text), nil); err == nil {
			for _, e := range edges {
				if len(e.Shape) < 2 {
					t.Errorf("%+v", e)
				}
			}
		}
		_, _ = ReadMeans(strings.NewReader(text))
		_, _ = ReadNodes(strings.NewReader(text))
	})
}
