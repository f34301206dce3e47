package jetstream_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/jetstream"
	"github.com/carasso/carasso/telemetry"
)

func TestFullQueueRefuses(t *testing.T) {
	q := openQueue(t, openServer(t, t.TempDir(), time.Second), jetstream.QueueConfig{Name: "full", MaxBytes: 1 << 20})
	body := make([]byte, 200<<10)
	accepted := 0
	for range 10 {
		errs := q.Send(t.Context(), [][]byte{body})
		if errs == nil {
			accepted++
			continue
		}
		if !errors.Is(errs[0], jetstream.ErrFull) {
			t.Fatalf("Send = %v, want ErrFull", errs[0])
		}
	}
	if accepted < 3 || accepted > 5 {
		t.Errorf("1 MiB took %d messages of 200 KiB", accepted)
	}
	var ds []telemetry.Delivery
	for len(ds) < accepted { // each call returns what is there
		more, err := q.Receive(t.Context(), 10, 10*time.Second)
		if err != nil || len(more) == 0 {
			t.Fatalf("Receive = %d messages after %d of %d, %v", len(more), len(ds), accepted, err)
		}
		ds = append(ds, more...)
	}
	if err := q.Delete(t.Context(), ds[:1]); err != nil {
		t.Fatal(err)
	}
	if errs := q.Send(t.Context(), [][]byte{body}); errs != nil {
		t.Errorf("Send after a delete: %v", errs)
	}
}

// TestRestart has messages in all states when the server stops.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	config := jetstream.QueueConfig{Name: "restart", Visibility: 500 * time.Millisecond, MaxReceive: 2}
	s, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	q := openQueue(t, s, config)
	live, err := s.LiveStore(t.Context(), jetstream.LiveConfig{Name: "live"})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"deleted", "held", "waiting"} {
		if errs := q.Send(t.Context(), [][]byte{[]byte(body)}); errs != nil {
			t.Fatal(errs)
		}
	}
	ds, err := q.Receive(t.Context(), 2, time.Second)
	if err != nil || len(ds) != 2 || string(ds[0].Body) != "deleted" {
		t.Fatalf("Receive = %v, %v", ds, err)
	}
	if err := q.Delete(t.Context(), ds[:1]); err != nil {
		t.Fatal(err)
	}
	for key, ttl := range map[string]time.Duration{"stays": 0, "expires": time.Second, "deleted": 0} {
		if ok, err := live.PutIfNewer(t.Context(), key, 7, []byte(key), ttl); err != nil || !ok {
			t.Fatalf("PutIfNewer = %v, %v", ok, err)
		}
	}
	if err := live.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Receive(t.Context(), 1, time.Second); err == nil {
		t.Error("Receive on a closed server returned no error")
	}
	if errs := q.Send(t.Context(), [][]byte{nil}); errs == nil {
		t.Error("Send on a closed server returned no error")
	}

	s = openServer(t, dir, 0)
	q = openQueue(t, s, config)
	attempts := map[string]int{}
	for range 2 {
		ds, err := q.Receive(t.Context(), 1, 5*time.Second)
		if err != nil || len(ds) != 1 {
			t.Fatalf("Receive = %v, %v", ds, err)
		}
		attempts[string(ds[0].Body)] = ds[0].Attempts
		if err := q.Delete(t.Context(), ds); err != nil {
			t.Fatal(err)
		}
	}
	if attempts["waiting"] != 1 || attempts["held"] != 2 {
		t.Errorf("attempts after the restart: %v, want waiting 1, held 2", attempts)
	}
	if live, err = s.LiveStore(t.Context(), jetstream.LiveConfig{Name: "live"}); err != nil {
		t.Fatal(err)
	}
	if value, version, err := live.Get(t.Context(), "stays"); err != nil || string(value) != "stays" || version != 7 {
		t.Errorf("Get = %q, %d, %v", value, version, err)
	}
	if _, _, err := live.Get(t.Context(), "deleted"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of a deleted item = %v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(10 * time.Second); ; <-tick.C {
		if _, _, err := live.Get(t.Context(), "expires"); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if time.Now().After(until) {
			t.Fatal("an item did not expire after the restart")
		}
	}
}

// TestFullDeadLettersLoseNothing has no room for a dead letter: it stays in the queue until there is.
func TestFullDeadLettersLoseNothing(t *testing.T) {
	q := openQueue(t, openServer(t, t.TempDir(), time.Second), jetstream.QueueConfig{
		Name: "dead", Visibility: 200 * time.Millisecond, MaxReceive: 1, MaxDeadBytes: 1 << 20,
	})
	const letters = 6 // of which 5 find room at most
	for range letters {
		if errs := q.Send(t.Context(), [][]byte{make([]byte, 200<<10)}); errs != nil {
			t.Fatal(errs)
		}
	}
	var dead []telemetry.Delivery
	until := time.Now().Add(30 * time.Second)
	for len(dead) < letters && time.Now().Before(until) {
		if _, err := q.Receive(t.Context(), 10, 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		depth, err := q.Depth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sum := depth.Visible + depth.InFlight + depth.DeadLetters; sum+int64(len(dead)) < letters {
			t.Fatalf("depth is %+v and %d are out, of %d messages", depth, len(dead), letters)
		}
		if depth.InFlight > 0 && depth.DeadLetters < 4 && len(dead) == 0 {
			continue // until the dead letters are full
		}
		ds, err := q.ReceiveDead(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			if d.Attempts < 1 || len(d.Body) != 200<<10 {
				t.Errorf("a dead letter with %d bytes after %d attempts", len(d.Body), d.Attempts)
			}
		}
		if err := q.DeleteDead(t.Context(), ds); err != nil {
			t.Fatal(err)
		}
		dead = append(dead, ds...)
	}
	if len(dead) != letters {
		t.Errorf("%d dead letters, want %d", len(dead), letters)
	}
}

// TestExpiredItemsAreFreed checks that items disappear from the files without being read.
func TestExpiredItemsAreFreed(t *testing.T) {
	live, err := openServer(t, t.TempDir(), time.Second).LiveStore(t.Context(), jetstream.LiveConfig{Name: "live", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, 60<<10)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	refused := false
	for n, until := 0, time.Now().Add(30*time.Second); n < 40; {
		ok, err := live.Create(t.Context(), fmt.Sprintf("item/%d", n), value, time.Second)
		switch {
		case err == nil && ok:
			n++
		case errors.Is(err, jetstream.ErrFull):
			refused = true
			<-tick.C
		default:
			t.Fatalf("Create = %v, %v", ok, err)
		}
		if time.Now().After(until) {
			t.Fatalf("no room for item %d", n)
		}
	}
	if !refused {
		t.Error("1 MiB took 40 items of 60 KiB at once")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	s := openServer(t, dir, 0)
	logger := slog.New(slog.DiscardHandler)
	if _, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Logger: logger}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("Open of a used folder = %v", err)
	}
	for name, config := range map[string]jetstream.Config{
		"Dir": {Logger: logger}, "Logger": {Dir: dir}, "SyncInterval": {Dir: dir, Logger: logger, SyncInterval: -1},
	} {
		if _, err := jetstream.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Open without a valid %s = %v", name, err)
		}
	}
	for name, config := range map[string]jetstream.QueueConfig{
		"name": {Name: "a.b"}, "Visibility": {Name: "q", Visibility: 1}, "MaxReceive": {Name: "q", MaxReceive: -1},
		"MaxBytes": {Name: "q", MaxBytes: 1}, "MaxInFlight": {Name: "q", MaxInFlight: -1},
	} {
		if _, err := s.Queue(t.Context(), config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Queue without a valid %s = %v", name, err)
		}
	}
	if _, err := s.LiveStore(t.Context(), jetstream.LiveConfig{Name: "a b"}); err == nil {
		t.Error("LiveStore with an invalid name was opened")
	}
}

// TestForeignReceipt has a delivery of another adapter.
func TestForeignReceipt(t *testing.T) {
	q := openQueue(t, openServer(t, t.TempDir(), time.Second), jetstream.QueueConfig{Name: "foreign"})
	if err := q.Delete(t.Context(), []telemetry.Delivery{{Receipt: "receipt handle"}}); err == nil {
		t.Error("Delete took a foreign receipt")
	}
}

// TestMaxInFlight holds as many messages as allowed: Receive waits as if the queue were empty.
func TestMaxInFlight(t *testing.T) {
	q := openQueue(t, openServer(t, t.TempDir(), time.Second), jetstream.QueueConfig{Name: "held", MaxInFlight: 2})
	if errs := q.Send(t.Context(), [][]byte{[]byte("1"), []byte("2"), []byte("3")}); errs != nil {
		t.Fatal(errs)
	}
	held, err := q.Receive(t.Context(), 10, time.Second)
	if err != nil || len(held) != 2 {
		t.Fatalf("Receive = %d messages, %v, want 2", len(held), err)
	}
	for _, wait := range []time.Duration{0, 300 * time.Millisecond} {
		begin := time.Now()
		if ds, err := q.Receive(t.Context(), 10, wait); err != nil || len(ds) != 0 {
			t.Errorf("Receive above the limit = %d messages, %v", len(ds), err)
		}
		if took := time.Since(begin); took < wait*8/10 {
			t.Errorf("Receive waited %v, want %v", took, wait)
		}
	}
	if err := q.Delete(t.Context(), held[:1]); err != nil {
		t.Fatal(err)
	}
	if ds, err := q.Receive(t.Context(), 10, time.Second); err != nil || len(ds) != 1 || string(ds[0].Body) != "3" {
		t.Errorf("Receive = %v, %v, want the third message", ds, err)
	}
}
