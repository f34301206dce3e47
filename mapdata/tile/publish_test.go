package tile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

// traffic is kmh by key.
type traffic map[uint64]uint16

func (c traffic) records() []tile.Record {
	var rs []tile.Record
	for k, v := range c {
		rs = append(rs, tile.Record{Key: k, Value: state.AppendSpeed(nil, state.Speed{KMH: v})})
	}
	return state.Prepare(rs)
}

// service is publisher and handler over stores in memory.
type service struct {
	objects   *memory
	live      *live
	publisher *tile.Publisher
	handler   *tile.Handler
	id        tile.ID
}

func newService(tb testing.TB) *service {
	tb.Helper()
	objects, roads, id := crossing(tb)
	s := &service{objects: objects, live: &live{m: make(map[string]item)}, id: id}
	s.publisher = tile.NewPublisher(objects, s.live)
	m := roads.Manifest()
	s.handler = tile.NewHandler(tile.HandlerConfig{
		Objects: objects, Live: s.live, Manifest: func() (road.Manifest, bool) { return m, true }, PointerTTL: -1,
	})
	return s
}

// speeds asks for the speeds that changed since a version.
func (s *service) speeds(tb testing.TB, since uint64) *tilepb.Speeds {
	tb.Helper()
	body, err := (&tilepb.DeltaRequest{Tiles: []*tilepb.Held{{Quadkey: s.id.Quadkey(), Speeds: &since}}}).MarshalVT()
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/v1/tiles:delta", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/x-protobuf")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	var answer tilepb.DeltaResponse
	if err := answer.UnmarshalVT(w.Body.Bytes()); w.Code != 200 || err != nil {
		tb.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if len(answer.GetTiles()) == 0 {
		return nil
	}
	return answer.GetTiles()[0].GetSpeeds()
}

// holder is who holds a version of the speeds.
type holder struct {
	version uint64
	held    traffic
}

func (h *holder) catchUp(tb testing.TB, s *service) (full bool) {
	tb.Helper()
	m := s.speeds(tb, h.version)
	if m == nil {
		return false
	}
	c, err := state.ReadSpeeds(m)
	if err != nil {
		tb.Fatal(err)
	}
	next := traffic{}
	if !c.Full {
		maps.Copy(next, h.held)
	}
	for _, k := range c.Removed {
		delete(next, k)
	}
	for _, r := range c.Changed {
		v, err := state.DecodeSpeed(r.Value)
		if err != nil {
			tb.Fatal(err)
		}
		next[r.Key] = v.KMH
	}
	h.version, h.held = m.GetVersion(), next
	return c.Full
}

func (s *service) publish(tb testing.TB, version int64, c traffic) bool {
	tb.Helper()
	won, err := s.publisher.PublishLayer(tb.Context(), tile.SpeedLayer, s.id, version, fmt.Append(nil, c), c.records())
	if err != nil {
		tb.Fatal(err)
	}
	return won
}

const hour = int64(3_600_000)

func TestPublishLayer(t *testing.T) {
	s := newService(t)
	h := &holder{}
	expect := func(want traffic, full bool) {
		t.Helper()
		if got := h.catchUp(t, s); got != full || !cmp.Equal(want, h.held, cmpopts.EquateEmpty()) {
			t.Errorf("full %v: %v, want %v", got, h.held, want)
		}
	}
	expect(nil, false)
	s.publish(t, 10*hour, traffic{1: 50, 2: 60})
	expect(traffic{1: 50, 2: 60}, true)
	s.publish(t, 10*hour+1000, traffic{1: 50, 3: 70})
	expect(traffic{1: 50, 3: 70}, false)
	if v := h.version; v != uint64(10*hour+1000) {
		t.Errorf("version %d", v)
	}
	if keys := s.objects.under("tiles/speeds/"); len(keys) != 4 {
		t.Errorf("%v", keys)
	}
	// The same again: nothing is stored, and nothing told.
	before := s.objects.under("tiles/speeds/")
	if !s.publish(t, 10*hour+2000, traffic{1: 50, 3: 70}) || !slices.Equal(before, s.objects.under("tiles/speeds/")) {
		t.Error("the same content was stored again")
	}
	if m := s.speeds(t, h.version); m != nil {
		t.Errorf("unchanged, but told %v", m)
	}
	// Nothing happens for long: the version is told before it is too old, without content.
	s.publish(t, 10*hour+hour/2, traffic{1: 50, 3: 70})
	if m := s.speeds(t, h.version); m == nil || m.GetFull() || len(m.GetEdge()) > 0 || m.GetVersion() != uint64(10*hour+hour/2) {
		t.Errorf("told %v", m)
	}
	s.publish(t, 13*hour, traffic{1: 51, 3: 70})
	expect(traffic{1: 51, 3: 70}, true) // too old by now
	s.publish(t, 13*hour+1, nil)
	expect(traffic{}, true) // nothing left: shorter than what is gone
	if m := s.speeds(t, uint64(99*hour)); m == nil || !m.GetFull() {
		t.Errorf("from the future: %v", m)
	}
	// A publisher that keeps no records.
	if _, err := s.publisher.Publish(t.Context(), tile.SpeedLayer, s.id, 14*hour, []byte("x")); err != nil {
		t.Fatal(err)
	}
	expect(traffic{}, true)
	s.publish(t, 15*hour, traffic{4: 4})
	expect(traffic{4: 4}, true)
	if _, err := s.publisher.PublishLayer(t.Context(), tile.SpeedLayer, s.id.Ancestor(12), 1, nil, traffic{1: 1}.records()); err == nil {
		t.Error("records at zoom 12")
	}
	if _, err := s.publisher.PublishLayer(t.Context(), tile.SpeedLayer, s.id, 0, nil, nil); err == nil {
		t.Error("version 0")
	}
}

// TestOvertaken has a second publisher, which built on the same state, win an older version
// in between: who read that one must still learn all that differs from it.
func TestOvertaken(t *testing.T) {
	s := newService(t)
	other := &service{objects: s.objects, live: s.live, publisher: tile.NewPublisher(s.objects, s.live), handler: s.handler, id: s.id}
	h := &holder{}
	s.publish(t, 10, traffic{1: 50, 2: 60})
	s.live.before = func() {
		other.publish(t, 15, traffic{1: 99, 3: 70})
		h.catchUp(t, s)
	}
	if !s.publish(t, 20, traffic{1: 50, 2: 60}) {
		t.Fatal("the newer version lost")
	}
	if h.version != 15 {
		t.Fatalf("version %d was read in between", h.version)
	}
	if h.catchUp(t, s); !cmp.Equal(h.held, traffic{1: 50, 2: 60}) {
		t.Errorf("%v", h.held)
	}
	// The loser's objects are gone.
	other.live.before = func() { s.publish(t, 40, traffic{1: 1}) }
	if other.publish(t, 30, traffic{1: 2}) {
		t.Error("the older version won")
	}
	for _, key := range s.objects.under("tiles/speeds/") {
		if strings.Contains(key, "/30-") {
			t.Errorf("left behind: %s", key)
		}
	}
}

// TestConcurrentPublishers has several race, also with the same versions, while holders of all ages catch
// up: at the end each holds exactly the newest state, and no object is left that nothing needs.
func TestConcurrentPublishers(t *testing.T) {
	s := newService(t)
	const publishers, rounds = 4, 40
	var (
		mu    sync.Mutex
		newer = map[int64]traffic{} // what won
		wg    sync.WaitGroup
	)
	for n := range publishers {
		wg.Go(func() {
			p := tile.NewPublisher(s.objects, s.live)
			rng := rand.New(rand.NewPCG(uint64(n), 2))
			for i := range int64(rounds) {
				c := traffic{}
				for range rng.IntN(6) {
					c[rng.Uint64N(8)] = uint16(rng.IntN(3))
				}
				version := 1000 + 10*i + rng.Int64N(3)
				won, err := p.PublishLayer(t.Context(), tile.SpeedLayer, s.id, version, fmt.Append(nil, c), c.records())
				if err != nil {
					t.Error(err)
				}
				if won {
					mu.Lock()
					if newer[version] != nil {
						t.Errorf("version %d was won twice", version)
					}
					newer[version] = c
					mu.Unlock()
				}
			}
		})
	}
	holders := make([]holder, 4)
	for i := range holders {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 3))
			for range 30 {
				// An object may be gone twice in a row: the handler then says that it can't be read.
				h := holders[i]
				if h.catchUp(t, s); h.held != nil {
					holders[i] = h
				}
				for range rng.IntN(1000) {
					_ = rng.Uint64()
				}
			}
		})
	}
	wg.Wait()
	last := slices.Max(slices.Collect(maps.Keys(newer)))
	for i := range holders {
		holders[i].catchUp(t, s)
		if diff := cmp.Diff(newer[last], holders[i].held, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("holder %d at %d, last %d: %s", i, holders[i].version, last, diff)
		}
	}
	if keys := s.objects.under("tiles/speeds/"); len(keys) > 4 {
		t.Errorf("%d objects: %v", len(keys), keys)
	}
}

// failing is a store that fails at the n-th call.
type failing struct {
	*memory
	after int
}

var errFail = errors.New("the store fails")

func (f *failing) Put(ctx context.Context, key string, body []byte, ct, ce string) error {
	if f.after--; f.after < 0 {
		return errFail
	}
	return f.memory.Put(ctx, key, body, ct, ce)
}

// TestPublishFails leaves what is readable as it was, whichever write fails.
func TestPublishFails(t *testing.T) {
	s := newService(t)
	s.publish(t, 10, traffic{1: 50})
	for after := range 2 {
		p := tile.NewPublisher(&failing{s.objects, after}, s.live)
		if _, err := p.PublishLayer(t.Context(), tile.SpeedLayer, s.id, 20, []byte("b"), traffic{1: 60}.records()); !errors.Is(err, errFail) {
			t.Errorf("%v", err)
		}
		h := &holder{}
		if h.catchUp(t, s); !cmp.Equal(h.held, traffic{1: 50}) || h.version != 10 {
			t.Errorf("%+v", h)
		}
	}
	// Records that can't be read are begun anew, and everybody takes all.
	for _, spoil := range []func(key string){
		func(key string) { _ = s.objects.Delete(context.Background(), key) },
		func(key string) { _ = s.objects.Put(context.Background(), key, []byte("spoilt"), "", "") },
	} {
		h := &holder{}
		s.publish(t, nextVersion(s), traffic{1: 50, 2: 20})
		h.catchUp(t, s)
		for _, key := range s.objects.under("tiles/speeds/") {
			if strings.HasSuffix(key, ".records") {
				spoil(key)
			}
		}
		s.publisher = tile.NewPublisher(s.objects, s.live) // remembers nothing
		s.publish(t, nextVersion(s), traffic{1: 70, 2: 20})
		if full := h.catchUp(t, s); !full || !cmp.Equal(h.held, traffic{1: 70, 2: 20}) {
			t.Errorf("full %v: %v", full, h.held)
		}
	}
}

func nextVersion(s *service) int64 {
	value, _, err := s.live.Get(context.Background(), tile.LiveKey(tile.SpeedLayer, s.id))
	var p tile.Pointer
	if err != nil || json.Unmarshal(value, &p) != nil {
		return 1
	}
	return p.Version + 10
}

// TestPublishSequence: publications in random order of versions, holders that catch up at random.
func TestPublishSequence(t *testing.T) {
	for seed := range uint64(20) {
		s := newService(t)
		rng := rand.New(rand.NewPCG(seed, 4))
		holders := make([]holder, 5)
		var version int64
		var current traffic
		for range 40 {
			at := 20*hour + rng.Int64N(3*hour)
			c := traffic{}
			maps.Copy(c, current)
			for range 1 + rng.IntN(3) {
				if k := rng.Uint64N(9); rng.IntN(3) == 0 {
					delete(c, k)
				} else {
					c[k] = uint16(rng.IntN(4))
				}
			}
			if won := s.publish(t, at, c); won != (at > version) {
				t.Fatalf("seed %d: version %d over %d: %v", seed, at, version, won)
			} else if won {
				version, current = at, c
			}
			for i := range holders {
				if rng.IntN(1+3*i) > 0 {
					continue
				}
				holders[i].catchUp(t, s)
				if diff := cmp.Diff(current, holders[i].held, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, holder %d: %s", seed, i, diff)
				}
			}
		}
	}
}

func BenchmarkPublishLayer(b *testing.B) {
	s := newService(b)
	rng := rand.New(rand.NewPCG(1, 1))
	c := traffic{}
	for range 1000 {
		c[rng.Uint64N(1<<25)] = 50
	}
	keys := slices.Sorted(maps.Keys(c))
	version := 20 * hour
	mvt := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	b.ReportAllocs()
	for b.Loop() {
		version += 1000
		for range 53 {
			c[keys[rng.IntN(len(keys))]] = uint16(rng.IntN(130))
		}
		if _, err := s.publisher.PublishLayer(b.Context(), tile.SpeedLayer, s.id, version, fmt.Appendf(mvt, "%d", version), c.records()); err != nil {
			b.Fatal(err)
		}
	}
}
