package pgserver_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/pgserver"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanDir); dir != "" {
		runUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// openDir is a temporary folder that every user may enter, as the server's user must when the tests run as root.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgserver-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func config(dataDir string) pgserver.Config {
	return pgserver.Config{DataDir: dataDir, SharedBuffersMB: 32, MaxWALSizeMB: 128, Logger: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, config pgserver.Config) *pgserver.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := pgserver.Start(ctx, config)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *pgserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// execute runs a statement and returns the first column of its first row, if it has any.
func execute(t *testing.T, url, statement string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	var result string
	if rows.Next() && len(rows.RawValues()) > 0 {
		values, err := rows.Values()
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if s, ok := values[0].(string); ok {
			result = s
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return result
}

func TestDataSurvivesRestart(t *testing.T) {
	dir := filepath.Join(openDir(t), "data", "postgres")
	begin := time.Now()
	s := start(t, config(dir))
	t.Logf("first start took %v", time.Since(begin))
	if err := s.CreateDatabase(t.Context(), "carasso"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateDatabase(t.Context(), "carasso"); err != nil {
		t.Errorf("CreateDatabase again: %v", err)
	}
	execute(t, s.URL("carasso"), "create table kept as select 'yes'::text as it")
	url := s.URL("carasso")
	stop(t, s)
	if s.Err() != nil {
		t.Errorf("Err after Stop = %v", s.Err())
	}

	begin = time.Now()
	s = start(t, config(dir))
	t.Logf("second start took %v", time.Since(begin))
	if s.URL("carasso") != url {
		t.Errorf("the URL changed from %s to %s", url, s.URL("carasso"))
	}
	if got := execute(t, s.URL("carasso"), "select it from kept"); got != "yes" {
		t.Errorf("the table has %q", got)
	}
}

func TestDurableAndPrivate(t *testing.T) {
	c := config(filepath.Join(openDir(t), "data"))
	c.Settings = map[string]string{"work_mem": "5MB"}
	s := start(t, c)
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": "",
		"server_encoding": "UTF8", "lc_collate": "C", "timezone": "UTC", "work_mem": "5MB", "shared_buffers": "32MB",
	} {
		if setting == "lc_collate" { // no setting any more since version 16
			if got := execute(t, s.URL("postgres"), "select datcollate::text from pg_database where datname = 'postgres'"); got != want {
				t.Errorf("datcollate is %q, want %q", got, want)
			}
			continue
		}
		if got := execute(t, s.URL("postgres"), "show "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	info, err := os.Stat(c.DataDir + ".run")
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info, err)
	}
}

func TestLongPathGetsAShortSocket(t *testing.T) {
	dir := filepath.Join(openDir(t), strings.Repeat("long", 30), "data")
	s := start(t, config(dir))
	if got := execute(t, s.URL("postgres"), "select 'reached'::text"); got != "reached" {
		t.Errorf("got %q", got)
	}
	if !strings.Contains(s.URL("postgres"), "%2Ftmp%2Fcarasso-") {
		t.Errorf("URL = %s", s.URL("postgres"))
	}
}

func TestSecondServerOnTheSameFolder(t *testing.T) {
	c := config(filepath.Join(openDir(t), "data"))
	s := start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if second, err := pgserver.Start(ctx, c); err == nil {
		stop(t, second)
		t.Fatal("a second server started on the folder of a running one")
	} else if !strings.Contains(err.Error(), "on the same folder") {
		t.Errorf("Start = %v", err)
	}
	if got := execute(t, s.URL("postgres"), "select 'unharmed'::text"); got != "unharmed" {
		t.Errorf("got %q", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	c := config(filepath.Join(openDir(t), "data"))
	c.LogFile, c.MaxLogBytes = filepath.Join(filepath.Dir(c.DataDir), "server.log"), 20<<10
	c.Settings = map[string]string{"log_min_messages": "log"}
	s := start(t, c)
	for range 100 {
		execute(t, s.URL("postgres"), "do $$ begin raise log 'noise %', repeat('x', 1000); end $$")
	}
	stop(t, s)
	for _, path := range []string{c.LogFile, c.LogFile + ".1"} {
		info, err := os.Stat(path)
		if err != nil || info.Size() > c.MaxLogBytes || info.Size() == 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestStopInTimeOrAtOnce(t *testing.T) {
	c := config(filepath.Join(openDir(t), "data"))
	s := start(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop = %v, want its context's error", err)
	}
	select {
	case <-s.Done():
	default:
		t.Error("the server still runs after Stop")
	}
	start(t, c)
}
