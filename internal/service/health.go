package service

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Check reports whether a dependency is usable. It must honour ctx.
type Check func(ctx context.Context) error

// checkTimeout bounds one answer of /readyz.
const checkTimeout = 3 * time.Second

// readyFor is how long the checks' results answer /readyz, which anybody may ask: so
// dependencies are asked at most that often.
const readyFor = time.Second

// Health answers /healthz (the process lives) and /readyz (it may get traffic): ready
// until Drain is called, as long as every named check passes. Safe for concurrent use.
type Health struct {
	mu       sync.RWMutex
	draining bool
	checks   map[string]namedCheck

	turn   chan struct{} // held by who reads or renews what follows
	failed []Failure     // the checks' last results
	at     time.Time     // when they were asked, zero if never
	told   bool          // that it is not ready
}

// NewHealth is a Health without checks.
func NewHealth() *Health {
	return &Health{checks: make(map[string]namedCheck), turn: make(chan struct{}, 1)}
}

// Add registers a check under a name that is shown to operators; a second one under
// the same name replaces the first.
func (h *Health) Add(name string, c Check) {
	h.add(name, namedCheck{check: c})
}

// Warn is Add for what must be told and mended, but would not get better by taking this instance out of
// service: readiness names it as a warning and stays.
func (h *Health) Warn(name string, c Check) { h.add(name, namedCheck{check: c, warning: true}) }

func (h *Health) add(name string, c namedCheck) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = c
}

type namedCheck struct {
	check   Check
	warning bool
}

// Drain makes readiness false for good.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

func (h *Health) withDraining(failed []Failure) []Failure {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.draining {
		return failed
	}
	failed = append([]Failure{{Check: "draining", Err: errDraining}}, failed...)
	slices.SortFunc(failed, byCheck)
	return failed
}

// ready returns the failed checks, sorted, by results that are at most readyFor old;
// draining counts as a failed check "draining". Who asks while they are renewed waits for
// the same results, but no longer than ctx. It logs when readiness ends or returns.
func (h *Health) ready(ctx context.Context, log *slog.Logger) ([]Failure, error) {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("service ready: %w", ctx.Err())
	}
	defer func() { <-h.turn }()
	if h.at.IsZero() || time.Since(h.at) >= readyFor {
		// The result is everybody's: who goes away does not spoil it.
		h.failed = h.run(context.WithoutCancel(ctx))
		h.at = time.Now()
	}
	failed := h.withDraining(h.failed)
	if told := len(failed) > 0; told != h.told {
		h.told = told
		if !told {
			log.InfoContext(ctx, "ready again")
		}
		for _, f := range failed {
			log.WarnContext(ctx, "not ready", "check", f.Check, "error", f.Err, "only_a_warning", f.Warning)
		}
	}
	return failed, nil
}

// run runs all checks at once, each within 3 s, and returns the failed ones, sorted.
func (h *Health) run(ctx context.Context) []Failure {
	h.mu.RLock()
	names := make([]string, 0, len(h.checks))
	checks := make([]namedCheck, 0, len(h.checks))
	for name, c := range h.checks {
		names, checks = append(names, name), append(checks, c)
	}
	h.mu.RUnlock()

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { errs[i] = c.check(ctx) })
	}
	wg.Wait()

	var failed []Failure
	for i, err := range errs {
		if err != nil {
			failed = append(failed, Failure{Check: names[i], Err: err, Warning: checks[i].warning})
		}
	}
	slices.SortFunc(failed, byCheck)
	return failed
}

func byCheck(a, b Failure) int { return strings.Compare(a.Check, b.Check) }

// Failure is a check that did not pass.
type Failure struct {
	Check   string
	Err     error
	Warning bool // see Health.Warn
}

// serveLive answers /healthz.
func (h *Health) serveLive(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusOK, status{Status: "ok"})
}

// status is the body of /healthz and /readyz. Errors stay in the log.
type status struct {
	Status   string   `json:"status"`
	Failed   []string `json:"failed,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func writeStatus(w http.ResponseWriter, code int, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s)
}
