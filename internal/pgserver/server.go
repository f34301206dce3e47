// Package pgserver runs a private PostgreSQL server from the machine's own binaries: reachable
// only through a Unix socket in a folder of its own, started and stopped with this process.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "postgres"
	port      = "5432" // only part of the socket's name
	// leftoverPatience is how long a former server on the same folder may take to end: after a kill -9 of
	// its parent it is just shutting down.
	leftoverPatience = 30 * time.Second
	readyPoll        = 5 * time.Millisecond
)

// Server is a running PostgreSQL. Its methods are safe for concurrent use.
type Server struct {
	config    Config
	binaries  Binaries
	socketDir string
	process   *os.Process
	log       *boundedLog
	done      chan struct{} // closed after the process ended and err was set
	err       error
	logger    *slog.Logger
}

// Start makes the cluster if there is none, starts the server and returns when it accepts
// connections, after recovery from a crash if need be. ctx bounds the start only, not the
// server's life. Errors say what to do: binaries missing or of another version than
// the folder's, folder out of reach, another server on it.
func Start(ctx context.Context, config Config) (*Server, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	s, err := start(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL in %s: %w", config.DataDir, err)
	}
	return s, nil
}

func start(ctx context.Context, config Config) (*Server, error) {
	id, err := choose(&config)
	if err != nil {
		return nil, err
	}
	major, err := clusterVersion(config.DataDir)
	if err != nil {
		return nil, err
	}
	binaries, err := Find(ctx, config.BinDir, major)
	if err != nil {
		if major > 0 {
			return nil, fmt.Errorf("the folder was made by PostgreSQL %d: %w", major, err)
		}
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(config.DataDir), 0o755); err != nil { //nolint:gosec // the server's user must enter it
		return nil, err
	}
	if err := id.canReach(config.DataDir); err != nil {
		return nil, err
	}
	if err := id.canReach(binaries.path("postgres")); err != nil {
		return nil, err
	}
	if major == 0 {
		if err := initialise(ctx, &config, binaries, id); err != nil {
			return nil, err
		}
	}
	if err := waitForLeftover(ctx, config.DataDir, config.Logger); err != nil {
		return nil, err
	}
	socketDir, err := prepareSocketDir(config.DataDir, id)
	if err != nil {
		return nil, err
	}
	log, err := openLog(config.LogFile, config.MaxLogBytes)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: config, binaries: binaries, socketDir: socketDir, log: log,
		done: make(chan struct{}), logger: config.Logger,
	}
	if err := s.launch(id); err != nil {
		_ = log.Close()
		return nil, err
	}
	if err := s.waitReady(ctx); err != nil {
		s.stopAtOnce()
		return nil, err
	}
	s.logger.InfoContext(ctx, "postgres_started", "data_dir", config.DataDir, "bin_dir", binaries.Dir, "version", binaries.Major,
		"pid", s.process.Pid, "run_as", id.name)
	return s, nil
}

// clusterVersion is the major version that made the cluster in dir; 0 if there is none.
func clusterVersion(dir string) (int, error) {
	version, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if err == nil {
		if major := versionIn(string(version)); major > 0 {
			return major, nil
		}
		return 0, fmt.Errorf("PG_VERSION says %q", version)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if len(entries) > 0 {
		return 0, errors.New("the folder is not empty, and it is not a PostgreSQL cluster's")
	}
	return 0, nil
}

// initialise makes the cluster beside its place and then renames it, so that an interrupted initdb leaves nothing
// that looks like a cluster.
func initialise(ctx context.Context, config *Config, binaries Binaries, id identity) error {
	making := config.DataDir + ".init"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	if err := id.ownDir(making); err != nil {
		return err
	}
	args := []string{
		"-D", making, "-U", superuser, "--encoding=UTF8", "--no-locale",
		"--auth-local=trust", "--auth-host=reject", "--no-instructions",
	}
	if config.FastUnsafe {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, binaries.path("initdb"), args...) //nolint:gosec // an installation's own program
	cmd.Dir, cmd.Env = "/", environment()
	cmd.SysProcAttr = processAttributes(id, syscall.SIGKILL)
	cmd.WaitDelay = time.Second
	var out []byte
	err := onOwnThread(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("initdb: %w: %s", err, lastLines(string(out), 5))
	}
	if err := os.Rename(making, config.DataDir); err != nil {
		return err
	}
	config.Logger.InfoContext(ctx, "postgres_initialised", "data_dir", config.DataDir, "version", binaries.Major)
	return nil
}

// onOwnThread runs f on a thread that lives as long as f: the parent-death signal of a process comes
// when the thread that started it ends.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		result <- f()
	}()
	return <-result
}

// launch starts the server's process and the goroutine that waits for its end.
func (s *Server) launch(id identity) error {
	cmd := exec.Command(s.binaries.path("postgres"), s.config.arguments(s.socketDir)...) //nolint:gosec,noctx // an installation's own program; it outlives the start
	cmd.Dir, cmd.Env = "/", environment()
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = processAttributes(id, syscall.SIGINT)
	cmd.WaitDelay = time.Second
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // see onOwnThread
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		s.err = cmd.Wait()
		_ = s.log.Close()
		close(s.done)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process = cmd.Process
	return nil
}

// waitReady returns when the server's lock file says that it accepts connections.
func (s *Server) waitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	slow := time.NewTimer(3 * time.Second)
	defer slow.Stop()
	for {
		if lock, err := readLockFile(s.config.DataDir); err == nil && lock.pid == s.process.Pid && lock.status == "ready" {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("the server ended at once (%w): %s", s.ended(), lastLines(s.log.Tail(), 5))
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w: %s", ctx.Err(), lastLines(s.log.Tail(), 5))
		case <-slow.C:
			s.logger.InfoContext(ctx, "postgres_recovering", "data_dir", s.config.DataDir)
		case <-tick.C:
		}
	}
}

// environment is what the server's programs need of this process's, without PGDATA and the like.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH":
			env = append(env, pair)
		}
	}
	return env
}

// URL is the connection string of a database, for pgx and psql.
func (s *Server) URL(db string) string {
	query := url.Values{"host": {s.socketDir}, "port": {port}, "user": {superuser}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + db, RawQuery: query.Encode()}).String()
}

// PID is the process id of the server's first process.
func (s *Server) PID() int { return s.process.Pid }

// Version is the server's major version.
func (s *Server) Version() int { return s.binaries.Major }

// Done is closed when the server has ended, whoever ended it.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended; nil while it runs and after an orderly end.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

func (s *Server) ended() error {
	if s.err == nil {
		return errors.New("exit status 0")
	}
	return s.err
}

// CreateDatabase makes the database if it isn't there.
func (s *Server) CreateDatabase(ctx context.Context, db string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", db, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", db).Scan(&exists); err != nil {
		return fmt.Errorf("create database %s: %w", db, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{db}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", db, err)
	}
	return nil
}

// Stop shuts the server down: open transactions are aborted and a checkpoint is written, so that the next
// start needs no recovery. When ctx ends first, it stops at once, which is an error, and the next start
// recovers. In either case the server has ended when Stop returns. Stopping a server that has ended, as
// Err tells, is no error.
func (s *Server) Stop(ctx context.Context) error {
	select {
	case <-s.done:
		return nil
	default:
	}
	_ = s.process.Signal(syscall.SIGINT)
	var err error
	select {
	case <-s.done:
		err = s.err
	case <-ctx.Done():
		s.stopAtOnce()
		err = fmt.Errorf("had to stop at once: %w", ctx.Err())
	}
	removeSocketDir(s.socketDir)
	if err != nil {
		return fmt.Errorf("stop PostgreSQL in %s: %w: %s", s.config.DataDir, err, lastLines(s.log.Tail(), 5))
	}
	return nil
}

func (s *Server) stopAtOnce() {
	_ = s.process.Signal(syscall.SIGQUIT)
	patience := time.NewTimer(10 * time.Second) // PostgreSQL itself kills its children after 5 s
	defer patience.Stop()
	select {
	case <-s.done:
	case <-patience.C:
		_ = s.process.Kill()
		<-s.done
	}
}
