package management

import (
	"context"
	"sync"
	"time"
)

// shared is a value that is costly to make and good for a while: all who ask meanwhile get
// the same. Safe for concurrent use.
type shared[T any] struct {
	turn chan struct{} // holds the right to make a new one

	mu   sync.Mutex
	val  *T
	till time.Time
}

func newShared[T any]() *shared[T] { return &shared[T]{turn: make(chan struct{}, 1)} }

// last is the value made last, nil before the first, and whether it is still good.
func (s *shared[T]) last(now time.Time) (*T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.val, s.val != nil && now.Before(s.till)
}

// get returns the value, made anew by at most one caller at a time when it is not good any
// more. make's context does not end with the caller's, because others wait for it
// too, but after timeout. A new value is good for every, or for ten times as long as it
// took to make if that is more.
func (s *shared[T]) get(ctx context.Context, now func() time.Time, every, timeout time.Duration, load func(context.Context) (T, error)) (*T, error) {
	if v, ok := s.last(now()); ok {
		return v, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v, ok := s.last(now()); ok {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	started := time.Now()
	v, err := load(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.val, s.till = &v, now().Add(max(every, 10*time.Since(started)))
	return s.val, nil
}

// sharedBy is a shared value for each of a few keys; beyond most, the others are forgotten. Safe for concurrent use.
type sharedBy[K comparable, T any] struct {
	most int

	mu   sync.Mutex
	vals map[K]*shared[T]
}

func newSharedBy[K comparable, T any](most int) *sharedBy[K, T] {
	return &sharedBy[K, T]{most: most, vals: map[K]*shared[T]{}}
}

func (s *sharedBy[K, T]) of(key K) *shared[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.vals[key]
	if !ok {
		if len(s.vals) >= s.most {
			clear(s.vals)
		}
		v = newShared[T]()
		s.vals[key] = v
	}
	return v
}
