package tile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/proto"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

// post asks for a delta.
func (s *service) post(tb testing.TB, body string, header ...string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/v1/tiles:delta", strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Header().Get("Access-Control-Allow-Origin") != "*" {
		tb.Error("no CORS")
	}
	return w
}

// filled is a service with all layers of two versions: 1_764_000_000_000 and a minute later.
func filled(t *testing.T) *service {
	t.Helper()
	s := newService(t)
	_, roads, _ := crossing(t)
	es := edges(t, roads, s.id)
	for i, version := range []int64{1_764_000_000_000, 1_764_000_060_000} {
		later := i == 1
		limits, err := tile.NewLimits(roads).Records(t.Context(), s.id, func(e road.Edge) (limit.Limit, bool) {
			if later && e == es[1] {
				return limit.Limit{KMH: 20, Variants: []limit.Variant{{KMH: 10, Wet: true}}}, true
			}
			return someLimits(es)(e)
		})
		if err != nil {
			t.Fatal(err)
		}
		speeds, err := tile.NewSpeeds(roads, 3).Records(t.Context(), s.id, func(e road.Edge) (tile.Speed, bool) {
			v, ok := someSpeeds(es)(e)
			if later && e == es[2] {
				v.KMH = 3
			}
			return v, ok && (!later || e != es[3])
		})
		if err != nil {
			t.Fatal(err)
		}
		active := someHazards(es, s.id)
		if later { // 7 has ended
			active = active[1:]
			active[0].Probability = 0.75
		}
		hazards := tile.NewHazards(roads).Records(s.id, active)
		for layer, rs := range map[string][]tile.Record{tile.LimitLayer: limits, tile.SpeedLayer: speeds, tile.HazardLayer: hazards} {
			if won, err := s.publisher.PublishLayer(t.Context(), layer, s.id, version, []byte(layer), rs); err != nil || !won {
				t.Fatal(layer, won, err)
			}
		}
	}
	return s
}

func pretty(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return append(out.Bytes(), '\n')
}

func TestDelta(t *testing.T) {
	s := filled(t)
	name := s.id.String()
	full := s.post(t, `{"tiles":{"`+name+`":{}}}`)
	if full.Code != 200 || full.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", full.Code, full.Body)
	}
	golden(t, "full.json", pretty(t, full.Body.Bytes()))
	held := `{"roads":"0000000000000000","limits":"1764000000000","speeds":1764000000000,"hazards":"1764000000000"}`
	delta := s.post(t, `{"tiles":{"`+name+`":`+held+`}}`)
	golden(t, "delta.json", pretty(t, delta.Body.Bytes()))

	// All ways to say the same.
	quadkey := fmt.Sprintf("%014s", strings.TrimLeft(base4(s.id.Quadkey()), "0"))
	for what, body := range map[string]string{
		"bare":    `{"` + name + `":` + held + `}`,
		"quadkey": `{"tiles":{"` + quadkey + `":` + held + `}}`,
	} {
		w := s.post(t, body, "Content-Type", "application/json; charset=utf-8", "Accept", "text/html, application/json;q=0.5")
		if got := strings.ReplaceAll(w.Body.String(), `"`+quadkey+`"`, `"`+name+`"`); got != delta.Body.String() {
			t.Errorf("%s: %d %s", what, w.Code, got)
		}
	}
	v, none, mapVersion := uint64(1_764_000_000_000), uint64(0), "0000000000000000"
	for what, tt := range map[string]struct {
		held   *tilepb.Held
		golden string
		json   string
	}{
		"delta": {&tilepb.Held{Roads: &mapVersion, Limits: &v, Speeds: &v, Hazards: &v}, "delta.pb", delta.Body.String()},
		"full":  {&tilepb.Held{}, "full.pb", full.Body.String()},
		"nothing of three": {
			&tilepb.Held{Limits: &none, Speeds: &none, Hazards: &none}, "", "",
		},
	} {
		tt.held.Quadkey = s.id.Quadkey()
		body, err := proto.Marshal(&tilepb.DeltaRequest{Tiles: []*tilepb.Held{tt.held}})
		if err != nil {
			t.Fatal(err)
		}
		w := s.post(t, string(body), "Content-Type", "application/x-protobuf")
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-protobuf" {
			t.Fatalf("%s: %d %s", what, w.Code, w.Body)
		}
		var answer tilepb.DeltaResponse
		if err := proto.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.GetTiles()) != 1 {
			t.Fatalf("%s: %v %v", what, err, &answer)
		}
		if tt.golden == "" {
			if a := answer.GetTiles()[0]; !a.GetLimits().GetFull() || !a.GetSpeeds().GetFull() || !a.GetHazards().GetFull() || a.GetRoads() != nil {
				t.Errorf("%s: %v", what, a)
			}
			continue
		}
		golden(t, tt.golden, w.Body.Bytes())
		w = s.post(t, string(body), "Content-Type", "application/x-protobuf", "Accept", "application/json")
		if w.Body.String() != tt.json {
			t.Errorf("%s: asked in protobuf: %s", what, w.Body)
		}
	}

	// Up to date: nothing to tell.
	current := `{"limits":"1764000060000","speeds":"1764000060000","hazards":"1764000060000"}`
	if w := s.post(t, `{"`+name+`":`+current+`}`); w.Body.String() != `{"tiles":{}}` {
		t.Errorf("up to date: %s", w.Body)
	}
	// Only what is named is told.
	if w := s.post(t, `{"`+name+`":{"speeds":null}}`); strings.Contains(w.Body.String(), "limits") || !strings.Contains(w.Body.String(), `"full":true`) {
		t.Errorf("speeds only: %s", w.Body)
	}
	outside := s.post(t, `{"14/0/0":{"speeds":""},"`+name+`":`+current+`}`)
	golden(t, "outside.json", pretty(t, outside.Body.Bytes()))
}

// base4 is a number in base 4.
func base4(n uint32) string {
	var b []byte
	for range 14 {
		b = append(b, byte('0'+n&3))
		n >>= 2
	}
	slices.Reverse(b)
	return string(b)
}

func TestDeltaRefusals(t *testing.T) {
	s := newService(t)
	many := map[string]any{}
	for i := range tile.MaxDeltaTiles + 1 {
		many[fmt.Sprintf("14/%d/5", i)] = map[string]string{}
	}
	tooMany, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	name, quadkey := s.id.String(), base4(s.id.Quadkey())
	protobuf := []string{"Content-Type", "application/x-protobuf"}
	far := uint64(1 << 63)
	slashes := "../.."
	message := func(hs ...*tilepb.Held) string {
		b, err := (&tilepb.DeltaRequest{Tiles: hs}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for what, tt := range map[string]struct {
		body    string
		header  []string
		status  int
		pointer string
	}{
		"no body":            {"", nil, 400, ""},
		"no object":          {"[]", nil, 400, ""},
		"null":               {"null", nil, 400, ""},
		"no tiles":           {`{"tiles":{}}`, nil, 400, "/tiles"},
		"no tiles, bare":     {`{}`, nil, 400, ""},
		"tiles are no map":   {`{"tiles":[1]}`, nil, 400, "/tiles"},
		"too many":           {string(tooMany), nil, 400, ""},
		"no tile":            {`{"tiles":{"x":{}}}`, nil, 400, "/tiles/x"},
		"another zoom":       {`{"13/1/1":{}}`, nil, 400, "/13~11~11"},
		"beyond the world":   {`{"14/16384/1":{}}`, nil, 400, "/14~116384~11"},
		"no quadkey":         {`{"01234012340123":{}}`, nil, 400, "/01234012340123"},
		"layers are no map":  {`{"tiles":{"14/1/1":7}}`, nil, 400, "/tiles/14~11~11"},
		"unknown layer":      {`{"tiles":{"14/1/1":{"x~y":1}}}`, nil, 400, "/tiles/14~11~11/x~0y"},
		"no version":         {`{"14/1/1":{"speeds":true}}`, nil, 400, "/14~11~11/speeds"},
		"negative":           {`{"14/1/1":{"speeds":-1}}`, nil, 400, "/14~11~11/speeds"},
		"a fraction":         {`{"14/1/1":{"speeds":"1.5"}}`, nil, 400, "/14~11~11/speeds"},
		"a path":             {`{"14/1/1":{"roads":"../../map"}}`, nil, 400, "/14~11~11/roads"},
		"twice":              {`{"` + name + `":{},"` + quadkey + `":{}}`, nil, 400, ""},
		"too large":          {`{"tiles":{` + strings.Repeat(" ", tile.MaxDeltaBody) + `}}`, nil, 413, ""},
		"another type":       {"x", []string{"Content-Type", "text/plain"}, 415, ""},
		"broken type":        {"x", []string{"Content-Type", ";"}, 415, ""},
		"compressed":         {"x", []string{"Content-Encoding", "gzip"}, 415, ""},
		"protobuf: nothing":  {"", protobuf, 400, "/tiles"},
		"protobuf: garbage":  {"\xff\xff", protobuf, 400, ""},
		"protobuf: quadkey":  {message(&tilepb.Held{Quadkey: 1 << 28}), protobuf, 400, "/tiles/0/quadkey"},
		"protobuf: twice":    {message(&tilepb.Held{Quadkey: 1}, &tilepb.Held{Quadkey: 1}), protobuf, 400, "/tiles/1/quadkey"},
		"protobuf: version":  {message(&tilepb.Held{Hazards: &far}), protobuf, 400, "/tiles/0/hazards"},
		"protobuf: a path":   {message(&tilepb.Held{Roads: &slashes}), protobuf, 400, "/tiles/0/roads"},
		"protobuf: too many": {message(make([]*tilepb.Held, tile.MaxDeltaTiles+1)...), protobuf, 400, "/tiles"},
	} {
		t.Run(what, func(t *testing.T) {
			w := s.post(t, tt.body, tt.header...)
			var p struct {
				Type, Pointer, Expected string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); w.Code != tt.status || err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s %v", w.Code, w.Body, err)
			}
			if what != "twice" && p.Pointer != tt.pointer || tt.status == 400 && p.Expected == "" {
				t.Errorf("%+v", p)
			}
		})
	}
	none := tile.NewHandler(tile.HandlerConfig{Objects: s.objects, Live: s.live, Manifest: func() (road.Manifest, bool) { return road.Manifest{}, false }})
	w := httptest.NewRecorder()
	none.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/tiles:delta", strings.NewReader(`{"14/1/1":{}}`)))
	if w.Code != 503 {
		t.Errorf("without a map: %d", w.Code)
	}
}

// TestDeltaSize: 53 of 1,000 segments' speeds changed.
func TestDeltaSize(t *testing.T) {
	s := newService(t)
	rng := rand.New(rand.NewPCG(1, 1))
	c := traffic{}
	for len(c) < 1000 {
		c[rng.Uint64N(1<<25)] = uint16(20 + rng.IntN(110))
	}
	s.publish(t, 1_764_000_000_000, c)
	keys := slices.Sorted(maps.Keys(c))
	for _, i := range rng.Perm(len(keys))[:53] {
		c[keys[i]] += 1 + uint16(rng.IntN(30))
	}
	s.publish(t, 1_764_000_060_000, c)
	v, zero := uint64(1_764_000_000_000), uint64(0)
	size := func(since *uint64, accept, encoding string) int {
		body, err := (&tilepb.DeltaRequest{Tiles: []*tilepb.Held{{Quadkey: s.id.Quadkey(), Speeds: since}}}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		w := s.post(t, string(body), "Content-Type", "application/x-protobuf", "Accept", accept, "Accept-Encoding", encoding)
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.Len()
	}
	delta := size(&v, "application/x-protobuf", "gzip")
	t.Logf("53 of 1,000 segments: protobuf %d B, JSON %d B, JSON gzip'd %d B; all 1,000: %d B", delta,
		size(&v, "application/json", ""), size(&v, "application/json", "gzip"), size(&zero, "application/x-protobuf", "gzip"))
	if delta >= 400 {
		t.Errorf("%d B", delta)
	}
	if m := s.speeds(t, v); len(m.GetEdge()) != 53 || m.GetFull() {
		t.Errorf("%d edges", len(m.GetEdge()))
	}
}

func TestDeltaGzip(t *testing.T) {
	s := filled(t)
	body := `{"` + s.id.String() + `":{}}`
	plain, zipped := s.post(t, body), s.post(t, body, "Accept-Encoding", "gzip")
	if zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("Content-Encoding") != "" {
		t.Fatalf("%v %v", zipped.Header(), plain.Header())
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != plain.Body.String() {
		t.Errorf("%v", err)
	}
}

// TestSameRoads: a new version of the map whose roads in a tile are the old ones.
func TestSameRoads(t *testing.T) {
	s := newService(t)
	_, roads, _ := crossing(t)
	m := roads.Manifest()
	body, err := s.objects.Get(t.Context(), tile.ObjectKey(tile.Roads, s.id, m.Version))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"older", "other"} {
		_ = s.objects.Put(t.Context(), road.ManifestKey(version), []byte("{}"), "", "")
	}
	_ = s.objects.Put(t.Context(), tile.ObjectKey(tile.Roads, s.id, "older"), body, "", "")
	_ = s.objects.Put(t.Context(), tile.ObjectKey(tile.Roads, s.id, "other"), body[1:], "", "")
	for held, want := range map[string]string{
		"older":   `{"version":"` + m.Version + `","full":false}`,
		"other":   `{"version":"` + m.Version + `","full":true,"url":"/v1/tiles/roads/` + s.id.String() + `.mvt"}`,
		"unknown": `{"version":"` + m.Version + `","full":true,"url":"/v1/tiles/roads/` + s.id.String() + `.mvt"}`,
		"0":       `{"version":"` + m.Version + `","full":true,"url":"/v1/tiles/roads/` + s.id.String() + `.mvt"}`,
		m.Version: "",
	} {
		for range 2 { // the second time from memory
			if want != "" {
				want = `"roads":` + strings.TrimPrefix(want, `"roads":`)
			}
			if w := s.post(t, `{"`+s.id.String()+`":{"roads":"`+held+`"}}`); !strings.Contains(w.Body.String(), want) || want == "" && w.Body.String() != `{"tiles":{}}` {
				t.Errorf("%s: %s", held, w.Body)
			}
		}
	}
}

// TestTileJSONLayers: the document of each layer lists what its tiles hold.
func TestTileJSONLayers(t *testing.T) {
	s := newService(t)
	_, roads, _ := crossing(t)
	es := edges(t, roads, s.id)
	limits, err := tile.NewLimits(roads).Build(t.Context(), s.id, someLimits(es))
	if err != nil {
		t.Fatal(err)
	}
	low, err := tile.NewLimits(roads).Build(t.Context(), s.id.Ancestor(10), someLimits(nil))
	if err != nil {
		t.Fatal(err)
	}
	speeds, err := tile.NewSpeeds(roads, 3).Build(t.Context(), s.id, someSpeeds(es))
	if err != nil {
		t.Fatal(err)
	}
	hazards, err := tile.NewHazards(roads).Build(t.Context(), s.id, someHazards(es, s.id))
	if err != nil {
		t.Fatal(err)
	}
	for layer, bodies := range map[string][][]byte{"roads": nil, "limits": {limits, low}, "speeds": {speeds}, "hazards": {hazards}} {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/tiles.json?layer="+layer, nil))
		var doc struct {
			VectorLayers []struct {
				ID     string            `json:"id"`
				Fields map[string]string `json:"fields"`
			} `json:"vector_layers"`
			Layers []struct{ Name string } `json:"layers"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v", layer, w.Code, err)
		}
		if len(doc.Layers) != 4 {
			t.Errorf("%v", doc.Layers)
		}
		fields := map[string]map[string]string{}
		for _, l := range doc.VectorLayers {
			fields[l.ID] = l.Fields
		}
		for _, b := range bodies {
			for name, fs := range features(t, b) {
				for _, f := range fs {
					delete(f, "geometry")
					for property := range f {
						if fields[name][property] == "" {
							t.Errorf("%s: %s has %s, which is not listed", layer, name, property)
						}
					}
				}
			}
		}
	}
}

func FuzzDeltaRequest(f *testing.F) {
	s := newService(f)
	f.Add([]byte(`{"tiles":{"14/8245/6077":{"roads":"ab","speeds":"1"}}}`), false)
	f.Add([]byte(`{"12022001102033":{"limits":1764000000000,"hazards":null}}`), false)
	one, version := uint64(1), "x"
	b, err := (&tilepb.DeltaRequest{Tiles: []*tilepb.Held{{Quadkey: s.id.Quadkey(), Speeds: &one, Roads: &version}, {Quadkey: 7}}}).MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, body []byte, binary bool) {
		header := []string{"Content-Type", "application/json"}
		if binary {
			header[1] = "application/x-protobuf"
		}
		w := s.post(t, string(body), header...)
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

// TestWireIsTheSchema compares the fast generated code with the reflective one.
func TestWireIsTheSchema(t *testing.T) {
	s := filled(t)
	w := s.post(t, `{"`+s.id.String()+`":{}}`, "Accept", "application/x-protobuf")
	var fast, slow tilepb.DeltaResponse
	if err := fast.UnmarshalVT(w.Body.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(w.Body.Bytes(), &slow); err != nil || !proto.Equal(&fast, &slow) {
		t.Errorf("%v", err)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&slow)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.Body.Bytes(), again); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkDelta: nine tiles, of which one changed.
func BenchmarkDelta(b *testing.B) {
	s := newService(b)
	rng := rand.New(rand.NewPCG(1, 1))
	c := traffic{}
	for len(c) < 1000 {
		c[rng.Uint64N(1<<25)] = 50
	}
	keys := slices.Sorted(maps.Keys(c))
	s.publish(b, 1_764_000_000_000, c)
	for _, i := range rng.Perm(len(keys))[:53] {
		c[keys[i]] = 40
	}
	s.publish(b, 1_764_000_060_000, c)
	v := uint64(1_764_000_000_000)
	request := &tilepb.DeltaRequest{}
	for y := range uint32(3) {
		for x := range uint32(3) {
			request.Tiles = append(request.Tiles, &tilepb.Held{Quadkey: (geo.Tile{Z: 14, X: s.id.X + x, Y: s.id.Y + y}).Quadkey(), Speeds: &v})
		}
	}
	body, err := request.MarshalVT()
	if err != nil {
		b.Fatal(err)
	}
	h := tile.NewHandler(tile.HandlerConfig{Objects: s.objects, Live: s.live, Manifest: func() (road.Manifest, bool) {
		return road.Manifest{Version: "x", BBox: [4]float64{0, 40, 5, 45}}, true
	}})
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/tiles:delta", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-protobuf")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
