package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// verifier compares what a run sent with what the ledger and the map say. Other
// vehicles' data in the same database is no difference to the checks of the ledger;
// it may disturb those of the map, except for what was there before the run.
type verifier struct {
	cfg    Config
	net    *Network
	client *managementClient

	from   time.Time // start of the ledger's hour when the run began
	before account
	// beforeMeans is what the map knew of the buckets that the first batches may tell of.
	beforeMeans map[int64]map[uint64]learned
	// beforeLimits are the limits that were learned before; nil if the API does not tell.
	beforeLimits map[uint64]learnedLimit
}

// pollEvery is how often the ledger is asked whether it is drained.
const pollEvery = 500 * time.Millisecond

// settleBefore is how long a run waits for what others left in the queue. Cars that go on
// driving never let it drain.
const settleBefore = 10 * time.Second

// newVerifier notes the ledger's and the map's state before the run. It fails if the
// management API does not answer: better now than after the run.
func newVerifier(ctx context.Context, cfg Config, deps Deps) (*verifier, error) {
	now := time.Now()
	v := &verifier{
		cfg: cfg, net: deps.Network, client: newManagementClient(cfg.management(), deps.OperatorToken),
		from: now.Truncate(time.Hour), beforeMeans: make(map[int64]map[uint64]learned),
	}
	var err error
	if v.before, err = v.client.ledger(ctx, v.from, now.Add(time.Hour), false); err != nil {
		return nil, fmt.Errorf("fleet: the ledger before the run: %w", err)
	}
	// What another run left in the queue would count as this one's.
	if !v.before.drained() {
		if v.before, err = v.drained(ctx, now.Add(settleBefore), false); err != nil {
			return nil, err
		}
	}
	for b := now.Add(-cfg.period()).UnixMilli() / BucketMS; b <= now.UnixMilli()/BucketMS; b++ {
		if v.beforeMeans[b], err = v.segments(ctx, b, b+1); err != nil {
			return nil, fmt.Errorf("fleet: the map before the run: %w", err)
		}
	}
	if v.beforeLimits, err = v.client.limits(ctx, v.net); err != nil && !errors.Is(err, errNotOffered) {
		return nil, fmt.Errorf("fleet: the limits before the run: %w", err)
	}
	return v, nil
}

// verify waits until the pipeline has drained, then checks. An error means that it
// could not check; differences are in the checks.
func (v *verifier) verify(ctx context.Context, kept *record, sim *Simulation, started time.Time, r *Report) ([]Check, error) {
	defer v.client.close()
	deadline := time.Now().Add(v.cfg.VerifyTimeout)
	if _, err := v.drained(ctx, deadline, false); err != nil {
		return nil, err
	}
	var rejected int64
	for _, n := range r.Rejected {
		rejected += n
	}
	checks := []Check{
		{What: "batches rejected for good", Expected: "0", Found: count(rejected), OK: rejected == 0, Note: byStatus(r.Rejected)},
		{What: "batches never answered", Expected: "0", Found: count(r.Unsettled), OK: r.Unsettled == 0},
	}
	found, samples, err := v.lookUp(ctx, kept, deadline)
	if err != nil {
		return nil, err
	}
	checks = append(checks,
		Check{What: "accepted batches in the ledger", Expected: count(int64(kept.batches)), Found: count(int64(found)), OK: found == kept.batches, Note: "each once: a claim is unique"},
		Check{What: "their counted samples", Expected: count(kept.samples), Found: count(samples), OK: samples == kept.samples},
	)
	after, err := v.drained(ctx, deadline, true)
	if err != nil {
		return nil, err
	}
	checks = append(checks, v.checkLedger(&after, r)...)
	speeds, err := v.checkSpeeds(ctx, kept)
	if err != nil {
		return nil, err
	}
	learned, err := v.checkLearned(ctx, sim, started)
	if err != nil {
		return nil, err
	}
	return append(append(checks, speeds...), learned...), nil
}

// drained polls the ledger until nothing is in flight (with claims: and all counts
// agree), or the deadline; the last answer is returned in either case.
func (v *verifier) drained(ctx context.Context, deadline time.Time, claims bool) (account, error) {
	for {
		a, err := v.client.ledger(ctx, v.from, time.Now().Add(time.Hour), claims)
		if err == nil && a.drained() && a.Balanced && (!claims || a.consistent()) {
			return a, nil
		}
		if !time.Now().Before(deadline) {
			if err != nil {
				err = fmt.Errorf("fleet: the ledger after the run: %w", err)
			}
			return a, err
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return a, err
		}
	}
}

// lookUp counts the accepted batches that the ledger has, and their samples. What is
// missing is asked for again until the deadline.
func (v *verifier) lookUp(ctx context.Context, kept *record, deadline time.Time) (found int, samples int64, err error) {
	var missing []acceptedBatch
	ask := func(page []acceptedBatch) error {
		questions := make([]lookup, len(page))
		for i, b := range page {
			questions[i] = lookup{VehicleID: VehicleID(v.cfg.Seed, int(b.vehicle)), BatchID: b.id.String()}
		}
		n, s, absent, err := v.client.lookUp(ctx, questions)
		if err != nil {
			return fmt.Errorf("fleet: verify: %w", err)
		}
		found, samples = found+n, samples+s
		for _, i := range absent {
			missing = append(missing, page[i])
		}
		return nil
	}
	for _, chunk := range kept.chunks {
		if err := eachPage(chunk, ask); err != nil {
			return found, samples, err
		}
	}
	for len(missing) > 0 && time.Now().Before(deadline) {
		if err := sleep(ctx, pollEvery); err != nil {
			return found, samples, err
		}
		again := missing
		missing = nil
		if err := eachPage(again, ask); err != nil {
			return found, samples, err
		}
	}
	return found, samples, nil
}

func eachPage(batches []acceptedBatch, do func([]acceptedBatch) error) error {
	for len(batches) > 0 {
		n := min(len(batches), lookupPage)
		if err := do(batches[:n]); err != nil {
			return err
		}
		batches = batches[n:]
	}
	return nil
}

// checkLedger checks what must hold whoever else sends: the ledger's own balance, and
// that at least this run's batches and duplicates are in it.
func (v *verifier) checkLedger(after *account, r *Report) []Check {
	t, b := &after.Totals, &v.before.Totals
	c := &after.Crosscheck
	claims := "not counted"
	claimSamples := claims
	if c.ClaimedBatches != nil && c.ClaimedSamples != nil {
		claims, claimSamples = count(*c.ClaimedBatches), count(*c.ClaimedSamples)
	}
	return []Check{
		{
			What: "ledger balanced, nothing in flight", Expected: "balanced, 0", Found: fmt.Sprintf("%s, %d", balance(after.Balanced), t.InFlight+t.Unconfirmed),
			OK: after.Balanced && after.drained(), Note: "accepted = archived + duplicate + quarantined + in flight",
		},
		{
			What: "batches archived = manifest = claims", Expected: count(c.Archived), Found: count(c.ManifestBatches) + ", " + claims,
			OK: c.ClaimedBatches != nil && c.Archived == c.ManifestBatches && c.Archived == *c.ClaimedBatches, Note: "of all vehicles in these hours",
		},
		{
			What: "samples archived = manifest = claims", Expected: count(c.ArchivedSamples), Found: count(c.ManifestSamples) + ", " + claimSamples,
			OK: c.ClaimedSamples != nil && c.ArchivedSamples == c.ManifestSamples && c.ArchivedSamples == *c.ClaimedSamples, Note: "of all vehicles in these hours",
		},
		atLeast("batches archived since the start", r.Accepted, t.Archived-b.Archived),
		atLeast("batches acknowledged since the start", r.Accepted+r.Duplicates, t.Accepted-b.Accepted),
		atLeast("duplicates recognised since the start", r.Duplicates, t.Duplicate-b.Duplicate),
	}
}

func atLeast(what string, expected, found int64) Check {
	return Check{What: what, Expected: "≥ " + count(expected), Found: count(found), OK: found >= expected}
}

func balance(ok bool) string {
	if ok {
		return "balanced"
	}
	return "NOT balanced"
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// segments asks for the buckets [from, to).
func (v *verifier) segments(ctx context.Context, from, to int64) (map[uint64]learned, error) {
	return v.client.segments(ctx, v.net, time.UnixMilli(from*BucketMS), time.UnixMilli(to*BucketMS))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("fleet: verify: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}
