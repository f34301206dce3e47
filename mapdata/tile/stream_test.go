package tile_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/telemetry"
)

// source tells of hazards; each change has the next cursor.
type source struct {
	mu     sync.Mutex
	now    map[uint64]hazard.Hazard
	at     map[uint64]int64
	cursor int64
	err    error
	asked  int
}

func newSource() *source {
	return &source{now: map[uint64]hazard.Hazard{}, at: map[uint64]int64{}}
}

func (s *source) set(hs ...hazard.Hazard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor++
	for _, h := range hs {
		s.now[h.ID], s.at[h.ID] = h, s.cursor
	}
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) Since(_ context.Context, cursor int64) ([]hazard.Hazard, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return nil, 0, s.err
	}
	var hs []hazard.Hazard
	for id, h := range s.now {
		if s.at[id] > cursor && (cursor > 0 || h.Active()) {
			hs = append(hs, h)
		}
	}
	return hs, s.cursor, nil
}

func at(id uint64, lat, lon float64) hazard.Hazard {
	return hazard.Hazard{ID: id, Category: telemetry.Obstacle, At: geo.At(lat, lon), Probability: 0.9, Vehicles: 3, StartedMS: 1000, UpdatedMS: 2000}
}

func ended(h hazard.Hazard) hazard.Hazard {
	h.EndedMS = 3000
	return h
}

// streaming is a handler with a source behind a real server.
func streaming(t *testing.T, change func(*tile.HandlerConfig)) (*source, *tile.Handler, *httptest.Server) {
	t.Helper()
	s := newSource()
	cfg := tile.HandlerConfig{
		Hazards: s, HazardsEvery: 2 * time.Millisecond, Live: &live{m: map[string]item{}},
		Manifest: func() (road.Manifest, bool) { return road.Manifest{}, false },
	}
	if change != nil {
		change(&cfg)
	}
	h := tile.NewHandler(cfg)
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		if err := h.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
	})
	return s, h, server
}

// stream is an open one.
type stream struct {
	t      *testing.T
	r      *bufio.Reader
	body   io.Closer
	lastID string
}

func open(t *testing.T, server *httptest.Server, query, last string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/hazards/stream?"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	return &stream{t: t, r: bufio.NewReader(res.Body), body: res.Body}
}

// next is the next event as "name id-of-the-hazard"; "end" at the stream's.
func (s *stream) next() string {
	s.t.Helper()
	var name, data string
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return "end"
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			name = value
		case "data":
			data = value
		case "id":
			s.lastID = value
		case "":
			if name != "" {
				var id int
				_, _ = fmt.Sscanf(data, `{"id":%d,`, &id)
				if name == "reset" {
					return name
				}
				return fmt.Sprint(name, " ", id)
			}
		}
	}
}

func (s *stream) expect(events ...string) {
	s.t.Helper()
	for _, want := range events {
		if got := s.next(); got != want {
			s.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestStream(t *testing.T) {
	src, _, server := streaming(t, nil)
	src.set(at(1, 42.5, 1.5), at(2, 42.6, 1.6), ended(at(3, 42.5, 1.5)))
	all := open(t, server, "", "")
	all.expect("reset", "hazard 1", "hazard 2")
	if all.lastID != "1" {
		t.Errorf("id %s", all.lastID)
	}
	src.set(at(4, 42.5, 1.5))
	all.expect("hazard 4")
	changed := at(1, 42.5, 1.5)
	changed.Probability = 0.95
	src.set(changed)
	all.expect("hazard 1")
	src.set(changed) // nothing new
	src.set(ended(at(2, 42.6, 1.6)), at(5, 42.5, 1.5))
	all.expect("hazard_end 2", "hazard 5")
	second := open(t, server, "", "")
	second.expect("reset", "hazard 1", "hazard 4", "hazard 5")

	// Who comes back is told what was missed, and nothing else.
	last := all.lastID
	all.body.Close()
	src.set(ended(at(4, 42.5, 1.5)))
	src.set(at(6, 42.5, 1.5))
	second.expect("hazard_end 4", "hazard 6")
	back := open(t, server, "", last)
	back.expect("hazard_end 4", "hazard 6")
	if back.lastID != second.lastID {
		t.Errorf("%s, %s", back.lastID, second.lastID)
	}
	// Who comes from nowhere that is known begins anew.
	open(t, server, "", "99999").expect("reset", "hazard 1", "hazard 5", "hazard 6")
}

func TestStreamFilters(t *testing.T) {
	src, _, server := streaming(t, nil)
	id := geo.TileAt(geo.At(42.5, 1.5), 14)
	box := id.Box().Degrees()
	covering := at(4, 43, 2)
	covering.Edges = []road.Edge{1 << 30, road.SegmentID(uint64(id.Quadkey()) << 24).Edge(true)}
	src.set(at(1, 42.5, 1.5), at(2, 42.504, 1.5), at(3, 42.52, 1.52), covering)
	for query, want := range map[string][]string{
		"":                                 {"hazard 1", "hazard 2", "hazard 3", "hazard 4"},
		"tiles=" + id.String() + ",14/0/0": {"hazard 1", "hazard 2", "hazard 4"},
		"tiles=" + base4(id.Quadkey()):     {"hazard 1", "hazard 2", "hazard 4"},
		fmt.Sprintf("bbox=%f,%f,%f,%f", box[0], box[1], 1.53, 43.): {"hazard 1", "hazard 2", "hazard 3"},
		"corridor=42.5,1.4;42.5,1.6":                               {"hazard 1", "hazard 2"},
		"corridor=42.5,1.4;42.5,1.6&width_m=400":                   {"hazard 1"},
		"corridor=42.52,1.52&width_m=10":                           {"hazard 3"},
	} {
		s := open(t, server, query, "")
		s.expect(append([]string{"reset"}, want...)...)
		s.body.Close()
	}
	// What moves out is told once more.
	s := open(t, server, "bbox=1,42,2,42.51", "")
	s.expect("reset", "hazard 1", "hazard 2")
	src.set(at(1, 50, 1.5))
	s.expect("hazard 1")
	src.set(at(1, 51, 1.5))
	src.set(at(2, 42.5, 1.5))
	s.expect("hazard 2")

	for _, query := range []string{
		"tiles=", "tiles=13/1/1", "tiles=" + strings.Repeat(id.String()+",", tile.MaxStreamTiles) + id.String(),
		"bbox=1,2,3", "bbox=2,42,1,43", "bbox=a,b,c,d", "bbox=NaN,1,2,3", "corridor=", "corridor=1", "corridor=91,1",
		"corridor=" + strings.Repeat("1,1;", tile.MaxCorridor) + "1,1", "corridor=1,1&width_m=0", "corridor=1,1&width_m=NaN", "corridor=1,1&width_m=20000",
		"width_m=5", "tiles=" + id.String() + "&bbox=1,2,3,4", "last_event_id=x", "last_event_id=-1",
	} {
		res, err := server.Client().Get(server.URL + "/v1/hazards/stream?" + query)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "expected") {
			t.Errorf("%s: %d %s", query, res.StatusCode, body)
		}
	}
}

func TestStreamBounds(t *testing.T) {
	src, h, server := streaming(t, func(c *tile.HandlerConfig) { c.MaxStreams = 2 })
	src.set(at(1, 42.5, 1.5))
	first := open(t, server, "", "")
	first.expect("reset", "hazard 1")
	second := open(t, server, "", "")
	second.expect("reset", "hazard 1")
	res, err := server.Client().Get(server.URL + "/v1/hazards/stream")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a third: %d", res.StatusCode)
	}
	// The source failing for a while loses nothing.
	src.fail(errors.New("out of reach"))
	src.set(at(2, 42.5, 1.5))
	src.fail(nil)
	second.expect("hazard 2")
	// Draining ends them, and there are no new ones.
	if err := h.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	second.expect("end")
	res, err = server.Client().Get(server.URL + "/v1/hazards/stream")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while draining: %d", res.StatusCode)
	}
}

func TestStreamHeartbeat(t *testing.T) {
	src, _, server := streaming(t, func(c *tile.HandlerConfig) { c.Heartbeat = time.Millisecond })
	src.set(at(1, 42.5, 1.5))
	s := open(t, server, "tiles=14/0/0", "")
	s.expect("reset")
	src.set(at(2, 42.5, 1.5)) // of no interest, but a place to go on from
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "id: 2\n" {
			break
		}
	}
}

// TestSlowClient never reads: it is let go, while another one hears everything.
func TestSlowClient(t *testing.T) {
	src, _, server := streaming(t, nil)
	src.set(at(1, 42.5, 1.5))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /v1/hazards/stream HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	quick := open(t, server, "", "")
	quick.expect("reset", "hazard 1")
	// Steps of some 200 KB each fill the connection and then the queue.
	const perStep = 200
	edges := make([]road.Edge, 64)
	for i := range edges {
		edges[i] = road.MaxEdge - road.Edge(i)
	}
	for step := range 150 {
		var hs []hazard.Hazard
		for i := range uint64(perStep) {
			h := at(i+2, 42.5, 1.5)
			h.UpdatedMS, h.Edges = int64(step), edges
			hs = append(hs, h)
		}
		src.set(hs...)
		for i := range perStep {
			if got, want := quick.next(), fmt.Sprint("hazard ", i+2); got != want {
				t.Fatalf("step %d: %s, want %s", step, got, want)
			}
		}
	}
	// All that is left for the slow one is what was on its way, then the end.
	_ = conn.SetReadDeadline(time.Now().Add(15 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() || n > 150*perStep*1000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestStreamAsksOnce(t *testing.T) {
	src, _, server := streaming(t, func(c *tile.HandlerConfig) { c.HazardsEvery = time.Hour })
	src.set(at(1, 42.5, 1.5))
	for range 5 {
		open(t, server, "", "").expect("reset", "hazard 1")
	}
	if src.mu.Lock(); src.asked != 1 {
		t.Errorf("asked %d times for 5 clients", src.asked)
	}
	src.mu.Unlock()
}

func TestNoStream(t *testing.T) {
	s := newService(t)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/hazards/stream", nil))
	if w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
	if err := s.handler.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
