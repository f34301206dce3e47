package webhook_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/hazard"
)

// event plans as a dispatcher does.
func event(w *webhook.Webhook, told int64, r *hazard.Revision) (webhook.Event, error) {
	kind := webhook.Decide(&w.Filter, told, r)
	if kind == "" {
		return webhook.Event{}, nil
	}
	return webhook.NewEvent("urn:carasso", w.ID, kind, r)
}

// Environment of the process that is killed: the database, and after which step.
const (
	childURL  = "CARASSO_TEST_WEBHOOK_URL"
	childStep = "CARASSO_TEST_WEBHOOK_STEP"
)

// mortal is a store whose process is killed (-9) at a step. There is one before and after each call that changes something,
// and within planning one before each event.
type mortal struct {
	*postgres.DB
	left *atomic.Int64
}

func (m *mortal) step() {
	if m.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (m *mortal) PlanWebhook(ctx context.Context, id string, most int, f func(*webhook.Webhook, int64, *hazard.Revision) (webhook.Event, error)) (int, bool, error) {
	m.step()
	n, more, err := m.DB.PlanWebhook(ctx, id, most, func(w *webhook.Webhook, told int64, r *hazard.Revision) (webhook.Event, error) {
		m.step()
		return f(w, told, r)
	})
	m.step()
	return n, more, err
}

func (m *mortal) ClaimDeliveries(ctx context.Context, c webhook.Claim) ([]webhook.Attempt, error) {
	as, err := m.DB.ClaimDeliveries(ctx, c)
	if len(as) > 0 {
		m.step()
	}
	return as, err
}

func (m *mortal) EndAttempt(ctx context.Context, a *webhook.Attempt, judge func(webhook.History) webhook.Verdict) (webhook.Verdict, error) {
	m.step() // sent, but not stored
	v, err := m.DB.EndAttempt(ctx, a, judge)
	m.step()
	return v, err
}

// TestChild is the process that is killed.
func TestChild(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" {
		return // TestKilledAtEveryStep starts it
	}
	steps, err := strconv.Atoi(os.Getenv(childStep))
	if err != nil {
		t.Fatal(err)
	}
	left := new(atomic.Int64)
	left.Store(int64(steps))
	db := openDB(t, url)
	cfg := fast()
	cfg.Concurrency, cfg.Page = 1, 2 // steps come one after the other
	d, err := webhook.New(cfg, webhook.Deps{Store: &mortal{db, left}, Secrets: newSealer(t), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	eventually(t, "nothing is left", func() bool { return idle(t, db) })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func idle(t *testing.T, db *postgres.DB) bool {
	t.Helper()
	ids, err := db.WebhooksToPlan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := db.WebhookBacklog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(ids) == 0 && b.Pending == 0
}

// However often a process is killed and wherever, each event is planned once and told at least once, in order.
func TestKilledAtEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some 40 processes")
	}
	url := migrated.New(t)
	db := openDB(t, url)
	rc := receive(t, nil)
	w, _ := subscribe(t, db, rc.URL)
	child := func(step int) (killed bool) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
		cmd.Env = append(os.Environ(), childURL+"="+url, childStep+"="+strconv.Itoa(step))
		out, err := cmd.CombinedOutput()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
		if err != nil {
			t.Fatalf("step %d: %v\n%s", step, err, out)
		}
		return false
	}
	// What a killed process had claimed is due when its lease ends; the test does not wait for that.
	expire := func() {
		if _, err := db.Pool().Exec(t.Context(), "UPDATE webhook_delivery SET lease_until = clock_timestamp() WHERE lease_until IS NOT NULL"); err != nil {
			t.Fatal(err)
		}
	}
	kills := 0
	for step := 1; ; step++ {
		id := 2 * uint64(step)
		store(t, db, ice(id, 0), ice(id+1, 0))
		killed := child(step)
		expire()
		if killed {
			kills++
		}
		store(t, db, ice(id, 1), over(ice(id, 2)), over(ice(id+1, 1)))
		// Killed again at the same step, with the rest of the last time still to do.
		if child(step) {
			kills++
		} else if !killed {
			break
		}
		expire()
	}
	expire()
	child(1 << 30)
	if kills < 20 {
		t.Errorf("killed only %d times", kills)
	}
	consistent(t, rc)
	_, accepted := rc.all()
	told := map[string]int{}
	for _, g := range accepted {
		told[g.ID]++
	}
	var planned []string
	for _, d := range deliveries(t, db, w.ID) {
		planned = append(planned, d.Event)
		if d.State != webhook.Delivered || told[d.Event] == 0 {
			t.Errorf("%s: %s, told %d times", d.Event, d.State, told[d.Event])
		}
	}
	if len(planned) != len(told) {
		t.Errorf("%d events planned, %d told", len(planned), len(told))
	}
	slices.Sort(planned)
	if n := len(slices.Compact(planned)); n != len(told) {
		t.Errorf("%d events planned of %d: some twice", n, len(told))
	}
	// Which hazards were seen active depends on where the kill came; whoever was told of one was told of its end.
	for id := range last(accepted) {
		if k := rc.told(id); k[0] != "started" || k[len(k)-1] != "ended" {
			t.Errorf("hazard %d: %v", id, k)
		}
	}
	t.Logf("%d kills, %d events, %d tellings too many", kills, len(told), len(accepted)-len(told))
}

func last(gs []got) map[uint64]got {
	out := map[uint64]got{}
	for _, g := range gs {
		out[g.Data.ID] = g
	}
	return out
}
