package autosim

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/scaling"
)

// full is how many batches a second make one full envelope a second.
const full = 380

func even(demand func(time.Duration) float64) Config {
	c := DefaultConfig()
	c.Demand, c.Even, c.Duration = demand, true, time.Hour
	c.Receivers.Min, c.Receivers.Max = 5, 5 // each gets enough for full envelopes
	c.Linger = time.Second
	return c
}

func run(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Totals; n.Made != n.Held+n.Accepted || n.Accepted != n.Handled+n.Queued {
		t.Fatalf("messages are lost or made: %+v", n)
	}
	return r
}

func TestEmpty(t *testing.T) {
	c := even(func(time.Duration) float64 { return 0 })
	c.Workers.USDPerHour, c.Receivers.USDPerHour = 0.05, 0.04
	r := run(t, c)
	if r.Totals != (Totals{}) || len(r.Changes) != 0 || !r.Holds() || r.WorstAge != 0 {
		t.Errorf("%+v", r)
	}
	if want := 2*0.05 + 5*0.04; math.Abs(r.USD-want) > 1e-9 || r.WorkerHours != 2 || r.ReceiverHours != 5 {
		t.Errorf("%v USD, want %v", r.USD, want)
	}
}

// 40 envelopes a second are less than the 50 that two workers handle: nothing waits, nothing changes but by the processors:
// busy by 80 per cent where 60 are aimed at, 2 × 80/60 make 3 workers.
func TestConstantLoad(t *testing.T) {
	c := even(func(time.Duration) float64 { return 40 * full })
	r := run(t, c)
	if n := r.Totals; n.Made != 40*full*3600 || n.Queued != 0 || r.Envelopes != 40*3600 {
		t.Errorf("%+v, %d envelopes", n, r.Envelopes)
	}
	// Three minutes are over at 180 s, and seen at 240.
	want := []Change{{At: 240 * time.Second, Service: "workers", From: 2, To: 3, Why: "workers' processors"}}
	if !reflect.DeepEqual(r.Changes, want) || !r.Holds() || r.PeakWorkers != 3 {
		t.Errorf("%+v", r.Changes)
	}
	if got := r.Minutes[1].Busy; math.Abs(got-0.8) > 1e-9 {
		t.Errorf("busy by %v", got)
	}
	c.WorkerCPU = 0
	if r := run(t, c); len(r.Changes) != 0 || !r.Holds() {
		t.Errorf("by the backlog alone: %+v", r.Changes)
	}
}

// At 600 s 100 envelopes a second come instead of none; two workers handle 50. At 660 s 30 s' worth waits: the oldest is 30 s
// old, which is seen at 720, and half again, at least 2, are added: 4. They run at 765, when 165 × 50 = 8,250 wait, 82.5 s'
// worth; from then on as many are handled as come. At 720 s the oldest was 60 s old: seen at 780, twice as many: 8, which run at 825.
// The third minute of the surge is seen at 840: the step policy makes 16 of 8, the backlog 8,250 / 250 = 33.
func TestStepLoad(t *testing.T) {
	c := even(func(at time.Duration) float64 {
		if at < 600*time.Second {
			return 0
		}
		return 100 * full
	})
	r := run(t, c)
	want := []Change{
		{720 * time.Second, "workers", 2, 4, "oldest message 30s"},
		{780 * time.Second, "workers", 4, 8, "oldest message 1m0s"},
		{840 * time.Second, "workers", 8, 16, "oldest message 1m23s"},
		{840 * time.Second, "workers", 16, 33, "backlog per worker"},
	}
	if len(r.Changes) < 4 || !reflect.DeepEqual(r.Changes[:4], want) {
		t.Errorf("%+v", r.Changes)
	}
	if r.WorstBacklog != 8250 || r.WorstAge != 83*time.Second || r.Holds() {
		t.Errorf("%d waited, the oldest for %s", r.WorstBacklog, r.WorstAge)
	}
	// The eight handle 8,250 at 100 a second more than come, the 33 that run at 885 at 725: 60 × 100, then 2,250 / 725 = 3.1 s.
	// Older than 10 s is the oldest from 620 s, when 10 s' worth waited, until less than 1,000 wait, at 885 + 1,250/725 = 886.7.
	if r.Over < 266*time.Second || r.Over > 268*time.Second || r.LongestOver != r.Over {
		t.Errorf("over the target for %s, %s without a break", r.Over, r.LongestOver)
	}
	if q := r.Totals.Queued; q != 0 {
		t.Errorf("%d batches are left", q)
	}
}

// 200 envelopes a second and at most 4 workers, which handle 100: what waits grows by 100 a second, whatever is wished for.
func TestSaturation(t *testing.T) {
	c := even(func(time.Duration) float64 { return 200 * full })
	c.Workers.Max = 4
	c.Receivers.Min, c.Receivers.Max = 10, 10
	r := run(t, c)
	// 2 workers until 165 s (30 s old at 60 s... seen at 120, running at 165), then 4.
	handled := int64(50*165 + 100*(3600-165))
	if got := r.Totals.Handled; got != handled*full {
		t.Errorf("%d handled, want %d", got, handled*full)
	}
	if r.Totals.Queued != (200*3600-handled)*full || r.PeakWorkers != 4 || r.WorkersAtMax != (3600-120)*time.Second {
		t.Errorf("%+v; %s at the limit", r.Totals, r.WorkersAtMax)
	}
}

// Receivers that have no room refuse, and cars send again.
func TestReceiversRefuse(t *testing.T) {
	c := even(func(at time.Duration) float64 {
		if at < 10*time.Minute {
			return 60_000
		}
		return 0.001
	})
	c.Workers.Min, c.Workers.Max = 10, 10
	r := run(t, c)
	// 50,000 of 60,000 a second find room; afterwards hardly anybody drives, so that one a second is sent again.
	if r.WorstHeld != 10_000*600 || r.Totals.Held != 10_000*600-3000 || r.Refused < 10_000*600 {
		t.Errorf("%+v, %d held at most, %d refused", r.Totals, r.WorstHeld, r.Refused)
	}
}

// In an outage cars keep what they make, and send five times as much afterwards: 10 minutes of it in 2.5.
func TestOutage(t *testing.T) {
	c := even(func(time.Duration) float64 { return 10 * full })
	c.Outage = Outage{At: 20 * time.Minute, For: 10 * time.Minute, Of: OutageOfIngest}
	r := run(t, c)
	if r.WorstHeld != 10*full*600 || r.Totals.Held != 0 || r.Refused != 0 || r.PeakSent != 5*10*full {
		t.Errorf("%d held at most, %d at the end, %v a second at most", r.WorstHeld, r.Totals.Held, r.PeakSent)
	}
	if m := r.Minutes[24]; m.Sent != 0 || m.Accepted != 0 || m.Made != 10*full {
		t.Errorf("in the outage: %+v", m)
	}
	if m := r.Minutes[33]; m.Sent != 10*full {
		t.Errorf("three minutes after it: %+v", m)
	}

	c.Outage.Of = OutageOfWorkers
	r = run(t, c)
	if r.WorstHeld != 0 || r.WorstBacklog < 10*600 || r.WorstAge < 10*time.Minute || r.Totals.Queued != 0 {
		t.Errorf("workers away: %d waited, %s old", r.WorstBacklog, r.WorstAge)
	}
}

// A queue that is worked off at once is empty however busy its workers are: by the backlog alone they are taken away while they
// are needed, so that the age swings. The processors' target keeps them.
func TestBacklogAloneTakesAwayWhoIsNeeded(t *testing.T) {
	c := even(func(time.Duration) float64 { return 240 * full })
	c.Duration = 6 * time.Hour
	c.Receivers.Min, c.Receivers.Max = 12, 12
	settled := func(r *Result) (over int) {
		for _, m := range r.Minutes[120:] {
			if m.Age > c.AgeTarget.Seconds() {
				over++
			}
		}
		return over
	}
	if over := settled(run(t, c)); over != 0 {
		t.Errorf("with the processors' target: over in %d minutes", over)
	}
	c.WorkerCPU = 0
	if over := settled(run(t, c)); over == 0 {
		t.Error("by the backlog alone nothing happened: the processors' target isn't needed")
	}
}

// Receivers' envelopes are as full as the linger allows: three that get 100 a second each gather 1 + 0.04 × 100 = 5.
func TestLinger(t *testing.T) {
	c := even(func(time.Duration) float64 { return 300 })
	c.Receivers.Min, c.Receivers.Max, c.Linger = 3, 3, 40*time.Millisecond
	if r := run(t, c); r.Envelopes != 60*3600 {
		t.Errorf("%d envelopes", r.Envelopes)
	}
}

func TestRandomConfigurationsConserveMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		peak := math.Pow(10, 1+5*r.Float64())
		c := DefaultConfig()
		c.Seed, c.Duration = r.Uint64(), time.Duration(1+r.IntN(6))*time.Hour
		c.Demand = WithBursts(Commuters(peak, 1+100*r.Float64()), c.Seed)
		c.Outage = Outage{At: time.Duration(r.IntN(1800)) * time.Second, For: time.Duration(r.IntN(1800)) * time.Second, Of: []string{OutageOfIngest, OutageOfWorkers}[r.IntN(2)]}
		c.Workers.Max, c.WorkerCPU, c.ScaleInShare = 2+r.IntN(100), float64(r.IntN(2)*60), 0.1+0.9*r.Float64()
		c.Delays.Start, c.Delays.Drain = time.Duration(r.IntN(200))*time.Second, time.Duration(r.IntN(200))*time.Second
		a := run(t, c)
		for _, m := range a.Minutes {
			if m.Workers > float64(c.Workers.Max) || m.Workers < float64(c.Workers.Min)-1e-9 || m.Busy < 0 || m.Busy > 1+1e-3 || m.Age < 0 {
				t.Fatalf("%+v with %+v", m, c)
			}
		}
		if b := run(t, c); !reflect.DeepEqual(a, b) {
			t.Fatal("the same seed gave another course")
		}
	}
}

func TestCommuters(t *testing.T) {
	d := Commuters(10_000, 100)
	if got := d(17*time.Hour + 15*time.Minute); math.Abs(got-10_000) > 1e-6 {
		t.Errorf("%v in the peak", got)
	}
	low := math.Inf(1)
	for at := time.Duration(0); at < 24*time.Hour; at += time.Minute {
		low = min(low, d(at))
	}
	if low < 100 || low > 115 {
		t.Errorf("%v at least", low)
	}
}

func TestPoisson(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, mean := range []float64{0, 0.3, 45, 5000} {
		var sum, squares float64
		const n = 4000
		for range n {
			v := float64(poisson(r, mean))
			sum, squares = sum+v, squares+v*v
		}
		m := sum / n
		if v := squares/n - m*m; math.Abs(m-mean) > 5*math.Sqrt(mean/n) || math.Abs(v-mean) > 0.15*mean {
			t.Errorf("mean %v: %v, variance %v", mean, m, v)
		}
	}
}

func TestValidate(t *testing.T) {
	if _, err := Run(context.Background(), Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
	c := DefaultConfig()
	c.Demand = func(time.Duration) float64 { return 0 }
	c.Outage = Outage{At: 23 * time.Hour, For: 2 * time.Hour, Of: OutageOfIngest}
	if c.Validate() == nil {
		t.Error("an outage beyond the end is accepted")
	}
	if c.Outage = (Outage{}); c.Validate() != nil {
		t.Error(c.Validate())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, c); err == nil {
		t.Error("runs on when cancelled")
	}
}

// What the simulation defaults to is what package scaling says.
func TestDefaultsAreThePolicy(t *testing.T) {
	c := DefaultConfig()
	if perTask := c.Workers.PerTask / c.BatchesPerEnvelope; perTask != scaling.MinEnvelopesPerS || c.Workers.Max != scaling.MaxWorkers {
		t.Errorf("%v envelopes a second", perTask)
	}
}
