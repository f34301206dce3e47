package jetstream_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/jetstream"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		publishUntilKilled()
		return
	}
	goleak.VerifyTestMain(m)
}

func openServer(t testing.TB, dir string, sync time.Duration) *jetstream.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := jetstream.Open(ctx, jetstream.Config{Dir: dir, SyncInterval: sync, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func openQueue(t testing.TB, s *jetstream.Server, config jetstream.QueueConfig) *jetstream.Queue {
	t.Helper()
	q, err := s.Queue(t.Context(), config)
	if err != nil {
		t.Fatalf("Queue: %v", err)
	}
	return q
}
