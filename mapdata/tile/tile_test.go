package tile_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/gzip"
	orbmvt "github.com/paulmach/orb/encoding/mvt"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is Andorra with its stores, imported once.
var world = sync.OnceValues(func() (*memory, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/paulmach/osm").Output()
	if err != nil {
		return nil, err
	}
	o := &memory{m: make(map[string][]byte)}
	path := filepath.Join(strings.TrimSpace(string(dir)), "testdata", "andorra-latest.osm.bz2")
	_, err = mapdata.ImportFile(context.Background(), path, o, mapdata.ImportOptions{})
	return o, err
})

func andorra(tb testing.TB) (*memory, *road.Store) {
	tb.Helper()
	o, err := world()
	if errors.Is(err, os.ErrNotExist) {
		tb.Fatalf("%v: run `go mod download github.com/paulmach/osm`", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	store, err := road.OpenStore(tb.Context(), o, road.StoreConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	return o, store
}

// busy is the tile with the most roads.
func busy(tb testing.TB, s *road.Store) *road.Partition {
	tb.Helper()
	var best *road.Partition
	for _, q := range s.Manifest().Tiles {
		p, err := s.Partition(tb.Context(), q)
		if err != nil {
			tb.Fatal(err)
		}
		if best == nil || p.NumSegments() > best.NumSegments() {
			best = p
		}
	}
	return best
}

func TestSpeeds(t *testing.T) {
	_, store := andorra(t)
	p := busy(t, store)
	id := geo.FromQuadkey(14, p.Quadkey)
	speeds := tile.NewSpeeds(store, 3)
	sources, err := speeds.Sources(t.Context(), id)
	if err != nil || !slices.Contains(sources, p.Quadkey) || !slices.IsSorted(sources) {
		t.Fatalf("sources %v: %v", sources, err)
	}
	affected, err := speeds.Affected(t.Context(), []uint32{p.Quadkey})
	if err != nil {
		t.Fatal(err)
	}
	for z := uint8(10); z <= 14; z++ {
		if !slices.Contains(affected, id.Ancestor(z)) {
			t.Errorf("zoom %d is not affected: %v", z, affected)
		}
	}
	// A tile is affected by each of its sources, or a change there would never be seen.
	for z := uint8(10); z <= 14; z++ {
		from, err := speeds.Sources(t.Context(), id.Ancestor(z))
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range from {
			changed, err := speeds.Affected(t.Context(), []uint32{q})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(changed, id.Ancestor(z)) {
				t.Errorf("%v has the source %d, but is not affected by it", id.Ancestor(z), q)
			}
		}
	}
	for _, z := range []uint8{10, 12, 14} {
		asked := make(map[uint32]bool)
		b, err := speeds.Build(t.Context(), id.Ancestor(z), func(e road.Edge) (tile.Speed, bool) {
			asked[e.Quadkey()] = true
			if e.Against() {
				return tile.Speed{KMH: 99, Vehicles: 2}, true // too few
			}
			return tile.Speed{KMH: 20.4, Vehicles: 5}, true
		})
		if err != nil {
			t.Fatal(err)
		}
		from, err := speeds.Sources(t.Context(), id.Ancestor(z))
		if err != nil {
			t.Fatal(err)
		}
		for q := range asked {
			if !slices.Contains(from, q) {
				t.Errorf("zoom %d asks for tile %d, which is no source", z, q)
			}
		}
		layers, err := orbmvt.Unmarshal(b)
		if err != nil || len(layers) != 1 || layers[0].Name != "speeds" {
			t.Fatalf("zoom %d: %v, %v", z, layers, err)
		}
		for _, f := range layers[0].Features {
			e := road.Edge(f.Properties["edge"].(float64))
			seg, ok, err := store.Segment(t.Context(), e.Segment())
			if err != nil || !ok || e.Against() || f.ID != f.Properties["edge"] {
				t.Fatalf("zoom %d: feature %v of edge %d: %v", z, f.ID, e, err)
			}
			if tile.ClassZoom(seg.Class) > z || f.Properties["kmh"] != 20.0 || f.Properties["n"] != 5.0 || f.Properties["class"] != seg.Class.String() {
				t.Fatalf("zoom %d: %v", z, f.Properties)
			}
		}
		t.Logf("zoom %d: %d features, %d B", z, len(layers[0].Features), len(b))
	}
	if b, err := speeds.Build(t.Context(), id, func(road.Edge) (tile.Speed, bool) { return tile.Speed{}, false }); err != nil || b != nil {
		t.Errorf("without speeds: %d B, %v", len(b), err)
	}
	if _, err := speeds.Build(t.Context(), geo.Tile{Z: 9}, nil); err == nil {
		t.Error("zoom 9 was built")
	}
}

func TestPublish(t *testing.T) {
	objects, store := &memory{m: make(map[string][]byte)}, &live{m: make(map[string]item)}
	p := tile.NewPublisher(objects, store)
	id := tile.ID{Z: 14, X: 1, Y: 2}
	publish := func(version int64, body string, want bool, keys ...string) {
		t.Helper()
		won, err := p.Publish(t.Context(), "speeds", id, version, []byte(body))
		if err != nil || won != want {
			t.Errorf("version %d: %v, %v", version, won, err)
		}
		for i, k := range keys {
			keys[i] = "tiles/speeds/14/1/2/" + k + ".mvt.gz"
		}
		got := objects.under("tiles/")
		for i, k := range got { // the sum of the content is not the point here
			version, _, _ := strings.Cut(k, "-")
			got[i] = version + ".mvt.gz"
		}
		if diff := cmp.Diff(keys, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("version %d: %s", version, diff)
		}
	}
	publish(10, "a", true, "10")
	publish(10, "b", false, "10")
	publish(9, "b", false, "10")
	publish(20, "b", true, "10", "20")
	publish(30, "c", true, "20", "30")
	publish(40, "c", true, "20", "30") // the same content: nothing stored
	publish(35, "d", false, "20", "30")
	publish(50, "d", true, "30", "50")
	publish(60, "", true, "50") // nothing to show any more
	publish(70, "e", true, "70")

	// Another publisher gets in between the read and the write: the loser's object goes.
	store.before = func() { publish(90, "g", true, "70", "80", "90") }
	publish(80, "f", false, "70", "90")
}

func TestHandler(t *testing.T) {
	objects, roads := andorra(t)
	items := &live{m: make(map[string]item)}
	publisher := tile.NewPublisher(objects, items)
	m := roads.Manifest()
	p := busy(t, roads)
	id := geo.FromQuadkey(14, p.Quadkey)
	if _, err := publisher.Publish(t.Context(), "speeds", id, 1, []byte("speeds tile")); err != nil {
		t.Fatal(err)
	}
	h := tile.NewHandler(tile.HandlerConfig{Objects: objects, Live: items, Manifest: func() (road.Manifest, bool) { return m, true }})
	get := func(path string, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: no CORS", path)
		}
		return w
	}
	roadsPath, speedsPath := "/v1/tiles/roads/"+id.String()+".mvt", "/v1/tiles/speeds/"+id.String()+".mvt"

	zipped := get(roadsPath, "Accept-Encoding", "br, gzip")
	plain := get(roadsPath)
	if zipped.Code != 200 || plain.Code != 200 || zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" {
		t.Fatalf("%d %d %v", zipped.Code, plain.Code, zipped.Header())
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	inflated, err := io.ReadAll(z)
	if err != nil || string(inflated) != plain.Body.String() {
		t.Errorf("gzip and plain differ: %v", err)
	}
	layers, err := orbmvt.Unmarshal(inflated)
	if err != nil || len(layers) != 1 || layers[0].Name != "roads" || len(layers[0].Features) < 50 {
		t.Fatalf("%v %v", layers, err)
	}
	for _, f := range layers[0].Features {
		if _, ok, err := roads.Segment(t.Context(), road.SegmentID(f.ID.(float64))); !ok || err != nil {
			t.Fatalf("feature %v is no segment: %v", f.ID, err)
		}
	}

	etag := zipped.Header().Get("ETag")
	outside := geo.TileAt(geo.At(48, 11), 14)
	empty := emptyTile(t, roads)
	for name, tt := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"known":                {roadsPath, []string{"If-None-Match", `"x", ` + etag}, 304},
		"known, strong":        {roadsPath, []string{"If-None-Match", strings.TrimPrefix(etag, "W/")}, 304},
		"any":                  {roadsPath, []string{"If-None-Match", "*"}, 304},
		"other":                {roadsPath, []string{"If-None-Match", `W/"x"`}, 200},
		"no gzip, please":      {roadsPath, []string{"Accept-Encoding", "gzip;q=0, *"}, 200},
		"speeds":               {speedsPath, nil, 200},
		"empty":                {"/v1/tiles/roads/" + empty.String() + ".mvt", nil, 204},
		"no speeds yet":        {"/v1/tiles/speeds/" + empty.String() + ".mvt", nil, 204},
		"outside":              {"/v1/tiles/roads/" + outside.String() + ".mvt", nil, 404},
		"unknown layer":        {"/v1/tiles/x/" + id.String() + ".mvt", nil, 404},
		"too low for speeds":   {"/v1/tiles/speeds/" + id.Ancestor(9).String() + ".mvt", nil, 404},
		"low roads":            {"/v1/tiles/roads/" + id.Ancestor(9).String() + ".mvt", nil, 200},
		"beyond the world":     {"/v1/tiles/roads/14/99999/1.mvt", nil, 404},
		"no number":            {"/v1/tiles/roads/14/a/1.mvt", nil, 404},
		"negative":             {"/v1/tiles/roads/14/-1/1.mvt", nil, 404},
		"zoom of another kind": {"/v1/tiles/roads/300/1/1.mvt", nil, 404},
		"no mvt":               {"/v1/tiles/roads/" + id.String() + ".png", nil, 404},
		"up the tree":          {"/v1/tiles/roads/14/..%2f..%2f/1.mvt", nil, 404},
		"document":             {"/v1/tiles.json", nil, 200},
		"document of nothing":  {"/v1/tiles.json?layer=x", nil, 404},
	} {
		t.Run(name, func(t *testing.T) {
			if w := get(tt.path, tt.header...); w.Code != tt.want || w.Code == 304 && w.Header().Get("ETag") == "" || w.Code == 304 && w.Body.Len() > 0 {
				t.Errorf("%s: %d, want %d: %s", tt.path, w.Code, tt.want, w.Body)
			}
		})
	}
	if get(roadsPath).Header().Get("Cache-Control") == get(speedsPath).Header().Get("Cache-Control") {
		t.Error("live and static tiles are cached alike")
	}
	before := get(speedsPath).Header().Get("ETag")
	if _, err := publisher.Publish(t.Context(), "speeds", id, 2, []byte("another")); err != nil {
		t.Fatal(err)
	}
	if w := get(speedsPath, "If-None-Match", before); w.Code != 200 || w.Body.String() != "another" {
		t.Errorf("after a new version: %d %q", w.Code, w.Body)
	}

	var doc struct {
		TileJSON     string            `json:"tilejson"`
		Tiles        []string          `json:"tiles"`
		Bounds       [4]float64        `json:"bounds"`
		Attribution  string            `json:"attribution"`
		VectorLayers []json.RawMessage `json:"vector_layers"`
	}
	if err := json.Unmarshal(get("/v1/tiles.json?layer=speeds").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.TileJSON != "3.0.0" || len(doc.VectorLayers) != 1 || doc.Bounds != m.BBox || doc.Attribution != road.Attribution ||
		!slices.Equal(doc.Tiles, []string{"http://example.com/v1/tiles/speeds/{z}/{x}/{y}.mvt"}) {
		t.Errorf("%+v", doc)
	}
	none := tile.NewHandler(tile.HandlerConfig{Objects: objects, Live: items, Manifest: func() (road.Manifest, bool) { return road.Manifest{}, false }})
	w := httptest.NewRecorder()
	none.ServeHTTP(w, httptest.NewRequest(http.MethodGet, roadsPath, nil))
	if w.Code != 503 {
		t.Errorf("without a map: %d", w.Code)
	}
}

// emptyTile is a tile within the map's box that has no roads.
func emptyTile(t *testing.T, s *road.Store) tile.ID {
	t.Helper()
	for id := range geo.TilesIn(s.Manifest().Box(), 14) {
		if !slices.Contains(s.Manifest().Tiles, id.Quadkey()) {
			return id
		}
	}
	t.Fatal("the map has no empty tile")
	return tile.ID{}
}

func BenchmarkBuildSpeeds(b *testing.B) {
	_, store := andorra(b)
	id := geo.FromQuadkey(14, busy(b, store).Quadkey)
	speeds := tile.NewSpeeds(store, 3)
	everything := tile.Speed{KMH: 30, Vehicles: 4, TypicalKMH: 40, FreeKMH: 50, P15KMH: 20, P50KMH: 30, P85KMH: 45}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		if _, err := speeds.Build(b.Context(), id, func(road.Edge) (tile.Speed, bool) { n++; return everything, true }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n), "edges")
}
