package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// ErrDiffers is wrapped by Run's error when verification found a difference.
var ErrDiffers = errors.New("what was sent and what was found differ")

// Run drives the fleet against the target for the configured duration, lets every batch
// be settled, and verifies. The Report is valid, as far as the run got, with an error
// too. A cancelled context ends it at once and skips verification.
//
// Pacing is an open loop: turns are due by the clock, not by answers. When the target is
// slower than the schedule, at most MaxConns batches are queued, the fleet falls behind
// and says so; no turn is skipped, and batches then tell of a time further past.
func Run(ctx context.Context, cfg Config, deps Deps) (Report, error) {
	r := Report{Vehicles: cfg.Vehicles}
	if err := cfg.Validate(); err != nil {
		return r, err
	}
	if err := deps.check(cfg); err != nil {
		return r, err
	}
	target, err := url.Parse(cfg.Target)
	if err != nil {
		return r, fmt.Errorf("fleet: target: %w", err)
	}
	encoder, err := newRequestEncoder(cfg, target)
	if err != nil {
		return r, err
	}
	tokens, err := mint(ctx, cfg, deps)
	if err != nil {
		return r, err
	}
	var v *verifier
	if cfg.Verify {
		if v, err = newVerifier(ctx, cfg, deps); err != nil {
			return r, err
		}
	}
	sim, err := NewSimulation(cfg, deps.Network, time.Now())
	if err != nil {
		return r, err
	}
	started := time.Now() // its monotonic clock paces; building the simulation took a while
	sim.startMS = started.UnixMilli()
	var kept *record
	if cfg.Verify {
		kept = newRecord(deps.Network.Arcs())
	}

	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	d := driver{cfg: cfg, sim: sim, encoder: encoder, tokens: tokens, started: started}
	if d.riders, err = ride(ctx, min(cfg.Riders, cfg.Vehicles), cfg.management(), cfg.Duration, deps.Logger); err != nil {
		return r, err
	}
	d.sender = newSender(cfg, newDialer(target, cfg.Timeout), d.started, kept)
	stopProgress := d.showProgress(ctx, deps)
	err = d.drive(sending)
	r.Riding = d.riders.stop()
	r.Elapsed, r.EndLag = time.Since(d.started), time.Duration(d.lag.Load())
	if err == nil {
		err = d.drain(sending)
	}
	r.Settled = time.Since(d.started)
	stopSending()
	d.sender.close()
	stopProgress()
	d.fill(&r)
	if err != nil || v == nil {
		return r, err
	}
	deps.Logger.InfoContext(ctx, "fleet verifies", "accepted_batches", r.Accepted, "accepted_samples", r.Samples)
	r.Checks, err = v.verify(ctx, kept, sim, started, &r)
	if err != nil {
		return r, err
	}
	if !r.OK() {
		return r, fmt.Errorf("fleet: verify: %w", ErrDiffers)
	}
	return r, nil
}

// mint makes every vehicle's token, on all cores.
func mint(ctx context.Context, cfg Config, deps Deps) ([]string, error) {
	if cfg.Gateway {
		return []string{deps.GatewayToken}, nil
	}
	tokens := make([]string, cfg.Vehicles)
	var next atomic.Int64
	var once sync.Once
	var failed error
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < len(tokens) && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				t, err := deps.VehicleToken(VehicleID(cfg.Seed, i))
				if err != nil {
					once.Do(func() { failed = fmt.Errorf("fleet: mint the token of vehicle %d: %w", i, err) })
					return
				}
				tokens[i] = t
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fleet: mint tokens: %w", err)
	}
	return tokens, failed
}

// driver takes the simulation's turns when they are due.
type driver struct {
	cfg     Config
	sim     *Simulation
	encoder *requestEncoder
	tokens  []string // one for each vehicle, or one for all
	sender  *sender
	riders  *riders // nil: none
	started time.Time
	lag     atomic.Int64 // ns behind the schedule
	maxLag  time.Duration
}

// How long to sleep between looks at the schedule.
const (
	tickMin = time.Millisecond
	tickMax = 20 * time.Millisecond
)

// drive generates until the duration is over or the context ends.
func (d *driver) drive(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("fleet: drive: %w", ctx.Err())
		case <-timer.C:
		}
		now := time.Since(d.started)
		if d.cfg.Duration > 0 && now >= d.cfg.Duration {
			return nil
		}
		if err := d.take(ctx, now); err != nil {
			return err
		}
		next := d.sim.NextDue()
		if due, ok := d.sender.pump(ctx); ok {
			next = min(next, due)
		}
		timer.Reset(min(max(next-time.Since(d.started), tickMin), tickMax))
	}
}

// take takes all turns due by now, as far as there is room for what they send.
func (d *driver) take(ctx context.Context, now time.Duration) error {
	var u Upload
	for d.sim.NextDue() <= now {
		j := d.sender.take()
		if j == nil {
			break
		}
		if !d.sim.Next(&u) {
			d.sender.giveBack(j)
			continue
		}
		d.riders.moved(&u)
		token := d.tokens[0]
		if !d.cfg.Gateway {
			token = d.tokens[u.Vehicle]
		}
		request, err := d.encoder.append(j.request[:0], u.Batch, token)
		if err != nil {
			return err
		}
		j.fill(&u, request)
		at := time.Duration(0)
		if u.HoldFor > 0 {
			at = now + u.HoldFor
		}
		d.sender.submit(ctx, j, u.Copies, at)
	}
	lag := max(now-d.sim.NextDue(), 0)
	d.lag.Store(int64(lag))
	d.maxLag = max(d.maxLag, lag)
	return nil
}

// drain waits until every batch is settled, or for the verification's time at most.
func (d *driver) drain(ctx context.Context) error {
	deadline := time.Now().Add(max(d.cfg.VerifyTimeout, d.cfg.Timeout))
	d.sender.hasten()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for d.sender.pending() > 0 && time.Now().Before(deadline) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("fleet: settle: %w", ctx.Err())
		case <-timer.C:
		}
		d.sender.hasten() // what was accepted meanwhile may be due again later
		d.sender.pump(ctx)
		timer.Reset(5 * time.Millisecond)
	}
	return nil
}

// showProgress starts the progress line; the function returned ends it.
func (d *driver) showProgress(ctx context.Context, deps Deps) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	p := newProgress(deps.Progress, d.sender, func() time.Duration { return time.Duration(d.lag.Load()) })
	var wg sync.WaitGroup
	wg.Go(func() { p.run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

func (d *driver) fill(r *Report) {
	r.Counts, _, _ = d.sender.snapshot()
	r.BytesSent = d.sender.bytes.Load()
	r.MaxLag = d.maxLag
	l := d.sender.latencies.snapshot()
	r.P50, r.P95, r.P99 = l.quantile(0.5), l.quantile(0.95), l.quantile(0.99)
}
