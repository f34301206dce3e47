package management_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// portalStore is a fakeStore whose webhooks are the database's, and whose pending erasure ends at the third look.
type portalStore struct {
	*fakeStore
	db    *postgres.DB
	looks atomic.Int32
}

func (s *portalStore) Erasure(ctx context.Context, id int64) (ledger.Erasure, error) {
	e, err := s.fakeStore.Erasure(ctx, id)
	if err == nil && e.State == ledger.ErasurePending && s.looks.Add(1) > 2 {
		e = s.ended(e)
	}
	return e, err
}

func (s *portalStore) Erasures(ctx context.Context, before int64, most int) ([]ledger.Erasure, error) {
	es, err := s.fakeStore.Erasures(ctx, before, most)
	for i := range es {
		if es[i].State == ledger.ErasurePending && s.looks.Load() > 2 {
			es[i] = s.ended(es[i])
		}
	}
	return es, err
}

// ended is an erasure when it is done, with the receipt of the one before.
func (s *portalStore) ended(e ledger.Erasure) ledger.Erasure {
	e.State, e.EndedAt, e.Receipt = ledger.ErasureDone, documentTime, s.fakeErasures()[1].Receipt
	return e
}

func (s *portalStore) CreateWebhook(ctx context.Context, w webhook.Webhook, secret []byte) (webhook.Webhook, error) {
	return s.db.CreateWebhook(ctx, w, secret)
}

func (s *portalStore) Webhooks(ctx context.Context) ([]webhook.Webhook, error) {
	return s.db.Webhooks(ctx)
}

func (s *portalStore) Webhook(ctx context.Context, id string) (webhook.Webhook, error) {
	return s.db.Webhook(ctx, id)
}

func (s *portalStore) ChangeWebhook(ctx context.Context, id string, c webhook.Change) (before, after webhook.Webhook, err error) {
	return s.db.ChangeWebhook(ctx, id, c)
}

func (s *portalStore) RotateWebhookSecret(ctx context.Context, id string, secret []byte, grace time.Duration) (webhook.Webhook, error) {
	return s.db.RotateWebhookSecret(ctx, id, secret, grace)
}

func (s *portalStore) DeleteWebhook(ctx context.Context, id string) (webhook.Webhook, error) {
	return s.db.DeleteWebhook(ctx, id)
}

func (s *portalStore) TestWebhook(ctx context.Context, id string, e webhook.Event) (webhook.Delivery, error) {
	return s.db.TestWebhook(ctx, id, e)
}

func (s *portalStore) WebhookDeliveries(ctx context.Context, id string, f webhook.DeliveryFilter) ([]webhook.Delivery, error) {
	return s.db.WebhookDeliveries(ctx, id, f)
}

func (s *portalStore) Redeliver(ctx context.Context, id string, delivery int64) (before, after webhook.Delivery, err error) {
	return s.db.Redeliver(ctx, id, delivery)
}

// newPortalBench is a bench whose webhooks are planned, delivered and logged as in a deployment, to this machine too. A road is slippery.
func newPortalBench(t *testing.T) *bench {
	t.Helper()
	db := openDatabase(t)
	now := time.Now().UnixMilli()
	if err := db.StoreHazards(t.Context(), []hazard.Hazard{{
		ID: 4711, Category: telemetry.SlipperyRoad, At: geo.At(42.51, 1.52), Probability: 0.97, Vehicles: 5, StartedMS: now, UpdatedMS: now,
	}}); err != nil {
		t.Fatal(err)
	}
	secrets, err := keyring.NewSealer([keyring.KeySize]byte{1}, "webhook secret")
	if err != nil {
		t.Fatal(err)
	}
	cfg := webhook.DefaultConfig()
	cfg.Guard = webhook.Guard{AllowHTTP: true, AllowPrivate: true}
	cfg.Every, cfg.Policy.First, cfg.Policy.Longest = 50*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	d, err := webhook.New(cfg, webhook.Deps{Store: db, Secrets: secrets, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var fake *fakeStore
	b := newBench(t, func(c *management.Config, deps *management.Deps) {
		c.Webhooks = cfg.Guard
		fake = deps.Store.(*fakeStore) //nolint:forcetypeassert // a bench begins with one
		deps.Store, deps.Secrets = &portalStore{fakeStore: fake, db: db}, secrets
	})
	b.store = fake
	return b
}
