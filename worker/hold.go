package worker

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// hold keeps deliveries hidden in the queue while they are worked on.
type hold struct {
	queue      Queue
	visibility time.Duration
	m          *metrics
	log        *slog.Logger

	mu   sync.Mutex
	held []telemetry.Delivery
}

// run renews the visibility of what is held at each third of it, until ctx ends.
func (h *hold) run(ctx context.Context) {
	tick := time.NewTicker(h.visibility / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h.mu.Lock()
		held := slices.Clone(h.held)
		h.mu.Unlock()
		if len(held) == 0 {
			continue
		}
		if err := h.queue.Extend(ctx, held, h.visibility); err != nil && ctx.Err() == nil {
			// What is lost is redelivered, and then known: no harm but work done twice.
			h.m.errors.WithLabelValues("extend").Inc()
			h.log.WarnContext(ctx, "visibility not extended", "envelopes", len(held), "error", err)
		}
	}
}

func (h *hold) add(ds []telemetry.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = append(h.held, ds...)
	h.m.held.Add(float64(len(ds)))
	for i := range ds {
		h.m.heldBytes.Add(float64(len(ds[i].Body)))
	}
}

// drop ends the holding of everything.
func (h *hold) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.m.held.Sub(float64(len(h.held)))
	for i := range h.held {
		h.m.heldBytes.Sub(float64(len(h.held[i].Body)))
	}
	clear(h.held)
	h.held = h.held[:0]
}
