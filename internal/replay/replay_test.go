package replay_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/replay"
	"github.com/carasso/carasso/telemetry"
)

// drive is one of n samples, a second apart, with an event after each tenth.
func drive(vehicle string, n int) replay.Drive {
	d := replay.Drive{Vehicle: vehicle}
	for i := range n {
		t := 1_500_000_000_000 + int64(i)*1000
		d.Samples = append(d.Samples, telemetry.Sample{T: t, LatE7: int32(i)})
		if i%10 == 9 {
			d.Events = append(d.Events, telemetry.Event{T: t + 1, Type: telemetry.HazardSeen, Hazard: telemetry.HardBraking, ConfidencePermille: 1000})
		}
	}
	return d
}

func TestPlan(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, speedup := range []float64{1, 10} {
		cfg := replay.DefaultConfig()
		cfg.Speedup, cfg.LeadIn = speedup, 2
		plan := replay.Plan(&cfg, []replay.Drive{drive("a", 25), drive("b", 5), {Vehicle: "c"}}, start)
		if len(plan) != 4 {
			t.Fatalf("%d batches, want 3 and 1", len(plan))
		}
		counted, events := 0, 0
		for i, p := range plan {
			b := &p.Batch
			counted += b.Counted()
			events += len(b.Events)
			last := b.Samples[len(b.Samples)-1].T
			due := start.Add(p.After).UnixMilli()
			if last > due {
				t.Errorf("batch %d is sent %d ms before its last sample", i, last-due)
			}
			if b.Trip.Final && due-last > 1 {
				t.Errorf("the last batch of %s is sent %d ms after its last sample", b.VehicleID, due-last)
			}
			for k := 1; k < len(b.Samples); k++ {
				if b.Samples[k].T-b.Samples[k-1].T != 1000 {
					t.Errorf("batch %d: spacing is not kept", i)
				}
			}
			if i > 0 && p.After < plan[i-1].After {
				t.Error("the plan is out of order")
			}
		}
		if counted != 30 || events != 2 {
			t.Errorf("%d samples and %d events, want 30 and 2", counted, events)
		}
		if plan[len(plan)-1].Batch.LeadIn != 2 {
			t.Errorf("lead-in %d, want 2", plan[len(plan)-1].Batch.LeadIn)
		}
	}
}

func TestSend(t *testing.T) {
	var mu sync.Mutex
	var got []telemetry.Batch
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/batches" || r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var b telemetry.Batch
		if err := telemetry.DecodeProto(body, &b, telemetry.DefaultLimits()); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch {
		case calls == 1: // refused for now
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case b.VehicleID == "bad":
			http.Error(w, "no", http.StatusUnprocessableEntity)
		default:
			if err := b.Validate(time.Now(), telemetry.DefaultLimits()); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			got = append(got, b)
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer server.Close()
	cfg := replay.DefaultConfig()
	cfg.Target, cfg.Token, cfg.Speedup = server.URL+"/", "key", 1e5
	plan := replay.Plan(&cfg, []replay.Drive{drive("a", 25), drive("bad", 5)}, time.Now())
	r, err := replay.Send(t.Context(), &cfg, plan, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if r.Batches != 3 || r.Samples != 25 || r.Events != 2 || r.Retries != 1 || r.Refused["422 no"] != 1 || len(got) != 3 {
		t.Errorf("%+v, %d arrived", r, len(got))
	}
	server.Close()
	cfg.Retries = 0
	if _, err := replay.Send(t.Context(), &cfg, plan, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a target that is not there is an error")
	}
}

func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*replay.Config){
		"target":   func(c *replay.Config) { c.Target = "ftp://x" },
		"no host":  func(c *replay.Config) { c.Target = "http://" },
		"speedup":  func(c *replay.Config) { c.Speedup = 0.5 },
		"batch":    func(c *replay.Config) { c.BatchSize = 0 },
		"lead-in":  func(c *replay.Config) { c.LeadIn = -1 },
		"timeouts": func(c *replay.Config) { c.Timeout = 0 },
	} {
		cfg := replay.DefaultConfig()
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "replay: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
