package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/carasso/carasso/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a live store in memory that can fail and counts what it is asked.
type store struct {
	mu      sync.Mutex
	items   map[string][]byte
	err     error
	calls   int
	latency time.Duration
}

func newStore() *store { return &store{items: make(map[string][]byte)} }

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *store) begin() error {
	time.Sleep(s.latency)
	s.mu.Lock()
	s.calls++
	return s.err
}

func (s *store) Get(_ context.Context, key string) ([]byte, int64, error) {
	err := s.begin()
	defer s.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	v, ok := s.items[key]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return bytes.Clone(v), 0, nil
}

func (s *store) Create(_ context.Context, key string, value []byte, _ time.Duration) (bool, error) {
	err := s.begin()
	defer s.mu.Unlock()
	if err != nil {
		return false, err
	}
	if _, ok := s.items[key]; ok {
		return false, nil
	}
	s.items[key] = bytes.Clone(value)
	return true, nil
}

func (s *store) Delete(_ context.Context, key string) error {
	err := s.begin()
	defer s.mu.Unlock()
	delete(s.items, key)
	return err
}

func newRing(t *testing.T, s *store, master byte) *Ring {
	t.Helper()
	r, err := New(Deps{Master: [KeySize]byte{master}, Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pseudonym(t *testing.T, r *Ring, vehicle string, at time.Time) uint64 {
	t.Helper()
	p, err := r.Pseudonym(t.Context(), vehicle, at.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	monday  = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	tuesday = monday.AddDate(0, 0, 1)
)

func TestClaimID(t *testing.T) {
	r := newRing(t, newStore(), 1)
	batch := telemetry.BatchID{1, 2, 3, 4, 5, 6, 0x70, 8, 0x80, 10}
	id := r.ClaimID("car", batch)
	if id.UnixMilli() != batch.UnixMilli() {
		t.Errorf("time prefix %d, want %d", id.UnixMilli(), batch.UnixMilli())
	}
	other := batch
	other[15]++
	for name, got := range map[string]telemetry.ClaimID{
		"another car": r.ClaimID("cas", batch), "another batch": r.ClaimID("car", other),
		"another master key": newRing(t, newStore(), 2).ClaimID("car", batch),
	} {
		if got == id {
			t.Errorf("%s has the same claim id", name)
		}
	}
	if again := newRing(t, newStore(), 1).ClaimID("car", batch); again != id {
		t.Error("the claim id changes with the process")
	}
}

func TestPseudonymsChangeDaily(t *testing.T) {
	s := newStore()
	a, b := newRing(t, s, 1), newRing(t, s, 1)
	p := pseudonym(t, a, "car", monday)
	for name, c := range map[string]struct {
		got  uint64
		same bool
	}{
		"same day":        {pseudonym(t, a, "car", monday.Add(13*time.Hour)), true},
		"another process": {pseudonym(t, b, "car", monday), true},
		"next day":        {pseudonym(t, a, "car", tuesday), false},
		"another car":     {pseudonym(t, a, "bus", monday), false},
	} {
		if (c.got == p) != c.same {
			t.Errorf("%s: same pseudonym = %v", name, c.got == p)
		}
	}
	trip := func(vehicle, trip string, at time.Time) uint64 {
		k, err := a.TripKey(t.Context(), vehicle, trip, at.UnixMilli())
		if err != nil || k == 0 {
			t.Fatalf("TripKey = %d, %v", k, err)
		}
		return k
	}
	seen := map[uint64]bool{p: true}
	for _, k := range []uint64{trip("car", "1", monday), trip("car1", "", monday), trip("car", "1", tuesday), trip("bus", "1", monday)} {
		if seen[k] {
			t.Error("trip keys collide")
		}
		seen[k] = true
	}
}

func TestDayKeysAreWrapped(t *testing.T) {
	s := newStore()
	pseudonym(t, newRing(t, s, 1), "car", monday)
	item := s.items["pseudonym-key/2026-11-23"]
	if len(s.items) != 1 || len(item) != 1+12+KeySize+16 {
		t.Fatalf("items = %v", s.items)
	}
	if _, err := newRing(t, s, 2).Pseudonym(t.Context(), "car", monday.UnixMilli()); !errors.Is(err, errWrapped) {
		t.Errorf("another master key: %v", err)
	}
	s.items["pseudonym-key/2026-11-24"] = item // not this day's
	if _, err := newRing(t, s, 1).Pseudonym(t.Context(), "car", tuesday.UnixMilli()); !errors.Is(err, errWrapped) {
		t.Errorf("another day's key: %v", err)
	}
}

func TestManyProcessesAgree(t *testing.T) {
	s := newStore()
	var wg sync.WaitGroup
	got := make([]uint64, 16)
	for i := range got {
		r := newRing(t, s, 1)
		wg.Go(func() { got[i] = pseudonym(t, r, "car", monday) })
	}
	wg.Wait()
	for _, p := range got {
		if p != got[0] {
			t.Fatal("processes disagree about the day's key")
		}
	}
}

func TestFetchIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.latency = time.Second
		r := newRing(t, s, 1)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { pseudonym(t, r, "car", monday) })
		}
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		synctest.Wait()
		if _, err := r.Pseudonym(impatient, "car", monday.UnixMilli()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an impatient caller: %v", err)
		}
		wg.Wait()
		if s.calls != 2 { // one Get, one Create
			t.Errorf("%d calls of the store", s.calls)
		}
	})
}

func TestFailingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.err = errors.New("down")
		r := newRing(t, s, 1)
		r.days.now = time.Now
		for range 10 {
			if _, err := r.Pseudonym(t.Context(), "car", monday.UnixMilli()); !errors.Is(err, s.err) {
				t.Errorf("Pseudonym = %v", err)
			}
		}
		if s.calls != 1 {
			t.Errorf("the store was asked %d times", s.calls)
		}
		s.err = nil
		time.Sleep(failFor)
		pseudonym(t, r, "car", monday)
	})
}

func TestRunFetchesAheadAndFollowsDestruction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		a, b := newRing(t, s, 1), newRing(t, s, 1)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.Run(ctx) })
		synctest.Wait()
		s.mu.Lock()
		n := len(s.items)
		s.mu.Unlock()
		if n != 2 {
			t.Errorf("%d keys, want today's and tomorrow's", n)
		}
		today := time.Now()
		before := pseudonym(t, a, "car", today)
		s.fail(errors.New("down"))
		time.Sleep(Refresh + time.Second)
		if pseudonym(t, a, "car", today) != before {
			t.Error("a failing store changed the key")
		}
		s.fail(nil)
		if err := b.Destroy(t.Context(), today); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Refresh)
		if pseudonym(t, a, "car", today) == before {
			t.Error("a destroyed key is still in use")
		}
		stop()
		wg.Wait()
	})
}

func TestKeysInMemoryAreBounded(t *testing.T) {
	r := newRing(t, newStore(), 1)
	for i := range 2 * maxDays {
		pseudonym(t, r, "car", monday.AddDate(0, 0, i))
	}
	if n := len(*r.days.known.Load()); n > maxDays {
		t.Errorf("%d day keys in memory", n)
	}
}

func TestPseudonymsOfKnownDays(t *testing.T) {
	s := newStore()
	r := newRing(t, s, 1)
	var want []DayPseudonym
	for _, i := range []int{0, 1, 40} {
		d := monday.AddDate(0, 0, i)
		want = append(want, DayPseudonym{d.Truncate(24 * time.Hour), pseudonym(t, r, "car", d)})
	}
	fresh := newRing(t, s, 1)
	got, err := fresh.Pseudonyms(t.Context(), "car", monday.AddDate(0, 0, -400), monday.AddDate(0, 0, 400))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if len(s.items) != 3 || len(*fresh.days.known.Load()) != 0 {
		t.Errorf("%d keys in the store, %d in memory: looking made some", len(s.items), len(*fresh.days.known.Load()))
	}
	if got, err := fresh.Pseudonyms(t.Context(), "car", tuesday, monday); err != nil || got != nil {
		t.Errorf("no days: %v, %v", got, err)
	}
	if got, err := fresh.Pseudonyms(t.Context(), "car", tuesday, tuesday); err != nil || !slices.Equal(got, want[1:2]) {
		t.Errorf("one day: %v, %v", got, err)
	}
	s.fail(errors.New("down"))
	if got, err := fresh.Pseudonyms(t.Context(), "car", monday, tuesday); !errors.Is(err, s.err) {
		t.Errorf("while the store is down: %v, %v", got, err)
	}
	s.fail(nil)
	if got, err := newRing(t, s, 2).Pseudonyms(t.Context(), "car", monday, tuesday); !errors.Is(err, errWrapped) {
		t.Errorf("with another master key: %v, %v", got, err)
	}
}

func TestSignReceipt(t *testing.T) {
	a, again, b := newRing(t, newStore(), 1), newRing(t, newStore(), 1), newRing(t, newStore(), 2)
	document := []byte(`{"erasure":"1"}`)
	sig := a.SignReceipt(document)
	if !bytes.Equal(sig, again.SignReceipt(document)) || !ed25519.Verify(again.ReceiptKey(), document, sig) {
		t.Error("the signature changes with the process")
	}
	if ed25519.Verify(b.ReceiptKey(), document, sig) || ed25519.Verify(a.ReceiptKey(), []byte(`{"erasure":"2"}`), sig) {
		t.Error("another key or document passes")
	}
}

func TestDayOf(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "1970-01-01", -1: "1969-12-31", dayMS - 1: "1970-01-01", dayMS: "1970-01-02",
	} {
		if got := dayOf(ms).item(); got != "pseudonym-key/"+want {
			t.Errorf("%d: %s", ms, got)
		}
	}
}

func TestMaster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	a, err := LoadOrCreateMaster(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadOrCreateMaster(dir)
	if err != nil || a != b {
		t.Errorf("second load: %v", err)
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
		if got, err := ParseMaster(enc.EncodeToString(a[:]) + "\n"); err != nil || got != a {
			t.Errorf("ParseMaster: %v", err)
		}
	}
	for _, s := range []string{"", "AAAA", "%%%"} {
		if _, err := ParseMaster(s); err == nil {
			t.Errorf("ParseMaster(%q): no error", s)
		}
	}
}

func BenchmarkIDs(b *testing.B) {
	r, err := New(Deps{Store: newStore(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ms := monday.UnixMilli()
	b.ReportAllocs()
	for b.Loop() {
		r.ClaimID("WBA00000000000001", telemetry.BatchID{1})
		if _, err := r.Pseudonym(b.Context(), "WBA00000000000001", ms); err != nil {
			b.Fatal(err)
		}
		if _, err := r.TripKey(b.Context(), "WBA00000000000001", "trip-1", ms); err != nil {
			b.Fatal(err)
		}
	}
}
