package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
)

// RunningURL is the connection string of a database of the server that another process runs
// on a folder; ok is false if none is ready there. Who connects must be the one who
// started it, or root.
func RunningURL(dataDir, db string) (connection string, ok bool, err error) {
	dataDir, err = filepath.Abs(dataDir)
	if err != nil {
		return "", false, fmt.Errorf("look for PostgreSQL on %s: %w", dataDir, err)
	}
	lock, err := readLockFile(dataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("look for PostgreSQL on %s: %w", dataDir, err)
	case lock.status != "ready" || !isServer(lock.pid, dataDir):
		return "", false, nil
	}
	query := url.Values{"host": {socketDirOf(dataDir)}, "port": {port}, "user": {superuser}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + db, RawQuery: query.Encode()}).String(), true, nil
}
