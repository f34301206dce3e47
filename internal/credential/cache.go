package credential

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// cacheShards spreads the locks. A power of two.
const cacheShards = 64

type cacheKey = [sha256.Size]byte

type entry struct {
	id      Identity
	expires time.Time
}

// cache remembers verified tokens by their SHA-256, at most size of them. A full
// shard forgets expired entries first and then any: forgetting costs one signature.
type cache struct {
	perShard int
	shards   [cacheShards]shard
}

type shard struct {
	mu           sync.RWMutex
	entries      map[cacheKey]entry
	hits, misses atomic.Uint64
	_            [64]byte // shards on separate cache lines
}

func newCache(size int) *cache {
	c := &cache{perShard: (size + cacheShards - 1) / cacheShards}
	for i := range c.shards {
		c.shards[i].entries = make(map[cacheKey]entry)
	}
	return c
}

func (c *cache) shard(k cacheKey) *shard { return &c.shards[k[0]%cacheShards] }

func (c *cache) get(k cacheKey, now time.Time) (Identity, bool) {
	s := c.shard(k)
	s.mu.RLock()
	e, ok := s.entries[k]
	s.mu.RUnlock()
	if !ok || !now.Before(e.expires) {
		s.misses.Add(1)
		return Identity{}, false
	}
	s.hits.Add(1)
	return e.id, true
}

// evictScan is how many entries a full shard looks at for an expired one.
const evictScan = 8

func (c *cache) put(k cacheKey, e entry, now time.Time) {
	if c.perShard == 0 {
		return
	}
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) >= c.perShard {
		s.evict(now)
	}
	s.entries[k] = e
}

// evict removes the expired of a few random entries, or one that is not. Map
// iteration starts at a random place.
func (s *shard) evict(now time.Time) {
	var victim cacheKey
	seen, removed := 0, false
	for k, e := range s.entries {
		victim = k
		if !now.Before(e.expires) {
			delete(s.entries, k)
			removed = true
		}
		if seen++; seen == evictScan {
			break
		}
	}
	if !removed {
		delete(s.entries, victim)
	}
}

func (c *cache) stats() CacheStats {
	var st CacheStats
	for i := range c.shards {
		st.Hits += c.shards[i].hits.Load()
		st.Misses += c.shards[i].misses.Load()
	}
	return st
}
