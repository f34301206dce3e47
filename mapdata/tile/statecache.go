package tile

import (
	"container/list"
	"context"
	"fmt"
	"sync"

	"github.com/carasso/carasso/mapdata/tile/state"
)

// maxRecords bounds the records of one tile as they are stored, in bytes.
const maxRecords = 16 << 20

// stateCache keeps the states that were used last, within a budget. States are immutable and
// so are their objects. Safe for concurrent use.
type stateCache struct {
	budget int

	mu     sync.Mutex
	bytes  int
	at     map[string]*list.Element // of cachedState
	recent *list.List               // front: used last
}

type cachedState struct {
	key   string
	state *state.State
	bytes int
}

func newStateCache(budget int) *stateCache {
	return &stateCache{budget: budget, at: make(map[string]*list.Element), recent: list.New()}
}

// get is the state in an object; its error is fs.ErrNotExist for an absent one and wraps
// state.ErrCorrupt for one that is none.
func (c *stateCache) get(ctx context.Context, objects Objects, key string) (*state.State, error) {
	c.mu.Lock()
	if e, ok := c.at[key]; ok {
		c.recent.MoveToFront(e)
		s := e.Value.(cachedState).state
		c.mu.Unlock()
		return s, nil
	}
	c.mu.Unlock()
	body, err := objects.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(body) > maxRecords {
		return nil, fmt.Errorf("decode %s: %w: %d bytes", key, state.ErrCorrupt, len(body))
	}
	s, err := state.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", key, err)
	}
	c.put(key, s, len(body))
	return s, nil
}

// put keeps a state of so many bytes encoded.
func (c *stateCache) put(key string, s *state.State, encoded int) {
	// Decoded, a record takes a slice's header and two numbers beside its value.
	size := encoded + 40*len(s.Records) + 16*len(s.Tombstones) + 256
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[key]; ok || size > c.budget {
		return
	}
	c.at[key] = c.recent.PushFront(cachedState{key, s, size})
	for c.bytes += size; c.bytes > c.budget; {
		old := c.recent.Remove(c.recent.Back()).(cachedState)
		delete(c.at, old.key)
		c.bytes -= old.bytes
	}
}
