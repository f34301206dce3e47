package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// A hazard starts, and a subscriber is told; it ends while the process is killed and started again, and the subscriber is told.
func TestUpWebhooks(t *testing.T) {
	t.Parallel()
	told := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e struct{ Type, Subject string }
		if err := json.Unmarshal(body, &e); err != nil || !strings.HasPrefix(r.Header.Get("webhook-signature"), "v1,") {
			t.Errorf("%s: %v", body, err)
		}
		told <- e.Type + " " + e.Subject
	}))
	defer receiver.Close()
	last := ""
	next := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-told:
				switch got {
				case want:
					last = got
					return
				case last: // at least once: the kill may have come before it was noted
				default:
					t.Fatalf("told %q, want %q", got, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("not told %q", want)
			}
		}
	}

	u := newUp(t)
	token := u.operator()
	order := fmt.Sprintf(`{"url":%q,"categories":["slippery_road"]}`, receiver.URL)
	if code, body := post(t, u.url()+"/v1/webhooks", token, order); code != http.StatusBadRequest {
		t.Fatalf("loopback by default: %d %s", code, body)
	}
	u.terminate(time.Minute)
	u.extra = []string{"--webhook-http", "--webhook-private"}
	u.again()
	code, body := post(t, u.url()+"/v1/webhooks", token, order)
	var hook struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(body), &hook); err != nil || code != http.StatusCreated || hook.Secret == "" {
		t.Fatalf("subscribe: %d %s (%v)", code, body, err)
	}
	if code, body := post(t, u.url()+"/v1/webhooks/"+hook.ID+"/test", token, ""); code != http.StatusAccepted {
		t.Fatalf("test: %d %s", code, body)
	}
	next("org.carasso.webhook.test webhook/" + hook.ID)

	u.awaitPasses("hazards")
	h := hazard.Hazard{
		ID: 4711, Category: telemetry.SlipperyRoad, At: geo.At(42.5063, 1.5218), Probability: 0.99, Vehicles: 3,
		StartedMS: time.Now().UnixMilli(), UpdatedMS: time.Now().UnixMilli(),
	}
	u.store(h)
	next("org.carasso.hazard.started hazard/4711")
	h.EndedMS = h.UpdatedMS
	u.store(h)
	u.kill()
	u.again()
	next("org.carasso.hazard.ended hazard/4711")
	var page struct {
		Deliveries []struct{ State, Type string }
	}
	deadline := time.Now().Add(time.Minute)
	for len(page.Deliveries) != 3 || page.Deliveries[0].State != "delivered" {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", page)
		}
		time.Sleep(50 * time.Millisecond)
		u.read(token, "/v1/webhooks/"+hook.ID+"/deliveries", &page)
	}
	u.terminate(time.Minute)
}

// awaitPasses waits until a layer has begun, and begun anew with the map, which comes into use a while after the start: a layer that begins
// later would end hazards that no evidence speaks for.
func (u *embeddedUp) awaitPasses(layer string) {
	u.t.Helper()
	count := regexp.MustCompile(`(?m)^carasso_projector_pass_seconds_count\{layer="` + layer + `"\} (\d+)$`)
	passes := func() (n int) {
		resp, err := get(u.t.Context(), u.url()+"/metrics", "")
		if err != nil {
			u.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			u.t.Fatal(err)
		}
		if m := count.FindSubmatch(body); m != nil {
			n, _ = strconv.Atoi(string(m[1]))
		}
		return n
	}
	deadline := time.Now().Add(time.Minute)
	for inUse := false; !inUse; time.Sleep(50 * time.Millisecond) {
		resp, err := get(u.t.Context(), u.url()+"/v1/tiles.json?layer=roads", "")
		if err != nil {
			u.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if inUse = resp.StatusCode == http.StatusOK; !inUse && time.Now().After(deadline) {
			u.t.Fatalf("no map: %d", resp.StatusCode)
		}
	}
	begun := passes()
	for passes() < begun+2 { // the one under way may have begun before
		if time.Now().After(deadline) {
			u.t.Fatalf("no passes of %s", layer)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// store puts a hazard into the embedded database.
func (u *embeddedUp) store(h hazard.Hazard) {
	u.t.Helper()
	db, err := postgres.Open(u.t.Context(), postgres.Config{URL: u.database()}, slog.New(slog.DiscardHandler))
	if err != nil {
		u.t.Fatal(err)
	}
	defer db.Close()
	if err := db.StoreHazards(u.t.Context(), []hazard.Hazard{h}); err != nil {
		u.t.Fatal(err)
	}
}
