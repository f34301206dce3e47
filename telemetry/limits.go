package telemetry

import (
	"fmt"
	"time"
)

// MaxSamplesCeiling bounds Limits.MaxSamples and what DecodeCanonical accepts: the
// ledger counts a batch's samples in 16 bits.
const MaxSamplesCeiling = 32_767

// The longest texts that a batch may carry, in bytes of UTF-8. They are free of
// control characters.
const (
	MaxVehicleID = 128
	MaxTripID    = 128
	MaxModel     = 64
	MaxSoftware  = 64
)

// Limits bound what is accepted from a vehicle.
type Limits struct {
	// MaxBody is the longest request body as sent, in bytes. Its reader enforces it; the
	// decoders don't see that form.
	MaxBody int
	// MaxDecoded is the longest body after decompression, in bytes.
	MaxDecoded int
	// MaxSamples and MaxEvents bound the counts in one batch.
	MaxSamples, MaxEvents int
	// MaxAhead and MaxAge bound sample times, event times and the batch id's time
	// around the receiver's clock.
	MaxAhead, MaxAge time.Duration
}

// DefaultLimits are those of the wire contract: 1 MiB sent, 8 MiB decompressed, 3,600
// samples, 3,600 events, 5 minutes ahead, 7 days old.
func DefaultLimits() Limits {
	return Limits{
		MaxBody: 1 << 20, MaxDecoded: 8 << 20,
		MaxSamples: 3600, MaxEvents: 3600,
		MaxAhead: 5 * time.Minute, MaxAge: 7 * 24 * time.Hour,
	}
}

// Validate names the first limit that is out of its range.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name     string
		n, lo, h int64
	}{
		{"MaxBody", int64(l.MaxBody), 1, 64 << 20},
		{"MaxDecoded", int64(l.MaxDecoded), 1, 512 << 20},
		{"MaxSamples", int64(l.MaxSamples), 1, MaxSamplesCeiling},
		{"MaxEvents", int64(l.MaxEvents), 0, MaxSamplesCeiling},
	} {
		if v.n < v.lo || v.n > v.h {
			return fmt.Errorf("telemetry limits: %s must be %d to %d, is %d", v.name, v.lo, v.h, v.n)
		}
	}
	if l.MaxAhead < 0 || l.MaxAhead > 24*time.Hour {
		return fmt.Errorf("telemetry limits: MaxAhead must be 0 to 24h, is %s", l.MaxAhead)
	}
	if l.MaxAge < time.Minute || l.MaxAge > 366*24*time.Hour {
		return fmt.Errorf("telemetry limits: MaxAge must be 1m to 8784h, is %s", l.MaxAge)
	}
	return nil
}
