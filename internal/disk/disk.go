// Package disk is the object store of the one-machine mode: a file for each object, under its key as
// path, so that other programs can read the archive and the tiles in place.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tempDir holds files that are being written. No key begins with a dot.
const tempDir = ".writing"

// abandoned is the age from which a temporary file belongs to nobody any more.
const abandoned = time.Hour

// Config says where the store is.
type Config struct {
	// Dir holds the objects; it is created if need be. Required.
	Dir string
	// NoSync leaves it to the system when what Put wrote gets to the disk: faster, but a power cut may
	// lose or empty objects that Put had reported as stored.
	NoSync bool
}

// Store keeps objects as files. It is safe for concurrent use, by several processes too. What it
// promises is written and tested in package objecttest; besides, a key's segments are limited to 255 bytes, and
// a key that is another's folder is refused. Content type and encoding are not kept: they follow from the key.
type Store struct {
	dir     string
	sync    bool
	folders sync.Mutex // held while a folder is made and synced
}

// Open opens the store and removes what interrupted writers left behind.
func Open(config Config) (*Store, error) {
	if config.Dir == "" {
		return nil, errors.New("disk: Dir is empty")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open object store in %s: %w", config.Dir, err)
	}
	s := &Store{dir: dir, sync: !config.NoSync}
	if err := s.clean(); err != nil {
		return nil, fmt.Errorf("open object store in %s: %w", config.Dir, err)
	}
	return s, nil
}

func (s *Store) clean() error {
	temp := filepath.Join(s.dir, tempDir)
	if err := os.MkdirAll(temp, 0o750); err != nil {
		return err
	}
	entries, err := os.ReadDir(temp)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := os.Remove(filepath.Join(temp, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Put implements the port: the body is written to a temporary file, which takes the object's place when complete.
func (s *Store) Put(ctx context.Context, key string, body []byte, _, _ string) error {
	if err := s.put(ctx, key, body); err != nil {
		return fmt.Errorf("put object %q: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, body []byte) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	temp, err := s.writeTemp(body)
	if err != nil {
		return err
	}
	if err := s.makeFolder(filepath.Dir(path)); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return s.syncFolder(filepath.Dir(path))
}

// writeTemp writes the body to a new file and returns its path. Nothing is left of it when that fails.
func (s *Store) writeTemp(body []byte) (path string, err error) {
	file, err := os.CreateTemp(filepath.Join(s.dir, tempDir), "")
	if err != nil {
		return "", err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if _, err := file.Write(body); err != nil {
		return "", err
	}
	if err := file.Chmod(0o640); err != nil {
		return "", err
	}
	if s.sync {
		if err := file.Sync(); err != nil {
			return "", err
		}
	}
	return file.Name(), nil
}

// makeFolder makes the folder and those above it, each durable before anything is put into it.
func (s *Store) makeFolder(dir string) error {
	s.folders.Lock()
	defer s.folders.Unlock()
	return s.makeFolderLocked(dir)
}

func (s *Store) makeFolderLocked(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if dir == s.dir {
		return os.MkdirAll(dir, 0o750)
	}
	parent := filepath.Dir(dir)
	if err := s.makeFolderLocked(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		if info, stat := os.Stat(dir); stat == nil && info.IsDir() {
			return nil // another process was faster
		}
		return err
	}
	return s.syncFolder(parent)
}

func (s *Store) syncFolder(dir string) error {
	if !s.sync {
		return nil
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Get implements the port.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	path, err := s.path(key)
	if err == nil {
		err = ctx.Err()
	}
	var body []byte
	if err == nil {
		body, err = os.ReadFile(path)
	}
	if isAbsent(err) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("get object %q: %w", key, err)
	}
	return body, nil
}

// Delete implements the port. Folders stay, also when they become empty.
func (s *Store) Delete(ctx context.Context, key string) error {
	path, err := s.path(key)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		if info, stat := os.Lstat(path); stat == nil && info.IsDir() {
			return nil // a folder is no object
		}
		err = os.Remove(path)
		if err == nil {
			err = s.syncFolder(filepath.Dir(path))
		}
	}
	if err != nil && !isAbsent(err) {
		return fmt.Errorf("delete object %q: %w", key, err)
	}
	return nil
}

// isAbsent tells whether an error means that there is no such object: nothing, a folder, or a path
// through another object.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR)
}

func (s *Store) path(key string) (string, error) {
	if key == "" || len(key) > 512 || strings.HasSuffix(key, "/") || !validPrefix(key) {
		return "", errors.New("invalid key: 1 to 512 of a-z A-Z 0-9 / _ . : = - are allowed, in segments that are neither empty nor begin with a dot")
	}
	return filepath.Join(s.dir, filepath.FromSlash(key)), nil
}

// validPrefix tells whether a key may begin with prefix: known characters only, no segment empty (but the last) or
// beginning with a dot.
func validPrefix(prefix string) bool {
	start := true
	for i := range len(prefix) {
		c := prefix[i]
		switch {
		case c == '/' || c == '.':
			if start {
				return false
			}
			start = c == '/'
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == ':', c == '=', c == '-':
			start = false
		default:
			return false
		}
	}
	return true
}
