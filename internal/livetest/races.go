//nolint:thelper // these are the tests, not helpers
package livetest

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

const contenders = 8

// testOneWinnerPerVersion lets contenders write the same version at once, version by version.
func testOneWinnerPerVersion(t *testing.T, s Store, opts Options) {
	const key = "race/version"
	for version := int64(1); version <= int64(opts.Rounds); version++ {
		winner, wins := contend(t, func(me int) (bool, error) {
			return s.PutIfNewer(t.Context(), key, version, fmt.Appendf(nil, "%d by %d", version, me), 0)
		})
		if wins != 1 {
			t.Fatalf("version %d was written by %d of %d contenders", version, wins, contenders)
		}
		check(t, s, key, fmt.Sprintf("%d by %d", version, winner), version)
	}
}

// testOneCreator lets contenders create the same item at once, and again after it was deleted.
func testOneCreator(t *testing.T, s Store, opts Options) {
	for round := range opts.Rounds {
		key := fmt.Sprintf("race/create/%d", round%(opts.Rounds/2+1))
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		winner, wins := contend(t, func(me int) (bool, error) {
			return s.Create(t.Context(), key, fmt.Appendf(nil, "by %d", me), 0)
		})
		if wins != 1 {
			t.Fatalf("%d of %d contenders created %q", wins, contenders, key)
		}
		check(t, s, key, fmt.Sprintf("by %d", winner), 0)
	}
}

// contend calls try from all contenders at once: one that won, and how many did.
func contend(t *testing.T, try func(me int) (bool, error)) (winner, wins int) {
	t.Helper()
	var won, count atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for me := range contenders {
		wg.Go(func() {
			<-start
			ok, err := try(me)
			if err != nil {
				t.Errorf("contender %d: %v", me, err)
			}
			if ok {
				won.Store(int64(me))
				count.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load()), int(count.Load())
}

// testNeverGoesBack writes versions from many sides in random order while readers watch.
func testNeverGoesBack(t *testing.T, s Store, opts Options) {
	const key = "race/order"
	last := int64(opts.Rounds * contenders)
	versions := make(chan int64, last)
	for _, v := range rand.Perm(int(last)) {
		versions <- int64(v) + 1
	}
	close(versions)
	stop := make(chan struct{})
	var writing, watching sync.WaitGroup
	for range contenders {
		writing.Go(func() {
			for v := range versions {
				if _, err := s.PutIfNewer(t.Context(), key, v, fmt.Appendf(nil, "value %d", v), 0); err != nil {
					t.Errorf("PutIfNewer(%d): %v", v, err)
				}
			}
		})
	}
	for range 2 {
		watching.Go(func() {
			seen := int64(0)
			for {
				value, v, err := s.Get(t.Context(), key)
				switch {
				case err != nil && (seen > 0 || !errors.Is(err, fs.ErrNotExist)):
					t.Errorf("Get after version %d: %v", seen, err)
				case err == nil && v < seen:
					t.Errorf("version %d after %d", v, seen)
				case err == nil && string(value) != fmt.Sprintf("value %d", v):
					t.Errorf("version %d has %q", v, value)
				}
				seen = max(seen, v)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	watching.Wait()
	check(t, s, key, fmt.Sprintf("value %d", last), last)
}
