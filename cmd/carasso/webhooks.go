package main

import (
	"context"

	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/internal/webhook"
)

// webhookFlags say where webhooks may lead; management checks it when people subscribe, jobs when they deliver.
type webhookFlags struct {
	WebhookSource  string `default:"urn:carasso" env:"CARASSO_WEBHOOK_SOURCE" help:"Name of this deployment in the events of webhooks (CloudEvents source, a URI reference)."`
	WebhookHTTP    bool   `name:"webhook-http" env:"CARASSO_WEBHOOK_HTTP" help:"Let webhooks lead to plain HTTP too. For development."`
	WebhookPrivate bool   `env:"CARASSO_WEBHOOK_PRIVATE" help:"Let webhooks lead to loopback and private addresses too. For development: whoever may subscribe then reaches what this process does."`
}

func (f webhookFlags) guard() webhook.Guard {
	return webhook.Guard{AllowHTTP: f.WebhookHTTP, AllowPrivate: f.WebhookPrivate}
}

// newSealer opens and seals webhooks' secrets.
func newSealer(master [keyring.KeySize]byte) (*keyring.Sealer, error) {
	return keyring.NewSealer(master, "webhook secret")
}

// newWebhooks wires the delivery of webhooks; the same in both modes. It runs beside the jobs.
func newWebhooks(f webhookFlags, p *base, sealer *keyring.Sealer) (func(context.Context) error, error) {
	cfg := webhook.DefaultConfig()
	cfg.Source, cfg.Guard = f.WebhookSource, f.guard()
	d, err := webhook.New(cfg, webhook.Deps{Store: p.db, Secrets: sealer, Logger: p.log, Registerer: p.reg})
	if err != nil {
		return nil, err
	}
	return d.Run, nil
}
