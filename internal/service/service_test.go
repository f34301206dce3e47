package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func config() Config {
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	return cfg
}

func TestEndpoints(t *testing.T) {
	health := NewHealth()
	var broken error
	health.Add("queue", func(context.Context) error { return broken })
	health.Add("always", func(context.Context) error { return nil })
	var odd error
	health.Warn("odd", func(context.Context) error { return odd })
	var logs bytes.Buffer
	s, err := New(t.Context(), config(), Deps{
		Handler: http.NotFoundHandler(), Logger: slog.New(slog.NewJSONHandler(&logs, nil)),
		Gatherer: NewRegistry(), Health: health,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	base := "http://" + s.Addr()

	for path, want := range map[string]string{
		"/healthz": `{"status":"ok"}`, "/readyz": `{"status":"ok"}`, "/metrics": "carasso_build_info{",
	} {
		if code, body := get(t, base+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s = %d %.200s", path, code, body)
		}
	}
	if code, _ := get(t, base+"/other"); code != http.StatusNotFound {
		t.Errorf("/other = %d", code)
	}
	time.Sleep(readyFor)
	broken = errors.New("secret host unreachable")
	odd = errors.New("worth a look")
	if code, body := get(t, base+"/readyz"); code != http.StatusServiceUnavailable ||
		strings.TrimSpace(body) != `{"status":"unavailable","failed":["queue"],"warnings":["odd"]}` {
		t.Errorf("/readyz = %d %s", code, body)
	}
	if code, _ := get(t, base+"/healthz"); code != http.StatusOK {
		t.Errorf("/healthz = %d while not ready", code)
	}
	time.Sleep(readyFor)
	broken = nil
	if code, body := get(t, base+"/readyz"); code != http.StatusOK || strings.TrimSpace(body) != `{"status":"ok","warnings":["odd"]}` {
		t.Errorf("/readyz with nothing but a warning = %d %s", code, body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if !strings.Contains(logs.String(), `"check":"queue"`) {
		t.Errorf("the failed check was not logged: %s", logs.String())
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after Run = %v", err)
	}
}

// Anybody may ask for readiness, however often: dependencies are asked once a second,
// and the log tells changes only.
func TestReadinessIsCheckedAndLoggedSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var broken atomic.Bool
		health := NewHealth()
		health.Add("queue", func(context.Context) error {
			asked.Add(1)
			time.Sleep(100 * time.Millisecond)
			if broken.Load() {
				return errors.New("unreachable")
			}
			return nil
		})
		var logs bytes.Buffer
		h := Handler(Deps{Handler: http.NotFoundHandler(), Logger: slog.New(slog.NewJSONHandler(&logs, nil)), Health: health})
		ask := func(want int) {
			t.Helper()
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody))
					if w.Code != want {
						t.Errorf("/readyz = %d %s, want %d", w.Code, w.Body, want)
					}
				})
			}
			wg.Wait()
		}
		// Who gives up waits no longer, and spoils nothing for the others.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodGet, "/readyz", http.NoBody))
		time.Sleep(readyFor)
		asked.Store(0)
		for i, step := range []struct {
			broken   bool
			want     int
			down, up int // lines so far
		}{
			{false, http.StatusOK, 0, 0},
			{true, http.StatusServiceUnavailable, 1, 0},
			{true, http.StatusServiceUnavailable, 1, 0},
			{false, http.StatusOK, 1, 1},
			{true, http.StatusServiceUnavailable, 2, 1},
		} {
			broken.Store(step.broken)
			ask(step.want)
			ask(step.want)
			if n := asked.Load(); n != int64(i+1) {
				t.Errorf("step %d: 100 requests each second asked %d times", i, n)
			}
			down, up := strings.Count(logs.String(), `"check":"queue"`), strings.Count(logs.String(), `"ready again"`)
			if down != step.down || up != step.up {
				t.Errorf("step %d: %d lines not ready, %d ready again; want %d, %d: %s", i, down, up, step.down, step.up, logs.String())
			}
			time.Sleep(readyFor)
		}
	})
}

// While draining, requests are still answered and readiness is false; a request under
// way ends in its own time.
func TestShutdownHasTwoPhases(t *testing.T) {
	draining, proceed, inside, finish := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-finish
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("/fast", func(http.ResponseWriter, *http.Request) {})
	s, err := New(t.Context(), config(), Deps{
		Handler: mux, Logger: slog.New(slog.DiscardHandler),
		Drain: []func(context.Context) error{func(context.Context) error {
			close(draining)
			<-proceed
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	base := "http://" + s.Addr()
	slow := make(chan int, 1)
	go func() {
		code, _ := get(t, base+"/slow")
		slow <- code
	}()
	<-inside
	stop()
	<-draining
	if code, body := get(t, base+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
		t.Errorf("/readyz while draining = %d %s", code, body)
	}
	if code, _ := get(t, base+"/fast"); code != http.StatusOK {
		t.Errorf("/fast while draining = %d", code)
	}
	close(proceed)
	close(finish)
	if code := <-slow; code != http.StatusAccepted {
		t.Errorf("the request under way got %d", code)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	cfg := config()
	cfg.DrainTimeout = 20 * time.Millisecond
	inside, finish := make(chan struct{}), make(chan struct{})
	s, err := New(t.Context(), cfg, Deps{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(inside)
			<-r.Context().Done() // the server closes the connection in the end
			close(finish)
		}),
		Logger: slog.New(slog.DiscardHandler),
		Drain: []func(context.Context) error{func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-inside
	stop()
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v, want a deadline's error", err)
	}
	<-finish
}

func TestTakenPortIsAnError(t *testing.T) {
	deps := Deps{Handler: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler)}
	s, err := New(t.Context(), config(), deps)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cfg := config()
	cfg.Listen = s.Addr()
	if _, err := New(t.Context(), cfg, deps); err == nil {
		t.Error("no error for a taken port")
	}
}

func TestConfigNamesTheField(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Config){
		"listen":              func(c *Config) { c.Listen = "" },
		"read header timeout": func(c *Config) { c.ReadHeaderTimeout = 0 },
		"read timeout":        func(c *Config) { c.ReadTimeout = -1 },
		"write timeout":       func(c *Config) { c.WriteTimeout = -1 },
		"idle timeout":        func(c *Config) { c.IdleTimeout = 0 },
		"max header bytes":    func(c *Config) { c.MaxHeaderBytes = 1 },
		"lame duck":           func(c *Config) { c.LameDuck = -1 },
		"drain timeout":       func(c *Config) { c.DrainTimeout = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hidden")
	log.Warn("shown", "a_key", 1)
	if got := out.String(); strings.Contains(got, "hidden") || !strings.Contains(got, `"a_key":1`) {
		t.Errorf("log = %s", got)
	}
	for _, c := range [][2]string{{"xml", "info"}, {"json", "loud"}} {
		if _, err := NewLogger(&out, c[0], c[1]); err == nil {
			t.Errorf("%v: no error", c)
		}
	}
}
