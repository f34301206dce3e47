package vehiclestatus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const car = "WBA-PRIVATE-0001"

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) int64 { return noon.Add(d).UnixMilli() }

func seen(d time.Duration) Seen {
	t := noon.Add(d)
	return Seen{
		At: t, Credential: "token", EventMS: t.UnixMilli() - 500, MedianMS: t.UnixMilli() - 5000, Model: "G30", Software: "23-07.1",
	}
}

var badLat = Refusal{Reason: "invalid-batch", Pointer: "/samples/0/lat", Expected: "a number from -90 to 90"}

func TestStatusTellsTheStory(t *testing.T) {
	store := newMemory()
	n := newNotebook(t, store, Config{})
	step := func(what string, note func(), want Status) {
		t.Helper()
		note()
		n.flush(t)
		if d := cmp.Diff(want, read(t, store, car), cmpopts.IgnoreFields(Status{}, "By", "Seq")); d != "" {
			t.Fatalf("%s (-want +got):\n%s", what, d)
		}
	}
	want := Status{Credential: "token", AcceptedMS: at(0), EventMS: at(0) - 500, AgeMS: 5000, Model: "G30", Software: "23-07.1"}
	step("accepted", func() { n.Accepted(car, seen(0)) }, want)
	step("accepted again, too soon to be written", func() { n.Accepted(car, seen(time.Minute)) }, want)
	want.AcceptedMS, want.EventMS = at(time.Minute), at(time.Minute)-500
	want.Rejected = &Rejection{AtMS: at(2 * time.Minute), SinceMS: at(2 * time.Minute), Count: 1, Reason: badLat.Reason, Pointer: badLat.Pointer, Expected: badLat.Expected}
	step("rejected", func() { n.Rejected(car, seen(2*time.Minute), badLat) }, want)
	want.Rejected = &Rejection{AtMS: at(3 * time.Minute), SinceMS: at(2 * time.Minute), Count: 12, Reason: badLat.Reason, Pointer: badLat.Pointer, Expected: badLat.Expected}
	step("and again and again", func() {
		for range 10 {
			n.Rejected(car, seen(2*time.Minute+time.Second), badLat)
		}
		n.Rejected(car, seen(3*time.Minute), badLat)
	}, want)
	want.ExpiredMS = at(time.Minute)
	want.Rejected = &Rejection{AtMS: at(4 * time.Minute), SinceMS: at(2 * time.Minute), Count: 13, Reason: ReasonExpired, Expected: "a token that has not expired"}
	step("expired", func() {
		n.Expired(car, Seen{At: noon.Add(4 * time.Minute), Credential: "token"}, noon.Add(time.Minute))
	}, want)
	want.ExpiredMS, want.AcceptedMS, want.EventMS = 0, at(5*time.Minute), at(5*time.Minute)-500
	step("accepted at last", func() { n.Accepted(car, seen(5*time.Minute)) }, want)
	want.Limited = &RateLimited{AtMS: at(6 * time.Minute), Count: 1}
	step("limited", func() { n.RateLimited(car, noon.Add(6*time.Minute)) }, want)
	want.Rejected = &Rejection{AtMS: at(7 * time.Minute), SinceMS: at(7 * time.Minute), Count: 1, Reason: badLat.Reason, Pointer: badLat.Pointer, Expected: badLat.Expected}
	step("rejected anew: a new row", func() { n.Rejected(car, seen(7*time.Minute), badLat) }, want)
	for key, it := range store.items {
		if strings.Contains(key, car) || strings.Contains(string(it.value), car) {
			t.Errorf("the vehicle's id is in %s: %s", key, it.value)
		}
	}
}

// A vehicle that comes to one receiver and to another has one status.
func TestReceiversShareAStatus(t *testing.T) {
	store := newMemory()
	a, b := newNotebook(t, store, Config{}), newNotebook(t, store, Config{})
	a.Accepted(car, seen(0))
	a.Rejected(car, seen(time.Minute), badLat)
	a.flush(t)
	b.Rejected(car, seen(2*time.Minute), Refusal{Reason: "too-large"})
	b.RateLimited(car, noon.Add(2*time.Minute))
	b.flush(t)
	a.RateLimited(car, noon.Add(3*time.Minute))
	a.flush(t)
	got := read(t, store, car)
	if got.Rejected.Count != 2 || got.Rejected.SinceMS != at(time.Minute) || got.Rejected.Reason != "too-large" || got.AcceptedMS != at(0) || got.Limited.Count != 2 {
		t.Errorf("%+v, rejected %+v, limited %+v", got, got.Rejected, got.Limited)
	}
	b.Accepted(car, seen(4*time.Minute))
	b.Rejected(car, seen(5*time.Minute), badLat)
	b.flush(t)
	if got := read(t, store, car); got.Rejected.Count != 1 || got.Rejected.SinceMS != at(5*time.Minute) {
		t.Errorf("after an acceptance the row is another: %+v", got.Rejected)
	}
}

func TestHeartbeatsAreRare(t *testing.T) {
	store := newMemory()
	n := newNotebook(t, store, Config{})
	for i := range 3600 { // an hour at a batch a second, and the writer is always ready
		n.Accepted(car, seen(time.Duration(i)*time.Second))
		n.flush(t)
	}
	if store.puts != 6 {
		t.Errorf("%d writes in an hour, want one each 10 minutes", store.puts)
	}
	before := store.puts
	for i := range 3600 {
		n.Rejected(car, seen(time.Hour+time.Duration(i)*time.Second), badLat)
		n.flush(t)
	}
	if writes := store.puts - before; writes != 120 {
		t.Errorf("%d writes in an hour of refusals, want one each 30 s", writes)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	n := newNotebook(t, newMemory(), Config{Vehicles: 640})
	for i := range 10_000 {
		n.Accepted(fmt.Sprint("car-", i), seen(time.Duration(i)*time.Millisecond))
		if i%100 == 0 {
			n.flush(t)
		}
	}
	n.flush(t)
	total := 0
	for i := range n.shards {
		total += len(n.shards[i].notes)
	}
	if total > 640+100 { // those that wait to be written are kept
		t.Errorf("%d vehicles remembered, want about 640", total)
	}
	if len(n.queue.lists[0])+len(n.queue.lists[1]) != 0 {
		t.Error("the queue is not empty")
	}
}

func TestAStoreThatIsAwayLosesNoCount(t *testing.T) {
	store := newMemory()
	n := newNotebook(t, store, Config{})
	store.fail = true
	for i := range 5 {
		n.Rejected(car, seen(time.Duration(i)*time.Minute), badLat)
		n.RateLimited(car, noon.Add(time.Duration(i)*time.Minute))
		n.write(t.Context(), n.queue.take(10))
	}
	n.writeActivity(t.Context())
	if store.puts != 0 {
		t.Fatal("the store took something")
	}
	store.fail = false
	n.flush(t)
	n.writeActivity(t.Context())
	if got := read(t, store, car); got.Rejected.Count != 5 || got.Limited.Count != 5 {
		t.Errorf("rejected %+v, limited %+v", got.Rejected, got.Limited)
	}
	sum, err := Summarize(t.Context(), store, time.Now(), time.Hour)
	if err != nil || sum.LastHour != 1 || sum.RefusedHour[badLat.Reason] != 5 || sum.RefusedDay[ReasonRateLimited] != 5 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestALostAnswerCountsNothingTwice(t *testing.T) {
	store := newMemory()
	n := newNotebook(t, store, Config{})
	for i := range 20 { // every other answer is lost, of longer and longer rows of them
		store.lose = i%2 == 0 || i > 13
		n.Rejected(car, seen(time.Duration(i)*time.Minute), badLat)
		n.RateLimited(car, noon.Add(time.Duration(i)*time.Minute))
		n.write(t.Context(), n.queue.take(10))
	}
	store.lose = false
	n.flush(t)
	if got := read(t, store, car); got.Rejected.Count != 20 || got.Limited.Count != 20 {
		t.Errorf("rejected %+v, limited %+v; want 20 each", got.Rejected, got.Limited)
	}
}

func TestRunWritesChangesWithinSecondsAndDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		n := newNotebook(t, store, Config{WritesPerS: 10})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		now := func() Seen { return Seen{At: time.Now(), Credential: "token"} }
		for i := range 500 { // 50 s worth of first sights
			n.Accepted(fmt.Sprint("car-", i), now())
		}
		time.Sleep(time.Second)
		if _, found, _ := Read(t.Context(), store, id("car-0")); !found {
			t.Error("the first vehicle is not noted after a second")
		}
		n.Rejected("car-0", now(), badLat)
		time.Sleep(time.Second)
		if got := read(t, store, "car-0"); got.Rejected == nil {
			t.Error("a change waits behind heartbeats")
		}
		store.mu.Lock()
		puts := store.puts
		store.mu.Unlock()
		if puts > 25 {
			t.Errorf("%d writes in 2 s, want about 20", puts)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for i := range 500 {
			if _, found, _ := Read(t.Context(), store, id(fmt.Sprint("car-", i))); !found {
				t.Fatalf("car %d is not noted after the end", i)
			}
		}
		if sum, err := Summarize(t.Context(), store, time.Now(), time.Hour); err != nil || sum.LastDay < 490 || sum.LastDay > 510 {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}

// Noting at the same time as writing is safe, and nothing is counted twice or lost.
func TestConcurrentNotes(t *testing.T) {
	store := newMemory()
	n := newNotebook(t, store, Config{Repeat: time.Second})
	var wg sync.WaitGroup
	const each = 2000
	for range 4 {
		wg.Go(func() {
			for i := range each {
				n.Rejected(car, seen(time.Duration(i)*time.Second), badLat)
			}
		})
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				n.write(context.Background(), n.queue.take(10))
			}
		}
	})
	wg.Wait()
	close(stop)
	writer.Wait()
	n.Rejected(car, seen(each*2*time.Second), Refusal{Reason: "too-large"})
	n.flush(t)
	if got := read(t, store, car); got.Rejected.Count != 4*each+1 {
		t.Errorf("%d refusals, want %d", got.Rejected.Count, 4*each+1)
	}
}

func BenchmarkAccepted(b *testing.B) {
	n := newNotebook(b, newMemory(), Config{})
	vehicles := make([]string, 100_000)
	for i := range vehicles {
		vehicles[i] = fmt.Sprint("car-", i)
		n.Accepted(vehicles[i], seen(0))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		n.Accepted(vehicles[i%len(vehicles)], seen(time.Second))
		i++
	}
}
