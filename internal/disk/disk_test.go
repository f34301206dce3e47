package disk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/internal/objecttest"
)

// limitedDir asks the test binary to write objects with the file size limited.
const limitedDir = "DISK_TEST_LIMITED_DIR"

func TestMain(m *testing.M) {
	if os.Getenv(limitedDir) == "" {
		goleak.VerifyTestMain(m)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, config disk.Config) *disk.Store {
	t.Helper()
	s, err := disk.Open(config)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func TestConformance(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoSync=%v", noSync), func(t *testing.T) {
			objecttest.Run(t, func(t *testing.T) objecttest.Store {
				t.Helper()
				return open(t, disk.Config{Dir: filepath.Join(t.TempDir(), "new"), NoSync: noSync})
			}, objecttest.Options{Many: 300})
		})
	}
}

func TestObjectsAreFilesUnderTheirKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, disk.Config{Dir: dir})
	if err := s.Put(t.Context(), "archive/day=2026-11-23/a.parquet", []byte("rows"), "", ""); err != nil {
		t.Fatalf("Put: %v", err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "archive", "day=2026-11-23", "a.parquet"))
	if err != nil || string(body) != "rows" {
		t.Errorf("the file has %q, %v", body, err)
	}
}

func TestKeyThatIsAFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, disk.Config{Dir: dir})
	if err := s.Put(t.Context(), "a/b", []byte("1"), "", ""); err != nil {
		t.Fatalf("Put: %v", err)
	}
	for _, key := range []string{"a", "a/b/c"} {
		if err := s.Put(t.Context(), key, []byte("2"), "", ""); err == nil {
			t.Errorf("Put(%q) was accepted", key)
		}
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Errorf("Delete of a folder: %v", err)
	}
	if body, err := s.Get(t.Context(), "a/b"); err != nil || string(body) != "1" {
		t.Errorf("Get = %q, %v", body, err)
	}
	if left := temporaries(t, dir); left != 0 {
		t.Errorf("%d temporary files are left", left)
	}
}

func TestOpenRemovesAbandonedWrites(t *testing.T) {
	dir := t.TempDir()
	open(t, disk.Config{Dir: dir})
	old, recent := filepath.Join(dir, ".writing", "old"), filepath.Join(dir, ".writing", "recent")
	for _, path := range []string{old, recent} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	s := open(t, disk.Config{Dir: dir})
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the abandoned file is still there: %v", err)
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("a file that may be being written is gone: %v", err)
	}
	if err := s.List(t.Context(), "", func(key string, _ int64, _ time.Time) error {
		return fmt.Errorf("%q is listed", key)
	}); err != nil {
		t.Error(err)
	}
}

// TestNoSpace writes in a process of its own whose files can't grow beyond 64 KiB: as on a full disk, a write fails after
// a part.
func TestNoSpace(t *testing.T) {
	if dir := os.Getenv(limitedDir); dir != "" {
		putLimited(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoSpace$", "-test.v")
	cmd.Env = append(os.Environ(), limitedDir+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNoSpace") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func putLimited(t *testing.T, dir string) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatalf("setrlimit: %v", err)
	}
	s := open(t, disk.Config{Dir: dir})
	if err := s.Put(t.Context(), "tile", []byte("old"), "", ""); err != nil {
		t.Fatalf("Put: %v", err)
	}
	err := s.Put(t.Context(), "tile", bytes.Repeat([]byte("new"), 1<<20), "", "")
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), `put object "tile"`) {
		t.Errorf("Put = %v, want EFBIG with the key", err)
	}
	if body, err := s.Get(t.Context(), "tile"); err != nil || string(body) != "old" {
		t.Errorf("Get = %q, %v, want the old body", body, err)
	}
	if left := temporaries(t, dir); left != 0 {
		t.Errorf("%d temporary files are left", left)
	}
}

func temporaries(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".writing"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
