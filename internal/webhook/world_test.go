package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var migrated = pgtest.Template{Migrate: func(ctx context.Context, url string) error {
	db, err := postgres.Open(ctx, postgres.Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}}

func openDB(tb testing.TB, url string) *postgres.DB {
	tb.Helper()
	db, err := postgres.Open(tb.Context(), postgres.Config{URL: url}, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(db.Close)
	return db
}

func newSealer(tb testing.TB) *keyring.Sealer {
	tb.Helper()
	s, err := keyring.NewSealer([keyring.KeySize]byte{1}, "webhook secret")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// development lets deliveries reach the tests' own servers.
var development = webhook.Guard{AllowHTTP: true, AllowPrivate: true}

// fast looks and tries again within milliseconds, and gives up within a minute.
func fast() webhook.Config {
	c := webhook.DefaultConfig()
	c.Guard = development
	c.Every, c.Timeout, c.Grace = 20*time.Millisecond, 500*time.Millisecond, 200*time.Millisecond
	c.Policy = webhook.Policy{First: 20 * time.Millisecond, Longest: 100 * time.Millisecond, GiveUp: time.Minute, MaxAfter: time.Minute}
	return c
}

// run runs a dispatcher until the test ends or stop is called.
func run(t *testing.T, store webhook.Store, cfg webhook.Config) (stop func()) {
	t.Helper()
	d, err := webhook.New(cfg, webhook.Deps{Store: store, Secrets: newSealer(t), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// subscribe makes a webhook of everything, unless changed.
func subscribe(t *testing.T, db *postgres.DB, url string, change ...func(*webhook.Webhook)) (webhook.Webhook, webhook.Secret) {
	t.Helper()
	w := webhook.Webhook{ID: "wh_" + strings.ReplaceAll(strings.ToLower(t.Name()), "/", "_") + time.Now().Format("150405.000000")[7:], URL: url, Filter: webhook.Filter{Box: webhook.World()}, CreatedBy: "tester"}
	for _, f := range change {
		f(&w)
	}
	secret := webhook.NewSecret()
	sealed, err := newSealer(t).Seal(webhook.SecretItem(w.ID), secret)
	if err != nil {
		t.Fatal(err)
	}
	if w, err = db.CreateWebhook(t.Context(), w, sealed); err != nil {
		t.Fatal(err)
	}
	return w, secret
}

func get(t *testing.T, db *postgres.DB, id string) webhook.Webhook {
	t.Helper()
	w, err := db.Webhook(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func deliveries(t *testing.T, db *postgres.DB, id string) []webhook.Delivery {
	t.Helper()
	ds, err := db.WebhookDeliveries(t.Context(), id, webhook.DeliveryFilter{Most: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ds)
	return ds
}

const began = int64(1_795_453_200_000)

// ice is an active hazard in its nth state, from 0 on.
func ice(id uint64, n int) hazard.Hazard {
	return hazard.Hazard{
		ID: id, Category: telemetry.SlipperyRoad, At: geo.At(42.5, 1.5), Probability: 0.9, Vehicles: 2 + n, StartedMS: began, UpdatedMS: began + int64(n),
	}
}

func over(h hazard.Hazard) hazard.Hazard {
	h.UpdatedMS++
	h.EndedMS = h.UpdatedMS
	return h
}

func store(t *testing.T, db *postgres.DB, hs ...hazard.Hazard) {
	t.Helper()
	if err := db.StoreHazards(t.Context(), hs); err != nil {
		t.Fatal(err)
	}
}

// got is an event that a receiver got.
type got struct {
	ID, Type, Subject, Source, Sequence string
	Data                                hazard.Feature
	Header                              http.Header `json:"-"`
	Raw                                 []byte      `json:"-"`
}

// kind is the end of its type.
func (g *got) kind() string { return g.Type[strings.LastIndexByte(g.Type, '.')+1:] }

// verified tells whether one of the signatures is by the secret, as a receiver would: without this package.
func (g *got) verified(s webhook.Secret) bool {
	mac := hmac.New(sha256.New, s[:])
	mac.Write([]byte(g.Header.Get("webhook-id") + "." + g.Header.Get("webhook-timestamp") + "."))
	mac.Write(g.Raw)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.Contains(strings.Split(g.Header.Get("webhook-signature"), " "), want)
}

// receiver is a subscriber's server.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	asked    []got // every request
	accepted []got // those answered with 2xx
	answer   func(w http.ResponseWriter, r *http.Request, g got) int
}

// receive serves until the test ends; answer returns the status, 0 if it has answered itself; nil answers 204.
func receive(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, g got) int) *receiver {
	t.Helper()
	rc := &receiver{answer: answer}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		g := got{Header: r.Header, Raw: body}
		if err != nil || json.Unmarshal(body, &g) != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != webhook.ContentType || g.ID != r.Header.Get("webhook-id") {
			t.Errorf("%s %s: %s (%v)", r.Method, r.Header, body, err)
		}
		rc.mu.Lock()
		rc.asked = append(rc.asked, g)
		status := http.StatusNoContent
		answer := rc.answer
		rc.mu.Unlock()
		if answer != nil {
			status = answer(w, r, g)
		}
		if status/100 == 2 {
			rc.mu.Lock()
			rc.accepted = append(rc.accepted, g)
			rc.mu.Unlock()
		}
		if status != 0 {
			w.WriteHeader(status)
		}
	}))
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) all() (asked, accepted []got) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return slices.Clone(rc.asked), slices.Clone(rc.accepted)
}

// told are the kinds of what was accepted about a hazard, once each event.
func (rc *receiver) told(id uint64) (kinds []string) {
	_, accepted := rc.all()
	seen := map[string]bool{}
	for _, g := range accepted {
		if g.Data.ID == id && !seen[g.ID] {
			seen[g.ID] = true
			kinds = append(kinds, g.kind())
		}
	}
	return kinds
}

// eventually waits for as long as a busy machine may need.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const patience = 2 * time.Minute
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
