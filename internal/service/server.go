// Package service is what every HTTP service of the process shares: logger, metrics
// registry, health, server timeouts and a shutdown in two phases.
package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var errDraining = errors.New("draining")

// Config is how a Server listens. Its zero value is not valid: start from DefaultConfig.
type Config struct {
	// Listen is the TCP address; port 0 picks a free one. Default 127.0.0.1:8080.
	Listen string
	// ReadHeaderTimeout bounds the arrival of a request's header. Default 5 s.
	ReadHeaderTimeout time.Duration
	// ReadTimeout bounds the arrival of a whole request, body included. Default 30 s.
	ReadTimeout time.Duration
	// WriteTimeout bounds the handling and the answer, so that a client which reads nothing holds nothing for good. Event
	// streams and files set deadlines of their own. 0 is none. Default 2 minutes.
	WriteTimeout time.Duration
	// IdleTimeout closes keep-alive connections that carry nothing. Default 120 s.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header. Default 16 KiB.
	MaxHeaderBytes int
	// LameDuck is how long the service still accepts requests after readiness went
	// false, so that load balancers notice. Default 0.
	LameDuck time.Duration
	// DrainTimeout bounds each of the two phases of the shutdown. Default 20 s.
	DrainTimeout time.Duration
}

// DefaultConfig is the documented defaults.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080", ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: 120 * time.Second, MaxHeaderBytes: 16 << 10, DrainTimeout: 20 * time.Second,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.Listen == "":
		return errors.New("listen: expected host:port")
	case c.ReadHeaderTimeout <= 0:
		return fmt.Errorf("read header timeout %v: expected more than 0", c.ReadHeaderTimeout)
	case c.ReadTimeout <= 0:
		return fmt.Errorf("read timeout %v: expected more than 0", c.ReadTimeout)
	case c.WriteTimeout < 0:
		return fmt.Errorf("write timeout %v: expected 0 or more", c.WriteTimeout)
	case c.IdleTimeout <= 0:
		return fmt.Errorf("idle timeout %v: expected more than 0", c.IdleTimeout)
	case c.MaxHeaderBytes < 1<<10 || c.MaxHeaderBytes > 1<<20:
		return fmt.Errorf("max header bytes %d: expected 1 KiB to 1 MiB", c.MaxHeaderBytes)
	case c.LameDuck < 0:
		return fmt.Errorf("lame duck %v: expected 0 or more", c.LameDuck)
	case c.DrainTimeout <= 0:
		return fmt.Errorf("drain timeout %v: expected more than 0", c.DrainTimeout)
	}
	return nil
}

// Deps are what a Server works with. Handler and Logger are required.
type Deps struct {
	// Handler serves everything but /healthz, /readyz and /metrics.
	Handler http.Handler
	// Logger gets the server's own errors and the life cycle.
	Logger *slog.Logger
	// Gatherer is behind /metrics; nil leaves that path to Handler.
	Gatherer prometheus.Gatherer
	// Health is behind /healthz and /readyz; nil is one without checks.
	Health *Health
	// TLS makes the server speak TLS; with ClientAuth set, client certificates are
	// credentials. nil is plain HTTP.
	TLS *tls.Config
	// Drain functions run one after the other in the first phase of the shutdown, while
	// requests are still answered: each refuses new work, finishes what it accepted, and
	// must return when ctx ends.
	Drain []func(ctx context.Context) error
}

// Server is an HTTP server with a life cycle: New listens, Run serves until told to
// stop and has then stopped completely.
type Server struct {
	cfg      Config
	deps     Deps
	listener net.Listener
	http     *http.Server
}

// New validates cfg and listens, so that Addr is known and a taken port is an error
// here. Requests wait until Run.
func New(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("service config: %w", err)
	}
	if deps.Handler == nil || deps.Logger == nil {
		return nil, errors.New("service: Handler and Logger are required")
	}
	if deps.Health == nil {
		deps.Health = NewHealth()
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("service listen %s: %w", cfg.Listen, err)
	}
	return &Server{
		cfg: cfg, deps: deps, listener: l,
		http: &http.Server{
			Handler:           Handler(deps),
			TLSConfig:         deps.TLS,
			ReadHeaderTimeout: cfg.ReadHeaderTimeout,
			ReadTimeout:       cfg.ReadTimeout,
			WriteTimeout:      cfg.WriteTimeout,
			IdleTimeout:       cfg.IdleTimeout,
			MaxHeaderBytes:    cfg.MaxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(deps.Logger.Handler(), slog.LevelDebug),
		},
	}, nil
}

// Addr is where the server listens, with the real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close gives the port back without having run. After Run it does nothing.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("service close: %w", err)
	}
	return nil
}

// Run serves until ctx is cancelled, then shuts down in two phases, each bounded by
// DrainTimeout and neither cancelled by ctx: first readiness goes false and the Drain
// functions finish what was accepted while requests are still answered; then the
// listener closes and open requests end. It returns when no request is being handled
// any more, with nil after a clean shutdown. Run it once.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() {
		if s.deps.TLS != nil {
			served <- s.http.ServeTLS(s.listener, "", "")
			return
		}
		served <- s.http.Serve(s.listener)
	}()
	s.deps.Logger.InfoContext(ctx, "listening", "address", s.Addr(), "tls", s.deps.TLS != nil, "version", Version())

	select {
	case err := <-served:
		return fmt.Errorf("service serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	err := s.stop(context.WithoutCancel(ctx))
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("service serve %s: %w", s.Addr(), serveErr))
	}
	s.deps.Logger.InfoContext(ctx, "stopped", "address", s.Addr(), "clean", err == nil)
	return err
}

func (s *Server) stop(ctx context.Context) error {
	s.deps.Logger.InfoContext(ctx, "draining", "address", s.Addr())
	s.deps.Health.Drain()
	if s.cfg.LameDuck > 0 {
		time.Sleep(s.cfg.LameDuck)
	}
	var errs []error
	soft, cancelSoft := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancelSoft()
	for _, drain := range s.deps.Drain {
		if err := drain(soft); err != nil {
			errs = append(errs, fmt.Errorf("service drain: %w", err))
		}
	}
	hard, cancelHard := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancelHard()
	if err := s.http.Shutdown(hard); err != nil {
		errs = append(errs, fmt.Errorf("service shutdown: %w", err), s.http.Close())
	}
	return errors.Join(errs...)
}

// Handler serves /healthz, /readyz and /metrics beside deps.Handler, for whoever runs
// a server of their own (tests).
func Handler(deps Deps) http.Handler {
	health := deps.Health
	if health == nil {
		health = NewHealth()
	}
	var metrics http.Handler
	if deps.Gatherer != nil {
		metrics = metricsHandler(deps.Gatherer)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/healthz":
			health.serveLive(w, r)
		case r.URL.Path == "/readyz":
			serveReady(w, r, health, deps.Logger)
		case r.URL.Path == "/metrics" && metrics != nil:
			metrics.ServeHTTP(w, r)
		default:
			deps.Handler.ServeHTTP(w, r)
		}
	})
}

func serveReady(w http.ResponseWriter, r *http.Request, h *Health, log *slog.Logger) {
	failed, err := h.ready(r.Context(), log)
	if err != nil {
		writeStatus(w, http.StatusServiceUnavailable, status{Status: "unavailable"})
		return
	}
	s, code := status{Status: "ok"}, http.StatusOK
	for _, f := range failed {
		if f.Warning {
			s.Warnings = append(s.Warnings, f.Check)
			continue
		}
		s.Status, code = "unavailable", http.StatusServiceUnavailable
		s.Failed = append(s.Failed, f.Check)
	}
	writeStatus(w, code, s)
}
