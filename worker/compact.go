package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// CompactStore is the database's side of a Compactor. Safe for concurrent use.
type CompactStore interface {
	// LockArchive keeps others from changing what is archived, until unlock.
	LockArchive(ctx context.Context) (unlock func(), err error)
	// ArchiveGroups lists what may be put together of the hours that begin in [from, to).
	ArchiveGroups(ctx context.Context, from, to time.Time) ([]ledger.ArchiveGroup, error)
	// ArchiveObjects lists the objects of a group that were not put together yet, oldest first.
	ArchiveObjects(ctx context.Context, g ledger.ArchiveGroup) ([]ledger.ArchiveObject, error)
	// SwapArchive makes the manifest name one object instead of the given ones, all at once, or fails if it
	// names others by now.
	SwapArchive(ctx context.Context, old []ledger.ArchiveObject, key string, bytes int64) error
}

// ArchiveObjects is the object store's side of a Compactor.
type ArchiveObjects interface {
	Objects
	Get(ctx context.Context, key string) ([]byte, error)
}

// CompactorConfig tunes a Compactor. The zero value of each field stands for its default.
type CompactorConfig struct {
	// MaxSamples is where an object ends, in samples, and so what is in memory at once (about 200 B each at
	// the peak). Default 2,000,000.
	MaxSamples int64
	// Settle is how long after its end an hour is left alone, so that late commits are in it. Default 10 min.
	Settle time.Duration
	// OnStep is told of the beginning of each step; for tests.
	OnStep func(CompactStep)
	Now    func() time.Time // default time.Now
}

// CompactStep is a step of a compaction. A crash between any two leaves the archive as it was, or
// as it will be, and an object that nothing names.
type CompactStep string

// The steps of putting objects together.
const (
	CompactRead   CompactStep = "read"
	CompactEncode CompactStep = "encode"
	CompactPut    CompactStep = "put"
	CompactSwap   CompactStep = "swap"
	CompactEnded  CompactStep = "ended"
)

// CompactSteps lists them all, in order.
func CompactSteps() []CompactStep {
	return []CompactStep{CompactRead, CompactEncode, CompactPut, CompactSwap, CompactEnded}
}

// CompactArgs are the arguments of a compaction.
type CompactArgs struct {
	From time.Time `json:"from,omitzero" doc:"Hours of the archive that begin at or after this; three days before now if missing."`
	To   time.Time `json:"to,omitzero" doc:"Hours that begin before this; the last whole hour that has settled if missing."`
}

// Validate implements job.Args.
func (a CompactArgs) Validate() error {
	if !a.From.IsZero() && !a.To.IsZero() && !a.From.Before(a.To) {
		return &job.ArgsError{Pointer: "/from", Detail: "expected a time before to"}
	}
	return nil
}

// CompactReport is what a compaction did. Sums over objects that it put together.
type CompactReport struct {
	Objects     int   `json:"objects"`
	Into        int   `json:"into"`
	Batches     int   `json:"batches"`
	Samples     int64 `json:"samples"`
	BytesBefore int64 `json:"bytes_before"`
	BytesAfter  int64 `json:"bytes_after"`
}

// Compactor puts the small objects of an hour of the raw archive together into few large ones: fewer requests for
// readers, fewer bytes. One at a time should run for a database; two do no harm but double work.
type Compactor struct {
	cfg     CompactorConfig
	store   CompactStore
	objects ArchiveObjects
	log     *slog.Logger
}

// NewCompactor makes one.
func NewCompactor(cfg CompactorConfig, store CompactStore, objects ArchiveObjects, log *slog.Logger) *Compactor {
	cfg.MaxSamples = cmp.Or(cfg.MaxSamples, 2_000_000)
	cfg.Settle = cmp.Or(cfg.Settle, 10*time.Minute)
	if cfg.OnStep == nil {
		cfg.OnStep = func(CompactStep) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Compactor{cfg: cfg, store: store, objects: objects, log: log}
}

// Run puts together what a selects. It may be killed at any point and run again.
func (c *Compactor) Run(ctx context.Context, a CompactArgs, p job.Progress) (r CompactReport, err error) {
	settled := c.cfg.Now().Add(-c.cfg.Settle).Truncate(time.Hour)
	from, to := a.From, a.To
	if from.IsZero() {
		from = settled.Add(-72 * time.Hour)
	}
	if to.IsZero() || to.After(settled) {
		to = settled
	}
	groups, err := c.store.ArchiveGroups(ctx, from.Truncate(time.Hour), to)
	if err != nil {
		return r, err
	}
	all := 0
	for _, g := range groups {
		all += g.Objects
	}
	for _, g := range groups {
		p.Set(int64(r.Objects), int64(all), g.Hour.UTC().Format("2006-01-02 15:04"))
		if err := c.group(ctx, g, &r, func() { p.Set(int64(r.Objects), int64(all), g.Hour.UTC().Format("2006-01-02 15:04")) }); err != nil {
			return r, fmt.Errorf("compact %s: %w", g.Hour.UTC().Format(time.RFC3339), err)
		}
	}
	return r, nil
}

func (c *Compactor) group(ctx context.Context, g ledger.ArchiveGroup, r *CompactReport, told func()) error {
	unlock, err := c.store.LockArchive(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	objects, err := c.store.ArchiveObjects(ctx, g)
	if err != nil {
		return err
	}
	for len(objects) > 0 {
		n, samples := 0, int64(0)
		for n < len(objects) && (n < 2 || samples+objects[n].Samples <= c.cfg.MaxSamples) {
			samples += objects[n].Samples
			n++
		}
		if n == 1 { // nothing to put it together with
			return nil
		}
		if err := c.together(ctx, g, objects[:n], r); err != nil {
			return err
		}
		told()
		objects = objects[n:]
	}
	return nil
}

// errArchive is an object that is not what the manifest says.
var errArchive = errors.New("the object does not hold what the manifest says")

// together replaces objects by one.
func (c *Compactor) together(ctx context.Context, g ledger.ArchiveGroup, old []ledger.ArchiveObject, r *CompactReport) error {
	c.cfg.OnStep(CompactRead)
	var w work
	batches := 0
	var before, samples int64
	for _, o := range old {
		body, err := c.objects.Get(ctx, o.Key)
		if err != nil {
			return fmt.Errorf("get %s: %w", o.Key, err)
		}
		if err := w.load(body); err != nil {
			return fmt.Errorf("%s: %w", o.Key, err)
		}
		batches += o.Batches
		before += int64(len(body))
		samples += o.Samples
		if len(w.batches) != batches {
			return fmt.Errorf("%s: %w: %d batches too many", o.Key, errArchive, len(w.batches)-batches)
		}
	}
	c.cfg.OnStep(CompactEncode)
	w.envelopes = []envelope{{last: len(w.batches), fresh: true}}
	encoder, err := newArchiver(byVehicle)
	if err != nil {
		return err
	}
	body, err := encoder.encode(&w, []int{0})
	if err != nil {
		return err
	}
	c.cfg.OnStep(CompactPut)
	key := compactedKey(g.Hour, c.cfg.Now())
	if err := c.objects.Put(ctx, key, body, archiveType, ""); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	c.cfg.OnStep(CompactSwap)
	if err := c.store.SwapArchive(ctx, old, key, int64(len(body))); err != nil {
		return err // the object stays behind: orphan collection finds it
	}
	c.cfg.OnStep(CompactEnded)
	r.Objects += len(old)
	r.Into++
	r.Batches += batches
	r.Samples += samples
	r.BytesBefore += before
	r.BytesAfter += int64(len(body))
	c.log.InfoContext(ctx, "archive compacted", "key", key, "objects", len(old), "samples", samples, "bytes_before", before, "bytes_after", len(body))
	return nil
}

// compactedKey is a new key in the hour's folder. The database tells by its name that the object is put
// together already.
func compactedKey(hour, now time.Time) string {
	return "raw/" + hour.UTC().Format("2006/01/02/15") + "/" + compactedName + newObjectID(now) + ".parquet"
}

// compactedName begins the names of objects that were put together.
const compactedName = "compacted-"

// load appends an archive object's batches with their matched edges.
func (w *work) load(object []byte) error {
	return eachRows(object, func(rows []ArchiveRow) error {
		for i := range rows {
			w.addRow(&rows[i])
		}
		return nil
	})
}

// addRow appends an archived batch, as one that is new.
func (w *work) addRow(r *ArchiveRow) {
	b := batch{
		claim: r.Claim, vehicle: r.Vehicle, tripKey: r.TripKey, elapsed: r.TripElapsedS, final: r.TripFinal, leadIn: r.LeadIn, fresh: true,
		kind: w.kinds.of(telemetry.Vehicle{Model: r.Model, Software: r.Software}), s0: int32(len(w.samples)), e0: int32(len(w.events)),
	}
	for i := range r.Samples {
		w.samples = append(w.samples, r.Samples[i].sample())
		var edge road.Edge
		if r.Samples[i].Edge != nil {
			edge = road.Edge(*r.Samples[i].Edge)
		}
		w.edges = append(w.edges, edge)
	}
	for _, e := range r.Events {
		w.events = append(w.events, e.event())
	}
	b.s1, b.e1 = int32(len(w.samples)), int32(len(w.events))
	w.batches = append(w.batches, b)
}
