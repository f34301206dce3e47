// Package pgtest gives tests a real PostgreSQL: one server a test process, a database of its own for
// each test. Fast and not durable, unless a test starts its own server with pgserver.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/pgserver"
)

// shared is the test process's server, started by the first test that needs one.
var shared struct {
	once   sync.Once
	server *pgserver.Server
	dir    string
	err    error
	names  atomic.Int64
}

// Main runs a package's tests, then stops the server and exits. Call it from TestMain. Tests that
// leave goroutines behind fail the run.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
func Main(m *testing.M, ignore ...goleak.Option) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(ignore...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func stop() error {
	if shared.dir == "" {
		return nil
	}
	var err error
	if shared.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = shared.server.Stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(shared.dir))
}

func server() (*pgserver.Server, error) {
	shared.once.Do(func() {
		// Not t.TempDir: its parents are closed to the user that runs PostgreSQL when the tests run as root.
		if shared.dir, shared.err = os.MkdirTemp("", "pgtest-"); shared.err != nil {
			return
		}
		if shared.err = os.Chmod(shared.dir, 0o755); shared.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		shared.server, shared.err = pgserver.Start(ctx, pgserver.Config{
			DataDir:         filepath.Join(shared.dir, "data"),
			FastUnsafe:      true,
			SharedBuffersMB: 64,
			MaxConnections:  200,
			MaxWALSizeMB:    512,
			Logger:          slog.New(slog.DiscardHandler),
		})
	})
	return shared.server, shared.err
}

// New makes an empty database, dropped after the test, and returns its URL. A missing PostgreSQL fails the
// test and says how to install it.
func New(tb testing.TB) string {
	tb.Helper()
	return create(tb, "")
}

// Server is the test process's server itself, for tests that look at more than a database.
func Server(tb testing.TB) *pgserver.Server {
	tb.Helper()
	s, err := server()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return s
}

// Template is a database that is migrated once and then copied for each test, which takes some
// 30 ms. Keep one in a package variable of the tests. Safe for concurrent use.
type Template struct {
	// Migrate brings the empty database at url up to the schema. It must leave no connection open.
	Migrate func(ctx context.Context, url string) error

	once sync.Once
	name string
	err  error
}

// New makes a copy of the migrated database, dropped after the test, and returns its URL.
func (tm *Template) New(tb testing.TB) string {
	tb.Helper()
	s := Server(tb)
	tm.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		tm.name = fmt.Sprintf("template_%d", shared.names.Add(1))
		if tm.err = s.CreateDatabase(ctx, tm.name); tm.err == nil {
			tm.err = tm.Migrate(ctx, s.URL(tm.name))
		}
	})
	if tm.err != nil {
		tb.Fatalf("pgtest: migrate the template: %v", tm.err)
	}
	return create(tb, tm.name)
}

func create(tb testing.TB, template string) string {
	tb.Helper()
	s := Server(tb)
	name := fmt.Sprintf("test_%d", shared.names.Add(1))
	statement := "create database " + name
	if template != "" {
		statement += " template " + template
	}
	// One after the other: PostgreSQL refuses to copy a database that is just being copied.
	creating.Lock()
	defer creating.Unlock()
	if err := admin(s, statement); err != nil {
		tb.Fatalf("pgtest: %s: %v", statement, err)
	}
	tb.Cleanup(func() {
		if err := admin(s, "drop database if exists "+name+" with (force)"); err != nil {
			tb.Errorf("pgtest: drop database %s: %v", name, err)
		}
	})
	return s.URL(name)
}

var creating sync.Mutex

func admin(s *pgserver.Server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
