package taskprotect

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// An agent that refuses the first request, as ECS does while it deploys.
func TestProtectsWhileBusy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	states := make(chan bool, 10)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ProtectionEnabled bool
			ExpiresInMinutes  int
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPut || r.URL.Path != "/api/task-protection/v1/state" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		if body.ProtectionEnabled && body.ExpiresInMinutes != 60 {
			t.Errorf("protected for %d minutes", body.ExpiresInMinutes)
		}
		if asked.Add(1) == 1 {
			_, _ = io.WriteString(w, `{"failure":{"Arn":"a","Reason":"DEPLOYMENT_BLOCKED"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"protection":{"ProtectionEnabled":true}}`)
		states <- body.ProtectionEnabled
	}))
	defer agent.Close()
	var busy atomic.Bool
	busy.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{AgentURI: agent.URL + "/api", Every: 5 * time.Millisecond}, busy.Load, slog.New(slog.DiscardHandler))
	}()
	if !<-states {
		t.Error("not protected while busy")
	}
	busy.Store(false)
	if <-states {
		t.Error("protected while idle")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked the agent %d times, want 3: once refused, once each change", n)
	}
}

func TestOutsideOfECS(t *testing.T) {
	t.Parallel()
	if err := Run(t.Context(), Config{Every: time.Second}, func() bool { return false }, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("started without an agent")
	}
}
