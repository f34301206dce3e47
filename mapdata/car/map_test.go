package car_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/mapdata/car"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	home = geo.At(42.5, 1.5)
	here = geo.TileAt(home, 14)
)

// store is an object store, a live store and a source of hazards in memory.
type store struct {
	mu       sync.Mutex
	objects  map[string][]byte
	items    map[string][]byte
	versions map[string]int64
	hazards  []hazard.Hazard
	at       map[uint64]int64
	cursor   int64
}

type liveStore struct{ *store }

func (s *store) Get(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.objects[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (s *store) Put(_ context.Context, key string, body []byte, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = body
	return nil
}

func (s *store) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

func (s liveStore) Get(_ context.Context, key string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.items[key]; ok {
		return b, s.versions[key], nil
	}
	return nil, 0, fs.ErrNotExist
}

func (s liveStore) PutIfNewer(_ context.Context, key string, version int64, value []byte, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.versions[key] >= version {
		return false, nil
	}
	s.items[key], s.versions[key] = value, version
	return true, nil
}

func (s *store) Since(_ context.Context, cursor int64) ([]hazard.Hazard, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hs []hazard.Hazard
	for _, h := range s.hazards {
		if s.at[h.ID] > cursor {
			hs = append(hs, h)
		}
	}
	return hs, s.cursor, nil
}

// set changes one hazard.
func (s *store) set(h hazard.Hazard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor++
	s.at[h.ID] = s.cursor
	s.hazards = append(slices.DeleteFunc(s.hazards, func(o hazard.Hazard) bool { return o.ID == h.ID }), h)
}

func obstacle(id uint64, at geo.Point) hazard.Hazard {
	return hazard.Hazard{ID: id, Category: telemetry.Obstacle, At: at, Probability: 0.9, StartedMS: 1000, UpdatedMS: 2000}
}

// world is a service and what it says.
type world struct {
	*store
	t         *testing.T
	publisher *tile.Publisher
	handler   *tile.Handler
	server    *httptest.Server
	mu        sync.Mutex
	fail      int    // status of every answer; 0: none fails
	mapped    string // version of the map
	box       [4]float64
	requests  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := &store{objects: map[string][]byte{}, items: map[string][]byte{}, versions: map[string]int64{}, at: map[uint64]int64{}}
	w := &world{store: s, t: t, publisher: tile.NewPublisher(s, liveStore{s}), mapped: "one", box: [4]float64{1.4, 42.4, 1.6, 42.6}}
	w.handler = tile.NewHandler(tile.HandlerConfig{
		Objects: s, Live: liveStore{s}, Hazards: s, PointerTTL: -1, HazardsEvery: 2 * time.Millisecond,
		Manifest: func() (road.Manifest, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return road.Manifest{Version: w.mapped, BBox: w.box}, true
		},
	})
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests++
		fail := w.fail
		w.mu.Unlock()
		if fail != 0 {
			rw.WriteHeader(fail)
			return
		}
		w.handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		if err := w.handler.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		w.server.CloseClientConnections()
		w.server.Close()
	})
	return w
}

func (w *world) car(change func(*car.Config)) *car.Map {
	w.t.Helper()
	// Everything is always due, and failures are soon tried again.
	cfg := car.Config{
		BaseURL: w.server.URL, Client: w.server.Client(), Roads: 1, Limits: 1, Speeds: 1, Hazards: 1,
		MinBackoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	m, err := car.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) publish(layer string, id tile.ID, version int64, values map[uint64][]byte) {
	w.t.Helper()
	var rs []tile.Record
	for k, v := range values {
		rs = append(rs, tile.Record{Key: k, Value: v})
	}
	if _, err := w.publisher.PublishLayer(w.t.Context(), layer, id, version, nil, state.Prepare(rs)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) roads(id tile.ID, version, mvt string) {
	w.t.Helper()
	z, err := zip(mvt)
	if err == nil {
		err = w.Put(w.t.Context(), tile.ObjectKey(tile.Roads, id, version), z, "", "gzip")
	}
	if err == nil {
		err = w.Put(w.t.Context(), road.ManifestKey(version), []byte("{}"), "", "")
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func speed(kmh uint16) []byte { return state.AppendSpeed(nil, state.Speed{KMH: kmh}) }

func edge(id tile.ID, key uint64) road.Edge { return state.EdgeOf(id.Quadkey(), key) }

func refresh(t *testing.T, m *car.Map) {
	t.Helper()
	if err := m.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	next := tile.ID{Z: 14, X: here.X + 1, Y: here.Y}
	w.roads(here, "one", "roads one")
	w.publish(tile.SpeedLayer, here, 100, map[uint64][]byte{1: speed(50), 2: speed(60)})
	w.publish(tile.SpeedLayer, next, 100, map[uint64][]byte{1: speed(70)})
	w.publish(tile.LimitLayer, here, 100, map[uint64][]byte{1: state.AppendLimit(nil, state.Limit{KMH: 80, Learned: true, Variants: []state.Variant{{KMH: 60, Wet: true}}})})
	h := obstacle(7, home)
	w.publish(tile.HazardLayer, here, 100, map[uint64][]byte{7: state.AppendHazard(nil, here, &state.Hazard{Category: h.Category, At: h.At, Percent: 90})})

	m := w.car(nil)
	refresh(t, m) // nowhere
	m.MoveTo(home)
	refresh(t, m)
	if tiles := m.Tiles(); len(tiles) != 9 || tiles[0] != here {
		t.Errorf("%v", tiles)
	}
	if s, ok := m.Speed(edge(here, 1)); !ok || s.KMH != 50 {
		t.Errorf("%v %v", s, ok)
	}
	if s, ok := m.Speed(edge(next, 1)); !ok || s.KMH != 70 {
		t.Errorf("%v %v", s, ok)
	}
	if _, ok := m.Speed(edge(here, 3)); ok {
		t.Error("a speed that is not known")
	}
	if l, ok := m.Limit(edge(here, 1)); !ok || !l.Learned || l.KMH != 80 || len(l.Variants) != 1 {
		t.Errorf("%v %v", l, ok)
	}
	if _, ok := m.Limit(edge(here, 2)); ok {
		t.Error("a limit that is not known")
	}
	if hs := m.Hazards(); len(hs) != 1 || hs[0].ID != 7 || hs[0].At != home {
		t.Errorf("%v", hs)
	}
	if b := m.Roads(here); string(b) != "roads one" {
		t.Errorf("%q", b)
	}

	before := m.Traffic()
	w.publish(tile.SpeedLayer, here, 200, map[uint64][]byte{1: speed(50), 3: speed(30)})
	w.publish(tile.HazardLayer, here, 200, nil)
	refresh(t, m)
	if s, ok := m.Speed(edge(here, 3)); !ok || s.KMH != 30 {
		t.Errorf("%v %v", s, ok)
	}
	if _, ok := m.Speed(edge(here, 2)); ok {
		t.Error("a speed that was removed")
	}
	if hs := m.Hazards(); len(hs) != 0 {
		t.Errorf("%v", hs)
	}
	after := m.Traffic()
	if after.Roads.Down != before.Roads.Down || after.Limits.Down != before.Limits.Down || after.Speeds.Down <= before.Speeds.Down ||
		after.Requests != before.Requests+1 || after.Overhead.Up <= before.Overhead.Up {
		t.Errorf("%+v, then %+v", before, after)
	}
	up, down := after.Total().Up, after.Total().Down
	if sum := (car.Traffic{}); up <= 0 || down <= 0 {
		t.Errorf("%+v", sum)
	}

	// A new map, of which this tile is the same, and one that is not.
	w.roads(here, "two", "roads one")
	w.setMap("two")
	before = m.Traffic()
	refresh(t, m)
	if string(m.Roads(here)) != "roads one" || m.Traffic().Requests != before.Requests+9 {
		t.Error("the roads are gone, or were fetched though they are the same")
	}
	w.roads(here, "three", "roads three")
	w.setMap("three")
	refresh(t, m)
	if string(m.Roads(here)) != "roads three" {
		t.Errorf("%q", m.Roads(here))
	}
}

func (w *world) setBox(box [4]float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.box = box
}

func (w *world) setMap(version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mapped = version
}

func (w *world) setFail(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = status
}

// TestAnyPublications: whatever is published and however rarely the car asks, it ends with
// exactly what the service has.
func TestAnyPublications(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t)
		rng := rand.New(rand.NewPCG(seed, 5))
		m := w.car(func(c *car.Config) { c.NoRoads, c.NoStream = true, true })
		m.MoveTo(home)
		const hour = 3_600_000
		truth, version := map[uint64][]byte{}, int64(20*hour)
		for step := range 40 {
			version += rng.Int64N(hour / 2)
			for range rng.IntN(5) {
				if k := rng.Uint64N(10); rng.IntN(3) == 0 {
					delete(truth, k)
				} else {
					truth[k] = speed(uint16(rng.IntN(3)))
				}
			}
			w.publish(tile.SpeedLayer, here, version, truth)
			if rng.IntN(3) == 0 {
				refresh(t, m)
				got := map[uint64][]byte{}
				for k := range uint64(10) {
					if s, ok := m.Speed(edge(here, k)); ok {
						got[k] = state.AppendSpeed(nil, s)
					}
				}
				if diff := cmp.Diff(truth, got, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, step %d: %s", seed, step, diff)
				}
			}
		}
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	w.publish(tile.SpeedLayer, here, 100, map[uint64][]byte{1: speed(50)})
	m := w.car(nil)
	m.MoveTo(home)
	refresh(t, m)
	for _, status := range []int{500, 503, 404} {
		w.setFail(status)
		if err := m.Refresh(t.Context()); err == nil {
			t.Errorf("%d was fine", status)
		}
		if s, ok := m.Speed(edge(here, 1)); !ok || s.KMH != 50 {
			t.Errorf("after %d: %v %v", status, s, ok)
		}
	}
	w.setFail(0)
	// Objects that are gone: the tile stays as it was.
	w.publish(tile.SpeedLayer, here, 200, map[uint64][]byte{1: speed(60)})
	w.store.mu.Lock()
	kept := maps.Clone(w.objects)
	clear(w.objects)
	w.store.mu.Unlock()
	if err := m.Refresh(t.Context()); err == nil {
		// The handler remembers states that it has read; a new one does not.
		t.Log("answered from memory")
	}
	w.store.mu.Lock()
	w.objects = kept
	w.store.mu.Unlock()
	refresh(t, m)
	if s, _ := m.Speed(edge(here, 1)); s.KMH != 60 {
		t.Errorf("%v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Refresh(ctx); err == nil {
		t.Error("refreshed after the end")
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(t)
	m := w.car(func(c *car.Config) { c.MaxTiles, c.NoStream = 12, true })
	east := geo.Point{LatE7: home.LatE7, LonE7: home.LonE7}
	for range 20 {
		m.MoveTo(east)
		refresh(t, m)
		east.LonE7 += 220_000 // a tile
	}
	if n := len(m.Tiles()); n != 9 {
		t.Errorf("%d tiles", n)
	}
	m.Follow([]geo.Point{home, geo.At(42.5, 1.9)}, 100)
	if n := len(m.Tiles()); n != 12 {
		t.Errorf("%d tiles along a line", n)
	}
	m.Follow([]geo.Point{home}, 50)
	if tiles := m.Tiles(); len(tiles) == 0 || !slices.Contains(tiles, here) {
		t.Errorf("%v around a point", tiles)
	}
	refresh(t, m)
	for _, cfg := range []car.Config{
		{},
		{BaseURL: "ftp://x"},
		{BaseURL: "http://"},
		{BaseURL: "http://x", MaxTiles: 8},
		{BaseURL: "http://x", MaxTiles: 257},
		{BaseURL: "http://x", Speeds: -1},
		{BaseURL: "http://\x7f"},
	} {
		if _, err := car.New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	// At the edge of the world.
	m.MoveTo(geo.At(85, 180))
	if n := len(m.Tiles()); n == 0 {
		t.Errorf("%d tiles", n)
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// running runs a map until the test ends.
func running(t *testing.T, m *car.Map) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func ids(m *car.Map) string {
	var s []uint64
	for _, h := range m.Hazards() {
		s = append(s, h.ID)
	}
	return fmt.Sprint(s)
}

func TestRun(t *testing.T) {
	w := newWorld(t)
	w.publish(tile.SpeedLayer, here, 100, map[uint64][]byte{1: speed(50)})
	w.set(obstacle(1, home))
	m := w.car(func(c *car.Config) {
		c.Roads, c.Limits, c.Speeds, c.Hazards = time.Hour, time.Hour, 10*time.Millisecond, 10*time.Millisecond
	})
	running(t, m)
	m.MoveTo(home)
	eventually(t, "the stream", func() bool { return ids(m) == "[1]" })
	eventually(t, "the speed", func() bool { s, _ := m.Speed(edge(here, 1)); return s.KMH == 50 })
	w.set(obstacle(2, home))
	eventually(t, "a new hazard", func() bool { return ids(m) == "[1 2]" })
	gone := obstacle(1, home)
	gone.EndedMS = 5
	w.set(gone)
	eventually(t, "the end of a hazard", func() bool { return ids(m) == "[2]" })
	w.publish(tile.SpeedLayer, here, 200, map[uint64][]byte{1: speed(40)})
	eventually(t, "the next speed", func() bool { s, _ := m.Speed(edge(here, 1)); return s.KMH == 40 })
	if b := m.Traffic(); b.Stream.Down == 0 || b.Speeds.Down == 0 {
		t.Errorf("%+v", b)
	}

	// The connections break; meanwhile a hazard ends and another begins.
	w.setFail(503)
	w.server.CloseClientConnections()
	gone = obstacle(2, home)
	gone.EndedMS = 6
	w.set(gone)
	w.set(obstacle(3, home))
	w.setFail(0)
	eventually(t, "the stream again", func() bool { return ids(m) == "[3]" })

	// Far away there is another one.
	far := geo.At(42.55, 1.56)
	w.set(obstacle(4, far))
	m.MoveTo(far)
	eventually(t, "the hazard there", func() bool { return ids(m) == "[4]" })
	// Within what is listened to, nothing is asked anew.
	m.MoveTo(geo.Point{LatE7: far.LatE7, LonE7: far.LonE7 + 220_000})
	w.set(obstacle(5, far))
	eventually(t, "hazards nearby", func() bool { return ids(m) == "[4 5]" })
}

// TestRunWithoutStream: deltas stand in where there is no stream.
func TestRunWithoutStream(t *testing.T) {
	w := newWorld(t)
	h := state.Hazard{Category: telemetry.Obstacle, At: home, Percent: 90}
	w.publish(tile.HazardLayer, here, 100, map[uint64][]byte{7: state.AppendHazard(nil, here, &h)})
	if err := w.handler.Drain(t.Context()); err != nil { // streams are refused from now on
		t.Fatal(err)
	}
	m := w.car(func(c *car.Config) { c.Speeds, c.Hazards = time.Hour, 5*time.Millisecond })
	running(t, m)
	m.MoveTo(home)
	eventually(t, "the hazard", func() bool { return ids(m) == "[7]" })
	w.publish(tile.HazardLayer, here, 200, map[uint64][]byte{8: state.AppendHazard(nil, here, &h)})
	eventually(t, "the next hazard", func() bool { return ids(m) == "[8]" })
}

func TestFollowListens(t *testing.T) {
	w := newWorld(t)
	w.set(obstacle(1, geo.At(42.5, 1.55)))
	w.set(obstacle(2, geo.At(42.58, 1.55)))
	m := w.car(func(c *car.Config) { c.Speeds = time.Hour })
	running(t, m)
	m.Follow([]geo.Point{home, geo.At(42.5, 1.58), geo.At(42.52, 1.59)}, 200)
	eventually(t, "the hazard on the way", func() bool { return ids(m) == "[1]" })
}

// TestSilence: a stream that says nothing is given up.
func TestSilence(t *testing.T) {
	w := newWorld(t)
	m := w.car(func(c *car.Config) { c.Speeds, c.Silence = time.Hour, 20*time.Millisecond })
	running(t, m)
	m.MoveTo(home)
	eventually(t, "several streams", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.requests > 6
	})
}

// zip is a tile as it is stored.
func zip(mvt string) ([]byte, error) {
	return tile.Compress(gzip.NewWriter(nil), []byte(mvt))
}
