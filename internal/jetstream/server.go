// Package jetstream keeps the queue and the live store of the one-machine mode in files, by NATS JetStream
// inside this process: no port is opened, nothing else needs to be installed.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// requestTimeout bounds a request to the embedded server when the caller's context has no deadline.
const requestTimeout = 30 * time.Second

// Config says where the server's files are and how durable they get.
type Config struct {
	// Dir holds all of the server's files. Required; used by one process at a time.
	Dir string
	// SyncInterval is how often what was written is forced to the disk. 0 forces each write before it is
	// acknowledged: not even a power cut loses it. Otherwise a power cut or a crash of the
	// system may lose what was acknowledged within the last interval. The death of the process, kill -9
	// included, loses nothing acknowledged in either case: it was handed to the system.
	SyncInterval time.Duration
	// MinFreeBytes is the free space on the disk below which queues and live stores refuse with
	// ErrFull: a write that fails for want of space would stop the server until the next start.
	// Default 512 MiB, at least 64 MiB.
	MinFreeBytes int64
	// Logger is required.
	Logger *slog.Logger
}

// Server is the embedded server. It is safe for concurrent use.
type Server struct {
	nats   *natsserver.Server
	lock   *os.File
	space  *reserve
	logger *slog.Logger
	// Two connections, so that large deliveries don't hold up what is sent.
	sending, receiving *nats.Conn
	js                 jetstream.JetStream // by sending
}

// Open starts the server on its folder. Close it after use.
func Open(ctx context.Context, config Config) (*Server, error) {
	switch {
	case config.Dir == "":
		return nil, errors.New("jetstream: Dir is empty")
	case config.Logger == nil:
		return nil, errors.New("jetstream: Logger is nil")
	case config.SyncInterval < 0:
		return nil, fmt.Errorf("jetstream: SyncInterval is %v, at least 0 is needed", config.SyncInterval)
	}
	if config.MinFreeBytes == 0 {
		config.MinFreeBytes = 512 << 20
	}
	if config.MinFreeBytes < minReserve {
		return nil, fmt.Errorf("jetstream: MinFreeBytes is %d, at least %d is needed", config.MinFreeBytes, minReserve)
	}
	s := &Server{logger: config.Logger}
	if err := s.open(ctx, config); err != nil {
		return nil, fmt.Errorf("open the queue's files in %s: %w", config.Dir, errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, config Config) (err error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lockDir(ctx, dir); err != nil {
		return err
	}
	s.space = &reserve{dir: dir, free: uint64(config.MinFreeBytes)}
	s.nats, err = natsserver.NewServer(&natsserver.Options{
		ServerName: "carasso",
		DontListen: true,
		JetStream:  true,
		StoreDir:   dir,
		// Streams have their own limits; the server's must only not be in their way.
		JetStreamMaxStore:      1 << 50,
		JetStreamMaxMemory:     64 << 20,
		SyncAlways:             config.SyncInterval == 0,
		SyncInterval:           config.SyncInterval,
		MaxPayload:             1 << 20,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	})
	if err != nil {
		return err
	}
	s.nats.SetLoggerV2(natsLogger{config.Logger}, false, false, false)
	s.nats.Start()
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	if s.sending, err = s.connect(); err != nil {
		return err
	}
	if s.receiving, err = s.connect(); err != nil {
		return err
	}
	s.js, err = jetstream.New(s.sending, jetstream.WithDefaultTimeout(requestTimeout))
	return err
}

func (s *Server) awaitReady(ctx context.Context) error {
	for !s.nats.ReadyForConnections(100 * time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !s.nats.Running() {
			return errors.New("the server ended at once; its log says why")
		}
	}
	if !s.nats.JetStreamEnabled() {
		return errors.New("the server could not open its files; its log says why")
	}
	return nil
}

func (s *Server) connect() (*nats.Conn, error) {
	return nats.Connect("", nats.InProcessServer(s.nats), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.logger.Warn("jetstream_connection", "error", err)
		}))
}

// Close stops the server; what was acknowledged is in its files. Calls that are under way end with an error.
func (s *Server) Close() error {
	for _, conn := range []*nats.Conn{s.sending, s.receiving} {
		if conn != nil {
			conn.Close()
		}
	}
	if s.nats != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}
	if s.lock != nil {
		return s.lock.Close() // which unlocks
	}
	return nil
}

// Healthy is nil while the server can write its files. After a failed write it can't, until it is closed and opened again.
func (s *Server) Healthy() error {
	health := s.nats.Healthz(&natsserver.HealthzOptions{JSEnabledOnly: false})
	if health.Status != "ok" {
		return fmt.Errorf("jetstream: %s", health.Error)
	}
	return nil
}

// stream creates the stream, or brings an existing one to the configuration.
func (s *Server) stream(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	stream, err := s.js.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", config.Name, err)
	}
	return stream, nil
}

// natsLogger passes the server's log on: what it notices is of interest for debugging only.
type natsLogger struct{ logger *slog.Logger }

func (l natsLogger) Noticef(format string, v ...any) {
	l.logger.Debug("jetstream", "detail", fmt.Sprintf(format, v...))
}

func (l natsLogger) Warnf(format string, v ...any) {
	l.logger.Warn("jetstream", "detail", fmt.Sprintf(format, v...))
}

func (l natsLogger) Errorf(format string, v ...any) {
	l.logger.Error("jetstream", "detail", fmt.Sprintf(format, v...))
}

func (l natsLogger) Fatalf(format string, v ...any) {
	l.logger.Error("jetstream", "detail", fmt.Sprintf(format, v...))
}
func (l natsLogger) Debugf(string, ...any) {}
func (l natsLogger) Tracef(string, ...any) {}
