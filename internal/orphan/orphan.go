// Package orphan collects objects that nothing names: of flushes and publications that failed, of what was put
// together or published anew, of maps and quarantine entries that are gone. In two phases, so that what is
// stored first and named a moment later is never taken: an object is noted when nothing names it, and deleted
// when a grace period later nothing names it still.
package orphan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/carasso/carasso/internal/job"
)

// Objects is the object store. Safe for concurrent use.
type Objects interface {
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error
}

// Store remembers since when nothing names an object. Safe for concurrent use.
type Store interface {
	// NoteOrphans notes objects as of now, unless they are noted, and tells since when each is.
	NoteOrphans(ctx context.Context, keys []string, bytes []int64, now time.Time) (map[string]time.Time, error)
	// ForgetOrphans forgets objects that are named again or gone.
	ForgetOrphans(ctx context.Context, keys []string) error
	// ForgetOrphansBefore forgets those noted before a time, which others have deleted.
	ForgetOrphansBefore(ctx context.Context, before time.Time) error
}

// Area is a part of the object store, and how to tell what is in use there.
type Area struct {
	Prefix string
	// Named tells which of some keys are in use.
	Named func(ctx context.Context, keys []string) (map[string]bool, error)
	// Reused says that a key may be stored again after it was an orphan: its age is looked at again right
	// before it is deleted.
	Reused bool
}

// Config tunes a Collector. The zero value of each field stands for its default.
type Config struct {
	// Grace is how long nothing must name an object before it is deleted, and how old that must be. Default 24 h, at
	// least 1 h: a flush or a publication takes minutes at most.
	Grace time.Duration
	// Page is how many objects are looked at together. Default 1,000.
	Page int
	Now  func() time.Time // default time.Now
}

// Args are the arguments of a collection.
type Args struct {
	DryRun bool `json:"dry_run" doc:"Only tell what would be done; note and delete nothing."`
}

// Validate implements job.Args.
func (Args) Validate() error { return nil }

// Report is what a collection found.
type Report struct {
	Objects      int   `json:"objects"`       // looked at
	Orphans      int   `json:"orphans"`       // that nothing names
	Bytes        int64 `json:"orphan_bytes"`  // of these
	Deleted      int   `json:"deleted"`       // after the grace period; not in a dry run
	DeletedBytes int64 `json:"deleted_bytes"` // of these
	Waiting      int   `json:"waiting"`       // within the grace period
}

// Collector collects orphans. One at a time should run; two do no harm.
type Collector struct {
	cfg     Config
	store   Store
	objects Objects
	areas   []Area
	log     *slog.Logger
}

// New makes one.
func New(cfg Config, store Store, objects Objects, areas []Area, log *slog.Logger) (*Collector, error) {
	if cfg.Grace == 0 {
		cfg.Grace = 24 * time.Hour
	}
	if cfg.Page == 0 {
		cfg.Page = 1000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Grace < time.Hour {
		return nil, fmt.Errorf("orphan: grace %v: expected at least 1 hour", cfg.Grace)
	}
	return &Collector{cfg: cfg, store: store, objects: objects, areas: areas, log: log}, nil
}

type object struct {
	key      string
	size     int64
	modified time.Time
}

// Run looks at every object once. It may be killed at any point and run again.
func (c *Collector) Run(ctx context.Context, a Args, p job.Progress) (r Report, err error) {
	for _, area := range c.areas {
		var page []object
		flush := func() error {
			if len(page) == 0 {
				return nil
			}
			if err := c.page(ctx, area, page, a, &r); err != nil {
				return fmt.Errorf("collect in %s: %w", area.Prefix, err)
			}
			page = page[:0]
			p.Set(int64(r.Objects), 0, area.Prefix)
			return nil
		}
		err := c.objects.List(ctx, area.Prefix, func(key string, size int64, modified time.Time) error {
			page = append(page, object{key, size, modified})
			if len(page) < c.cfg.Page {
				return nil
			}
			return flush()
		})
		if err = errors.Join(err, ctx.Err()); err != nil {
			return r, err
		}
		if err := flush(); err != nil {
			return r, err
		}
	}
	if a.DryRun {
		return r, nil
	}
	// What was noted so long ago and not deleted above is gone by others' hands.
	return r, c.store.ForgetOrphansBefore(ctx, c.cfg.Now().Add(-10*c.cfg.Grace))
}

func (c *Collector) page(ctx context.Context, area Area, page []object, a Args, r *Report) error {
	r.Objects += len(page)
	keys := make([]string, len(page))
	for i := range page {
		keys[i] = page[i].key
	}
	named, err := area.Named(ctx, keys)
	if err != nil {
		return err
	}
	var orphans []object
	var names, again []string
	var sizes []int64
	for _, o := range page {
		if named[o.key] {
			again = append(again, o.key)
			continue
		}
		orphans, names, sizes = append(orphans, o), append(names, o.key), append(sizes, o.size)
		r.Orphans++
		r.Bytes += o.size
	}
	if a.DryRun {
		r.Waiting += len(orphans)
		return nil
	}
	if err := c.store.ForgetOrphans(ctx, again); err != nil {
		return err
	}
	if len(orphans) == 0 {
		return nil
	}
	since, err := c.store.NoteOrphans(ctx, names, sizes, c.cfg.Now())
	if err != nil {
		return err
	}
	return c.sweep(ctx, area, orphans, since, r)
}

// sweep deletes those of the orphans that have been so for long enough.
func (c *Collector) sweep(ctx context.Context, area Area, orphans []object, since map[string]time.Time, r *Report) error {
	before := c.cfg.Now().Add(-c.cfg.Grace)
	var due []object
	var keys []string
	for _, o := range orphans {
		if noted, ok := since[o.key]; ok && noted.Before(before) && o.modified.Before(before) {
			due, keys = append(due, o), append(keys, o.key)
		} else {
			r.Waiting++
		}
	}
	if len(due) == 0 {
		return nil
	}
	named, err := area.Named(ctx, keys) // once more: looking at a page takes a while
	if err != nil {
		return err
	}
	gone := keys[:0]
	for _, o := range due {
		if named[o.key] {
			continue
		}
		if area.Reused {
			fresh, err := c.storedSince(ctx, o.key, before)
			if err != nil {
				return err
			}
			if fresh {
				r.Waiting++
				continue
			}
		}
		if err := c.objects.Delete(ctx, o.key); err != nil {
			return fmt.Errorf("delete %s: %w", o.key, err)
		}
		gone = append(gone, o.key)
		r.Deleted++
		r.DeletedBytes += o.size
	}
	c.log.InfoContext(ctx, "orphans deleted", "area", area.Prefix, "objects", len(gone))
	return c.store.ForgetOrphans(ctx, gone)
}

// storedSince tells whether the object was stored after a time.
func (c *Collector) storedSince(ctx context.Context, key string, t time.Time) (fresh bool, err error) {
	err = c.objects.List(ctx, key, func(k string, _ int64, modified time.Time) error {
		fresh = fresh || k == key && !modified.Before(t)
		return nil
	})
	return fresh, err
}
