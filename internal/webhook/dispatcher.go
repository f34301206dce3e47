package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/mapdata/hazard"
)

// Config is how a Dispatcher works. Start from DefaultConfig.
type Config struct {
	// Source names this deployment in events (CloudEvents source, a URI reference).
	Source string
	Guard  Guard
	Policy Policy
	// Every is how often hazards and due deliveries are looked for. Default 1 s.
	Every time.Duration
	// Timeout bounds an attempt, from the look-up of the name to the end of the answer. Default 10 s.
	Timeout time.Duration
	// Concurrency and PerHost bound the attempts under way in this process. Defaults 64 and 4.
	Concurrency, PerHost int
	// Page is how many changed hazards are planned in a transaction. Default 500.
	Page int
	// Grace is how long attempts under way may go on when the dispatcher stops. Default 5 s.
	Grace time.Duration
}

// DefaultConfig is the documented defaults.
func DefaultConfig() Config {
	return Config{
		Source: "urn:carasso", Policy: DefaultPolicy(), Every: time.Second, Timeout: 10 * time.Second, Concurrency: 64, PerHost: 4, Page: 500,
		Grace: 5 * time.Second,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	switch {
	case c.Source == "":
		return errors.New("source: expected a URI reference")
	case c.Every <= 0 || c.Timeout <= 0 || c.Grace < 0:
		return fmt.Errorf("every %v, timeout %v, grace %v: expected more than 0", c.Every, c.Timeout, c.Grace)
	case c.Concurrency < 1 || c.PerHost < 1 || c.Page < 1:
		return fmt.Errorf("concurrency %d, per host %d, page %d: expected 1 or more", c.Concurrency, c.PerHost, c.Page)
	}
	return c.Policy.Validate()
}

// lease is how long a claimed delivery is nobody else's: the attempt, its grace, and time to store what came of it.
func (c Config) lease() time.Duration { return c.Timeout + c.Grace + 20*time.Second }

// Opener opens sealed secrets; keyring.Sealer is one.
type Opener interface {
	Open(item string, sealed []byte) ([SecretSize]byte, error)
}

// Deps are what a Dispatcher works with; Now may be nil.
type Deps struct {
	Store      Store
	Secrets    Opener
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Dispatcher plans deliveries and makes them. Any number of processes may run one: a webhook's planning has a lock, a delivery a
// lease. Every step is a transaction, so one that is killed leaves nothing half done: an attempt under way is made again
// when its lease is over.
type Dispatcher struct {
	cfg     Config
	deps    Deps
	metrics *metrics
	sender  *sender
	wake    chan struct{} // something may be due

	mu    sync.Mutex
	busy  map[string]int // attempts under way by host
	total int
}

// New validates cfg.
func New(cfg Config, deps Deps) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	if deps.Store == nil || deps.Secrets == nil || deps.Logger == nil || deps.Registerer == nil {
		return nil, errors.New("webhooks: Store, Secrets, Logger and Registerer are required")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	m, err := newMetrics(deps.Registerer)
	if err != nil {
		return nil, fmt.Errorf("webhooks: metrics: %w", err)
	}
	return &Dispatcher{
		cfg: cfg, deps: deps, metrics: m, sender: newSender(cfg.Guard, cfg.PerHost, cfg.Timeout, deps.Now), wake: make(chan struct{}, 1), busy: map[string]int{},
	}, nil
}

// Run works until ctx ends and what is under way has ended too. It bears a database that is away.
func (d *Dispatcher) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return d.loop(ctx, nil, "plan webhooks", d.plan) })
	g.Go(func() error { return d.deliverAll(ctx) })
	g.Go(func() error { return d.loop(ctx, nil, "count webhooks", d.count) })
	err := g.Wait()
	d.sender.close()
	return err
}

// loop calls f every now and then, and when woken.
func (d *Dispatcher) loop(ctx context.Context, wake <-chan struct{}, what string, f func(context.Context) error) error {
	tick := time.NewTicker(d.cfg.Every)
	defer tick.Stop()
	for {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			d.deps.Logger.WarnContext(ctx, "webhooks: trying again", "what", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-wake:
		}
	}
}

// plan turns what changed into deliveries, a page for each webhook in turn until nothing is left.
func (d *Dispatcher) plan(ctx context.Context) error {
	ids, err := d.deps.Store.WebhooksToPlan(ctx)
	for len(ids) > 0 && err == nil {
		var rest []string
		for _, id := range ids {
			n, more, perr := d.deps.Store.PlanWebhook(ctx, id, d.cfg.Page, d.event)
			if perr != nil {
				err = errors.Join(err, fmt.Errorf("webhook %s: %w", id, perr))
				continue
			}
			if n > 0 {
				d.metrics.planned.Add(float64(n))
				d.nudge()
			}
			if more {
				rest = append(rest, id)
			}
		}
		ids = rest
	}
	return err
}

func (d *Dispatcher) event(w *Webhook, told int64, r *hazard.Revision) (Event, error) {
	kind := Decide(&w.Filter, told, r)
	if kind == "" {
		return Event{}, nil
	}
	return NewEvent(d.cfg.Source, w.ID, kind, r)
}

func (d *Dispatcher) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *Dispatcher) count(ctx context.Context) error {
	b, err := d.deps.Store.WebhookBacklog(ctx)
	if err == nil {
		d.metrics.show(&b)
	}
	return err
}

// deliverAll claims and attempts until ctx ends; then attempts under way have Grace to end.
func (d *Dispatcher) deliverAll(ctx context.Context) error {
	attempts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var under sync.WaitGroup
	err := d.loop(ctx, d.wake, "claim deliveries", func(ctx context.Context) error {
		return d.claim(ctx, func(a *Attempt) {
			under.Go(func() {
				d.attempt(attempts, a)
				d.done(a)
			})
		})
	})
	defer time.AfterFunc(d.cfg.Grace, stop).Stop()
	under.Wait()
	return err
}

func (d *Dispatcher) claim(ctx context.Context, start func(*Attempt)) error {
	c := Claim{PerHost: d.cfg.PerHost, Busy: map[string]int{}, Lease: d.cfg.lease()}
	d.mu.Lock()
	c.Most = d.cfg.Concurrency - d.total
	maps.Copy(c.Busy, d.busy)
	d.mu.Unlock()
	if c.Most < 1 {
		return nil // the end of an attempt wakes us
	}
	claimed, err := d.deps.Store.ClaimDeliveries(ctx, c)
	if err != nil {
		return err
	}
	d.mu.Lock()
	for i := range claimed {
		d.busy[claimed[i].Host]++
		d.total++
	}
	d.mu.Unlock()
	for i := range claimed {
		start(&claimed[i])
	}
	return nil
}

func (d *Dispatcher) done(a *Attempt) {
	d.mu.Lock()
	d.total--
	if d.busy[a.Host]--; d.busy[a.Host] == 0 {
		delete(d.busy, a.Host)
	}
	d.mu.Unlock()
	d.nudge()
}

// storeTimeout bounds how long an outcome is tried to be stored; after that the delivery's lease ends, and it is made again.
const storeTimeout = 10 * time.Second

// attempt sends a delivery and stores what came of it.
func (d *Dispatcher) attempt(ctx context.Context, a *Attempt) {
	log := d.deps.Logger.With("webhook", a.Webhook, "delivery", a.Delivery, "attempt", a.Number)
	o := d.try(ctx, a)
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if ctx.Err() != nil && o.Status == 0 { // broken off by our end, which says nothing of the webhook
		if err := d.deps.Store.ReleaseAttempt(sctx, a); err != nil {
			log.WarnContext(ctx, "delivery not given back: it is made again when its lease ends", "error", err)
		}
		return
	}
	test := false
	v, err := d.deps.Store.EndAttempt(sctx, a, func(h History) Verdict {
		test = h.Test
		return d.cfg.Policy.Judge(h, o)
	})
	if err != nil {
		log.WarnContext(ctx, "outcome of a delivery not stored: it is made again when its lease ends", "error", err)
		return
	}
	d.metrics.tried(&v, test)
	switch {
	case v.Webhook != "":
		log.WarnContext(ctx, "webhook stopped", "state", string(v.Webhook), "reason", v.Reason)
	case v.State == Dead:
		log.WarnContext(ctx, "delivery given up", "error", v.Error)
	case v.Error != "":
		log.InfoContext(ctx, "delivery failed", "error", v.Error, "next", v.After)
	}
}

func (d *Dispatcher) try(ctx context.Context, a *Attempt) Outcome {
	keys := make([][]byte, len(a.Secrets))
	for i, sealed := range a.Secrets {
		key, err := d.deps.Secrets.Open(SecretItem(a.Webhook), sealed)
		if err != nil {
			return Outcome{Error: "the secret can't be opened: it was sealed under another master key"}
		}
		keys[i] = key[:]
	}
	return d.sender.send(ctx, a, keys)
}
