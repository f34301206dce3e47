package tile_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	orbmvt "github.com/paulmach/orb/encoding/mvt"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes, want %d; if that is meant, run with -update", name, len(got), len(want))
	}
}

// crossing is a small made-up map, and the tile it is in.
func crossing(tb testing.TB) (*memory, *road.Store, tile.ID) {
	tb.Helper()
	o := &memory{m: make(map[string][]byte)}
	if _, err := mapdata.ImportFile(tb.Context(), filepath.Join("testdata", "crossing.osm"), o, mapdata.ImportOptions{}); err != nil {
		tb.Fatal(err)
	}
	store, err := road.OpenStore(tb.Context(), o, road.StoreConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	return o, store, geo.TileAt(geo.At(42.5030, 1.5000), 14)
}

// edges are the directed edges that a z14 tile owns.
func edges(tb testing.TB, s *road.Store, id tile.ID) []road.Edge {
	tb.Helper()
	p, err := s.Partition(tb.Context(), id.Quadkey())
	if err != nil {
		tb.Fatal(err)
	}
	var es []road.Edge
	for n := range p.NumSegments() {
		seg := p.SegmentAt(n)
		for _, against := range [2]bool{false, true} {
			if seg.Flags&road.Own != 0 && seg.Allows(against) {
				es = append(es, seg.ID.Edge(against))
			}
		}
	}
	slices.Sort(es)
	return es
}

// someLimits knows every third edge.
func someLimits(es []road.Edge) func(road.Edge) (limit.Limit, bool) {
	return func(e road.Edge) (limit.Limit, bool) {
		switch slices.Index(es, e) % 3 {
		case 0:
			return limit.Limit{
				Edge: e, KMH: 30, Posterior: 0.987, Vehicles: 12,
				Variants: []limit.Variant{{KMH: 20, Wet: true}, {KMH: 10, FromHour: 22, ToHour: 6}},
			}, true
		case 1:
			return limit.Limit{Edge: e, Posterior: 0.6, Vehicles: 2}, true // may not be published
		default:
			return limit.Limit{}, false
		}
	}
}

func someSpeeds(es []road.Edge) func(road.Edge) (tile.Speed, bool) {
	return func(e road.Edge) (tile.Speed, bool) {
		i := slices.Index(es, e)
		if i < 0 {
			return tile.Speed{}, false
		}
		return tile.Speed{KMH: 10.4 + float64(5*i), Vehicles: 2 + i, TypicalKMH: 40, FreeKMH: 47.6, P15KMH: 8, P50KMH: 11, P85KMH: 15}, true
	}
}

func someHazards(es []road.Edge, id tile.ID) []hazard.Hazard {
	box := id.Box()
	mid := geo.Between(geo.Point{LatE7: box.South, LonE7: box.West}, geo.Point{LatE7: box.North, LonE7: box.East}, 0.5)
	near := geo.Point{LatE7: mid.LatE7 + 1000, LonE7: mid.LonE7}
	return []hazard.Hazard{
		{ID: 7, Category: telemetry.SlipperyRoad, Edge: es[0], Edges: es[:2], At: mid, Probability: 0.934, Vehicles: 4, StartedMS: 1_764_000_000_000, UpdatedMS: 1_764_000_030_000},
		{ID: 5, Category: telemetry.SlipperyRoad, At: near, Probability: 0.5, Vehicles: 2, StartedMS: 1_764_000_010_000, UpdatedMS: 1_764_000_020_000},
		{ID: 6, Category: telemetry.Obstacle, At: near, Probability: 0.5, Vehicles: 2, StartedMS: 1_764_000_010_000, UpdatedMS: 1_764_000_020_000},
		{ID: 8, Category: telemetry.Accident, At: mid, EndedMS: 1_764_000_040_000},
		{ID: 9, Category: telemetry.Accident, At: geo.At(42.9, 1.9), Probability: 1},
	}
}

// features are the properties of a tile's features, by layer.
func features(t *testing.T, b []byte) map[string][]map[string]any {
	t.Helper()
	layers, err := orbmvt.Unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]map[string]any{}
	for _, l := range layers {
		for _, f := range l.Features {
			p := map[string]any(maps.Clone(f.Properties))
			p["geometry"] = f.Geometry.GeoJSONType()
			all[l.Name] = append(all[l.Name], p)
		}
	}
	return all
}

func recordsFile(rs []tile.Record) []byte {
	return (&state.State{}).Advance(1_764_000_000_000, rs, 1).Encode()
}

func TestLimits(t *testing.T) {
	_, store, id := crossing(t)
	es := edges(t, store, id)
	limits := tile.NewLimits(store)
	b, err := limits.Build(t.Context(), id, someLimits(es))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "limits.mvt", b)
	sources := map[any]int{}
	for _, f := range features(t, b)["limits"] {
		sources[f["source"]]++
		e := road.Edge(f["edge"].(float64))
		seg, _, err := store.Segment(t.Context(), e.Segment())
		if err != nil {
			t.Fatal(err)
		}
		if f["source"] == "learned" {
			if f["kmh"] != 30.0 || f["posterior"] != 0.99 || f["n"] != 12.0 || f["variants"] != "20w,10@22-6" || f["differs"] != (seg.LimitKMH(e.Against()) != 30 && seg.LimitKMH(e.Against()) != road.NoLimitKnown) {
				t.Errorf("%v", f)
			}
			continue
		}
		if f["differs"] != false || f["unlimited"] != f["map_unlimited"] || f["kmh"] != f["map_kmh"] {
			t.Errorf("%v", f)
		}
	}
	if sources["learned"] == 0 || sources["map"] == 0 {
		t.Errorf("%v", sources)
	}
	rs, err := limits.Records(t.Context(), id, someLimits(es))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "limits.records", recordsFile(rs))
	if len(rs) != sources["learned"]+sources["map"] {
		t.Errorf("%d records for %v", len(rs), sources)
	}

	// What nothing was learned of is the map's, and one feature a road where the zoom is low.
	nothing := func(road.Edge) (limit.Limit, bool) { return limit.Limit{}, false }
	if b, err = limits.Build(t.Context(), id.Ancestor(9), nothing); err != nil {
		t.Fatal(err)
	}
	low := features(t, b)["limits"]
	for _, f := range low {
		delete(f, "edge")
	}
	if diff := cmp.Diff([]map[string]any{
		{"geometry": "LineString", "unlimited": true, "map_unlimited": true, "source": "map", "differs": false},
		{"geometry": "LineString", "kmh": 50.0, "map_kmh": 50.0, "source": "map", "differs": false, "both": true},
		{"geometry": "LineString", "kmh": 50.0, "map_kmh": 50.0, "source": "map", "differs": false, "both": true},
	}, low, sortMaps()); diff != "" {
		t.Error(diff)
	}
	if _, err := limits.Build(t.Context(), id.Ancestor(7), nothing); err == nil {
		t.Error("zoom 7 was built")
	}
	if _, err := limits.Records(t.Context(), id.Ancestor(13), nothing); err == nil {
		t.Error("records at zoom 13")
	}
	affected, err := limits.Affected(t.Context(), []uint32{id.Quadkey()})
	if err != nil || !slices.Contains(affected, id) || !slices.Contains(affected, id.Ancestor(8)) {
		t.Errorf("%v %v", affected, err)
	}
}

// sortMaps compares lists of properties in any order.
func sortMaps() cmp.Option {
	return cmp.Transformer("sort", func(in []map[string]any) []string {
		out := make([]string, len(in))
		for i, m := range in {
			b, err := json.Marshal(m)
			if err != nil {
				panic(err)
			}
			out[i] = string(b)
		}
		slices.Sort(out)
		return out
	})
}

func TestSpeedLayer(t *testing.T) {
	_, store, id := crossing(t)
	es := edges(t, store, id)
	speeds := tile.NewSpeeds(store, 3)
	b, err := speeds.Build(t.Context(), id, someSpeeds(es))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "speeds.mvt", b)
	fs := features(t, b)["speeds"]
	if len(fs) != len(es)-1 { // of the first there are too few vehicles
		t.Errorf("%d features of %d edges", len(fs), len(es))
	}
	for _, f := range fs {
		i := slices.Index(es, road.Edge(f["edge"].(float64)))
		if kmh := 10.0 + float64(5*i); f["kmh"] != kmh || f["typical"] != 40.0 || f["free"] != 48.0 || f["p15"] != 8.0 || f["p50"] != 11.0 || f["p85"] != 15.0 ||
			f["level"] != float64(tile.Level(f["ratio"].(float64))) || f["ratio"].(float64) < (kmh-0.1)/47.6 || f["ratio"].(float64) > (kmh+1)/47.6 {
			t.Errorf("%d: %v", i, f)
		}
	}
	rs, err := speeds.Records(t.Context(), id, someSpeeds(es))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "speeds.records", recordsFile(rs))
	if len(rs) != len(fs) {
		t.Errorf("%d records of %d features", len(rs), len(fs))
	}
	for _, r := range rs {
		s, err := state.DecodeSpeed(r.Value)
		if i := slices.Index(es, state.EdgeOf(id.Quadkey(), r.Key)); err != nil || s.KMH != uint16(10+5*i) {
			t.Errorf("record %d: %v, %v", r.Key, s, err)
		}
	}
	b, err = speeds.Build(t.Context(), id.Ancestor(12), someSpeeds(es))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range features(t, b)["speeds"] {
		if f["typical"] != 40.0 || f["p50"] != nil {
			t.Errorf("zoom 12: %v", f)
		}
	}
}

func TestHazards(t *testing.T) {
	_, store, id := crossing(t)
	es := edges(t, store, id)
	all := someHazards(es, id)
	hazards := tile.NewHazards(store)
	b, err := hazards.Build(t.Context(), id, all)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "hazards.mvt", b)
	fs := features(t, b)
	if diff := cmp.Diff([]map[string]any{
		{
			"geometry": "Point", "id": 7.0, "category": "slippery_road", "probability": 0.93, "n": 4.0,
			"started": 1_764_000_000_000.0, "updated": 1_764_000_030_000.0, "edge": float64(es[0]),
		},
		{"geometry": "Point", "id": 5.0, "category": "slippery_road", "probability": 0.5, "n": 2.0, "started": 1_764_000_010_000.0, "updated": 1_764_000_020_000.0},
		{"geometry": "Point", "id": 6.0, "category": "obstacle", "probability": 0.5, "n": 2.0, "started": 1_764_000_010_000.0, "updated": 1_764_000_020_000.0},
	}, fs["hazards"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]map[string]any{
		{"geometry": "LineString", "id": 7.0, "category": "slippery_road", "probability": 0.93, "edge": float64(es[0])},
		{"geometry": "LineString", "id": 7.0, "category": "slippery_road", "probability": 0.93, "edge": float64(es[1])},
	}, fs[tile.HazardLines]); diff != "" {
		t.Error(diff)
	}
	rs := hazards.Records(id, all)
	golden(t, "hazards.records", recordsFile(rs))
	if len(rs) != 3 || rs[0].Key != 5 {
		t.Errorf("%v", rs)
	}

	if b, err = hazards.Build(t.Context(), id.Ancestor(8), all); err != nil {
		t.Fatal(err)
	}
	fs = features(t, b)
	count := map[any]any{}
	for _, f := range fs["hazards"] {
		count[f["id"]] = f["count"]
	}
	// 9 is in the same tile of zoom 8.
	if diff := cmp.Diff(map[any]any{7.0: 2.0, 6.0: nil, 9.0: nil}, count); diff != "" || fs[tile.HazardLines] != nil {
		t.Errorf("%s %v", diff, fs[tile.HazardLines])
	}
	if b, err := hazards.Build(t.Context(), id, all[3:]); err != nil || b != nil {
		t.Errorf("without hazards: %d B, %v", len(b), err)
	}
	affected, err := hazards.Affected(t.Context(), all[:1])
	if err != nil || affected[0].Z != 14 {
		t.Fatalf("%v %v", affected, err)
	}
	for _, at := range affected {
		b, err := hazards.Build(t.Context(), at, all[:1])
		if err != nil {
			t.Fatal(err)
		}
		if at.Box().Contains(all[0].At) && b == nil {
			t.Errorf("%v is empty", at)
		}
	}
	// Who is not affected must not show it.
	for other := range geo.TilesIn(id.Box().Expand(3000), 14) {
		if b, err := hazards.Build(t.Context(), other, all[:1]); err != nil || b != nil && !slices.Contains(affected, other) {
			t.Errorf("%v shows it, but is not affected: %v", other, err)
		}
	}
	many := make([]hazard.Hazard, 3*tile.MaxHazards)
	for i := range many {
		many[i] = all[1]
		many[i].ID = uint64(i)
	}
	if b, err = hazards.Build(t.Context(), id, many); err != nil || len(features(t, b)["hazards"]) != tile.MaxHazards {
		t.Errorf("many hazards: %v", err)
	}
}

func BenchmarkBuildLimits(b *testing.B) {
	_, store := andorra(b)
	id := geo.FromQuadkey(14, busy(b, store).Quadkey)
	limits := tile.NewLimits(store)
	n := 0
	learned := func(e road.Edge) (limit.Limit, bool) {
		n++
		return limit.Limit{Edge: e, KMH: 30, Posterior: 0.99, Vehicles: 5}, true
	}
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		if _, err := limits.Build(b.Context(), id, learned); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n), "edges")
}

func BenchmarkRecords(b *testing.B) {
	_, store := andorra(b)
	id := geo.FromQuadkey(14, busy(b, store).Quadkey)
	speeds := tile.NewSpeeds(store, 3)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		rs, err := speeds.Records(b.Context(), id, func(road.Edge) (tile.Speed, bool) { return tile.Speed{KMH: 30, Vehicles: 4}, true })
		if err != nil {
			b.Fatal(err)
		}
		n = len(rs)
	}
	b.ReportMetric(float64(n), "records")
}
