package webhook_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// A hazard is told from its start to its end, although it leaves the filter; what does not match is not told.
func TestToldFromStartToEnd(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, nil)
	store(t, db, ice(1, 0), over(ice(9, 0))) // one that is active already, and one that is over
	w, secret := subscribe(t, db, rc.URL+"/hook?key=1", func(w *webhook.Webhook) {
		w.Filter.Categories, w.Filter.MinProbability = []telemetry.Hazard{telemetry.SlipperyRoad}, 0.8
		w.Filter.Box = geo.BoxOf([]geo.Point{geo.At(42, 1), geo.At(43, 2)})
	})
	run(t, db, fast())
	eventually(t, "told of the active one", func() bool { return slices.Equal(rc.told(1), []string{"started"}) })

	far, accident := ice(2, 0), ice(3, 0)
	far.At, accident.Category = geo.At(50, 10), telemetry.Accident
	unlikely := ice(1, 1)
	unlikely.Probability = 0.3
	store(t, db, far, accident, unlikely)
	eventually(t, "told of the change", func() bool { return len(rc.told(1)) == 2 })
	store(t, db, over(unlikely), over(far), over(accident), ice(4, 0))
	eventually(t, "told of the end", func() bool { return len(rc.told(1)) == 3 && len(rc.told(4)) == 1 })
	if kinds := rc.told(1); !slices.Equal(kinds, []string{"started", "updated", "ended"}) {
		t.Errorf("told %v", kinds)
	}
	asked, _ := rc.all()
	if len(asked) != 4 {
		t.Errorf("%d requests, want 4", len(asked))
	}
	for i := range asked {
		g := &asked[i]
		if !g.verified(secret) || g.verified(webhook.NewSecret()) {
			t.Errorf("%s: signature %s", g.ID, g.Header.Get("webhook-signature"))
		}
		if !strings.HasPrefix(g.ID, w.ID+"-") || g.Subject != fmt.Sprintf("hazard/%d", g.Data.ID) || g.Source != "urn:carasso" || (g.Data.Properties.Ended != nil) != (g.kind() == "ended") {
			t.Errorf("event %+v", g)
		}
	}
	eventually(t, "all is logged", func() bool { return get(t, db, w.ID).Pending == 0 })
	for _, d := range deliveries(t, db, w.ID) {
		if d.State != webhook.Delivered || d.Attempts != 1 || d.Status != http.StatusNoContent || d.Error != "" || d.LastAt.IsZero() || !d.NextAt.IsZero() {
			t.Errorf("log: %+v", d)
		}
	}
}

// Failures are tried again, with the same body under the same id, and what comes later about the hazard waits.
func TestFailuresAreTriedAgainInOrder(t *testing.T) {
	db := openDB(t, migrated.New(t))
	tries := map[string]int{}
	rc := receive(t, nil)
	rc.answer = func(_ http.ResponseWriter, _ *http.Request, g got) int {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		if tries[g.ID]++; tries[g.ID] < 4 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}
	w, _ := subscribe(t, db, rc.URL)
	for n := range 3 {
		store(t, db, ice(1, n), ice(2, n))
		if _, _, err := db.PlanWebhook(t.Context(), w.ID, 100, event); err != nil {
			t.Fatal(err)
		}
	}
	store(t, db, over(ice(1, 3)))
	run(t, db, fast())
	eventually(t, "all delivered", func() bool { return len(rc.told(1)) == 4 && len(rc.told(2)) == 3 })
	if kinds := rc.told(1); !slices.Equal(kinds, []string{"started", "updated", "updated", "ended"}) {
		t.Errorf("told %v", kinds)
	}
	asked, accepted := rc.all()
	bodies := map[string][]byte{}
	last := map[uint64]string{}
	for i := range asked {
		g := &asked[i]
		if b, ok := bodies[g.ID]; ok && !bytes.Equal(b, g.Raw) {
			t.Errorf("%s has two bodies", g.ID)
		}
		bodies[g.ID] = g.Raw
		if g.Sequence < last[g.Data.ID] {
			t.Errorf("%s comes after a later one", g.ID)
		}
		last[g.Data.ID] = g.Sequence
	}
	if len(accepted) != 7 || len(asked) != 28 {
		t.Errorf("%d requests, %d of them accepted; want 28 and 7", len(asked), len(accepted))
	}
	eventually(t, "all is logged", func() bool { return get(t, db, w.ID).Pending == 0 })
	if w := get(t, db, w.ID); w.State != webhook.Active || !w.FailingSince.IsZero() || w.Pending != 0 || w.LastDelivered.IsZero() {
		t.Errorf("%+v", w)
	}
	for _, d := range deliveries(t, db, w.ID) { // the log tells of what failed before
		if d.State != webhook.Delivered || d.Attempts != 4 || d.Error != "" || d.LastError != "answered 500" {
			t.Errorf("the log: %+v", d)
		}
	}
}

func TestAnswers(t *testing.T) {
	elsewhere := receive(t, nil)
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request, g got) int
		state  webhook.DeliveryState
		hook   webhook.State
		log    string // in the delivery's error
		reason string
	}{
		{"410 Gone", func(http.ResponseWriter, *http.Request, got) int { return 410 }, webhook.Dead, webhook.Disabled, "answered 410", "410 Gone"},
		{"redirect", func(w http.ResponseWriter, r *http.Request, _ got) int {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return 0
		}, webhook.Pending, webhook.Active, "redirects are not followed", ""},
		{"404", func(http.ResponseWriter, *http.Request, got) int { return 404 }, webhook.Pending, webhook.Active, "answered 404", ""},
		{"hangs", func(_ http.ResponseWriter, r *http.Request, _ got) int { <-r.Context().Done(); return 0 }, webhook.Pending, webhook.Active, "no answer in time", ""},
		{"endless headers", func(w http.ResponseWriter, _ *http.Request, _ got) int {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
			return 200
		}, webhook.Pending, webhook.Active, "no answer that is HTTP", ""},
		{"endless body", func(w http.ResponseWriter, r *http.Request, _ got) int {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					break
				}
			}
			return 0
		}, webhook.Delivered, webhook.Active, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t, migrated.New(t))
			rc := receive(t, tt.answer)
			w, _ := subscribe(t, db, rc.URL+"/?token=secret")
			store(t, db, ice(1, 0))
			cfg := fast()
			cfg.Policy.First, cfg.Policy.Longest = time.Hour, time.Hour
			run(t, db, cfg)
			eventually(t, "an attempt is logged", func() bool { ds := deliveries(t, db, w.ID); return len(ds) == 1 && !ds[0].LastAt.IsZero() })
			d, w := deliveries(t, db, w.ID)[0], get(t, db, w.ID)
			if d.State != tt.state || w.State != tt.hook || !strings.Contains(d.Error, tt.log) || (tt.log == "") != (d.Error == "") || !strings.Contains(w.Reason, tt.reason) || (tt.reason == "") != (w.Reason == "") {
				t.Errorf("%+v of %+v", d, w)
			}
			if strings.Contains(d.Error, "secret") {
				t.Errorf("the log shows the URL: %s", d.Error)
			}
			if d.State == webhook.Pending && (d.NextAt.Before(time.Now().Add(20*time.Minute)) || w.FailingSince.IsZero()) {
				t.Errorf("next attempt %v, failing since %v", d.NextAt, w.FailingSince)
			}
		})
	}
	t.Cleanup(func() {
		if asked, _ := elsewhere.all(); len(asked) > 0 {
			t.Error("a redirect was followed")
		}
	})
}

// The strict guard keeps deliveries away from loopback even when a webhook was subscribed otherwise.
func TestDeliveriesAreGuarded(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, nil)
	w, _ := subscribe(t, db, strings.Replace(rc.URL, "127.0.0.1", "localhost", 1))
	store(t, db, ice(1, 0))
	cfg := fast()
	cfg.Guard = webhook.Guard{AllowHTTP: true}
	cfg.Policy.First, cfg.Policy.Longest = time.Hour, time.Hour
	run(t, db, cfg)
	eventually(t, "an attempt is logged", func() bool { ds := deliveries(t, db, w.ID); return len(ds) == 1 && !ds[0].LastAt.IsZero() })
	if d := deliveries(t, db, w.ID)[0]; !strings.Contains(d.Error, "not a public one") || d.Status != 0 {
		t.Errorf("%+v", d)
	}
	if asked, _ := rc.all(); len(asked) > 0 {
		t.Error("loopback was reached")
	}
}

func TestRetryAfterHoldsAllOfAWebhook(t *testing.T) {
	db := openDB(t, migrated.New(t))
	var held time.Time
	rc := receive(t, nil)
	rc.answer = func(w http.ResponseWriter, _ *http.Request, _ got) int {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		if held.IsZero() {
			held = time.Now()
			w.Header().Set("Retry-After", "2")
			return http.StatusTooManyRequests
		}
		if since := time.Since(held); since < 1900*time.Millisecond {
			t.Errorf("asked again after %v", since)
		}
		return http.StatusOK
	}
	w, _ := subscribe(t, db, rc.URL)
	store(t, db, ice(1, 0))
	run(t, db, fast())
	eventually(t, "it is held", func() bool { return !get(t, db, w.ID).FailingSince.IsZero() })
	store(t, db, ice(2, 0))
	eventually(t, "both delivered", func() bool { return len(rc.told(1)) == 1 && len(rc.told(2)) == 1 })
}

// Endpoints that hang keep no others waiting, and get no more than their share of connections.
func TestSlowEndpointsHoldUpNoOthers(t *testing.T) {
	db := openDB(t, migrated.New(t))
	under, most := 0, 0
	hang := receive(t, nil)
	hang.answer = func(_ http.ResponseWriter, r *http.Request, _ got) int {
		hang.mu.Lock()
		under++
		most = max(most, under)
		hang.mu.Unlock()
		<-r.Context().Done()
		hang.mu.Lock()
		under--
		hang.mu.Unlock()
		return 0
	}
	rc := receive(t, nil)
	subscribe(t, db, hang.URL+"/a")
	subscribe(t, db, hang.URL+"/b")
	subscribe(t, db, rc.URL)
	const n = 100
	for id := range uint64(n) {
		store(t, db, ice(id+1, 0))
	}
	cfg := fast()
	cfg.Timeout, cfg.PerHost, cfg.Concurrency = time.Hour, 3, 6 // whoever waits for a slow one waits longer than the test
	run(t, db, cfg)
	eventually(t, "the quick one got all", func() bool { _, accepted := rc.all(); return len(accepted) == n })
	eventually(t, "the slow ones are asked", func() bool { hang.mu.Lock(); defer hang.mu.Unlock(); return under >= 3 })
	hang.mu.Lock()
	defer hang.mu.Unlock()
	if under != 3 || most != 3 {
		t.Errorf("%d requests under way, %d at most, to a host of two webhooks, want 3", under, most)
	}
}

// A webhook that fails all day is paused with the reason, and goes on when it is resumed; what was given up can be sent again.
func TestFailingAllDay(t *testing.T) {
	db := openDB(t, migrated.New(t))
	broken := true
	rc := receive(t, nil)
	rc.answer = func(http.ResponseWriter, *http.Request, got) int {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		if broken {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}
	w, _ := subscribe(t, db, rc.URL)
	store(t, db, ice(1, 0))
	cfg := fast()
	cfg.Policy.GiveUp = 400 * time.Millisecond
	run(t, db, cfg)
	eventually(t, "paused", func() bool { return get(t, db, w.ID).State == webhook.Paused })
	if w := get(t, db, w.ID); !strings.Contains(w.Reason, "answered 502") || w.FailingSince.IsZero() {
		t.Errorf("%+v", w)
	}
	d := deliveries(t, db, w.ID)[0]
	if d.State != webhook.Dead || d.Attempts < 3 {
		t.Errorf("%+v", d)
	}
	store(t, db, ice(1, 1), ice(2, 0))
	if _, _, err := db.Redeliver(t.Context(), w.ID, d.ID); err == nil {
		t.Error("redelivered although paused")
	}
	asked, _ := rc.all()
	time.Sleep(100 * time.Millisecond)
	if again, _ := rc.all(); len(again) != len(asked) {
		t.Error("asked although paused")
	}

	rc.mu.Lock()
	broken = false
	rc.mu.Unlock()
	dead := d.ID
	state := webhook.Active
	if before, after, err := db.ChangeWebhook(t.Context(), w.ID, webhook.Change{State: &state}); err != nil || before.State != webhook.Paused || after.State != webhook.Active || after.Reason != "" {
		t.Fatalf("%+v, %+v, %v", before, after, err)
	}
	eventually(t, "what came meanwhile", func() bool { return len(rc.told(1)) == 1 && len(rc.told(2)) == 1 })
	if before, after, err := db.Redeliver(t.Context(), w.ID, dead); err != nil || before.State != webhook.Dead || after.State != webhook.Pending {
		t.Fatalf("%+v, %+v, %v", before, after, err)
	}
	eventually(t, "sent again", func() bool { return slices.Equal(rc.told(1), []string{"updated", "started"}) })
}

func TestSecretsOverlap(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, nil)
	w, old := subscribe(t, db, rc.URL)
	secret := webhook.NewSecret()
	sealed, err := newSealer(t).Seal(webhook.SecretItem(w.ID), secret)
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, fast())
	for i, grace := range []time.Duration{time.Hour, 0} {
		if w, err = db.RotateWebhookSecret(t.Context(), w.ID, sealed, grace); err != nil || w.OldSecretUntil.IsZero() != (grace == 0) {
			t.Fatalf("%+v, %v", w, err)
		}
		store(t, db, ice(uint64(i+1), 0))
		eventually(t, "delivered", func() bool { return len(rc.told(uint64(i+1))) == 1 })
		asked, _ := rc.all()
		if g := asked[i]; !g.verified(secret) || g.verified(old) != (grace > 0) {
			t.Errorf("grace %v: %s", grace, g.Header.Get("webhook-signature"))
		}
	}
}

func TestTestEvents(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, func(http.ResponseWriter, *http.Request, got) int { return http.StatusTeapot })
	w, _ := subscribe(t, db, rc.URL)
	state := webhook.Paused
	if _, _, err := db.ChangeWebhook(t.Context(), w.ID, webhook.Change{State: &state}); err != nil {
		t.Fatal(err)
	}
	e, err := webhook.NewTest("urn:carasso", w.ID, "A", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if d, err := db.TestWebhook(t.Context(), w.ID, e); err != nil || d.State != webhook.Pending || d.Hazard != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	run(t, db, fast())
	eventually(t, "tried once", func() bool { return deliveries(t, db, w.ID)[0].State == webhook.Dead })
	if d, w := deliveries(t, db, w.ID)[0], get(t, db, w.ID); d.Attempts != 1 || d.Status != http.StatusTeapot || !w.FailingSince.IsZero() {
		t.Errorf("%+v, %+v", d, w)
	}
}

// While an endpoint is away, what waits for it is bounded: planning waits too, and then tells the state of by then.
func TestBacklogIsBounded(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, nil)
	w, _ := subscribe(t, db, rc.URL)
	const n = webhook.MaxPending + 50
	var all []hazard.Hazard
	for id := uint64(1); id <= n; id++ {
		all = append(all, ice(id, 0))
	}
	store(t, db, all...)
	for range 4 {
		if _, _, err := db.PlanWebhook(t.Context(), w.ID, 400, event); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := db.WebhooksToPlan(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("to plan: %v, %v", ids, err)
	}
	if w := get(t, db, w.ID); w.Pending != webhook.MaxPending {
		t.Errorf("%d wait", w.Pending)
	}
	store(t, db, over(ice(n, 0)), over(ice(1, 0))) // the first was told, the last was not
	run(t, db, fast())
	eventually(t, "all told", func() bool { _, accepted := rc.all(); return len(accepted) == n }) // n-1 starts and an end
	if len(rc.told(n)) != 0 || !slices.Equal(rc.told(1), []string{"started", "ended"}) {
		t.Errorf("told %v of the last, %v of the first", rc.told(n), rc.told(1))
	}
}

// A wider filter is looked through all that is active, and repeats nothing.
func TestFilterChanges(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, nil)
	w, _ := subscribe(t, db, rc.URL, func(w *webhook.Webhook) { w.Filter.MinProbability = 0.8 })
	unlikely := ice(2, 0)
	unlikely.Probability = 0.5
	store(t, db, ice(1, 0), unlikely, over(ice(3, 0)))
	run(t, db, fast())
	eventually(t, "told of one", func() bool { return len(rc.told(1)) == 1 })
	f := webhook.Filter{Box: webhook.World()}
	if _, after, err := db.ChangeWebhook(t.Context(), w.ID, webhook.Change{Filter: &f}); err != nil || after.Filter.MinProbability != 0 {
		t.Fatalf("%+v, %v", after, err)
	}
	eventually(t, "told of the other", func() bool { return len(rc.told(2)) == 1 })
	time.Sleep(100 * time.Millisecond)
	if asked, _ := rc.all(); len(asked) != 2 {
		t.Errorf("%d requests", len(asked))
	}
}

// Stopping breaks off what hangs, and it is due again at once.
func TestStopGivesBack(t *testing.T) {
	db := openDB(t, migrated.New(t))
	rc := receive(t, func(_ http.ResponseWriter, r *http.Request, _ got) int { <-r.Context().Done(); return 0 })
	w, _ := subscribe(t, db, rc.URL)
	store(t, db, ice(1, 0))
	cfg := fast()
	cfg.Timeout = time.Hour // stopping that waited for the answer would end no test
	stop := run(t, db, cfg)
	eventually(t, "asked", func() bool { asked, _ := rc.all(); return len(asked) == 1 })
	stop()
	if w := get(t, db, w.ID); !w.FailingSince.IsZero() || w.Pending != 1 {
		t.Errorf("%+v", w)
	}
	rc.mu.Lock()
	rc.answer = nil
	rc.mu.Unlock()
	run(t, db, fast())
	eventually(t, "delivered by the next", func() bool { return len(rc.told(1)) == 1 })
}

// Dispatchers side by side plan nothing twice and keep the order.
func TestDispatchersSideBySide(t *testing.T) {
	url := migrated.New(t)
	db := openDB(t, url)
	rc := receive(t, nil)
	w, _ := subscribe(t, db, rc.URL)
	for range 3 {
		run(t, openDB(t, url), fast())
	}
	const hazards, states = 40, 5
	for n := range states {
		for id := range uint64(hazards) {
			h := ice(id+1, n)
			if n == states-1 {
				h = over(h)
			}
			store(t, db, h)
		}
	}
	eventually(t, "all ended", func() bool {
		for id := range uint64(hazards) {
			if k := rc.told(id + 1); len(k) == 0 || k[len(k)-1] != "ended" {
				return false
			}
		}
		return true
	})
	eventually(t, "all is logged", func() bool { return get(t, db, w.ID).Pending == 0 })
	consistent(t, rc)
	seen := map[string]bool{}
	for _, d := range deliveries(t, db, w.ID) {
		if seen[d.Event] || d.Attempts != 1 {
			t.Errorf("%+v", d)
		}
		seen[d.Event] = true
	}
	if asked, _ := rc.all(); len(asked) != len(seen) {
		t.Errorf("%d requests for %d events", len(asked), len(seen))
	}
}

// consistent checks what every subscriber may rely on: of each hazard a start first, an end last, one of each, revisions rising
// but for repetitions of the last.
func consistent(t *testing.T, rc *receiver) {
	t.Helper()
	_, accepted := rc.all()
	last := map[uint64]got{}
	for _, g := range accepted {
		before, known := last[g.Data.ID]
		switch {
		case g.ID == before.ID:
		case known == (g.kind() == "started"), known && (g.Sequence <= before.Sequence || before.kind() == "ended"):
			t.Errorf("%s %s after %s %s", g.kind(), g.ID, before.kind(), before.ID)
		}
		last[g.Data.ID] = g
	}
}
