package receiver

import "sync/atomic"

// requestBytes is what a waiting request costs beside its buffers.
const requestBytes = 4 << 10

// inflight counts the memory that requests hold, against one bound.
type inflight struct {
	max  int64
	used atomic.Int64
}

// reservation is one request's share. Not safe for concurrent use.
type reservation struct {
	of   *inflight
	held int64
}

// grow reserves n more bytes, or reports false and reserves nothing.
func (r *reservation) grow(n int) bool {
	if r.of.used.Add(int64(n)) > r.of.max {
		r.of.used.Add(-int64(n))
		return false
	}
	r.held += int64(n)
	return true
}

// shrink gives back all but n bytes; it never grows.
func (r *reservation) shrink(n int) {
	if d := r.held - int64(n); d > 0 {
		r.of.used.Add(-d)
		r.held = int64(n)
	}
}
