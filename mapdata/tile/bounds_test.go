package tile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

func TestClientOf(t *testing.T) {
	for _, tt := range []struct {
		remote    string
		forwarded []string
		direct    string
		behind    string
	}{
		{"192.0.2.7:80", nil, "192.0.2.7", "192.0.2.7"},
		{"[::ffff:192.0.2.7]:80", nil, "192.0.2.7", "192.0.2.7"},
		{"[2001:db8:1:2:3:4:5:6]:80", nil, "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:80", nil, "fe80::/64", "fe80::/64"},
		{"10.0.0.1:80", []string{"198.51.100.1, 203.0.113.9"}, "10.0.0.1", "203.0.113.9"},
		{"10.0.0.1:80", []string{"198.51.100.1", "203.0.113.9:4711"}, "10.0.0.1", "203.0.113.9"},
		{"10.0.0.1:80", []string{"2001:db8::1"}, "10.0.0.1", "2001:db8::/64"},
		{"10.0.0.1:80", []string{"[2001:db8::1]:9"}, "10.0.0.1", "2001:db8::/64"},
		{"10.0.0.1:80", []string{"made up"}, "10.0.0.1", ""},
		{"@", nil, "", ""},
	} {
		r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{}}
		for _, f := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if direct, behind := tile.ConnectionOf(r), tile.ForwardedOf(r); direct != tt.direct || behind != tt.behind {
			t.Errorf("%s %q: %q and %q, want %q and %q", tt.remote, tt.forwarded, direct, behind, tt.direct, tt.behind)
		}
	}
}

// refused asks for a stream that there must not be.
func refused(t *testing.T, server *httptest.Server, who string) {
	t.Helper()
	res := ask(t, server, who)
	defer res.Body.Close()
	var p struct{ Type string }
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !strings.HasSuffix(p.Type, "overloaded") {
		t.Errorf("%s: %d %v %+v %v", who, res.StatusCode, res.Header, p, err)
	}
}

func ask(t *testing.T, server *httptest.Server, who string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/hazards/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", who)
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestStreamsPerClient: one client can't hold all streams, and gets those back that it closes.
func TestStreamsPerClient(t *testing.T) {
	_, _, server := streaming(t, func(c *tile.HandlerConfig) {
		c.MaxStreams, c.MaxStreamsPerClient, c.ClientOf = 4, 2, tile.ForwardedOf
	})
	var mine []io.Closer
	for range 2 {
		res := ask(t, server, "192.0.2.1")
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.StatusCode)
		}
		mine = append(mine, res.Body)
	}
	refused(t, server, "192.0.2.1")
	refused(t, server, "203.0.113.9, 192.0.2.1")
	other := ask(t, server, "192.0.2.2")
	t.Cleanup(func() { other.Body.Close() })
	if other.StatusCode != http.StatusOK {
		t.Errorf("another client: %d", other.StatusCode)
	}
	mine[0].Close()
	for { // until the server has noticed
		res := ask(t, server, "192.0.2.1")
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode == http.StatusOK {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("not given back")
		}
		time.Sleep(time.Millisecond)
	}
	refused(t, server, "192.0.2.1")
}

// TestStreamsPerConnection: the default is 16 of one address.
func TestStreamsPerConnection(t *testing.T) {
	_, _, server := streaming(t, nil)
	for i := range 16 {
		res := ask(t, server, fmt.Sprint("192.0.2.", i))
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %d", i, res.StatusCode)
		}
	}
	refused(t, server, "192.0.2.99")
}

// counted counts the objects that are read, and calls before ahead of each.
type counted struct {
	*memory
	before func()
	gets   atomic.Int64
}

func (o *counted) Get(ctx context.Context, key string) ([]byte, error) {
	o.gets.Add(1)
	if o.before != nil {
		o.before()
	}
	return o.memory.Get(ctx, key)
}

// TestDeltasAtOnce: one more than may be made is refused, until there is room again.
func TestDeltasAtOnce(t *testing.T) {
	s := filled(t)
	_, roads, _ := crossing(t)
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	objects := &counted{memory: s.objects, before: sync.OnceFunc(func() { entered <- struct{}{}; <-gate })}
	s.handler = tile.NewHandler(tile.HandlerConfig{
		Objects: objects, Live: s.live, Manifest: func() (road.Manifest, bool) { return roads.Manifest(), true },
		MaxDeltas: 1, DeltaWait: time.Millisecond,
	})
	body := `{"` + s.id.String() + `":{"speeds":""}}`
	first := make(chan int)
	go func() { first <- s.post(t, body).Code }()
	<-entered
	if w := s.post(t, body); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d %v", w.Code, w.Header())
	}
	if w := s.post(t, "{"); w.Code != http.StatusBadRequest {
		t.Errorf("one that is refused for what it is: %d", w.Code)
	}
	close(gate)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first: %d", code)
	}
	if w := s.post(t, body); w.Code != http.StatusOK {
		t.Errorf("the next: %d", w.Code)
	}
}

// TestMadeUpMaps: versions of the map that never were cost a few looks, and no tile is read.
func TestMadeUpMaps(t *testing.T) {
	s := newService(t)
	_, roads, _ := crossing(t)
	m := roads.Manifest()
	m.BBox = [4]float64{-10, 30, 20, 50} // all tiles that are asked for
	objects := &counted{memory: s.objects}
	s.handler = tile.NewHandler(tile.HandlerConfig{
		Objects: objects, Live: s.live, Manifest: func() (road.Manifest, bool) { return m, true },
	})
	request := func(version func(i int) string) string {
		var tiles []string
		for i := range tile.MaxDeltaTiles {
			tiles = append(tiles, fmt.Sprintf(`"14/%d/%d":{"roads":%q}`, s.id.X+uint32(i%4), s.id.Y+uint32(i/4), version(i)))
		}
		return "{" + strings.Join(tiles, ",") + "}"
	}
	for what, tt := range map[string]struct {
		version func(i int) string
		looks   int64
	}{
		"one":  {func(int) string { return "feed" }, 1},
		"many": {func(i int) string { return fmt.Sprintf("feed%d", i) }, 4},
	} {
		objects.gets.Store(0)
		body := request(tt.version)
		if w := s.post(t, body); w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"full":false`) || !strings.Contains(w.Body.String(), `"full":true`) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
		if n := objects.gets.Load(); n != tt.looks {
			t.Errorf("%s: %d reads, want %d", what, n, tt.looks)
		}
	}
	objects.gets.Store(0)
	s.post(t, request(func(int) string { return "feed" }))
	if n := objects.gets.Load(); n != 0 {
		t.Errorf("asked again: %d reads", n)
	}
}

// TestRememberedPointer: who comes from an instance that knows a newer version isn't taken back.
func TestRememberedPointer(t *testing.T) {
	s := newService(t)
	_, roads, _ := crossing(t)
	s.handler = tile.NewHandler(tile.HandlerConfig{
		Objects: s.objects, Live: s.live, Manifest: func() (road.Manifest, bool) { return roads.Manifest(), true },
		PointerTTL: time.Hour,
	})
	const before, now = 1_764_000_000_000, 1_764_000_060_000
	c := traffic{1: 50, 2: 60}
	if m := s.speeds(t, before); m == nil || !m.GetFull() { // nothing is published, which is remembered
		t.Errorf("of nothing: %v", m)
	}
	s.publish(t, before, c)
	if m := s.speeds(t, before); m != nil {
		t.Errorf("up to date with the first: %v", m)
	}
	c[2] = 30
	s.publish(t, now, c)
	if m := s.speeds(t, 0); m.GetVersion() != before {
		t.Errorf("from memory: %v", m)
	}
	if m := s.speeds(t, now); m != nil {
		t.Errorf("up to date with the second: %v", m)
	}
	if m := s.speeds(t, before); m.GetFull() || m.GetVersion() != now || len(m.GetEdge()) != 1 {
		t.Errorf("from the pointer read anew: %v", m)
	}
	if m := s.speeds(t, now+1); !m.GetFull() || m.GetVersion() != now {
		t.Errorf("of a version that is not yet: %v", m)
	}
}
