package eval

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoData is wrapped by the error of a folder that does not hold a set's files.
var ErrNoData = errors.New("no data of this set")

// Unpacked returns a folder in which the set's archives (*.tar.xz) are unpacked: dir
// itself if it has none or if already says that the files wanted lie there, else a
// temporary one. remove must be called in the end. Needs the programs tar and xz, since
// the standard library has no xz.
func Unpacked(ctx context.Context, dir string, already func(dir string) bool) (unpacked string, remove func(), err error) {
	remove = func() {}
	if _, err := os.Stat(dir); err != nil {
		return "", remove, fmt.Errorf("%w: %w", ErrNoData, err)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tar.xz"))
	if err != nil {
		return "", remove, fmt.Errorf("look for archives in %s: %w", dir, err)
	}
	if len(archives) == 0 || already(dir) {
		return dir, remove, nil
	}
	for _, tool := range [...]string{"tar", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", remove, fmt.Errorf("%s is packed as .tar.xz, and the program %q that unpacks it is missing: install it, or unpack the archive there: %w", dir, tool, err)
		}
	}
	tmp, err := os.MkdirTemp("", "carasso-eval-*")
	if err != nil {
		return "", remove, fmt.Errorf("unpack: %w", err)
	}
	remove = func() { _ = os.RemoveAll(tmp) }
	for _, a := range archives {
		abs, err := filepath.Abs(a)
		if err != nil {
			remove()
			return "", func() {}, fmt.Errorf("unpack %s: %w", a, err)
		}
		// tar refuses names that leave the folder.
		cmd := exec.CommandContext(ctx, "tar", "--extract", "--xz", "--no-same-owner", "--file", abs, "--directory", tmp) // #nosec G204 -- the operator's own file
		if out, err := cmd.CombinedOutput(); err != nil {
			remove()
			return "", func() {}, fmt.Errorf("unpack %s: %w: %s", a, err, strings.TrimSpace(string(out)))
		}
	}
	return tmp, remove, nil
}

// Find lists the files below dir whose name matches a pattern of path.Match (also when
// ".gz" follows it), in order of their path.
func Find(dir, pattern string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ok, err := filepath.Match(pattern, strings.TrimSuffix(d.Name(), ".gz"))
		if ok {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for %s in %s: %w", pattern, dir, err)
	}
	slices.Sort(found)
	return found, nil
}

// FindOne is the first file that Find lists; the error wraps ErrNoData if there is none.
func FindOne(dir, pattern string) (string, error) {
	found, err := Find(dir, pattern)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%w: no file %s in %s", ErrNoData, pattern, dir)
	}
	return found[0], nil
}

// Open opens a file, unzipping it if its name ends in ".gz".
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return &zipped{z, f}, nil
}

type zipped struct {
	*gzip.Reader
	f *os.File
}

func (z *zipped) Close() error { return errors.Join(z.Reader.Close(), z.f.Close()) }
