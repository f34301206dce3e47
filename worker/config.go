package worker

import (
	"cmp"
	"fmt"
	"runtime"
	"time"
)

// maxReceive is the most deliveries that one call to the queue returns: SQS's limit.
const maxReceive = 10

// Config tunes a Worker. The zero value of each field stands for its default.
type Config struct {
	// Name names this worker in the manifest, in object keys and to operators; of letters,
	// digits, dashes and dots. Default "worker".
	Name string
	// Pipelines is how many flushes are under way at once: while one is in the database,
	// another decodes and matches. Default max(2, GOMAXPROCS); 1 to 64.
	Pipelines int
	// FlushBatches, FlushSamples and FlushBytes (of envelopes as received) end the gathering
	// of a flush. Together with Pipelines they bound the worker's memory: a flush may exceed
	// them by the 10 envelopes of one receive. Defaults 8,000, 200,000 and 4 MiB.
	FlushBatches, FlushSamples, FlushBytes int
	// FlushInterval ends the gathering this long after its first envelope. Default 500 ms.
	FlushInterval time.Duration
	// UrgentInterval is FlushInterval when a vehicle's report of a hazard is in hand. Short ones make
	// many small archive objects. Default: FlushInterval.
	UrgentInterval time.Duration
	// PollWait is how long an idle worker waits in one call to the queue. Default 20 s.
	PollWait time.Duration
	// Visibility is for how long the queue hides what is held; it is renewed at each third of
	// it. Default 60 s, at least 1 s.
	Visibility time.Duration
	// SoftStop is how long the flushes in hand may take to finish after Run's context ended.
	// What is not done then goes back to the queue. Default 20 s.
	SoftStop time.Duration
	// RetryMin and RetryMax bound the pauses between attempts after a transient error.
	// Defaults 100 ms and 5 s.
	RetryMin, RetryMax time.Duration
	// DeadInterval is the pause between looks at the dead-letter queue. Default 10 s.
	DeadInterval time.Duration
	// RedriveInterval is the pause between looks for requests to redrive. Default 1 s.
	RedriveInterval time.Duration
	// MaxEnvelope bounds an envelope's size after decompression. Default 64 MiB.
	MaxEnvelope int
	// Past and Ahead bound the event times and batch ids that can be stored, around now; they
	// must lie within the database's partitions. Defaults 7½ days and 1 day.
	Past, Ahead time.Duration
	// LedgerPast is how old an envelope's acceptance may be to enter the ledger: as Past.
	LedgerPast time.Duration
	// LiveWindow: samples older than that don't make tiles dirty. Default 15 min.
	LiveWindow time.Duration
	// OnStep, if set, is called as each step begins, by each pipeline's goroutine, and with
	// StepFlushEnded after the last.
	OnStep func(Step)
}

func (c Config) withDefaults() Config {
	c.Name = cmp.Or(c.Name, "worker")
	c.Pipelines = cmp.Or(c.Pipelines, max(2, runtime.GOMAXPROCS(0)))
	c.FlushBatches = cmp.Or(c.FlushBatches, 8_000)
	c.FlushSamples = cmp.Or(c.FlushSamples, 200_000)
	c.FlushBytes = cmp.Or(c.FlushBytes, 4<<20)
	c.FlushInterval = cmp.Or(c.FlushInterval, 500*time.Millisecond)
	c.UrgentInterval = cmp.Or(c.UrgentInterval, c.FlushInterval)
	c.PollWait = cmp.Or(c.PollWait, 20*time.Second)
	c.Visibility = cmp.Or(c.Visibility, time.Minute)
	c.SoftStop = cmp.Or(c.SoftStop, 20*time.Second)
	c.RetryMin = cmp.Or(c.RetryMin, 100*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, 5*time.Second)
	c.DeadInterval = cmp.Or(c.DeadInterval, 10*time.Second)
	c.RedriveInterval = cmp.Or(c.RedriveInterval, time.Second)
	c.MaxEnvelope = cmp.Or(c.MaxEnvelope, 64<<20)
	c.Past = cmp.Or(c.Past, 7*24*time.Hour+12*time.Hour)
	c.Ahead = cmp.Or(c.Ahead, 24*time.Hour)
	c.LedgerPast = cmp.Or(c.LedgerPast, c.Past)
	c.LiveWindow = cmp.Or(c.LiveWindow, 15*time.Minute)
	if c.OnStep == nil {
		c.OnStep = func(Step) {}
	}
	return c
}

// Validate names the first field outside its range.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, f := range []struct {
		name     string
		v, lo, h int64
	}{
		{"Pipelines", int64(c.Pipelines), 1, 64},
		{"FlushBatches", int64(c.FlushBatches), 1, 1 << 20},
		{"FlushSamples", int64(c.FlushSamples), 1, 1 << 24},
		{"FlushBytes", int64(c.FlushBytes), 1, 1 << 30},
		{"FlushInterval", int64(c.FlushInterval), 1, int64(time.Minute)},
		{"UrgentInterval", int64(c.UrgentInterval), 1, int64(c.FlushInterval)},
		{"PollWait", int64(c.PollWait), 1, int64(20 * time.Second)},
		{"Visibility", int64(c.Visibility), int64(time.Second), int64(12 * time.Hour)},
		{"SoftStop", int64(c.SoftStop), 1, int64(time.Hour)},
		{"RetryMin", int64(c.RetryMin), 1, int64(c.RetryMax)},
		{"RetryMax", int64(c.RetryMax), 1, int64(time.Minute)},
		{"DeadInterval", int64(c.DeadInterval), 1, int64(time.Hour)},
		{"RedriveInterval", int64(c.RedriveInterval), 1, int64(time.Hour)},
		{"MaxEnvelope", int64(c.MaxEnvelope), 1 << 10, 1 << 30},
		{"Past", int64(c.Past), int64(time.Minute), int64(7*24*time.Hour + 23*time.Hour)},
		{"Ahead", int64(c.Ahead), 1, int64(47 * time.Hour)},
		{"LedgerPast", int64(c.LedgerPast), int64(time.Minute), int64(c.Past)},
		{"LiveWindow", int64(c.LiveWindow), int64(time.Minute), int64(24 * time.Hour)},
	} {
		if f.v < f.lo || f.v > f.h {
			return fmt.Errorf("worker: %s %d outside %d to %d", f.name, f.v, f.lo, f.h)
		}
	}
	for _, r := range c.Name {
		if r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return fmt.Errorf("worker: Name %q may hold letters, digits, dashes, underscores and dots only", c.Name)
		}
	}
	return nil
}
