package fleet

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRunVerifiesAgainstAFaultyTarget(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*backend, *Config){
		"healthy":      func(*backend, *Config) {},
		"json, gzip":   func(_ *backend, c *Config) { c.Format, c.Compression = FormatJSON, Gzip },
		"zstd":         func(_ *backend, c *Config) { c.Compression = Zstd },
		"gateway":      func(_ *backend, c *Config) { c.Gateway = true },
		"lead-in":      func(_ *backend, c *Config) { c.LeadIn = 3 },
		"503 and 429":  func(b *backend, _ *Config) { b.refuse = 0.2 },
		"resets":       func(b *backend, _ *Config) { b.drop = 0.05 },
		"lost answers": func(b *backend, _ *Config) { b.lose = 0.05 },
		"everything":   func(b *backend, _ *Config) { b.refuse, b.drop, b.lose = 0.1, 0.05, 0.05 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			cfg := b.config()
			set(b, &cfg)
			var lines bytes.Buffer
			deps := b.deps()
			deps.Progress = &lines
			r, err := Run(t.Context(), cfg, deps)
			if err != nil {
				var table bytes.Buffer
				if err := r.WriteTable(&table); err != nil {
					t.Fatal(err)
				}
				t.Fatalf("%v\n%s", err, table.String())
			}
			if r.Accepted < 100 || r.Accepted != int64(len(b.claims)) || r.Samples != b.samples {
				t.Errorf("accepted %d (%d samples), the target has %d (%d)", r.Accepted, r.Samples, len(b.claims), b.samples)
			}
			if r.Accepted != r.Batches || r.Unsettled != 0 {
				t.Errorf("made %d, accepted %d, unsettled %d", r.Batches, r.Accepted, r.Unsettled)
			}
			if r.Duplicates == 0 || r.Duplicates > b.double {
				t.Errorf("%d duplicates on purpose, the target saw %d", r.Duplicates, b.double)
			}
			if b.refuse+b.drop+b.lose > 0 && r.Retries == 0 {
				t.Error("nothing was retried")
			}
			if !strings.Contains(lines.String(), "accepted") {
				t.Errorf("no progress: %q", lines.String())
			}
		})
	}
}

func TestVerificationFindsFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault func(*backend)
		check string
	}{
		"lost batch":          {func(b *backend) { b.forget = 1 }, "accepted batches in the ledger"},
		"counted twice":       {func(b *backend) { b.twice = 1 }, "batches archived = manifest = claims"},
		"speeds twice":        {func(b *backend) { b.twice = 1 }, "samples counted on roads"},
		"speeds lost":         {func(b *backend) { b.thin = 10 }, "samples counted on roads"},
		"wrong mean":          {func(b *backend) { b.faster = 4 }, "mean speed by segment: in tolerance"},
		"slightly wrong mean": {func(b *backend) { b.faster = 1.5 }, "mean speed by segment: median error"},
		"not balanced":        {func(b *backend) { b.unbalanced = true }, "ledger balanced, nothing in flight"},
		"duplicates ignored":  {func(b *backend) { b.noDuplicates = true }, "duplicates recognised since the start"},
		"rejected":            {func(b *backend) { b.status = http.StatusUnauthorized }, "batches rejected for good"},
		"never accepted":      {func(b *backend) { b.status = http.StatusServiceUnavailable }, "batches never answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t)
			c.fault(b)
			cfg := b.config()
			cfg.VerifyTimeout, cfg.Timeout = 1500*time.Millisecond, 500*time.Millisecond
			r, err := Run(t.Context(), cfg, b.deps())
			if !errors.Is(err, ErrDiffers) {
				t.Fatalf("error %v, want ErrDiffers", err)
			}
			for _, k := range r.Checks {
				if k.What == c.check {
					if k.OK {
						t.Errorf("%+v passed", k)
					}
					return
				}
			}
			t.Errorf("no check %q in %+v", c.check, r.Checks)
		})
	}
}

// TestWithheldCountsAreNotClaimed: where the map withholds its counts, only what is sent
// from the other segments can be, and is, verified.
func TestWithheldCountsAreNotClaimed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		n  tally
		ok bool
	}{
		"all told":                   {tally{sent: 1000, counted: 960}, true},
		"all told, more than sent":   {tally{sent: 1000, counted: 1001}, false},
		"some withheld":              {tally{sent: 1000, withheld: 300, counted: 690}, true},
		"some withheld, some astray": {tally{sent: 1000, withheld: 300, counted: 710}, true},
		"some withheld, some lost":   {tally{sent: 1000, withheld: 300, counted: 640}, false},
		"some withheld, told twice":  {tally{sent: 1000, withheld: 300, counted: 1400}, false},
		"most withheld, told twice":  {tally{sent: 1000, withheld: 900, counted: 200}, false},
		"all withheld":               {tally{sent: 1000, withheld: 1000}, true},
		"all withheld, others there": {tally{sent: 1000, withheld: 1000, counted: 10}, false},
	} {
		if got := c.n.check(); got.OK != c.ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	found := map[uint64]learned{1: {samples: 90, meanKMH: 40}, 2: {samples: 90, meanKMH: 40}, 3: {withheld: true, unsure: true}}
	got := subtract(found, map[uint64]learned{1: {samples: 30, meanKMH: 20}, 2: {withheld: true, unsure: true}})
	if got[1] != (learned{samples: 60, meanKMH: 50}) || !got[2].withheld || !got[3].withheld {
		t.Errorf("less what was there before: %+v", got)
	}
}

// TestEarlierDataDoesNotDisturb runs twice against the same back end within a bucket.
func TestEarlierDataDoesNotDisturb(t *testing.T) {
	b := newBackend(t)
	for seed := range uint64(2) {
		cfg := b.config()
		cfg.Seed = seed
		if r, err := Run(t.Context(), cfg, b.deps()); err != nil {
			t.Fatalf("run %d: %v: %+v", seed, err, r.Checks)
		}
	}
}

func TestSlowTargetMakesTheFleetFallBehindNotSwell(t *testing.T) {
	b := newBackend(t)
	release := make(chan struct{})
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	b.Config.Handler = slow
	cfg := b.config()
	cfg.Verify, cfg.MaxConns, cfg.MaxBuffered, cfg.Duration = false, 4, 16, 800*time.Millisecond
	cfg.Timeout, cfg.VerifyTimeout = 300*time.Millisecond, 0
	r, err := Run(t.Context(), cfg, b.deps())
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	if r.Batches > 16 || r.EndLag < 300*time.Millisecond || r.Accepted != 0 || r.Unsettled != r.Batches || r.Ambiguous == 0 {
		t.Errorf("made %d, behind %s, accepted %d, unsettled %d, ambiguous %d", r.Batches, r.EndLag, r.Accepted, r.Unsettled, r.Ambiguous)
	}
}

func TestCancelledRunEndsAtOnce(t *testing.T) {
	b := newBackend(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	cfg := b.config()
	cfg.Verify, cfg.Duration = false, 0
	begin := time.Now()
	r, err := Run(ctx, cfg, b.deps())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v after %s", err, time.Since(begin)) // nothing else would end it
	}
	if r.Accepted == 0 {
		t.Error("nothing accepted before")
	}
}

func TestRunNeedsWhatItUses(t *testing.T) {
	b := newBackend(t)
	for name, change := range map[string]func(*Config, *Deps){
		"target":   func(c *Config, _ *Deps) { c.Target = "localhost:80" },
		"vehicles": func(c *Config, _ *Deps) { c.Vehicles = 0 },
		"rate":     func(c *Config, _ *Deps) { c.Rate = 0.001 },
		"duration": func(c *Config, _ *Deps) { c.Duration = 0 },
		"buffered": func(c *Config, _ *Deps) { c.MaxBuffered = c.MaxConns - 1 },
		"network":  func(_ *Config, d *Deps) { d.Network = nil },
		"tokens":   func(_ *Config, d *Deps) { d.VehicleToken = nil },
		"gateway":  func(c *Config, d *Deps) { c.Gateway, d.GatewayToken = true, "" },
		"operator": func(_ *Config, d *Deps) { d.OperatorToken = "" },
		"failing": func(_ *Config, d *Deps) {
			d.VehicleToken = func(string) (string, error) { return "", errors.New("no key") }
		},
		"silent": func(c *Config, _ *Deps) { c.Management = "http://127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, deps := b.config(), b.deps()
			change(&cfg, &deps)
			if _, err := Run(t.Context(), cfg, deps); err == nil {
				t.Error("no error")
			}
		})
	}
}
