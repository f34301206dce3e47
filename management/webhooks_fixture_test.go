package management_test

import (
	"context"
	"slices"
	"time"

	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// fakeSealer seals by writing the other way round.
type fakeSealer struct{}

func (fakeSealer) Seal(_ string, secret [webhook.SecretSize]byte) ([]byte, error) {
	sealed := secret[:]
	slices.Reverse(sealed)
	return sealed, nil
}

// fakeWebhooks are a webhook (wh_road_authority) and two of its deliveries (8 was delivered, 9 failed), which changes do not touch.
type fakeWebhooks struct {
	hook       webhook.Webhook
	deliveries []webhook.Delivery
	sealed     []byte // the secret stored last
}

func newFakeWebhooks() fakeWebhooks {
	at := documentTime
	return fakeWebhooks{
		hook: webhook.Webhook{
			ID: "wh_road_authority", URL: "https://hazards.example.org/carasso", Description: "Road authority of Andorra",
			Filter: webhook.Filter{Categories: []telemetry.Hazard{telemetry.SlipperyRoad}, Box: geo.BoxOf([]geo.Point{geo.At(42.42, 1.40), geo.At(42.66, 1.79)}), MinProbability: 0.9},
			State:  webhook.Active, CreatedAt: at, CreatedBy: "alice", Pending: 1, LastDelivered: at,
		},
		deliveries: []webhook.Delivery{
			{ID: 9, Event: "wh_road_authority-118273645-4712", Type: webhook.Updated, Hazard: 118273645, State: webhook.Pending, Attempts: 3, CreatedAt: at, NextAt: at.Add(40 * time.Second), LastAt: at, Latency: 81 * time.Millisecond, Status: 503, Error: "answered 503", LastError: "answered 503"},
			{ID: 8, Event: "wh_road_authority-118273645-4711", Type: webhook.Started, Hazard: 118273645, State: webhook.Delivered, Attempts: 1, CreatedAt: at, LastAt: at, Latency: 34 * time.Millisecond, Status: 204},
		},
	}
}

func (s *fakeStore) CreateWebhook(_ context.Context, w webhook.Webhook, secret []byte) (webhook.Webhook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.sealed = secret
	w.CreatedAt = s.now()
	return w, s.err
}

func (s *fakeStore) Webhooks(context.Context) ([]webhook.Webhook, error) {
	return []webhook.Webhook{s.hooks.hook}, s.look()
}

func (s *fakeStore) Webhook(_ context.Context, id string) (webhook.Webhook, error) {
	if id != s.hooks.hook.ID {
		return webhook.Webhook{}, webhook.ErrNotFound
	}
	return s.hooks.hook, s.look()
}

func (s *fakeStore) ChangeWebhook(ctx context.Context, id string, c webhook.Change) (before, after webhook.Webhook, err error) {
	before, err = s.Webhook(ctx, id)
	after = before
	if c.State != nil {
		after.State = *c.State
	}
	if c.Filter != nil {
		after.Filter = *c.Filter
	}
	if c.URL != nil {
		after.URL = *c.URL
	}
	return before, after, err
}

func (s *fakeStore) RotateWebhookSecret(ctx context.Context, id string, secret []byte, grace time.Duration) (webhook.Webhook, error) {
	w, err := s.Webhook(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.sealed = secret
	w.OldSecretUntil = s.now().Add(grace)
	return w, err
}

func (s *fakeStore) DeleteWebhook(ctx context.Context, id string) (webhook.Webhook, error) {
	return s.Webhook(ctx, id)
}

func (s *fakeStore) TestWebhook(ctx context.Context, id string, e webhook.Event) (webhook.Delivery, error) {
	_, err := s.Webhook(ctx, id)
	return webhook.Delivery{ID: 10, Event: e.ID, Type: e.Type, State: webhook.Pending, CreatedAt: s.now(), NextAt: s.now()}, err
}

func (s *fakeStore) WebhookDeliveries(ctx context.Context, id string, f webhook.DeliveryFilter) ([]webhook.Delivery, error) {
	_, err := s.Webhook(ctx, id)
	out := slices.DeleteFunc(slices.Clone(s.hooks.deliveries), func(d webhook.Delivery) bool {
		return f.Before != 0 && d.ID >= f.Before || f.State != "" && d.State != f.State
	})
	return out[:min(len(out), f.Most)], err
}

func (s *fakeStore) Redeliver(ctx context.Context, id string, delivery int64) (before, after webhook.Delivery, err error) {
	_, err = s.Webhook(ctx, id)
	for _, d := range s.hooks.deliveries {
		if d.ID == delivery {
			after = d
			after.State, after.NextAt = webhook.Pending, s.now()
			return d, after, err
		}
	}
	return before, after, webhook.ErrNotFound
}
