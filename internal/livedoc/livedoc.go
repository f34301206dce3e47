// Package livedoc changes items of the live store that several processes write.
package livedoc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Reader reads the live store. Get of an absent item is fs.ErrNotExist.
type Reader interface {
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
}

// Store is the live store. Safe for concurrent use.
type Store interface {
	Reader
	PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error)
}

// maxContest bounds the attempts of writers that overtake each other.
const maxContest = 8

var errContested = errors.New("overtaken too often")

// Update replaces an item by what change makes of it (nil: absent), whoever writes it at the same time. After an error it
// may have done so: change should bear being applied twice.
func Update(ctx context.Context, store Store, key string, ttl time.Duration, change func(old []byte) ([]byte, error)) error {
	for range maxContest {
		old, version, err := store.Get(ctx, key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			old, version = nil, -1
		case err != nil:
			return fmt.Errorf("read %s: %w", key, err)
		}
		value, err := change(old)
		if err != nil {
			return fmt.Errorf("change %s: %w", key, err)
		}
		ok, err := store.PutIfNewer(ctx, key, version+1, value, ttl)
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		if ok {
			return nil
		}
	}
	return fmt.Errorf("write %s: %w", key, errContested)
}
