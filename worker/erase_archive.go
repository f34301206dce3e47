package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/telemetry/ledger"
)

// archive looks through the archive, hour by hour.
func (r *erasing) archive(ctx context.Context) error {
	hours, err := r.d.Store.ErasureHours(ctx, r.e.ID)
	if err != nil {
		return err
	}
	for i, hour := range hours {
		r.p.Set(int64(i), int64(len(hours)), "archive of "+hour.UTC().Format("2006-01-02 15:04"))
		if err := r.hour(ctx, hour); err != nil {
			return fmt.Errorf("archive of %s: %w", hour.UTC().Format(time.RFC3339), err)
		}
	}
	return nil
}

// hour looks through an hour of the archive, while nobody else can put its objects together: afterwards they hold nothing of the
// vehicle, whatever becomes of them.
func (r *erasing) hour(ctx context.Context, hour time.Time) error {
	unlock, err := r.d.Store.LockArchive(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	objects, err := r.d.Store.ErasureObjects(ctx, r.e.ID, hour)
	if err != nil {
		return err
	}
	for i := range objects {
		if err := r.object(ctx, &objects[i]); err != nil {
			return fmt.Errorf("%s: %w", objects[i].Key, err)
		}
	}
	r.d.OnStep(EraseHour)
	return r.d.Store.HourErased(ctx, r.e.ID, hour)
}

// object rewrites an object of the archive without the vehicle's batches, if it holds any.
func (r *erasing) object(ctx context.Context, o *ledger.ErasureObject) error {
	body, err := r.d.Objects.Get(ctx, o.Key)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if found, err := holdsVehicle(body, r.vehicle); err != nil || !found {
		return err
	}
	r.d.OnStep(EraseRead)
	var w work
	if err := w.load(body); err != nil {
		return err
	}
	if int64(len(w.batches)) != o.Batches {
		return fmt.Errorf("%w: %d batches, expected %d", errArchive, len(w.batches), o.Batches)
	}
	r.d.OnStep(EraseEncode)
	gone := r.without(&w)
	key, body, err := r.encode(o, &w, int(o.Batches-gone.Batches))
	if err != nil {
		return err
	}
	r.d.OnStep(ErasePut)
	if key != "" {
		if err := r.d.Objects.Put(ctx, key, body, archiveType, ""); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
	}
	r.d.OnStep(EraseSwap)
	if err := r.d.Store.SwapErased(ctx, r.e.ID, *o, key, int64(len(body)), gone); err != nil {
		return err // the new object stays behind: orphan collection finds it
	}
	r.d.OnStep(EraseDelete)
	return r.delete(ctx, o.Key)
}

// without marks the vehicle's batches as not to be archived, and counts them.
func (r *erasing) without(w *work) (gone ledger.Count) {
	for i := range w.batches {
		if b := &w.batches[i]; r.vehicle[b.vehicle] {
			b.erased = true
			gone.Add(ledger.Count{Batches: 1, Samples: int64(b.n())})
		}
	}
	return gone
}

// encode makes the object that takes o's place, of kept batches, in the order in which they were.
func (r *erasing) encode(o *ledger.ErasureObject, w *work, kept int) (key string, body []byte, err error) {
	if kept == 0 {
		return "", nil, nil
	}
	sorted, name := byPlace, "erased-"
	if strings.HasPrefix(path.Base(o.Key), compactedName) {
		sorted, name = byVehicle, compactedName
	}
	encoder, err := newArchiver(sorted)
	if err != nil {
		return "", nil, err
	}
	w.envelopes = []envelope{{last: len(w.batches), fresh: true}}
	body, err = encoder.encode(w, []int{0})
	return path.Dir(o.Key) + "/" + name + newObjectID(r.d.Now()) + ".parquet", body, err
}

func (r *erasing) delete(ctx context.Context, key string) error {
	if err := r.d.Objects.Delete(ctx, key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return r.d.Store.ErasureDeleted(ctx, r.e.ID, key)
}

// erasePage is how many keys are looked up at once.
const erasePage = 500

// deleteRemains deletes what an earlier run was about to delete.
func (r *erasing) deleteRemains(ctx context.Context) error {
	for {
		keys, err := r.d.Store.ErasureRemains(ctx, r.e.ID, erasePage)
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			if err := r.delete(ctx, key); err != nil {
				return err
			}
		}
	}
}

// holdsVehicle reads no column of an object of the archive but the vehicles'.
func holdsVehicle(object []byte, vehicles map[uint64]bool) (bool, error) {
	f, err := parquet.OpenFile(bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return false, fmt.Errorf("read archive: %w", err)
	}
	type row struct {
		Vehicle uint64 `parquet:"vehicle"`
	}
	reader := parquet.NewGenericReader[row](f)
	defer reader.Close()
	rows := make([]row, archiveRows)
	for {
		n, err := reader.Read(rows)
		for _, r := range rows[:n] {
			if vehicles[r.Vehicle] {
				return true, nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read archive: %w", err)
		}
	}
}
