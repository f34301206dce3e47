//nolint:thelper // these are the tests, not helpers
package livetest

import (
	"errors"
	"io/fs"
	"testing"
	"time"
)

// expires waits until key is absent and checks that this is about ttl after written.
func expires(t *testing.T, s Store, key string, ttl time.Duration, written time.Time, opts Options) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	const slack = 2 * time.Second // for a machine that is busy
	for ; ; <-tick.C {
		asked := time.Now()
		_, _, err := s.Get(t.Context(), key)
		age := time.Since(written)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if early := ttl - age; early > opts.Granularity {
				t.Errorf("%q expired %v too early", key, early)
			}
			return
		case err != nil:
			t.Fatalf("Get(%q): %v", key, err)
		case asked.Sub(written) > ttl+opts.Granularity+slack:
			t.Fatalf("%q is still there %v after it was written with a time to live of %v", key, age, ttl)
		}
	}
}

func testPutExpires(t *testing.T, s Store, opts Options) {
	const key = "expiry/put"
	written := time.Now()
	putIfNewer(t, s, key, 100, "short", opts.TTL, true)
	check(t, s, key, "short", 100)
	expires(t, s, key, opts.TTL, written, opts)
	// An expired item's version holds nobody back.
	putIfNewer(t, s, key, 1, "again", 0, true)
	check(t, s, key, "again", 1)
}

func testCreateExpires(t *testing.T, s Store, opts Options) {
	const key = "expiry/create"
	written := time.Now()
	create(t, s, key, "lease of one", opts.TTL, true)
	create(t, s, key, "lease of another", opts.TTL, false)
	expires(t, s, key, opts.TTL, written, opts)
	_, wins := contend(t, func(int) (bool, error) {
		return s.Create(t.Context(), key, []byte("lease of another"), time.Hour)
	})
	if wins != 1 {
		t.Errorf("%d contenders created the expired item", wins)
	}
	check(t, s, key, "lease of another", 0)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete: %v", err)
	}
	absent(t, s, key)
}

func testPutRenews(t *testing.T, s Store, opts Options) {
	const key = "expiry/renew"
	putIfNewer(t, s, key, 1, "short", opts.TTL, true)
	written := time.Now()
	ttl := 2*opts.TTL + opts.Granularity
	putIfNewer(t, s, key, 2, "longer", ttl, true)
	expires(t, s, key, ttl, written, opts)
}

func testPutWithoutTTLStays(t *testing.T, s Store, opts Options) {
	const key = "expiry/never"
	putIfNewer(t, s, key, 1, "short", opts.TTL, true)
	putIfNewer(t, s, key, 2, "for good", 0, true)
	// Another item with the same time to live shows when the first would have gone.
	const other = "expiry/other"
	written := time.Now()
	putIfNewer(t, s, other, 1, "short", opts.TTL+opts.Granularity, true)
	expires(t, s, other, opts.TTL+opts.Granularity, written, opts)
	check(t, s, key, "for good", 2)
}
