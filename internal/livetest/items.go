//nolint:thelper // these are the tests, not helpers
package livetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func putIfNewer(t *testing.T, s Store, key string, version int64, value string, ttl time.Duration, want bool) {
	t.Helper()
	if ok, err := s.PutIfNewer(t.Context(), key, version, []byte(value), ttl); err != nil || ok != want {
		t.Errorf("PutIfNewer(%q, %d) = %v, %v, want %v", key, version, ok, err, want)
	}
}

func create(t *testing.T, s Store, key, value string, ttl time.Duration, want bool) {
	t.Helper()
	if ok, err := s.Create(t.Context(), key, []byte(value), ttl); err != nil || ok != want {
		t.Errorf("Create(%q) = %v, %v, want %v", key, ok, err, want)
	}
}

func check(t *testing.T, s Store, key, value string, version int64) {
	t.Helper()
	got, v, err := s.Get(t.Context(), key)
	if err != nil {
		t.Errorf("Get(%q): %v", key, err)
		return
	}
	if string(got) != value || v != version {
		t.Errorf("Get(%q) = %.20q (%d bytes), version %d, want %.20q (%d bytes), version %d",
			key, got, len(got), v, value, len(value), version)
	}
}

func absent(t *testing.T, s Store, key string) {
	t.Helper()
	if value, version, err := s.Get(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get(%q) = %.20q, %d, %v, want fs.ErrNotExist", key, value, version, err)
	}
}

func testAbsent(t *testing.T, s Store, _ Options) {
	absent(t, s, "absent")
	absent(t, s, "absent/as.well:too-_")
}

func testPutIfNewer(t *testing.T, s Store, _ Options) {
	const key = "put/if/newer"
	putIfNewer(t, s, key, 0, "zero", 0, true)
	check(t, s, key, "zero", 0)
	putIfNewer(t, s, key, 0, "zero again", 0, false)
	putIfNewer(t, s, key, 5, "five", 0, true)
	check(t, s, key, "five", 5)
	putIfNewer(t, s, key, 5, "five again", 0, false)
	putIfNewer(t, s, key, 4, "four", 0, false)
	check(t, s, key, "five", 5)
	putIfNewer(t, s, key, 1764000000123, "now", 0, true)
	check(t, s, key, "now", 1764000000123)
	putIfNewer(t, s, key, math.MaxInt64, "last", 0, true)
	check(t, s, key, "last", math.MaxInt64)
	putIfNewer(t, s, key, math.MaxInt64, "beyond", 0, false)
	check(t, s, key, "last", math.MaxInt64)
}

func testCreate(t *testing.T, s Store, _ Options) {
	const key = "pseudonym-key/2026-11-23"
	create(t, s, key, "first", 0, true)
	check(t, s, key, "first", 0)
	create(t, s, key, "second", 0, false)
	check(t, s, key, "first", 0)
	putIfNewer(t, s, key, 0, "not newer", 0, false)
	putIfNewer(t, s, key, 1, "newer", 0, true)
	check(t, s, key, "newer", 1)
	create(t, s, key, "third", 0, false)
	check(t, s, key, "newer", 1)
}

func testDelete(t *testing.T, s Store, _ Options) {
	const key = "delete"
	if err := s.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete of an absent item: %v", err)
	}
	putIfNewer(t, s, key, 7, "seven", time.Hour, true)
	for range 2 {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("Delete: %v", err)
		}
		absent(t, s, key)
	}
	putIfNewer(t, s, key, 3, "three", 0, true)
	check(t, s, key, "three", 3)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete: %v", err)
	}
	create(t, s, key, "created", 0, true)
	check(t, s, key, "created", 0)
}

func testValues(t *testing.T, s Store, _ Options) {
	random := rand.NewChaCha8([32]byte{3})
	for i, size := range []int{0, 1, 255, 4000, MaxValue} {
		value := make([]byte, size)
		_, _ = random.Read(value)
		want := string(value)
		ok, err := s.PutIfNewer(t.Context(), "values", int64(i+1), value, 0)
		if err != nil || !ok {
			t.Fatalf("PutIfNewer of %d bytes = %v, %v", size, ok, err)
		}
		clear(value) // the store keeps nothing of the caller's
		check(t, s, "values", want, int64(i+1))
	}
	got, version, err := s.Get(t.Context(), "values")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	want := string(got)
	clear(got)
	check(t, s, "values", want, version)

	large := bytes.Repeat([]byte{1}, MaxValue+1)
	if ok, err := s.PutIfNewer(t.Context(), "values/large", 1, large, 0); err == nil || ok {
		t.Errorf("PutIfNewer of %d bytes = %v, %v, want an error", len(large), ok, err)
	}
	if ok, err := s.Create(t.Context(), "values/large", large, 0); err == nil || ok {
		t.Errorf("Create of %d bytes = %v, %v, want an error", len(large), ok, err)
	}
	absent(t, s, "values/large")
}

// testKeys checks that keys which look alike are different items.
func testKeys(t *testing.T, s Store, _ Options) {
	keys := []string{
		"k", "K", "k/k", "k.k", "k:k", "k-k", "k_k", "kk", "k/", "/k", "k//k", "k.", ".k", "k..k", ".", "..", "/", ":", "-", "_",
		"k_3A", "k_2F", "k_2E", "tile/speeds/14/8521/5975", "tile/speeds/14/8521/597",
		strings.Repeat("k", 200), strings.Repeat("/", 200), strings.Repeat(".", 200), strings.Repeat(":", 199) + "a",
	}
	for _, key := range keys {
		create(t, s, key, "value of "+key, 0, true)
	}
	for _, key := range keys {
		check(t, s, key, "value of "+key, 0)
	}
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	absent(t, s, "k")
	check(t, s, "k/k", "value of k/k", 0)
	check(t, s, "k.k", "value of k.k", 0)
}

func testInvalidKeys(t *testing.T, s Store, _ Options) {
	keys := []string{"", " ", "a b", "a*", ">", "a>b", "ümlaut", "nul\x00", "new\nline", "a=b", "a%b", "a#b", `a\b`, strings.Repeat("k", 201)}
	for _, key := range keys {
		if _, _, err := s.Get(t.Context(), key); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Get(%q) = %v, want an error that isn't fs.ErrNotExist", key, err)
		}
		if ok, err := s.PutIfNewer(t.Context(), key, 1, nil, 0); err == nil || ok {
			t.Errorf("PutIfNewer(%q) = %v, %v, want an error", key, ok, err)
		}
		if ok, err := s.Create(t.Context(), key, nil, 0); err == nil || ok {
			t.Errorf("Create(%q) = %v, %v, want an error", key, ok, err)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete(%q) was accepted", key)
		}
	}
	if ok, err := s.PutIfNewer(t.Context(), "negative", -1, nil, 0); err == nil || ok {
		t.Errorf("PutIfNewer with version -1 = %v, %v, want an error", ok, err)
	}
	if ok, err := s.PutIfNewer(t.Context(), "negative", 1, nil, -time.Second); err == nil || ok {
		t.Errorf("PutIfNewer with a negative time to live = %v, %v, want an error", ok, err)
	}
}

func testCancelled(t *testing.T, s Store, _ Options) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Get(ctx, "cancelled"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get with an ended context = %v", err)
	}
	if ok, err := s.PutIfNewer(ctx, "cancelled", 1, nil, 0); err == nil || ok {
		t.Errorf("PutIfNewer with an ended context = %v, %v", ok, err)
	}
	if ok, err := s.Create(ctx, "cancelled", nil, 0); err == nil || ok {
		t.Errorf("Create with an ended context = %v, %v", ok, err)
	}
}
