package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockFile is what postmaster.pid says (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_*).
type lockFile struct {
	pid    int
	status string // starting, ready, stopping or ""
}

func lockPath(dataDir string) string { return filepath.Join(dataDir, "postmaster.pid") }

func readLockFile(dataDir string) (lockFile, error) {
	text, err := os.ReadFile(lockPath(dataDir))
	if err != nil {
		return lockFile{}, err
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return lockFile{}, fmt.Errorf("%s: %w", lockPath(dataDir), err)
	}
	lock := lockFile{pid: pid}
	if len(lines) >= 8 {
		lock.status = strings.TrimSpace(lines[7])
	}
	return lock, nil
}

// waitForLeftover waits until no server runs on the folder any more. The lock file of a killed server is
// removed when its process id belongs to something else by now, which PostgreSQL would
// take for a running server.
func waitForLeftover(ctx context.Context, dataDir string, logger *slog.Logger) error {
	deadline := time.NewTimer(leftoverPatience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for waited := false; ; waited = true {
		lock, err := readLockFile(dataDir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || lock.pid <= 0 { // torn or empty: PostgreSQL says what it makes of it
			return nil
		}
		if !isServer(lock.pid, dataDir) {
			logger.InfoContext(ctx, "postgres_stale_lock_removed", "data_dir", dataDir, "pid", lock.pid)
			return os.Remove(lockPath(dataDir))
		}
		if !waited {
			logger.InfoContext(ctx, "postgres_waiting_for_former_server", "data_dir", dataDir, "pid", lock.pid)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server with process id %d on the same folder: %w", lock.pid, ctx.Err())
		case <-deadline.C:
			return fmt.Errorf("another server runs on the folder; stop it first (kill -INT %d)", lock.pid)
		case <-tick.C:
		}
	}
}

// isServer tells whether the process is a PostgreSQL server on dataDir: its working directory is. Where the system
// doesn't tell, any living process counts.
func isServer(pid int, dataDir string) bool {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return false
	}
	if runtime.GOOS != "linux" {
		return true
	}
	cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		// Gone meanwhile, a zombie, or another user's, whereas a server on this folder is ours.
		return false
	}
	dir, err := os.Stat(dataDir)
	return err == nil && os.SameFile(cwd, dir)
}
