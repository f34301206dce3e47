package release

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/paulmach/orb/encoding/mvt"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/pmtiles"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// memory is an object store that can fail.
type memory struct {
	mu    sync.Mutex
	m     map[string][]byte
	puts  int
	failN int // the put that fails; 0: none
}

var errFull = errors.New("disk full")

func (o *memory) Get(_ context.Context, key string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b, ok := o.m[key]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
}

func (o *memory) Put(_ context.Context, key string, body []byte, _, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.puts++; o.puts == o.failN {
		return errFull
	}
	o.m[key] = slices.Clone(body)
	return nil
}

// town is a map of three streets in one tile.
const town = `<osm version="0.6">
<node id="1" lat="42.5000" lon="1.5000"/><node id="2" lat="42.5000" lon="1.5040"/><node id="3" lat="42.5000" lon="1.5080"/>
<node id="4" lat="42.5030" lon="1.5040"/>
<way id="10"><nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/><tag k="maxspeed" v="80"/><tag k="name" v="Main"/></way>
<way id="11"><nd ref="2"/><nd ref="3"/><tag k="highway" v="primary"/><tag k="name" v="Main"/></way>
<way id="12"><nd ref="2"/><nd ref="4"/><tag k="highway" v="residential"/><tag k="maxspeed" v="30"/></way>
</osm>`

func newStore(tb testing.TB, osm string) *memory {
	tb.Helper()
	o := &memory{m: map[string][]byte{}}
	if _, err := mapdata.Import(tb.Context(), strings.NewReader(osm), o, mapdata.ImportOptions{Source: "town.osm"}); err != nil {
		tb.Fatal(err)
	}
	return o
}

// source is what has been learned.
type source struct {
	limits []limit.Limit
	errors []maperror.Reviewed
	speeds map[road.Edge]*learn.Speed
}

func (s *source) Limits(_ context.Context, _ [][2]uint64, publishedOnly bool, after uint64, most int) (out []limit.Limit, err error) {
	for i := range s.limits {
		if l := s.limits[i]; uint64(l.Edge) > after && (l.Published() || !publishedOnly) && len(out) < most {
			out = append(out, l)
		}
	}
	return out, nil
}

func (s *source) MapErrors(_ context.Context, f maperror.Filter) (out []maperror.Reviewed, err error) {
	for i := range s.errors {
		if e := s.errors[i]; e.ID > f.After && slices.Contains(f.Status, e.Status) && len(out) < f.Most {
			out = append(out, e)
		}
	}
	return out, nil
}

func (s *source) StoredHistograms(_ context.Context, tiles []uint32, _ []int64, each func(uint64, *learn.Speed)) error {
	for _, e := range slices.Sorted(maps.Keys(s.speeds)) {
		if slices.Contains(tiles, e.Quadkey()) {
			each(uint64(e), s.speeds[e])
		}
	}
	return nil
}

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// edges are the town's edges in one direction, ascending.
func edges(tb testing.TB, o *memory) []road.Edge {
	tb.Helper()
	g, _, err := road.LoadGraph(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	var out []road.Edge
	for n := range g.NumSegments() {
		out = append(out, g.SegmentAt(n).ID.Edge(false))
	}
	slices.Sort(out)
	return out
}

func learned(e road.Edge, kmh, mapKMH uint8) limit.Limit {
	return limit.Limit{Edge: e, KMH: kmh, MapKMH: mapKMH, Posterior: 0.997, Vehicles: 7, Readings: 12, SinceMS: at.Add(-24 * time.Hour).UnixMilli()}
}

func driven(kmh uint16, cars int) *learn.Speed {
	s := &learn.Speed{}
	for i := range cars {
		s.Add(kmh*28, uint64(i)*1_000_003)
	}
	return s
}

func accepted(id uint64) maperror.Reviewed {
	return maperror.Reviewed{
		Candidate: maperror.Candidate{
			ID: id, Type: maperror.MissingRoad, At: geo.At(42.501, 1.501), Vehicles: 9, Score: 0.8,
			Geometry: []geo.Point{geo.At(42.501, 1.501), geo.At(42.502, 1.502)}, FirstMS: at.UnixMilli(), LastMS: at.UnixMilli(),
		},
		Status: maperror.Accepted, UpdatedAt: at,
	}
}

func create(tb testing.TB, o *memory, src *source, now time.Time) (*Manifest, bool) {
	tb.Helper()
	m, created, err := Create(tb.Context(), o, src, Config{Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	return m, created
}

// TestReleasesAreImmutable makes three: what is learned in between changes only the later ones.
func TestReleasesAreImmutable(t *testing.T) {
	o := newStore(t, town)
	e := edges(t, o)
	src := &source{
		limits: []limit.Limit{learned(e[0], 50, 80), learned(e[1], 0, 30)},
		speeds: map[road.Edge]*learn.Speed{e[0]: driven(45, 5), e[1]: driven(30, 2)},
	}
	if v, err := Current(t.Context(), o); v != "" || err != nil {
		t.Fatalf("current before any: %q, %v", v, err)
	}
	if _, err := Read(t.Context(), o, ""); !errors.Is(err, ErrNoRelease) {
		t.Fatalf("newest before any: %v", err)
	}
	first, created := create(t, o, src, at)
	if !created || first.Number != 1 || first.Previous != "" || first.Limits.Rows != 1 || first.Speeds.Rows != 1 || first.MapErrors.Rows != 0 {
		t.Fatalf("first %+v", first)
	}
	if first.Changes.LimitsAdded != 1 || !first.Changes.MapChanged || len(first.Layers) != 3 {
		t.Errorf("first: %+v, %d layers", first.Changes, len(first.Layers))
	}
	kept := maps.Clone(o.m)

	again, created := create(t, o, src, at.Add(time.Hour))
	if created || again.Version != first.Version {
		t.Errorf("again: created %v, %s after %s", created, again.Version, first.Version)
	}

	src.limits = []limit.Limit{learned(e[0], 60, 80), learned(e[1], 20, 30)}
	src.errors = []maperror.Reviewed{accepted(5), {Candidate: maperror.Candidate{ID: 6}, Status: maperror.Rejected}}
	second, created := create(t, o, src, at.Add(24*time.Hour))
	if !created || second.Number != 2 || second.Previous != first.Version {
		t.Fatalf("second %+v", second)
	}
	if d := cmp.Diff(Summary{LimitsAdded: 1, LimitsChanged: 1, ErrorsAccepted: 1, Tiles: second.Changes.Tiles}, second.Changes); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	if n := second.Changes.Tiles; n[tile.Roads] != 0 || n[tile.SpeedLayer] != 0 || n[tile.LimitLayer] == 0 {
		t.Errorf("changed tiles %v", n)
	}
	src.limits, src.errors = src.limits[:1], nil
	third, _ := create(t, o, src, at.Add(48*time.Hour))
	if third.Changes.LimitsRemoved != 1 || third.Changes.ErrorsResolved != 1 {
		t.Errorf("third: %+v", third.Changes)
	}
	for key, was := range kept {
		if key != CurrentKey && !bytes.Equal(o.m[key], was) {
			t.Errorf("%s has changed", key)
		}
	}
	list, err := List(t.Context(), o, 10)
	if err != nil || len(list) != 3 || list[0].Version != third.Version || list[2].Version != first.Version {
		t.Errorf("%d releases, %v", len(list), err)
	}
	if list, err := List(t.Context(), o, 2); err != nil || len(list) != 2 {
		t.Errorf("%d of two releases, %v", len(list), err)
	}
	d, err := Compare(t.Context(), o, first, third)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Limits) != 1 || d.Limits[0].Before.KMH != 50 || d.Limits[0].After.KMH != 60 || !strings.Contains(d.Limits[0].Why, "7 vehicles, 12 readings") || d.Summary.MapChanged {
		t.Errorf("from the first to the third: %+v", d)
	}
}

func TestAnotherMapIsAnotherRelease(t *testing.T) {
	o := newStore(t, town)
	src := &source{}
	first, _ := create(t, o, src, at)
	if _, err := mapdata.Import(t.Context(), strings.NewReader(strings.Replace(town, `v="30"`, `v="20"`, 1)), o, mapdata.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	second, created := create(t, o, src, at)
	if !created || !second.Changes.MapChanged || second.MapVersion == first.MapVersion || second.Changes.Tiles[tile.Roads] == 0 {
		t.Errorf("created %v: %+v", created, second)
	}
}

// TestExportIsReadable exports a release, and reads its tiles with another library.
func TestExportIsReadable(t *testing.T) {
	o := newStore(t, town)
	e := edges(t, o)
	src := &source{limits: []limit.Limit{learned(e[0], 50, 80)}, speeds: map[road.Edge]*learn.Speed{e[0]: driven(45, 5)}}
	m, _ := create(t, o, src, at)
	export := func(layers ...string) (*pmtiles.Reader, Exported) {
		t.Helper()
		spool, err := os.CreateTemp(t.TempDir(), "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer spool.Close()
		var out bytes.Buffer
		x, err := Export(t.Context(), o, m, &out, spool, layers...)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pmtiles.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		return r, x
	}
	r, x := export()
	if h := r.Header(); h.MinZoom > 9 || h.MaxZoom != 14 || h.Tiles != pmtiles.Gzip || h.Addressed != uint64(x.Tiles) || len(x.Layers) != 3 {
		t.Errorf("header %+v, exported %+v", h, x)
	}
	meta, err := r.Metadata()
	var doc struct {
		Version      string
		Attribution  string
		VectorLayers []pmtiles.VectorLayer `json:"vector_layers"`
	}
	if err != nil || json.Unmarshal(meta, &doc) != nil || doc.Version != m.Version || doc.Attribution != road.Attribution || len(doc.VectorLayers) != 3 {
		t.Errorf("metadata %s, %v", meta, err)
	}
	id := geo.TileAt(geo.At(42.5, 1.503), 14)
	names := func(r *pmtiles.Reader) map[string]int {
		t.Helper()
		b, err := r.Tile(id.Z, id.X, id.Y)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
		layers, err := mvt.Unmarshal(b)
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, l := range layers {
			n[l.Name] += len(l.Features)
		}
		return n
	}
	if n := names(r); n["roads"] == 0 || n["limits"] == 0 || n["speeds"] != 1 {
		t.Errorf("features %v", n)
	}
	only, _ := export(tile.LimitLayer)
	if n := names(only); len(n) != 1 || n["limits"] == 0 {
		t.Errorf("features %v", n)
	}
	if _, err := Export(t.Context(), o, m, io.Discard, nil, "hazards"); err == nil {
		t.Error("a layer that releases do not have: no error")
	}
	for key := range o.m { // what was released must be what is exported
		if strings.HasPrefix(key, "release/tiles/") {
			o.m[key] = []byte("other")
		}
	}
	spool, err := os.CreateTemp(t.TempDir(), "spool")
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	if _, err := Export(t.Context(), o, m, io.Discard, spool); err == nil || !strings.Contains(err.Error(), "not what was released") {
		t.Errorf("tiles that have changed: %v", err)
	}
}

// TestFailedCreation: whichever write fails, readers see the release before.
func TestFailedCreation(t *testing.T) {
	o := newStore(t, town)
	e := edges(t, o)
	first, _ := create(t, o, &source{}, at)
	src := &source{limits: []limit.Limit{learned(e[0], 50, 80)}}
	for n := 1; ; n++ {
		o.puts, o.failN = 0, n
		m, _, err := Create(t.Context(), o, src, Config{Now: at.Add(time.Hour)})
		if err == nil {
			if n < 8 || m.Number != 2 {
				t.Errorf("release %d after %d writes", m.Number, n)
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Fatal(err)
		}
		if v, err := Current(t.Context(), o); err != nil || v != first.Version {
			t.Fatalf("current after failure %d: %s, %v", n, v, err)
		}
	}
}

func TestBadVersions(t *testing.T) {
	o := newStore(t, town)
	for _, v := range []string{"r1", "../map", "r000001-zzzzzzzz", "r000009-00000000"} {
		if _, err := Read(t.Context(), o, v); !errors.Is(err, ErrNoRelease) {
			t.Errorf("%q: %v", v, err)
		}
	}
	o.m[CurrentKey] = []byte("../../etc")
	if _, err := Current(t.Context(), o); err == nil {
		t.Error("a pointer to nothing: no error")
	}
	for name, c := range map[string]Config{"no time": {}, "days": {Now: at, SpeedDays: 29}, "k": {Now: at, K: -1}} {
		if _, _, err := Create(t.Context(), o, &source{}, c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
