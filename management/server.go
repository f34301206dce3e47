// Package management answers people and programs: the ledger that proves that nothing was
// lost, the pipeline's state, the speeds that the fleet drove, and the portal that
// shows them. It reads, and keeps what people decide; every change goes through the audit log
// (Server.change).
package management

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/management/cost"
	"github.com/carasso/carasso/management/portal"
)

// Deps are what a Server works with. All but Tiles, Registerer and Now are required.
type Deps struct {
	Store    Store
	Queue    Queue
	Ring     Ring
	Roads    Roads
	Objects  Objects
	Live     Live
	Verifier Verifier
	Jobs     Jobs
	Secrets  Sealer
	// Tiles serves /v1/tiles.json, /v1/tiles/…, /v1/tiles:delta and /v1/hazards/stream, for everybody;
	// nil leaves them out. Its method Drain(context.Context) error, if any, ends its streams.
	Tiles      http.Handler
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil is time.Now
}

// Server is the management API and the portal. Safe for concurrent use; it starts no
// goroutine of its own.
type Server struct {
	cfg      Config
	deps     Deps
	router   chi.Router
	pipeline *pipelineCache
	today    *shared[dayReport]
	counted  *shared[counted]
	prices   cost.PriceList
	sent     atomic.Int64 // bytes answered
	vehicles *sharedBy[time.Duration, vehiclestatus.Summary]
	streets  *streetIndex
	extents  *sharedBy[string, extents] // of the whole map, by its version
	heavy    chan struct{}
	exports  chan struct{}
	streams  chan struct{}
	drained  chan struct{}
	drain    sync.Once
	spec     []byte
}

// New validates cfg and builds the routes.
func New(cfg Config, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("management config: %w", err)
	}
	if deps.Store == nil || deps.Queue == nil || deps.Ring == nil || deps.Roads == nil || deps.Objects == nil || deps.Live == nil || deps.Verifier == nil || deps.Jobs == nil || deps.Secrets == nil || deps.Logger == nil {
		return nil, errors.New("management: Store, Queue, Ring, Roads, Objects, Live, Verifier, Jobs, Secrets and Logger are required")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Registerer == nil {
		deps.Registerer = prometheus.NewRegistry()
	}
	m, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, err
	}
	page, err := portal.New()
	if err != nil {
		return nil, fmt.Errorf("management: %w", err)
	}
	s := &Server{
		cfg: cfg, deps: deps,
		pipeline: newPipelineCache(cfg, deps),
		today:    newShared[dayReport](),
		counted:  newShared[counted](),
		vehicles: newSharedBy[time.Duration, vehiclestatus.Summary](maxSilences),
		extents:  newSharedBy[string, extents](2),
		streets:  newStreetIndex(deps.Roads, cfg.StreetBytes),
		heavy:    make(chan struct{}, cfg.HeavyQueries),
		exports:  make(chan struct{}, cfg.Exports),
		streams:  make(chan struct{}, cfg.MaxStreams),
		drained:  make(chan struct{}),
	}
	if s.prices, err = cost.List(); err != nil {
		return nil, fmt.Errorf("management: %w", err)
	}
	if s.spec, err = openAPI(deps.Tiles != nil); err != nil {
		return nil, fmt.Errorf("management: %w", err)
	}
	s.routes(m, page)
	return s, nil
}

// ServeHTTP answers every path; unknown ones with a problem document.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// Drain ends the event streams, those of Tiles too, so that a shutdown need not wait for their
// clients. All else goes on.
func (s *Server) Drain(ctx context.Context) error {
	s.drain.Do(func() { close(s.drained) })
	if d, ok := s.deps.Tiles.(interface{ Drain(context.Context) error }); ok {
		return d.Drain(ctx)
	}
	return nil
}

func (s *Server) routes(m *metrics, page http.Handler) {
	r := chi.NewRouter()
	r.Use(s.weigh, m.observe, identify)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(problem.NotFound, "This path does not exist; /openapi.json lists those that do."))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(r, req.URL), ", "))
		problem.Write(w, problem.New(problem.MethodNotAllowed, "/openapi.json lists the methods of this path."))
	})
	analyst, operator, admin := s.require(credential.Analyst), s.require(credential.Operator), s.require(credential.Admin)
	r.With(analyst).Get("/v1/ledger", s.handle(s.getLedger))
	r.With(operator).Post("/v1/ledger/batches", s.handle(s.postBatches))
	r.With(analyst).Get("/v1/pipeline", s.handle(s.getPipeline))
	r.With(analyst).Get("/v1/pipeline/stream", s.streamPipeline)
	r.With(analyst).Get("/v1/segments", s.handle(s.getSegments))
	r.With(analyst).Get("/v1/segments/{edge}/speeds", s.handle(s.getEdgeSpeeds))
	r.With(analyst).Get("/v1/segments/{edge}/limits", s.handle(s.getLimitChanges))
	r.With(analyst).Get("/v1/limits", s.handle(s.getLimits))
	r.With(analyst).Get("/v1/hazards", s.handle(s.getHazards))
	r.With(analyst).Get("/v1/datex/situations", s.answer(s.getSituations, s.writeSituations))
	r.With(analyst).Get("/v1/map-errors", s.handle(s.getMapErrors))
	r.With(operator).Method(http.MethodPut, "/v1/map-errors/{id}/status", s.change("map_error.review", s.putMapErrorStatus))
	s.operationRoutes(r.With(operator), r.With(admin))
	s.jobRoutes(r.With(analyst), r.With(operator))
	s.webhookRoutes(r.With(analyst), r.With(operator))
	s.replayRoutes(r.With(analyst))
	s.erasureRoutes(r.With(operator), r.With(admin))
	s.trendRoutes(r.With(analyst))
	r.Get("/openapi.json", s.getSpec)
	if s.deps.Tiles != nil {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			r.Method(method, "/v1/tiles.json", s.deps.Tiles)
			r.Method(method, "/v1/tiles/{layer}/{z}/{x}/{y}.mvt", s.deps.Tiles)
		}
		for _, method := range []string{http.MethodPost, http.MethodOptions} {
			r.Method(method, "/v1/tiles:delta", s.deps.Tiles)
		}
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			r.Method(method, "/v1/hazards/stream", s.deps.Tiles)
		}
	}
	r.Get("/", page.ServeHTTP)
	r.Get("/portal/*", page.ServeHTTP)
	s.router = r
}

// allowed lists the methods that a path has.
func allowed(r chi.Routes, u *url.URL) (methods []string) {
	path := u.RawPath // what the router matches, if it is set
	if path == "" {
		path = u.Path
	}
	for _, m := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	} {
		if r.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
		}
	}
	return methods
}

// Routes lists what the server answers to.
func (s *Server) Routes() chi.Routes { return s.router }
