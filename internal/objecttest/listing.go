//nolint:thelper // these are the tests, not helpers
package objecttest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// list is the keys below prefix; it checks sizes (the body is the key) and times.
func list(t *testing.T, s Store, prefix string) []string {
	t.Helper()
	got := []string{}
	err := s.List(t.Context(), prefix, func(key string, size int64, modified time.Time) error {
		if size != int64(len(key)) {
			t.Errorf("List: %q has size %d, want %d", key, size, len(key))
		}
		if age := time.Since(modified); age < -time.Minute || age > time.Hour {
			t.Errorf("List: %q was modified at %v", key, modified)
		}
		got = append(got, key)
		return nil
	})
	if err != nil {
		t.Fatalf("List(%q): %v", prefix, err)
	}
	return got
}

func testList(t *testing.T, s Store) {
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("an empty store lists %q", got)
	}
	// In the order of bytes: - . / digits : = capitals _ small letters.
	keys := []string{
		"a-b/c", "a-b.c", "a.b", "a.c/c-d", "a/0", "a/b/c", "a/b-c", "a/b.c", "a/bc", "a0", "a:b", "a=b", "aB", "a_b", "ab",
		"ab-c", "b/1/x", "b/10/x", "b/2/x", "map/current", "map/v1/14/1/2.bin", "map/v1/manifest.json", "Z",
	}
	for _, key := range keys {
		put(t, s, key, []byte(key))
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a-", "a.b", "b/1", "b/1/", "map/", "map/v1/14/1/2.bin", "none", "none/", "map/current/"} {
		want := []string{}
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		if diff := cmp.Diff(want, list(t, s, prefix)); diff != "" {
			t.Errorf("List(%q) (-want +got):\n%s", prefix, diff)
		}
	}
	if err := s.Delete(t.Context(), "b/10/x"); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if diff := cmp.Diff([]string{"b/1/x", "b/2/x"}, list(t, s, "b")); diff != "" {
		t.Errorf("List after Delete (-want +got):\n%s", diff)
	}
	for _, prefix := range []string{"../", "/", "a/../", "..", "a//b"} {
		n := 0
		err := s.List(t.Context(), prefix, func(string, int64, time.Time) error { n++; return nil })
		if n > 0 {
			t.Errorf("List(%q) found %d objects (error %v)", prefix, n, err)
		}
	}
}

func testListStops(t *testing.T, s Store) {
	for i := range 5 {
		key := fmt.Sprintf("folder/%d", i)
		put(t, s, key, []byte(key))
	}
	enough := errors.New("enough")
	n := 0
	err := s.List(t.Context(), "folder/", func(string, int64, time.Time) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("List = %v after %d calls, want the callback's error after 2", err, n)
	}
	// The callback may use the store.
	err = s.List(t.Context(), "folder/", func(key string, _ int64, _ time.Time) error {
		return s.Delete(t.Context(), key)
	})
	if err != nil {
		t.Errorf("List with a deleting callback: %v", err)
	}
	if left := list(t, s, ""); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
}

func testListMany(t *testing.T, s Store, many int) {
	want := make([]string, many)
	for i := range want {
		want[i] = fmt.Sprintf("many/%d/%05d", i%7, i)
	}
	slices.Sort(want)
	var wg sync.WaitGroup
	for chunk := range slices.Chunk(want, (many+7)/8) {
		wg.Go(func() {
			for _, key := range chunk {
				if err := s.Put(t.Context(), key, []byte(key), binary, ""); err != nil {
					t.Errorf("Put(%q): %v", key, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if diff := cmp.Diff(want, list(t, s, "many/")); diff != "" {
		t.Errorf("List of %d (-want +got):\n%s", many, diff)
	}
}
