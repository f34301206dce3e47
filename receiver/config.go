package receiver

import (
	"errors"
	"fmt"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Config bounds and tunes a Receiver. Its zero value is not valid: start from
// DefaultConfig.
type Config struct {
	// Limits bound a body before and after decompression, what a batch may hold and how
	// far its times may be off. Default telemetry.DefaultLimits.
	Limits telemetry.Limits
	// BodyTimeout bounds the arrival of a request body. Default 15 s.
	BodyTimeout time.Duration

	// MaxBytesInFlight bounds the memory of all requests together, from the first byte
	// read until the queue has accepted the batch; beyond it requests are answered 503
	// at once. Each request counts as 4 KiB plus its buffers. Default 64 MiB.
	MaxBytesInFlight int64
	// RetryAfter is what cars are told to wait after a 503. Default 5 s.
	RetryAfter time.Duration

	// RateBatches is how many batches a second one vehicle may send for long, RateBurst
	// how many at once. Defaults 2 and 30.
	RateBatches float64
	RateBurst   int
	// RateVehicles bounds how many vehicles the limiter remembers. Default 262,144, about 10 MiB.
	RateVehicles int

	// Target is the compressed size at which an envelope is sent: just under the 64 KiB
	// that the queue bills as one request. Default 60 KiB.
	Target int
	// MaxEnvelope is what no envelope may exceed. Default 256 KiB.
	MaxEnvelope int
	// Linger is how long an envelope waits for more batches. Default 40 ms.
	Linger time.Duration
	// Shards is how many envelopes are filled at once: fewer are fuller, and so cheaper, more
	// share the lock. One takes over a million batches a second. Default 1.
	Shards int
	// Sends bounds concurrent calls of Queue.Send. Default 16.
	Sends int
	// SendTimeout bounds all attempts for one envelope, from its sealing and up to a quarter
	// longer; then its cars get 503. Default 10 s.
	SendTimeout time.Duration
	// BackoffMin and BackoffMax bound the pause between two attempts. Defaults 50 ms and 2 s.
	BackoffMin, BackoffMax time.Duration
	// CloseAfter is how long the receiver must be idle before it tells the queue's readers
	// in an empty envelope what was confirmed since. Default 1 s.
	CloseAfter time.Duration
}

// maxCoalesced is how many envelopes go into one Queue.Send.
const maxCoalesced = 10

// DefaultConfig is the documented defaults.
func DefaultConfig() Config {
	return Config{
		Limits: telemetry.DefaultLimits(), BodyTimeout: 15 * time.Second,
		MaxBytesInFlight: 64 << 20, RetryAfter: 5 * time.Second,
		RateBatches: 2, RateBurst: 30, RateVehicles: 1 << 18,
		Target: 60 << 10, MaxEnvelope: 256 << 10, Linger: 40 * time.Millisecond,
		Shards: 1, Sends: 16, SendTimeout: 10 * time.Second,
		BackoffMin: 50 * time.Millisecond, BackoffMax: 2 * time.Second, CloseAfter: time.Second,
	}
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	between := func(name string, v, lo, hi int64) error {
		if v < lo || v > hi {
			return fmt.Errorf("%s %d: expected %d to %d", name, v, lo, hi)
		}
		return nil
	}
	duration := func(name string, v, lo, hi time.Duration) error {
		if v < lo || v > hi {
			return fmt.Errorf("%s %v: expected %v to %v", name, v, lo, hi)
		}
		return nil
	}
	if c.RateBatches <= 0 || c.RateBatches > 1e6 {
		return fmt.Errorf("rate batches %g: expected more than 0, at most 1e6", c.RateBatches)
	}
	errs := []error{
		c.Limits.Validate(),
		duration("body timeout", c.BodyTimeout, 100*time.Millisecond, 10*time.Minute),
		between("max bytes in flight", c.MaxBytesInFlight, 1<<16, 1<<40),
		duration("retry after", c.RetryAfter, time.Second, time.Hour),
		between("rate burst", int64(c.RateBurst), 1, 1<<20),
		between("rate vehicles", int64(c.RateVehicles), rateShards, 1<<28),
		between("max envelope", int64(c.MaxEnvelope), 2*headerRoom, 64<<20),
		between("target", int64(c.Target), 1<<10, int64(c.MaxEnvelope)),
		duration("linger", c.Linger, 0, time.Second),
		between("shards", int64(c.Shards), 1, 256),
		between("sends", int64(c.Sends), 1, 1024),
		duration("send timeout", c.SendTimeout, 100*time.Millisecond, 10*time.Minute),
		duration("backoff min", c.BackoffMin, time.Millisecond, time.Minute),
		duration("backoff max", c.BackoffMax, c.BackoffMin, time.Minute),
		duration("close after", c.CloseAfter, 10*time.Millisecond, time.Hour),
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (d Deps) validate() error {
	if d.Queue == nil || d.Ring == nil || d.Auth == nil || d.Logger == nil || d.Registerer == nil {
		return errors.New("receiver: Queue, Ring, Auth, Logger and Registerer are required")
	}
	return nil
}
