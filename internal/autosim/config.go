// Package autosim plays a day of autoscaling through: cars that send, receivers, a queue, workers, and the control loop
// that adds and takes away tasks, with the delays that it really has. Control is a queue of events (a metric is published, a
// task is ready, one is gone, an outage begins); messages flow between them by the second, first in, first out, in whole numbers.
package autosim

import (
	"errors"
	"fmt"
	"time"

	"github.com/carasso/carasso/internal/scaling"
)

// What an outage takes away.
const (
	OutageOfIngest  = "ingest"  // cars reach no receiver, keep their batches and send them again afterwards
	OutageOfWorkers = "workers" // the database is away: workers hold what they have and handle nothing
)

// Outage is a time in which a part is away.
type Outage struct {
	At, For time.Duration
	Of      string
}

// Service is one autoscaled service.
type Service struct {
	Min, Max   int
	PerTask    float64 // batches a second that a task handles at most
	USDPerHour float64 // of a task
}

// Delays are those of AWS.
type Delays struct {
	// Metric is how long after the end of its minute a metric can be evaluated. SQS and Container Insights publish by the
	// minute; a further one until an alarm has seen it is usual.
	Metric time.Duration
	// Start is from the decision to a task that handles: capacity, image, start, readiness. Paid from the decision on.
	Start time.Duration
	// Drain is how long a task that was told to stop still runs; it takes nothing new.
	Drain time.Duration
}

// Config is a simulation's input. DefaultConfig has the policy; Demand is the caller's.
type Config struct {
	Seed     uint64
	Duration time.Duration
	// Demand is how many batches a second cars make at a time of the day.
	Demand func(at time.Duration) float64
	// Even makes them at even intervals instead of at random ones (Poisson).
	Even   bool
	Outage Outage
	// Resend is how many batches cars send again for each one that they make, at most, while they make up for an outage.
	Resend float64

	Receivers, Workers Service
	// BatchesPerEnvelope is of a full one; Linger is how long a receiver keeps one open for more.
	BatchesPerEnvelope float64
	Linger             time.Duration

	Delays    Delays
	AgeTarget time.Duration // how old the oldest message may be
	// ScaleInShare is the greatest share of tasks that one decision of target tracking takes away. AWS says no more than that it
	// scales in "more gradually" than out.
	ScaleInShare float64
	// WorkerCPU adds target tracking of workers' processors at this percentage; 0: by the backlog alone.
	WorkerCPU float64
}

// DefaultConfig has the policy's constants. Envelopes hold and tasks handle what is measured (DESIGN.md, Measured).
func DefaultConfig() Config {
	const fullEnvelope = 380
	return Config{
		Seed: 1, Duration: 24 * time.Hour, Resend: 4,
		Receivers: Service{Min: scaling.MinReceivers, Max: scaling.MaxReceivers, PerTask: 10_000},
		Workers: Service{
			Min: scaling.MinTasks, Max: scaling.MaxWorkers, PerTask: scaling.MinEnvelopesPerS * fullEnvelope,
		},
		BatchesPerEnvelope: fullEnvelope, Linger: 40 * time.Millisecond,
		Delays:    Delays{Metric: 60 * time.Second, Start: 45 * time.Second, Drain: 30 * time.Second},
		AgeTarget: scaling.LatencyTarget, ScaleInShare: 0.5, WorkerCPU: scaling.WorkerCPUPercent,
	}
}

// Validate names all that is wrong.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, what, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: expected %s", what, want))
		}
	}
	check(c.Duration >= time.Minute && c.Duration <= 8*24*time.Hour, "duration", "a minute to 8 days")
	check(c.Demand != nil, "demand", "a function")
	check(c.Resend >= 0 && c.Resend <= 100, "resend", "0 to 100")
	for _, s := range []struct {
		name string
		Service
	}{{"receivers", c.Receivers}, {"workers", c.Workers}} {
		check(s.Min >= 1 && s.Max >= s.Min && s.Max <= 1e6, s.name, "1 task or more, and at most a million")
		check(s.PerTask > 0 && s.PerTask <= 1e9, s.name+" per task", "more than 0 batches a second")
	}
	check(c.BatchesPerEnvelope >= 1 && c.BatchesPerEnvelope <= 1e6, "batches per envelope", "1 to a million")
	check(c.Linger >= 0 && c.Linger <= time.Minute, "linger", "0 to a minute")
	for _, d := range []time.Duration{c.Delays.Metric, c.Delays.Start, c.Delays.Drain} {
		check(d >= 0 && d <= time.Hour, "delays", "0 to an hour")
	}
	check(c.AgeTarget > 0, "age target", "more than 0")
	check(c.ScaleInShare > 0 && c.ScaleInShare <= 1, "scale-in share", "more than 0, at most 1")
	check(c.WorkerCPU >= 0 && c.WorkerCPU <= 100, "worker CPU", "0 to 100 per cent")
	o := c.Outage
	check(o.For == 0 || o.Of == OutageOfIngest || o.Of == OutageOfWorkers, "outage", OutageOfIngest+" or "+OutageOfWorkers)
	check(o.At >= 0 && o.For >= 0 && o.At+o.For <= c.Duration, "outage", "within the duration")
	return errors.Join(errs...)
}
