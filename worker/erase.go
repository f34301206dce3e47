package worker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/telemetry"
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

// maxQuarantined bounds an envelope in quarantine after decompression.
const maxQuarantined = 256 << 20

// quarantine takes the vehicle's records out of the envelopes in quarantine.
func (r *erasing) quarantine(ctx context.Context) error {
	r.d.OnStep(EraseQuarantine)
	var opened telemetry.Envelope
	return r.eachDay(1, func(day time.Time) error {
		r.p.Set(0, 0, "quarantine of "+day.Format(time.DateOnly))
		return r.d.Objects.List(ctx, "quarantine/"+day.Format("2006/01/02")+"/", func(key string, _ int64, _ time.Time) error {
			if err := r.envelope(ctx, key, &opened); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		})
	})
}

func (r *erasing) envelope(ctx context.Context, key string, opened *telemetry.Envelope) error {
	body, err := r.d.Objects.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if opened.Open(body, maxQuarantined) != nil {
		r.unreadable++
		return nil //nolint:nilerr // the receipt tells of it
	}
	if opened.Header.AcceptedAt > r.e.UpTo.UnixMilli() {
		return nil
	}
	body, gone, err := eraseRecords(opened, func(vehicle uint64) bool { return r.vehicle[vehicle] })
	if err != nil || gone.Batches == 0 {
		return err
	}
	r.d.OnStep(EraseNote)
	if err := r.d.Store.ErasedQuarantine(ctx, r.e.ID, key, gone.claims, gone.Count); err != nil {
		return err
	}
	r.d.OnStep(EraseRewrite)
	return r.d.Objects.Put(ctx, key, body, "application/octet-stream", "")
}

// end makes the receipt.
func (r *erasing) end(ctx context.Context) error {
	totals, err := r.d.Store.ErasureTotals(ctx, r.e.ID)
	if err != nil {
		return err
	}
	ended := r.d.Now().UTC().Truncate(time.Second)
	e := &r.e
	doc := ledger.Receipt{
		Version: 1, Erasure: strconv.FormatInt(e.ID, 10), Subject: hex.EncodeToString(e.Subject[:]), Requested: e.RequestedAt.Truncate(time.Second),
		AcceptedBefore: e.UpTo.Truncate(time.Second), Ended: ended, Days: ledger.ReceiptDays{From: dayOrNull(e.From), To: dayOrNull(e.To), WithKey: e.Searched},
		Archive: totals[ledger.ErasedArchive], Copies: totals[ledger.ErasedCopy], Quarantine: totals[ledger.ErasedQuarantine], Unreadable: r.unreadable,
		Status: "deleted", Kept: kept(),
	}
	if !e.Whole() {
		doc.Status = "kept"
	}
	receipt, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = r.d.Store.EndErasure(ctx, e.ID, ended, receipt)
	return err
}

func dayOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.DateOnly)
	return &s
}

// kept is what erasures leave. Without characters that JSON in HTML would escape: the receipt is signed as it is.
func kept() []ledger.ReceiptKept {
	return []ledger.ReceiptKept{
		{What: "claims of batches, 8 days", Why: "Keyed hashes of vehicle and batch without content. Without them a batch that is sent again would be archived again."},
		{What: "counts in the ledger", Why: "How many batches were accepted and what became of them, of all vehicles together, with the number of erased ones."},
		{
			What: "aggregates and evidence of roads, up to 35 days; sums by day and profiles, longer",
			Why:  "Sums over vehicles by road and time. Each day's vehicles are bits of a bitmap of 128 under that day's pseudonyms, shared with others, and nothing of fewer vehicles than the deployment's k is published. A replay of the days from the archive, which the vehicle is not in any more, takes its part out of those that are kept by time.",
		},
		{What: "published maps, hazards and releases", Why: "Statements about roads, of no vehicle."},
		{What: "the audit log", Why: "Who asked about or erased a vehicle, under the hash of this receipt: proof of what was done."},
		{What: "pseudonyms of the days before the request, 16 days", Why: "Without any data, so that batches that are still on their way are dropped on arrival."},
		{What: "days without key", Why: "What was archived on a day whose key was destroyed can't be told to be of any vehicle: it is anonymous."},
	}
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

// EraseArgs name an erasure.
type EraseArgs struct {
	Erasure string `json:"erasure" doc:"Id of the erasure, as POST /v1/vehicles:erase returned it."`
}

func (a EraseArgs) id() (int64, error) {
	id, err := strconv.ParseInt(a.Erasure, 10, 64)
	if err != nil || id < 1 {
		return 0, &job.ArgsError{Pointer: "/erasure", Detail: "expected an erasure's id"}
	}
	return id, nil
}

// Validate implements job.Args.
func (a EraseArgs) Validate() error {
	_, err := a.id()
	return err
}

// EraseKind is the name of jobs that erase.
const EraseKind = "erasure"

// Kind is the kind of jobs that erase.
func (x *Eraser) Kind() (job.Kind, error) {
	return job.Define(job.Spec{
		Name: EraseKind, Timeout: 24 * time.Hour, MaxAttempts: 20, Many: true,
		Description: "Erases the data of a vehicle that POST /v1/vehicles:erase asked for, and leaves a receipt.",
	}, func(ctx context.Context, a EraseArgs, p job.Progress) (any, error) {
		id, err := a.id()
		if err != nil {
			return nil, err
		}
		receipt, err := x.Run(ctx, id, p)
		if errors.Is(err, ledger.ErrNoErasure) || errors.Is(err, ledger.ErrErasureState) {
			return nil, &job.ArgsError{Pointer: "/erasure", Detail: err.Error()}
		}
		return receipt, err
	})
}
