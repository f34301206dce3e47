package fleet

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	histogramBits = 5                  // sub-buckets a power of two: values are right to 3 %
	histogramSize = (64 - 10) * 32 / 2 // up to about 2^32 µs
)

// histogram counts latencies in microseconds in logarithmic buckets with linear
// sub-buckets (as HdrHistogram does). It is safe for concurrent use.
type histogram struct {
	counts [histogramSize]atomic.Uint64
}

// latencies is a histogram at an instant.
type latencies [histogramSize]uint64

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(uint64(max(d.Microseconds(), 0)))].Add(1)
}

func bucketOf(us uint64) int {
	if us < 1<<histogramBits {
		return int(us)
	}
	shift := bits.Len64(us) - histogramBits - 1
	return min(shift<<histogramBits+int(us>>shift), histogramSize-1)
}

// valueOf is the middle of a bucket.
func valueOf(bucket int) time.Duration {
	if bucket < 2<<histogramBits {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket>>histogramBits - 1
	low := uint64(bucket-shift<<histogramBits) << shift
	return time.Duration(low+uint64(1)<<shift/2) * time.Microsecond
}

func (h *histogram) snapshot() (l latencies) {
	for i := range h.counts {
		l[i] = h.counts[i].Load()
	}
	return l
}

// since is what was counted after an earlier snapshot.
func (l *latencies) since(earlier *latencies) (d latencies) {
	for i := range l {
		d[i] = l[i] - earlier[i]
	}
	return d
}

// quantile is 0 when nothing was counted.
func (l *latencies) quantile(q float64) time.Duration {
	total := uint64(0)
	for _, n := range l {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank := uint64(q * float64(total))
	for i, n := range l {
		if rank < n {
			return valueOf(i)
		}
		rank -= n
	}
	return valueOf(histogramSize - 1)
}
