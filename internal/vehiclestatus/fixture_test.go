package vehiclestatus

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/livedoc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a live store in memory.
type memory struct {
	mu    sync.Mutex
	items map[string]item
	puts  int
	fail  bool
	lose  bool // the answer: what was asked for is done
}

type item struct {
	value   []byte
	version int64
}

func newMemory() *memory { return &memory{items: map[string]item{}} }

func (m *memory) Get(_ context.Context, key string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it, ok := m.items[key]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return it.value, it.version, nil
}

func (m *memory) PutIfNewer(_ context.Context, key string, version int64, value []byte, _ time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return false, errors.New("the store is away")
	}
	if it, ok := m.items[key]; ok && it.version >= version {
		return false, nil
	}
	m.puts++
	m.items[key] = item{value, version}
	if m.lose {
		return false, errors.New("the answer was lost")
	}
	return true, nil
}

type hasher struct{}

func (hasher) StatusID(vehicle string) [16]byte {
	sum := sha256.Sum256([]byte(vehicle))
	return [16]byte(sum[:])
}

func id(vehicle string) ID { return ID(hasher{}.StatusID(vehicle)) }

func newNotebook(tb testing.TB, store livedoc.Store, cfg Config) *Notebook {
	tb.Helper()
	n, err := New(cfg, Deps{Store: store, Hasher: hasher{}, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// flush writes all that waits, as Run would in time.
func (n *Notebook) flush(t *testing.T) {
	t.Helper()
	for {
		notes := n.queue.take(100)
		if len(notes) == 0 {
			return
		}
		n.write(t.Context(), notes)
	}
}

func read(t *testing.T, store livedoc.Store, vehicle string) Status {
	t.Helper()
	s, found, err := Read(t.Context(), store, id(vehicle))
	if err != nil || !found {
		t.Fatalf("%s: found %v, %v", vehicle, found, err)
	}
	return s
}
