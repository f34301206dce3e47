package worker_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
	"github.com/carasso/carasso/worker"
)

// marked is a ProjectorStore whose outbox names some tiles once, and that keeps what was recorded.
type marked struct {
	worker.ProjectorStore
	rows     []learn.DirtyTile
	recorded []ledger.Projection
}

func (m *marked) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func (m *marked) Outbox(context.Context, string, int) ([]int64, []learn.DirtyTile, error) {
	return make([]int64, len(m.rows)), m.rows, nil
}

func (m *marked) DeleteOutbox(context.Context, []int64) error { return nil }

func (m *marked) RecordProjection(_ context.Context, p ledger.Projection) error {
	m.recorded = append(m.recorded, p)
	return nil
}

// quiet is a layer that publishes each tile that it is told of.
type quiet struct{ name string }

func (q quiet) Name() string                                   { return q.name }
func (quiet) Begin(context.Context) ([]uint32, error)          { return nil, nil }
func (quiet) Due(context.Context, time.Time) ([]uint32, error) { return nil, nil }
func (quiet) Project(_ context.Context, tiles []uint32, _ time.Time) (int, error) {
	return len(tiles), nil
}

// What vehicles sent late is recorded apart, and does not make the pipeline look slow.
func TestFreshnessTellsLateNewsApart(t *testing.T) {
	for _, tt := range []struct {
		layer  string
		delays []time.Duration // from the event to its acceptance, by tile
		prompt int64           // tiles
		late   int64
	}{
		{worker.LayerHazards, []time.Duration{0, 400 * time.Millisecond, -time.Minute, 30 * time.Second}, 3, 1},
		{worker.LayerHazards, []time.Duration{2 * time.Second, time.Hour}, 0, 2},
		{worker.LayerSpeeds, []time.Duration{2 * time.Second, 10 * time.Second, time.Hour}, 2, 1},
	} {
		store := &marked{}
		accepted := time.Now().Add(-time.Second)
		for i, d := range tt.delays {
			store.rows = append(store.rows, learn.DirtyTile{Tile: uint32(i), AcceptedMS: accepted.UnixMilli(), EventMS: accepted.Add(-d).UnixMilli()})
		}
		p := worker.NewProjector(worker.ProjectorConfig{}, quiet{tt.layer}, store, slog.New(slog.DiscardHandler), worker.NewProjectorMetrics(prometheus.NewRegistry()))
		if _, err := p.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[bool]ledger.Projection{}
		for _, r := range store.recorded {
			got[r.Late] = r
		}
		if got[false].Tiles != tt.prompt || got[true].Tiles != tt.late {
			t.Errorf("%s, delays %v: recorded %+v, want %d tiles of prompt news and %d of late", tt.layer, tt.delays, store.recorded, tt.prompt, tt.late)
		}
		if late := got[true]; late.EventP50S <= late.P50S {
			t.Errorf("%s: late news are as old as their acceptance: %+v", tt.layer, late)
		}
	}
}
