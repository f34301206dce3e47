package service

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Check reports whether a dependency is usable. It must honour ctx.
type Check func(ctx context.Context) error

// checkTimeout bounds one answer of /readyz.
const checkTimeout = 3 * time.Second

// Health answers /healthz (the process lives) and /readyz (it may get traffic): ready
// until Drain is called, as long as every named check passes. Safe for concurrent use.
type Health struct {
	mu       sync.RWMutex
	draining bool
	checks   map[string]Check
}

// NewHealth is a Health without checks.
func NewHealth() *Health { return &Health{checks: make(map[string]Check)} }

// Add registers a check under a name that is shown to operators; a second one under
// the same name replaces the first.
func (h *Health) Add(name string, c Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = c
}

// Drain makes readiness false for good.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Ready runs all checks at once, each within 3 s, and returns the names of the failed
// ones, sorted, with their errors; draining counts as a failed check "draining".
func (h *Health) Ready(ctx context.Context) []Failure {
	h.mu.RLock()
	draining := h.draining
	names := make([]string, 0, len(h.checks))
	checks := make([]Check, 0, len(h.checks))
	for name, c := range h.checks {
		names, checks = append(names, name), append(checks, c)
	}
	h.mu.RUnlock()

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { errs[i] = c(ctx) })
	}
	wg.Wait()

	var failed []Failure
	if draining {
		failed = append(failed, Failure{Check: "draining", Err: errDraining})
	}
	for i, err := range errs {
		if err != nil {
			failed = append(failed, Failure{Check: names[i], Err: err})
		}
	}
	slices.SortFunc(failed, func(a, b Failure) int {
		switch {
		case a.Check < b.Check:
			return -1
		case a.Check > b.Check:
			return 1
		}
		return 0
	})
	return failed
}

// Failure is a check that did not pass.
type Failure struct {
	Check string
	Err   error
}

// serveLive answers /healthz.
func (h *Health) serveLive(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusOK, status{Status: "ok"})
}

// status is the body of /healthz and /readyz. Errors stay in the log.
type status struct {
	Status string   `json:"status"`
	Failed []string `json:"failed,omitempty"`
}

func writeStatus(w http.ResponseWriter, code int, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s)
}
