package car

import (
	"errors"
	"math/rand/v2"
	"time"
)

// backoff is the pause after failures: it doubles, and is drawn at random from the upper
// half, so that cars which failed together don't come back together.
type backoff struct {
	least, most, now time.Duration
}

func (m *Map) newBackoff() *backoff { return &backoff{least: m.cfg.MinBackoff, most: m.cfg.MaxBackoff} }

// reset is called after a success.
func (b *backoff) reset() { b.now = 0 }

// after is the pause after an error: at least as long as the service asked for.
func (b *backoff) after(err error) time.Duration {
	b.now = min(max(2*b.now, b.least), b.most)
	pause := b.now/2 + time.Duration(rand.Int64N(int64(b.now/2)+1))
	if r := (*refused)(nil); errors.As(err, &r) && r.after > pause {
		pause = r.after + time.Duration(rand.Int64N(int64(r.after/4)+1))
	}
	return pause
}
