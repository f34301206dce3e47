package mvt_test

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/paulmach/orb"
	orbmvt "github.com/paulmach/orb/encoding/mvt"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/mvt"
)

var update = flag.Bool("update", false, "write the golden files anew")

var tile = geo.TileAt(geo.At(42.5, 1.5), 14)

// in is the point at a place in the tile's units.
func in(t geo.Tile, x, y float64) geo.Point {
	n := float64(uint32(1) << t.Z)
	lon := ((float64(t.X)+x/mvt.Extent)/n - 0.5) * 360
	lat := math.Atan(math.Sinh(math.Pi*(1-2*(float64(t.Y)+y/mvt.Extent)/n))) * 180 / math.Pi
	return geo.At(lat, lon)
}

func shape(t geo.Tile, xy ...float64) []geo.Point {
	var s []geo.Point
	for i := 0; i < len(xy); i += 2 {
		s = append(s, in(t, xy[i], xy[i+1]))
	}
	return s
}

func example(e *mvt.Encoder) []byte {
	e.Begin(tile, 0)
	e.BeginLayer("roads")
	if e.Line(1, shape(tile, 10, 10, 100, 200, 100, 300), false) {
		e.String("class", "primary")
		e.Uint("limit_kmh", 50)
		e.Bool("oneway", true)
	}
	if e.Line(1<<52-1, shape(tile, -500, 2000, 5000, 2000), true) { // across the tile
		e.String("class", "primary")
		e.Double("ratio", 0.75)
	}
	if e.Line(3, shape(tile, 4000, -200, 4000, 100, 6000, 100, 6000, 400, 4000, 400), false) { // leaves and comes back
		e.Uint("limit_kmh", 300)
	}
	if e.Line(4, shape(tile, 5000, 5000, 6000, 5000), false) {
		e.String("class", "never seen")
	}
	e.EndLayer()
	e.BeginLayer("none")
	e.EndLayer()
	return e.Bytes()
}

func TestGolden(t *testing.T) {
	got := example(mvt.NewEncoder())
	path := filepath.Join("testdata", "example.mvt")
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run the test with -update", err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the encoding changed; if it was meant to, run the test with -update")
	}
}

func TestOrbDecodesIt(t *testing.T) {
	e := mvt.NewEncoder()
	example(e) // the second use must not show the first
	layers, err := orbmvt.Unmarshal(example(e))
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 || layers[0].Name != "roads" || layers[0].Version != 2 || layers[0].Extent != mvt.Extent {
		t.Fatalf("%+v", layers)
	}
	type feature struct {
		ID         any
		Geometry   orb.Geometry
		Properties map[string]any
	}
	want := []feature{
		{1.0, orb.LineString{{10, 10}, {100, 200}, {100, 300}}, map[string]any{"class": "primary", "limit_kmh": 50.0, "oneway": true}},
		{float64(1<<52 - 1), orb.LineString{{4160, 2000}, {-64, 2000}}, map[string]any{"class": "primary", "ratio": 0.75}},
		{3.0, orb.MultiLineString{{{4000, -64}, {4000, 100}, {4160, 100}}, {{4160, 400}, {4000, 400}}}, map[string]any{"limit_kmh": 300.0}},
	}
	var got []feature
	for _, f := range layers[0].Features {
		got = append(got, feature{f.ID, f.Geometry, f.Properties})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The projection by series must agree with Mercator's formula at every zoom.
func TestProjection(t *testing.T) {
	e := mvt.NewEncoder()
	for z := uint8(0); z <= 16; z++ {
		for _, lat := range []float64{-65, -33, 0, 42.5, 51, 69} {
			tile := geo.TileAt(geo.At(lat, 1.5), z)
			e.Begin(tile, 0)
			e.BeginLayer("l")
			e.Line(1, shape(tile, 0, 0, 4096, 0, 4096, 2048, 2000, 3000, 0, 4096), false)
			e.EndLayer()
			layers, err := orbmvt.Unmarshal(e.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			line, ok := layers[0].Features[0].Geometry.(orb.LineString)
			if !ok {
				t.Fatalf("%v: %v", tile, layers[0].Features[0].Geometry)
			}
			for i, want := range []orb.Point{{0, 0}, {4096, 0}, {4096, 2048}, {2000, 3000}, {0, 4096}} {
				if math.Abs(line[i][0]-want[0]) > 1 || math.Abs(line[i][1]-want[1]) > 1 {
					t.Errorf("%v at %v: %v, want %v", tile, lat, line[i], want)
				}
			}
		}
	}
}

func TestSimplify(t *testing.T) {
	e := mvt.NewEncoder()
	e.Begin(tile, 2)
	e.BeginLayer("l")
	e.Line(1, shape(tile, 0, 0, 100, 1, 200, -1, 300, 50, 400, 0), false)
	e.EndLayer()
	layers, err := orbmvt.Unmarshal(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := orb.LineString{{0, 0}, {200, -1}, {300, 50}, {400, 0}}
	if diff := cmp.Diff(orb.Geometry(want), layers[0].Features[0].Geometry); diff != "" {
		t.Error(diff)
	}
}

// Random lines, many of them beyond the tile: all that is written decodes, is inside of
// the buffer and has extent.
func TestClipHoldsItsBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	e := mvt.NewEncoder()
	e.Begin(tile, 0)
	e.BeginLayer("l")
	n := 0
	for id := range uint64(2000) {
		s := make([]geo.Point, 2+r.IntN(40))
		for i := range s {
			s[i] = in(tile, 4096*(3*r.Float64()-1), 4096*(3*r.Float64()-1))
		}
		if e.Line(id, s, id%2 == 0) {
			n++
		}
	}
	if got := e.EndLayer(); got != n {
		t.Errorf("%d features, %d lines", got, n)
	}
	layers, err := orbmvt.Unmarshal(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(layers[0].Features) != n {
		t.Errorf("%d features of %d", len(layers[0].Features), n)
	}
	for _, f := range layers[0].Features {
		lines, ok := f.Geometry.(orb.MultiLineString)
		if !ok {
			lines = orb.MultiLineString{f.Geometry.(orb.LineString)}
		}
		for _, l := range lines {
			if b := l.Bound(); b.Min[0] < -64 || b.Min[1] < -64 || b.Max[0] > 4160 || b.Max[1] > 4160 || len(l) < 2 || b.Min == b.Max {
				t.Fatalf("feature %v: %v", f.ID, l)
			}
		}
	}
}

func BenchmarkTileOf1000(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	var shapes [][]geo.Point
	for range 1000 {
		x, y := 4096*r.Float64(), 4096*r.Float64()
		s := []geo.Point{in(tile, x, y)}
		for range 7 {
			x, y = x+60*r.NormFloat64(), y+60*r.NormFloat64()
			s = append(s, in(tile, x, y))
		}
		shapes = append(shapes, s)
	}
	e := mvt.NewEncoder()
	b.ReportAllocs()
	for b.Loop() {
		e.Begin(tile, 0)
		e.BeginLayer("roads")
		for i, s := range shapes {
			if e.Line(uint64(i), s, false) {
				e.String("class", "residential")
				e.Uint("limit_kmh", uint64(i%10*10))
				e.Bool("oneway", i%2 == 0)
			}
		}
		e.EndLayer()
	}
	b.SetBytes(int64(len(e.Bytes())))
}

func TestPoint(t *testing.T) {
	e := mvt.NewEncoder()
	e.Begin(tile, 0)
	e.BeginLayer("hazards")
	want := map[float64]orb.Point{1: {0, 0}, 2: {4095, 17}, 3: {-63, 4159}, 4: {1000, 1000}}
	for id, p := range want {
		if !e.Point(uint64(id), in(tile, p[0], p[1])) {
			t.Errorf("%v is not in the tile", p)
		}
		e.Uint("n", uint64(id))
	}
	for _, p := range []orb.Point{{-66, 0}, {0, 4162}, {9000, 9000}} {
		if e.Point(9, in(tile, p[0], p[1])) {
			t.Errorf("%v is in the tile", p)
		}
	}
	if !e.Line(5, shape(tile, 10, 10, 20, 20), false) || e.EndLayer() != 5 {
		t.Error("a line after points")
	}
	layers, err := orbmvt.Unmarshal(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range layers[0].Features {
		if p, ok := f.Geometry.(orb.Point); ok {
			if id := f.ID.(float64); p != want[id] || f.Properties["n"] != id {
				t.Errorf("%v: %v, want %v", id, p, want[id])
			}
		} else if f.ID != 5.0 {
			t.Errorf("%v is a %T", f.ID, f.Geometry)
		}
	}
}
