package pgserver_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/pgserver"
)

// orphanDir asks the test binary to run a server until it is killed.
const orphanDir = "PGSERVER_TEST_ORPHAN_DIR"

func runUntilKilled(dir string) {
	s, err := pgserver.Start(context.Background(), pgserver.Config{
		DataDir: dir, SharedBuffersMB: 32, MaxWALSizeMB: 128, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(s.PID(), s.URL("postgres"))
	<-s.Done()
}

// TestParentKilled kills -9 the process that started the server: the server ends, and the next start has every
// committed row.
func TestParentKilled(t *testing.T) {
	dir := filepath.Join(openDir(t), "data")
	for round := range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), orphanDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		pid, url, _ := strings.Cut(strings.TrimSpace(line), " ")
		server, convErr := strconv.Atoi(pid)
		if err == nil && convErr == nil {
			execute(t, url, "create table if not exists rounds (n text)")
			execute(t, url, fmt.Sprintf("insert into rounds values ('round %d')", round))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if err != nil || convErr != nil {
			t.Fatalf("the child said %q: %v, %v", line, err, convErr)
		}
		s := start(t, config(dir)) // waits for the former server
		if s.PID() == server {
			t.Errorf("process %d is the killed parent's", server)
		}
		if got := execute(t, s.URL("postgres"), "select count(*)::text from rounds"); got != strconv.Itoa(round+1) {
			t.Errorf("%s rows, want %d", got, round+1)
		}
		stop(t, s)
	}
}

// TestServerKilled kills -9 the server itself: it is noticed, and the next start recovers what was committed.
func TestServerKilled(t *testing.T) {
	c := config(filepath.Join(openDir(t), "data"))
	s := start(t, c)
	execute(t, s.URL("postgres"), "create table kept as select n, repeat('x', 100) as filler from generate_series(1, 20000) n")
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("the server's death was not noticed")
	}
	if s.Err() == nil {
		t.Error("Err = nil after a kill")
	}
	s = start(t, c)
	if got := execute(t, s.URL("postgres"), "select count(*)::text from kept"); got != "20000" {
		t.Errorf("%s rows, want 20000", got)
	}
}

// TestStaleLock has a lock file that names a living process which is no server on the folder, as
// after a restart of the machine or a container.
func TestStaleLock(t *testing.T) {
	c := config(filepath.Join(openDir(t), "data"))
	s := start(t, c)
	execute(t, s.URL("postgres"), "create table kept (n int)")
	lock, err := os.ReadFile(filepath.Join(c.DataDir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	// A process of the user that the server runs as, alive during the start.
	other := exec.Command("sleep", "60")
	if os.Geteuid() == 0 {
		info, err := os.Stat(c.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		other.Dir = "/"
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	_, rest, _ := strings.Cut(string(lock), "\n")
	stale := fmt.Sprintf("%d\n%s", other.Process.Pid, rest)
	if err := os.WriteFile(filepath.Join(c.DataDir, "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, c)
	if got := execute(t, s.URL("postgres"), "select count(*)::text from kept"); got != "0" {
		t.Errorf("%s rows, want 0", got)
	}
}
