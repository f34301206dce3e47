//nolint:thelper // these are the tests, not helpers
package objecttest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

const binary = "application/octet-stream"

func put(t *testing.T, s Store, key string, body []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, body, binary, ""); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

func check(t *testing.T, s Store, key string, want []byte) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	if err != nil {
		t.Errorf("Get(%q): %v", key, err)
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Get(%q) = %d bytes that differ from the %d that were put", key, len(got), len(want))
	}
}

func absent(t *testing.T, s Store, key string) {
	t.Helper()
	if body, err := s.Get(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get(%q) = %d bytes, %v, want fs.ErrNotExist", key, len(body), err)
	}
}

func testRoundTrip(t *testing.T, s Store) {
	random := rand.NewChaCha8([32]byte{2})
	objects := map[string][]byte{
		"empty":                         {},
		"newline":                       []byte("\r\n"),
		"map/0193aef0/14/8521/5975.bin": nil,
		"archive/day=2026-11-23/hour=07/worker:1-00042.parquet":      nil,
		"tiles/roads/14/8521/5975/AZ_09.mvt.gz":                      nil,
		"map/current":                                                []byte("0193aef0"),
		"MAP/current":                                                []byte("another case is another key"),
		strings.Repeat("k", 200):                                     []byte("long segment"),
		strings.Repeat("k/", 255) + "k":                              []byte("deep"),
		strings.Repeat("long-folder/", 40) + strings.Repeat("k", 32): []byte("longest"),
	}
	for key, body := range objects {
		if body == nil {
			body = make([]byte, 100+random.Uint64()%(1<<20))
			_, _ = random.Read(body)
			objects[key] = body
		}
		put(t, s, key, body)
	}
	for key, body := range objects {
		check(t, s, key, body)
	}
}

func testOverwrite(t *testing.T, s Store) {
	for _, size := range []int{1000, 10, 0, 2000} {
		body := bytes.Repeat([]byte{byte(size)}, size)
		put(t, s, "map/current", body)
		check(t, s, "map/current", body)
	}
}

func testPutKeepsNothing(t *testing.T, s Store) {
	body := []byte("as it was put")
	put(t, s, "key", body)
	clear(body)
	check(t, s, "key", []byte("as it was put"))
	got, err := s.Get(t.Context(), "key")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	clear(got)
	check(t, s, "key", []byte("as it was put"))
}

func testEncodingIsKept(t *testing.T, s Store) {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	_, _ = zip.Write(bytes.Repeat([]byte("tile "), 1000))
	_ = zip.Close()
	key := "tiles/roads/14/1/2/v1.mvt.gz"
	if err := s.Put(t.Context(), key, body.Bytes(), "application/vnd.mapbox-vector-tile", "gzip"); err != nil {
		t.Fatalf("Put: %v", err)
	}
	check(t, s, key, body.Bytes())
}

func testAbsent(t *testing.T, s Store) {
	absent(t, s, "absent")
	absent(t, s, "absent/as/well")
	put(t, s, "folder/object", []byte("1"))
	absent(t, s, "folder")
	absent(t, s, "folder/object/below")
	absent(t, s, "folder/objec")
}

func testDelete(t *testing.T, s Store) {
	put(t, s, "a/b/c", []byte("1"))
	put(t, s, "a/b/d", []byte("2"))
	for range 2 {
		if err := s.Delete(t.Context(), "a/b/c"); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		absent(t, s, "a/b/c")
	}
	check(t, s, "a/b/d", []byte("2"))
	if err := s.Delete(t.Context(), "never/was"); err != nil {
		t.Errorf("Delete of an absent object: %v", err)
	}
	if err := s.Delete(t.Context(), "a/b/d/e"); err != nil {
		t.Errorf("Delete of an absent object below another: %v", err)
	}
	put(t, s, "a/b/c", []byte("3"))
	check(t, s, "a/b/c", []byte("3"))
}

func testInvalidKeys(t *testing.T, s Store) {
	keys := []string{
		"", "/", "/absolute", "folder/", "a//b", ".", "..", "../up", "a/../b", "a/..", "./a", "a/./b", ".hidden", "a/.b",
		"nul\x00", "new\nline", `back\slash`, "space key", "ümlaut", "per%2e%2ecent", "wild*card", "que?ry", "ha#sh",
		strings.Repeat("k", 513),
	}
	for _, key := range keys {
		if err := s.Put(t.Context(), key, []byte("1"), binary, ""); err == nil {
			t.Errorf("Put(%q) was accepted", key)
		}
		if _, err := s.Get(t.Context(), key); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Get(%q) = %v, want an error that isn't fs.ErrNotExist", key, err)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete(%q) was accepted", key)
		}
	}
}

func testCancelled(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "key", []byte("1"), binary, ""); err == nil {
		t.Error("Put with an ended context returned no error")
	}
	if _, err := s.Get(ctx, "key"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get with an ended context = %v", err)
	}
	if err := s.List(ctx, "", func(string, int64, time.Time) error { return nil }); err == nil {
		t.Error("List with an ended context returned no error")
	}
}

// testAtomic lets writers replace one object by bodies of one repeated byte, of a size that belongs to
// the byte, while readers look for anything else.
func testAtomic(t *testing.T, s Store, rounds int) {
	const writers, readers = 4, 4
	size := func(b byte) int { return 1000 + int(b)*1500 }
	put(t, s, "contested", bytes.Repeat([]byte{0}, size(0)))
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				b := byte(w*rounds + i)
				if err := s.Put(t.Context(), "contested", bytes.Repeat([]byte{b}, size(b)), binary, ""); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	for range readers {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				body, err := s.Get(t.Context(), "contested")
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				if len(body) == 0 || len(body) != size(body[0]) || bytes.Count(body, body[:1]) != len(body) {
					t.Errorf("Get returned %d bytes that nobody put so", len(body))
					return
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
}

func testConcurrentKeys(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				key := fmt.Sprintf("shared/%d/worker-%d", i, w)
				if err := s.Put(t.Context(), key, []byte(key), binary, ""); err != nil {
					t.Errorf("Put(%q): %v", key, err)
					return
				}
				check(t, s, key, []byte(key))
				if i%2 == 0 {
					if err := s.Delete(t.Context(), key); err != nil {
						t.Errorf("Delete(%q): %v", key, err)
					}
				}
			}
		})
	}
	wg.Wait()
	n := 0
	if err := s.List(t.Context(), "shared/", func(string, int64, time.Time) error { n++; return nil }); err != nil {
		t.Fatalf("List: %v", err)
	}
	if n != 40 {
		t.Errorf("%d objects are left, want 40", n)
	}
}
