package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// List implements the port. It holds one folder's names a level in memory.
func (s *Store) List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error {
	if len(prefix) > 512 || !validPrefix(prefix) {
		return fmt.Errorf("list objects %q: %w", prefix, errors.New("no key begins so"))
	}
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if err := s.walk(ctx, folder, prefix, each); err != nil {
		return fmt.Errorf("list objects %q: %w", prefix, err)
	}
	return nil
}

// walk lists the objects of a folder ("" or ending in a slash) and of those below it.
func (s *Store) walk(ctx context.Context, folder, prefix string, each func(string, int64, time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, filepath.FromSlash(folder)))
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(entries))
	for _, entry := range entries {
		key := folder + entry.Name()
		if entry.IsDir() {
			key += "/" // which also puts it in the place that its contents have among all keys
		}
		if entry.Name()[0] != '.' && (strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if strings.HasSuffix(key, "/") {
			err = s.walk(ctx, key, prefix, each)
		} else {
			err = s.visit(key, prefix, each)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) visit(key, prefix string, each func(string, int64, time.Time) error) error {
	if !strings.HasPrefix(key, prefix) {
		return nil
	}
	info, err := os.Stat(filepath.Join(s.dir, filepath.FromSlash(key)))
	if isAbsent(err) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	return each(key, info.Size(), info.ModTime())
}
