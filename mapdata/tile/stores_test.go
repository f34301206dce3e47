package tile_test

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// memory is an object store in memory.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (o *memory) Get(_ context.Context, key string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b, ok := o.m[key]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (o *memory) Put(_ context.Context, key string, body []byte, _, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.m[key] = body
	return nil
}

func (o *memory) Delete(_ context.Context, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, key)
	return nil
}

func (o *memory) under(prefix string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []string
	for k := range o.m {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// live is a live store in memory.
type live struct {
	mu sync.Mutex
	m  map[string]item
	// before is called ahead of each write
	before func()
}

type item struct {
	value   []byte
	version int64
}

func (l *live) Get(_ context.Context, key string) ([]byte, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i, ok := l.m[key]; ok {
		return i.value, i.version, nil
	}
	return nil, 0, fs.ErrNotExist
}

func (l *live) PutIfNewer(_ context.Context, key string, version int64, value []byte, _ time.Duration) (bool, error) {
	if f := l.before; f != nil {
		l.before = nil
		f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i, ok := l.m[key]; ok && i.version >= version {
		return false, nil
	}
	l.m[key] = item{value, version}
	return true, nil
}
