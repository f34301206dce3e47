package receiver

import (
	"hash/maphash"
	"sync"
	"time"
)

// rateShards spreads the limiter's locks. A power of two.
const rateShards = 64

// rateScan is how many entries a full shard looks at to make room.
const rateScan = 16

// limiter is a token bucket per vehicle, kept as one time per vehicle (the generic
// cell rate algorithm, ITU-T I.371): when its bucket will be full again. A vehicle
// whose time has passed needs no entry, so memory follows the vehicles that are
// sending now, and is bounded: when full, the entries closest to a full bucket go,
// which forgives a little and refuses nobody. Safe for concurrent use.
type limiter struct {
	interval time.Duration // per batch
	slack    time.Duration // how far ahead of now a bucket may get
	perShard int
	seed     maphash.Seed
	shards   [rateShards]rateShard
}

type rateShard struct {
	mu   sync.Mutex
	full map[uint64]int64 // hash of the vehicle → ns since the epoch
	_    [48]byte         // shards on separate cache lines
}

func newLimiter(perSecond float64, burst, vehicles int) *limiter {
	interval := time.Duration(float64(time.Second) / perSecond)
	l := &limiter{
		interval: interval, slack: interval * time.Duration(burst), perShard: vehicles / rateShards,
		seed: maphash.MakeSeed(),
	}
	for i := range l.shards {
		l.shards[i].full = make(map[uint64]int64)
	}
	return l
}

// allow takes a token from the vehicle's bucket. If there is none, it says how long
// until there is one.
func (l *limiter) allow(vehicle string, now time.Time) (wait time.Duration, ok bool) {
	h := maphash.String(l.seed, vehicle)
	s := &l.shards[h%rateShards]
	ns := now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	full, known := s.full[h]
	if full > ns+int64(l.slack) {
		full = ns // no bucket gets that far ahead: the clock was set back since
	}
	next := max(full, ns) + int64(l.interval)
	if wait := next - ns - int64(l.slack); wait > 0 {
		return time.Duration(wait), false
	}
	if !known && len(s.full) >= l.perShard {
		s.makeRoom(ns)
	}
	s.full[h] = next
	return 0, true
}

// makeRoom removes those of a few random entries whose bucket is full again, or the
// one nearest to it. Map iteration starts at a random place.
func (s *rateShard) makeRoom(now int64) {
	var nearest uint64
	best, seen, removed := int64(0), 0, false
	for h, full := range s.full {
		if full <= now {
			delete(s.full, h)
			removed = true
		}
		if seen == 0 || full < best {
			nearest, best = h, full
		}
		if seen++; seen == rateScan {
			break
		}
	}
	if !removed {
		delete(s.full, nearest)
	}
}
