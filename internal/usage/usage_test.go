package usage

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type memory struct {
	mu    sync.Mutex
	items map[string][]byte
	n     map[string]int64
	fail  bool
}

func newMemory() *memory { return &memory{items: map[string][]byte{}, n: map[string]int64{}} }

func (m *memory) Get(_ context.Context, key string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.items[key]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return v, m.n[key], nil
}

func (m *memory) PutIfNewer(_ context.Context, key string, version int64, value []byte, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return false, errors.New("away")
	}
	if _, ok := m.items[key]; ok && m.n[key] >= version {
		return false, nil
	}
	m.items[key], m.n[key] = value, version
	return true, nil
}

func recorder(store *memory, now *time.Time, total Counts) *Recorder {
	r := NewRecorder(store, 0, slog.New(slog.DiscardHandler), func() Counts {
		c := Counts{}
		c.Add(total)
		return c
	})
	r.now = func() time.Time { return *now }
	return r
}

func TestUsageOfAllProcessesAddsUp(t *testing.T) {
	store := newMemory()
	start := time.Date(2026, 11, 30, 10, 58, 0, 0, time.UTC)
	now := start
	a, b := Counts{SQSRequests: 10, CPUSeconds: 1.5}, Counts{SQSRequests: 1}
	ra, rb := recorder(store, &now, a), recorder(store, &now, b)
	ra.record(t.Context())
	rb.record(t.Context())
	ra.record(t.Context()) // nothing new
	now = now.Add(7 * time.Minute)
	a[SQSRequests], b[S3Puts] = 15, 3
	store.fail = true
	ra.record(t.Context()) // is written with the next
	store.fail = false
	a[SQSRequests] = 16
	ra.record(t.Context())
	rb.record(t.Context())
	for name, c := range map[string]struct {
		from, to time.Duration
		want     Counts
	}{
		"all":         {-time.Hour, time.Hour, Counts{SQSRequests: 17, CPUSeconds: 1.5, S3Puts: 3}},
		"the first":   {-time.Hour, time.Minute, Counts{SQSRequests: 11, CPUSeconds: 1.5}},
		"the second":  {7 * time.Minute, time.Hour, Counts{SQSRequests: 6, S3Puts: 3}},
		"from within": {time.Minute, 2 * time.Minute, Counts{SQSRequests: 11, CPUSeconds: 1.5}},
		"before":      {-2 * time.Hour, -time.Hour, Counts{}},
	} {
		got, err := Read(t.Context(), store, start.Add(c.from), start.Add(c.to))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestRunWritesTheRestAtTheEnd(t *testing.T) {
	store := newMemory()
	now := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	r := recorder(store, &now, Counts{S3Gets: 7})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(t.Context(), store, now, now.Add(time.Hour)); err != nil || got[S3Gets] != 7 {
		t.Errorf("%v, %v", got, err)
	}
}
