package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Refresh is how often a cached day key is compared with the store: how long after
	// its destruction other processes may still use a key.
	Refresh = 5 * time.Minute
	// maxDays bounds the day keys in memory.
	maxDays = 64
	// fetchTimeout bounds one fetch, whoever waits for it.
	fetchTimeout = 5 * time.Second
	// failFor is how long a failed fetch is answered from memory, so that a store that
	// is down is not asked once per batch.
	failFor = 500 * time.Millisecond
)

// day counts UTC days since the epoch.
type day int64

const dayMS = 24 * 60 * 60 * 1000

func dayOf(ms int64) day {
	d := ms / dayMS
	if ms%dayMS < 0 {
		d--
	}
	return day(d)
}

// item is the key of the day's item in the live store.
func (d day) item() string {
	return "pseudonym-key/" + time.UnixMilli(int64(d)*dayMS).UTC().Format("2006-01-02")
}

// days holds the day keys in memory. Readers take no lock.
type days struct {
	store LiveStore
	wrap  *wrapper
	log   *slog.Logger
	now   func() time.Time

	known atomic.Pointer[map[day]*dayKey] // copied on write

	mu       sync.Mutex // guards writes of known, and the maps below
	fetching map[day]*fetch
	failed   map[day]failure
}

type dayKey struct {
	key    [KeySize]byte
	hasher *hasher
}

// fetch is one under way; done is closed when err is set.
type fetch struct {
	done chan struct{}
	err  error
}

type failure struct {
	until time.Time
	err   error
}

func newDays(deps Deps, w *wrapper) *days {
	d := &days{
		store: deps.Store, wrap: w, log: deps.Logger, now: deps.Now,
		fetching: make(map[day]*fetch), failed: make(map[day]failure),
	}
	d.known.Store(&map[day]*dayKey{})
	return d
}

func (s *days) hasher(ctx context.Context, eventTimeMS int64) (*hasher, error) {
	d := dayOf(eventTimeMS)
	for {
		if k, ok := (*s.known.Load())[d]; ok {
			return k.hasher, nil
		}
		if err := s.await(ctx, d); err != nil {
			return nil, err
		}
	}
}

// await returns when the day's key was fetched, by this caller or by another.
func (s *days) await(ctx context.Context, d day) error {
	s.mu.Lock()
	if _, ok := (*s.known.Load())[d]; ok {
		s.mu.Unlock()
		return nil
	}
	if f, ok := s.failed[d]; ok {
		if s.now().Before(f.until) {
			s.mu.Unlock()
			return f.err
		}
		delete(s.failed, d)
	}
	f, ok := s.fetching[d]
	if !ok {
		f = &fetch{done: make(chan struct{})}
		s.fetching[d] = f
	}
	s.mu.Unlock()
	if ok {
		select {
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return fmt.Errorf("keyring %s: %w", d.item(), ctx.Err())
		}
	}

	// Others wait for this fetch: it must not end with this caller's request.
	fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	key, err := s.fetchOrCreate(fctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fetching, d)
	f.err = err
	if err == nil {
		s.set(d, key)
	} else {
		if len(s.failed) >= maxDays {
			clear(s.failed)
		}
		s.failed[d] = failure{until: s.now().Add(failFor), err: err}
	}
	close(f.done)
	return err
}

// fetchOrCreate reads the day's key; if there is none, it makes one, and the first of
// several that do so at once wins.
func (s *days) fetchOrCreate(ctx context.Context, d day) ([KeySize]byte, error) {
	item := d.item()
	for range 3 { // the item may vanish between Create and Get
		value, _, err := s.store.Get(ctx, item)
		switch {
		case err == nil:
			return s.wrap.open(item, value)
		case !errors.Is(err, fs.ErrNotExist):
			return [KeySize]byte{}, fmt.Errorf("keyring get %s: %w", item, err)
		}
		var key [KeySize]byte
		if _, err := rand.Read(key[:]); err != nil {
			return key, fmt.Errorf("keyring create %s: %w", item, err)
		}
		sealed, err := s.wrap.seal(item, key)
		if err != nil {
			return key, err
		}
		created, err := s.store.Create(ctx, item, sealed, 0)
		if err != nil {
			return key, fmt.Errorf("keyring create %s: %w", item, err)
		}
		if created {
			return key, nil
		}
	}
	return [KeySize]byte{}, fmt.Errorf("keyring %s: the item keeps vanishing", item)
}

// set publishes a key; mu is held. When there are too many, the oldest day goes.
func (s *days) set(d day, key [KeySize]byte) {
	known := *s.known.Load()
	if k, ok := known[d]; ok && k.key == key {
		return
	}
	next := maps.Clone(known)
	next[d] = &dayKey{key: key, hasher: newHasher(key[:])}
	if len(next) > maxDays {
		oldest, first := day(0), true
		for k := range next {
			if k != d && (first || k < oldest) {
				oldest, first = k, false
			}
		}
		delete(next, oldest)
	}
	s.known.Store(&next)
}

func (s *days) forget(d day) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.known.Load())
	delete(next, d)
	s.known.Store(&next)
}

func (s *days) destroy(ctx context.Context, d day) error {
	if err := s.store.Delete(ctx, d.item()); err != nil {
		return fmt.Errorf("keyring destroy %s: %w", d.item(), err)
	}
	s.forget(d)
	return nil
}

// run keeps the keys fresh until ctx ends.
func (s *days) run(ctx context.Context) {
	tick := time.NewTicker(Refresh)
	defer tick.Stop()
	for {
		s.refresh(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// refresh re-reads every known key and makes sure of today's and tomorrow's. A store
// that fails changes nothing.
func (s *days) refresh(ctx context.Context) {
	for d, have := range *s.known.Load() {
		value, _, err := s.store.Get(ctx, d.item())
		if errors.Is(err, fs.ErrNotExist) {
			s.forget(d)
			continue
		}
		var key [KeySize]byte
		if err == nil {
			key, err = s.wrap.open(d.item(), value)
		}
		if err != nil {
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "day key not refreshed", "item", d.item(), "error", err)
			}
			continue
		}
		if key != have.key {
			s.mu.Lock()
			s.set(d, key)
			s.mu.Unlock()
		}
	}
	today := s.now().UnixMilli()
	for _, ms := range [...]int64{today, today + dayMS} {
		if _, err := s.hasher(ctx, ms); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "day key not fetched ahead", "item", dayOf(ms).item(), "error", err)
		}
	}
}
