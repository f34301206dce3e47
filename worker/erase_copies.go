package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carasso/carasso/telemetry/ledger"
)

// copies deletes objects that hold batches of the vehicle and that nothing names: of flushes that failed, and of compactions.
func (r *erasing) copies(ctx context.Context) error {
	r.d.OnStep(EraseCopies)
	found := map[string]ledger.Count{}
	err := r.eachDay(0, func(day time.Time) error {
		return r.unnamed(ctx, "raw/"+day.Format("2006/01/02")+"/", found)
	})
	if err != nil || len(found) == 0 {
		return err
	}
	// Who is about to name one has done so when the flushes under way have ended, and while the archive is locked.
	if err := r.d.Store.SettleFlushes(ctx); err != nil {
		return err
	}
	unlock, err := r.d.Store.LockArchive(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for key, gone := range found {
		named, err := r.d.Store.ArchiveNames(ctx, []string{key})
		if err != nil {
			return err
		}
		if named[key] {
			continue
		}
		if err := r.d.Store.ErasedCopy(ctx, r.e.ID, key, gone); err != nil {
			return err
		}
		r.d.OnStep(EraseCopy)
		if err := r.delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// unnamed finds objects under a prefix that the manifest does not name and that hold batches of the vehicle.
func (r *erasing) unnamed(ctx context.Context, prefix string, found map[string]ledger.Count) error {
	var page []string
	look := func() error {
		named, err := r.d.Store.ArchiveNames(ctx, page)
		if err != nil {
			return err
		}
		for _, key := range page {
			if named[key] {
				continue
			}
			gone, err := r.copyOf(ctx, key)
			if err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			if gone.Batches > 0 {
				found[key] = gone
			}
		}
		page = page[:0]
		return nil
	}
	err := r.d.Objects.List(ctx, prefix, func(key string, _ int64, _ time.Time) error {
		if page = append(page, key); len(page) < erasePage {
			return nil
		}
		return look()
	})
	if err == nil && len(page) > 0 {
		err = look()
	}
	return err
}

// copyOf counts the vehicle's batches in an object that nothing names: none if it is gone, or no whole object.
func (r *erasing) copyOf(ctx context.Context, key string) (gone ledger.Count, err error) {
	body, err := r.d.Objects.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return gone, nil
	}
	if err != nil {
		return gone, err
	}
	err = eachRows(body, func(rows []ArchiveRow) error {
		for i := range rows {
			if r.vehicle[rows[i].Vehicle] {
				gone.Add(ledger.Count{Batches: 1, Samples: int64(len(rows[i].Samples)) - int64(rows[i].LeadIn)})
			}
		}
		return nil
	})
	return gone, err
}
