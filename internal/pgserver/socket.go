package pgserver

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// maxSocketPath is the longest path of a Unix socket that every system takes (Linux 107, macOS 103).
const maxSocketPath = 103

// socketDirOf is where the socket of the server on dataDir, an absolute path, is.
func socketDirOf(dataDir string) string {
	dir := dataDir + ".run"
	if len(filepath.Join(dir, ".s.PGSQL."+port)) > maxSocketPath {
		dir = fmt.Sprintf("/tmp/carasso-%x", sha256.Sum256([]byte(dataDir)))[:len("/tmp/carasso-")+16]
	}
	return dir
}

// prepareSocketDir makes the private folder of the server's socket: beside the data folder, or when
// that path is too long for a socket, in /tmp under a name derived from it, the same each time.
func prepareSocketDir(dataDir string, id identity) (string, error) {
	dir := socketDirOf(dataDir)
	if err := id.ownDir(dir); err != nil {
		return "", err
	}
	// In /tmp somebody else may have been first.
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(stat.Uid) != id.uid {
		return "", fmt.Errorf("socket folder %s: not a folder of %s", dir, id.name)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs x
		return "", err
	}
	// No server runs on the data folder, so what lies here is a killed one's, and its process id may be
	// anybody's by now.
	for _, name := range []string{".s.PGSQL." + port, ".s.PGSQL." + port + ".lock"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func removeSocketDir(dir string) { _ = os.Remove(dir) }
