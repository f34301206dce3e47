package jetstream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/jetstream"
	"github.com/carasso/carasso/internal/livetest"
	"github.com/carasso/carasso/internal/queuetest"
)

func name(t *testing.T) string {
	t.Helper()
	return strings.ReplaceAll(t.Name(), "/", "_")
}

func TestQueueConformance(t *testing.T) {
	for _, mode := range []struct {
		name string
		sync time.Duration
	}{{"SyncAlways", 0}, {"SyncInterval", time.Second}} {
		t.Run(mode.name, func(t *testing.T) {
			s := openServer(t, t.TempDir(), mode.sync)
			opts := queuetest.Options{Visibility: 800 * time.Millisecond, MaxReceive: 3, Granularity: 50 * time.Millisecond}
			queuetest.Run(t, func(t *testing.T) queuetest.Queue {
				t.Helper()
				return openQueue(t, s, jetstream.QueueConfig{Name: name(t), Visibility: opts.Visibility, MaxReceive: opts.MaxReceive})
			}, opts)
		})
	}
}

func TestLiveStoreConformance(t *testing.T) {
	s := openServer(t, t.TempDir(), time.Second)
	livetest.Run(t, func(t *testing.T) livetest.Store {
		t.Helper()
		l, err := s.LiveStore(t.Context(), jetstream.LiveConfig{Name: name(t)})
		if err != nil {
			t.Fatalf("LiveStore: %v", err)
		}
		return l
	}, livetest.Options{TTL: time.Second, Granularity: 5 * time.Millisecond})
}
