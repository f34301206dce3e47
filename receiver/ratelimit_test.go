package receiver

import (
	"strconv"
	"testing"
	"time"
)

func TestLimiterIsATokenBucket(t *testing.T) {
	l := newLimiter(2, 30, 1<<10)
	now := time.Unix(1000, 0)
	take := func(n int) (allowed int, wait time.Duration) {
		for range n {
			w, ok := l.allow("car", now)
			if ok {
				allowed++
			}
			wait = w
		}
		return allowed, wait
	}
	if got, wait := take(40); got != 30 || wait != 500*time.Millisecond {
		t.Errorf("burst: %d allowed, then wait %v", got, wait)
	}
	now = now.Add(499 * time.Millisecond)
	if got, _ := take(1); got != 0 {
		t.Error("allowed before the wait was over")
	}
	now = now.Add(time.Millisecond)
	if got, _ := take(3); got != 1 {
		t.Errorf("%d allowed after one interval", got)
	}
	now = now.Add(time.Hour)
	if got, _ := take(40); got != 30 {
		t.Errorf("%d allowed after a long rest", got)
	}
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	l := newLimiter(1, 10, rateShards*4)
	now := time.Unix(1000, 0)
	for i := range 10_000 {
		if _, ok := l.allow(strconv.Itoa(i), now); !ok {
			t.Fatal("a new vehicle was refused")
		}
	}
	for i := range l.shards {
		if n := len(l.shards[i].full); n > 4 {
			t.Errorf("shard %d holds %d vehicles", i, n)
		}
	}
}

// A vehicle that sent before the clock was set back must not be refused until the clock has caught up.
func TestLimiterAfterTheClockIsSetBack(t *testing.T) {
	l := newLimiter(2, 30, 1<<10)
	now := time.Unix(100_000, 0)
	if _, ok := l.allow("car", now); !ok {
		t.Fatal("the first batch is refused")
	}
	now = now.Add(-time.Hour)
	allowed := 0
	for range 60 {
		wait, ok := l.allow("car", now)
		if ok {
			allowed++
		}
		if wait > 500*time.Millisecond {
			t.Fatalf("told to wait %v", wait)
		}
		now = now.Add(500 * time.Millisecond)
	}
	if allowed < 59 {
		t.Errorf("%d of 60 batches allowed at the permitted rate", allowed)
	}
}
