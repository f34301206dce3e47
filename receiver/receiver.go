// Package receiver takes batches from vehicles over HTTP, proves who sent them,
// pseudonymises them, packs many into one envelope and acknowledges each only after
// the queue has accepted its envelope. The wire contract is RFC 9110 with answers in
// RFC 9457.
package receiver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/telemetry"
)

// Queue is where envelopes go.
type Queue interface {
	// Send blocks until the queue holds the bodies durably, at most 10 of them. It returns
	// nil when it accepted all, else one error or nil per body. It must honour ctx, and
	// not keep the bodies.
	Send(ctx context.Context, bodies [][]byte) []error
}

// Ring turns vehicle and trip ids into what may leave the process.
type Ring interface {
	ClaimID(vehicle string, batch telemetry.BatchID) telemetry.ClaimID
	Pseudonym(ctx context.Context, vehicle string, eventTimeMS int64) (uint64, error)
	TripKey(ctx context.Context, vehicle, trip string, eventTimeMS int64) (uint64, error)
}

// Notes remembers what became of each vehicle's requests. Its methods return at once, whatever it does with what they say.
// *vehiclestatus.Notebook is one.
type Notes interface {
	Accepted(vehicle string, seen vehiclestatus.Seen)
	Rejected(vehicle string, seen vehiclestatus.Seen, why vehiclestatus.Refusal)
	Expired(vehicle string, seen vehiclestatus.Seen, since time.Time)
	RateLimited(vehicle string, at time.Time)
}

// Deps are what a Receiver works with. All but Notes and Clock are required.
type Deps struct {
	Queue      Queue
	Ring       Ring
	Auth       credential.Authenticator
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Notes      Notes // nil: nothing is noted
	// Clock is the time that batches are judged by and envelopes are stamped with; nil is
	// time.Now.
	Clock func() time.Time
}

// Receiver serves POST /v1/batches. Safe for concurrent use.
type Receiver struct {
	cfg      Config
	id       telemetry.ReceiverID
	ring     Ring
	auth     credential.Authenticator
	log      *slog.Logger
	now      func() time.Time
	limiter  *limiter
	held     *inflight
	bodies   *bodies
	packer   *packer
	metrics  *metrics
	notes    Notes
	works    sync.Pool // *workspace
	requests atomic.Int64
	draining atomic.Bool
	drained  chan struct{} // gets a token when requests came to 0 while draining
}

// New starts a receiver under a fresh id. Shutdown ends it.
func New(cfg Config, deps Deps) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("receiver config: %w", err)
	}
	if err := deps.validate(); err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Notes == nil {
		deps.Notes = noNotes{}
	}
	var id telemetry.ReceiverID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("receiver id: %w", err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a UUIDv4 (RFC 9562)
	held := &inflight{max: cfg.MaxBytesInFlight}
	m, err := newMetrics(deps.Registerer, deps.Auth, held)
	if err != nil {
		return nil, err
	}
	b, err := newBodies(cfg)
	if err != nil {
		return nil, err
	}
	return &Receiver{
		cfg: cfg, id: id, ring: deps.Ring, auth: deps.Auth, log: deps.Logger, now: deps.Clock,
		limiter: newLimiter(cfg.RateBatches, cfg.RateBurst, cfg.RateVehicles),
		held:    held, bodies: b, metrics: m, notes: deps.Notes, packer: newPacker(cfg, deps, id, m),
		works:   sync.Pool{New: func() any { return new(workspace) }},
		drained: make(chan struct{}, 1),
	}, nil
}

// ID is the receiver's id in the headers of its envelopes.
func (rc *Receiver) ID() telemetry.ReceiverID { return rc.id }

// Routes serves the wire contract. Anything else is 404 or 405.
func (rc *Receiver) Routes() http.Handler {
	r := chi.NewRouter()
	rc.Mount(r)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(problem.NotFound, ""))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		problem.Write(w, problem.New(problem.MethodNotAllowed, ""))
	})
	return r
}

// Mount adds the receiver's routes to a router that serves others too.
func (rc *Receiver) Mount(r chi.Router) { r.Post("/v1/batches", rc.postBatch) }

// Ready is a check for readiness: false from the start of Shutdown.
func (rc *Receiver) Ready(context.Context) error {
	if rc.draining.Load() {
		return errDraining
	}
	return nil
}

var errDraining = errors.New("draining")

// Shutdown refuses new requests with 503, flushes what is waiting, lets every request
// under way get its answer, sends a closing envelope and ends all goroutines. When ctx
// ends first, whatever the queue has not accepted by then is answered 503 and ctx's
// error is returned. Call it once, while the HTTP server still serves.
func (rc *Receiver) Shutdown(ctx context.Context) error {
	rc.draining.Store(true)
	rc.packer.drain()
	var err error
	for rc.requests.Load() > 0 && err == nil {
		select {
		case <-rc.drained:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err = errors.Join(err, rc.packer.stop(ctx)); err != nil {
		return fmt.Errorf("receiver shutdown: %w", err)
	}
	rc.bodies.close()
	return nil
}

// enter reports whether a request may be served; leave must follow if so. A request
// that entered is seen by Shutdown: it counted itself before it looked.
func (rc *Receiver) enter() bool {
	rc.requests.Add(1)
	if rc.draining.Load() {
		rc.leave()
		return false
	}
	return true
}

func (rc *Receiver) leave() {
	if rc.requests.Add(-1) == 0 && rc.draining.Load() {
		select {
		case rc.drained <- struct{}{}:
		default:
		}
	}
}
