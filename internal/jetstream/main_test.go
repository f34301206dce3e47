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

func openServer(tb testing.TB, dir string, sync time.Duration) *jetstream.Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	s, err := jetstream.Open(ctx, jetstream.Config{Dir: dir, SyncInterval: sync, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

func openQueue(tb testing.TB, s *jetstream.Server, config jetstream.QueueConfig) *jetstream.Queue {
	tb.Helper()
	q, err := s.Queue(tb.Context(), config)
	if err != nil {
		tb.Fatalf("Queue: %v", err)
	}
	return q
}
