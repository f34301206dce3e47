package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/telemetry/ledger"
)

// EraseStore is the database's side of an Eraser. Safe for concurrent use.
type EraseStore interface {
	// Erasure looks a request up: ledger.ErrNoErasure. ErasedDays are its pseudonyms while it is pending.
	Erasure(ctx context.Context, id int64) (ledger.Erasure, error)
	ErasedDays(ctx context.Context, id int64) ([]ledger.ErasedDay, error)
	// SettleErasure waits, once for each erasure, for the flushes under way; SettleFlushes does each time.
	SettleErasure(ctx context.Context, id int64) error
	SettleFlushes(ctx context.Context) error
	// LockArchive keeps others from changing what is archived, until unlock.
	LockArchive(ctx context.Context) (unlock func(), err error)
	// ErasureHours are the hours of the archive that are still to be looked through, ErasureObjects the objects of one, and
	// HourErased notes that all up to one were.
	ErasureHours(ctx context.Context, id int64) ([]time.Time, error)
	ErasureObjects(ctx context.Context, id int64, hour time.Time) ([]ledger.ErasureObject, error)
	HourErased(ctx context.Context, id int64, hour time.Time) error
	// SwapErased makes the manifest name another object ("": none) than o, which lacks what is gone, and notes that o is to be deleted.
	SwapErased(ctx context.Context, id int64, o ledger.ErasureObject, key string, bytes int64, gone ledger.Count) error
	// ArchiveNames tells which of some objects the manifest names.
	ArchiveNames(ctx context.Context, keys []string) (map[string]bool, error)
	// ErasedCopy and ErasedQuarantine note what was found elsewhere, before it is deleted.
	ErasedCopy(ctx context.Context, id int64, key string, gone ledger.Count) error
	ErasedQuarantine(ctx context.Context, id int64, key string, claims [][16]byte, gone ledger.Count) error
	// ErasureRemains lists up to most objects that are to be deleted, ErasureDeleted notes that one was.
	ErasureRemains(ctx context.Context, id int64, most int) ([]string, error)
	ErasureDeleted(ctx context.Context, id int64, key string) error
	// ErasureTotals sums up what was found, EndErasure stores the receipt and forgets all else.
	ErasureTotals(ctx context.Context, id int64) (map[ledger.ErasedPlace]ledger.ErasedCount, error)
	EndErasure(ctx context.Context, id int64, ended time.Time, receipt []byte) (ledger.Erasure, error)
}

// EraseObjects is the object store's side of an Eraser. Get and Delete of an absent object: fs.ErrNotExist, no error. Safe for concurrent use.
type EraseObjects interface {
	ArchiveObjects
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error
}

// VehicleStatuses forget a vehicle: Forget in the memory of receivers, within some time, Delete where all read it. Safe for concurrent use.
type VehicleStatuses interface {
	Forget(ctx context.Context, subject [16]byte) error
	Delete(ctx context.Context, subject [16]byte) error
}

// EraseStep is a step of an erasure. A crash between any two leaves it to be carried on.
type EraseStep string

// The steps. Those from EraseRead to EraseDelete come for each object of the archive that holds the vehicle's batches.
const (
	EraseSettle     EraseStep = "settle" // wait for flushes that do not know of the request
	EraseForget     EraseStep = "forget" // tell receivers
	EraseRead       EraseStep = "read"
	EraseEncode     EraseStep = "encode"
	ErasePut        EraseStep = "put"
	EraseSwap       EraseStep = "swap"
	EraseDelete     EraseStep = "delete"
	EraseHour       EraseStep = "hour"       // note that an hour is done
	EraseCopies     EraseStep = "copies"     // look for objects that nothing names
	EraseCopy       EraseStep = "copy"       // delete one
	EraseQuarantine EraseStep = "quarantine" // look through it
	EraseNote       EraseStep = "note"       // enter what is taken out of an object there
	EraseRewrite    EraseStep = "rewrite"    // that object
	EraseStatus     EraseStep = "status"     // delete the vehicle's status
	EraseReceipt    EraseStep = "receipt"
	EraseEnded      EraseStep = "ended"
)

// EraseSteps lists them all, in order.
func EraseSteps() []EraseStep {
	return []EraseStep{
		EraseSettle, EraseForget, EraseRead, EraseEncode, ErasePut, EraseSwap, EraseDelete, EraseHour, EraseCopies, EraseCopy, EraseQuarantine,
		EraseNote, EraseRewrite, EraseStatus, EraseReceipt, EraseEnded,
	}
}

// EraserDeps is what an Eraser works with. All are required but those said to be not.
type EraserDeps struct {
	Store    EraseStore
	Objects  EraseObjects
	Statuses VehicleStatuses
	Logger   *slog.Logger
	// ForgetWait is how long receivers may take to forget a vehicle. Default 1 min.
	ForgetWait time.Duration
	OnStep     func(EraseStep)  // not required
	Now        func() time.Time // not required
}

// Eraser takes a vehicle's batches out of the archive and the quarantine, and forgets its status. Objects are rewritten without
// them and change places in the manifest at once, as in a compaction. What the vehicle was called is known by day, so days whose
// keys were destroyed are anonymous already. Safe for concurrent use.
type Eraser struct{ d EraserDeps }

// NewEraser makes one.
func NewEraser(d EraserDeps) *Eraser {
	d.ForgetWait = cmp.Or(d.ForgetWait, time.Minute)
	if d.OnStep == nil {
		d.OnStep = func(EraseStep) {}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &Eraser{d}
}

// Run carries an erasure out and returns its receipt. It may be killed at any point and run again: then it goes on. To run one that is
// done is no error.
func (x *Eraser) Run(ctx context.Context, id int64, p job.Progress) (receipt json.RawMessage, err error) {
	e, err := x.d.Store.Erasure(ctx, id)
	if err != nil || e.State == ledger.ErasureDone {
		return e.Receipt, err
	}
	if e.State != ledger.ErasurePending {
		return nil, fmt.Errorf("erasure %d: %w", id, ledger.ErrErasureState)
	}
	days, err := x.d.Store.ErasedDays(ctx, id)
	if err != nil {
		return nil, err
	}
	r := &erasing{d: &x.d, e: e, p: p, days: days, vehicle: make(map[uint64]bool, len(days))}
	for _, d := range days {
		r.vehicle[d.Pseudonym] = true
	}
	if err := r.run(ctx); err != nil {
		return nil, fmt.Errorf("erasure %d: %w", id, err)
	}
	if e, err = x.d.Store.Erasure(ctx, id); err != nil {
		return nil, err
	}
	x.d.OnStep(EraseEnded)
	x.d.Logger.InfoContext(ctx, "vehicle's data erased", "erasure", id)
	return e.Receipt, nil
}

// erasing is one run.
type erasing struct {
	d          *EraserDeps
	e          ledger.Erasure
	p          job.Progress
	days       []ledger.ErasedDay
	vehicle    map[uint64]bool // what it was called
	forgotten  time.Time       // when receivers were told
	unreadable int64
}

func (r *erasing) run(ctx context.Context) error {
	r.d.OnStep(EraseSettle)
	r.p.Set(0, 0, "waiting for flushes under way")
	if err := r.d.Store.SettleErasure(ctx, r.e.ID); err != nil {
		return err
	}
	r.d.OnStep(EraseForget)
	if r.e.Whole() {
		r.forgotten = r.d.Now()
		if err := r.d.Statuses.Forget(ctx, r.e.Subject); err != nil {
			return err
		}
	}
	if len(r.days) > 0 {
		for _, part := range []func(context.Context) error{r.deleteRemains, r.archive, r.copies, r.quarantine} {
			if err := part(ctx); err != nil {
				return err
			}
		}
	}
	if r.e.Whole() {
		r.p.Set(1, 1, "the vehicle's status")
		if err := wait(ctx, r.forgotten.Add(r.d.ForgetWait).Sub(r.d.Now())); err != nil {
			return err
		}
		r.d.OnStep(EraseStatus)
		if err := r.d.Statuses.Delete(ctx, r.e.Subject); err != nil {
			return err
		}
	}
	r.d.OnStep(EraseReceipt)
	return r.end(ctx)
}

// eachDay calls for each UTC day on which batches of the vehicle may have been accepted: early for those of cars whose clocks are ahead, and
// until now. more is how many days are to be added at the beginning.
func (r *erasing) eachDay(more int, each func(day time.Time) error) error {
	first := r.days[0].Day.UTC().AddDate(0, 0, -1-more)
	for day := first; !day.After(r.d.Now().UTC()); day = day.AddDate(0, 0, 1) {
		if err := each(day); err != nil {
			return err
		}
	}
	return nil
}

// wait waits, or returns ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
