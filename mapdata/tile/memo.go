package tile

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// maxMemo bounds the entries of a memo and of a pointerCache.
const maxMemo = 1 << 16

// memo remembers answers that never change, up to most of them (0: maxMemo); then it starts anew.
// Safe for concurrent use.
type memo struct {
	most int

	mu sync.Mutex
	m  map[string]bool
}

func (c *memo) get(key string) (v, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok = c.m[key]
	return v, ok
}

func (c *memo) put(key string, v bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= cmp.Or(c.most, maxMemo) {
		c.m = make(map[string]bool)
	}
	c.m[key] = v
}

// pointerCache remembers live tiles' items for a moment, so that many cars in one place
// cost the live store no more than a few reads. Safe for concurrent use.
type pointerCache struct {
	ttl time.Duration // ≤ 0: remember nothing

	mu sync.Mutex
	m  map[string]rememberedPointer
}

type rememberedPointer struct {
	ptr   *Pointer
	until time.Time
}

// get is readPointer, perhaps of a moment ago, which old tells; the result is shared.
func (c *pointerCache) get(ctx context.Context, live Live, key string) (ptr *Pointer, old bool, err error) {
	if c.ttl > 0 {
		c.mu.Lock()
		p, ok := c.m[key]
		c.mu.Unlock()
		if ok && time.Now().Before(p.until) {
			return p.ptr, true, nil
		}
	}
	ptr, err = c.renew(ctx, live, key)
	return ptr, false, err
}

// renew reads the item anew.
func (c *pointerCache) renew(ctx context.Context, live Live, key string) (*Pointer, error) {
	ptr, _, err := readPointer(ctx, live, key)
	if err != nil || c.ttl <= 0 {
		return ptr, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxMemo {
		c.m = make(map[string]rememberedPointer)
	}
	c.m[key] = rememberedPointer{ptr, time.Now().Add(c.ttl)}
	return ptr, nil
}
