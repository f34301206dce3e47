package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/carasso/carasso/telemetry/ledger"
)

func TestLedgerWatchLeavesTheLastHourOut(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 15, 20, 0, 0, time.UTC)
	w := &ledgerWatch{missing: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"}), read: func(_ context.Context, from, to time.Time) (ledger.Report, error) {
		if want := time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC); !to.Equal(want) || to.Sub(from) != 24*time.Hour {
			t.Errorf("read from %v to %v", from, to)
		}
		account := func(accepted, archived, duplicate, quarantined int64) ledger.Hour {
			return ledger.Hour{Account: ledger.Account{
				Accepted: ledger.Count{Batches: accepted}, Archived: ledger.Count{Batches: archived},
				Duplicate: ledger.Count{Batches: duplicate}, Quarantined: ledger.Count{Batches: quarantined},
			}}
		}
		return ledger.Report{Hours: []ledger.Hour{account(100, 90, 5, 5), account(50, 40, 3, 0)}}, nil
	}}
	if err := w.look(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	var m dto.Metric
	if err := w.missing.Write(&m); err != nil || m.GetGauge().GetValue() != 7 {
		t.Errorf("missing %v (%v), want 7", m.GetGauge().GetValue(), err)
	}
	w.read = func(context.Context, time.Time, time.Time) (ledger.Report, error) {
		return ledger.Report{}, errors.New("away")
	}
	if err := w.look(t.Context(), now); err == nil {
		t.Error("an unread ledger is told to be well")
	}
}
