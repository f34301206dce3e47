package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minMajor is the oldest PostgreSQL that the schema is written for.
const minMajor = 14

// ErrNoBinaries means that PostgreSQL isn't installed where Find looks.
var ErrNoBinaries = errors.New("no PostgreSQL binaries found; install them " +
	"(Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17) " +
	"or name the folder that holds postgres and initdb")

// Binaries is an installation of PostgreSQL.
type Binaries struct {
	Dir   string // absolute, holds postgres and initdb, symbolic links resolved
	Major int    // 15 of 15.18
}

func (b Binaries) path(name string) string { return filepath.Join(b.Dir, name) }

// Find returns the installation in dir if it is given, else the first of: PATH,
// Debian's, Red Hat's, /usr/local's and Homebrew's folders, each newest first. With major > 0 only
// one of that major version will do. It returns ErrNoBinaries if there is none, or an
// error that names the versions that were found instead.
func Find(ctx context.Context, dir string, major int) (Binaries, error) {
	candidates := []string{dir}
	if dir == "" {
		candidates = searchPath()
	}
	var found []string
	for _, candidate := range candidates {
		b, err := inspect(ctx, candidate, dir != "")
		switch {
		case err != nil && dir != "":
			return Binaries{}, fmt.Errorf("PostgreSQL binaries in %s: %w", dir, err)
		case err != nil:
			continue
		case b.Major < minMajor, major > 0 && b.Major != major:
			found = append(found, fmt.Sprintf("%d in %s", b.Major, b.Dir))
			continue
		}
		return b, nil
	}
	if len(found) == 0 {
		return Binaries{}, ErrNoBinaries
	}
	slices.Sort(found)
	have := strings.Join(slices.Compact(found), ", ")
	if major > 0 {
		return Binaries{}, fmt.Errorf("PostgreSQL %d is needed, found only %s", major, have)
	}
	return Binaries{}, fmt.Errorf("PostgreSQL %d or newer is needed, found only %s", minMajor, have)
}

// searchPath is where to look, in order.
func searchPath() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/bin", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/opt/homebrew/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		matches, _ := filepath.Glob(pattern)
		slices.SortFunc(matches, func(a, b string) int { return versionIn(b) - versionIn(a) })
		dirs = append(dirs, matches...)
	}
	return dirs
}

var digits = regexp.MustCompile(`[0-9]+`)

// versionIn is the first number in a path; 0 if there is none.
func versionIn(path string) int {
	n, _ := strconv.Atoi(digits.FindString(path))
	return n
}

// inspect follows the symbolic links of dir's postgres to the installation. A script of that name can't
// be signalled as the server can, so it counts only when the folder was named explicitly.
func inspect(ctx context.Context, dir string, explicit bool) (Binaries, error) {
	if dir == "" {
		return Binaries{}, os.ErrNotExist
	}
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return Binaries{}, err
	}
	if server, err = filepath.Abs(server); err != nil {
		return Binaries{}, err
	}
	b := Binaries{Dir: filepath.Dir(server)}
	if _, err := os.Stat(b.path("initdb")); err != nil {
		return Binaries{}, err
	}
	if !explicit && isScript(server) {
		return Binaries{}, fmt.Errorf("%s is a script", server)
	}
	out, err := exec.CommandContext(ctx, server, "--version").Output() //nolint:gosec // an installation's own program
	if err != nil {
		return Binaries{}, fmt.Errorf("%s --version: %w", server, err)
	}
	// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
	_, version, _ := strings.Cut(string(out), "(PostgreSQL) ")
	if b.Major = versionIn(version); b.Major == 0 {
		return Binaries{}, fmt.Errorf("%s --version says %q", server, bytes.TrimSpace(out))
	}
	return b, nil
}

func isScript(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	var magic [2]byte
	_, err = io.ReadFull(file, magic[:])
	return err == nil && string(magic[:]) == "#!"
}
