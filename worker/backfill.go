package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// BackfillStore is the database's side of backfills. Safe for concurrent use.
type BackfillStore interface {
	// BeginBackfill begins one, or finds what was begun, with the partitions that it needs. Error: ledger.ErrBackfillDays.
	BeginBackfill(ctx context.Context, prefix string, from, to time.Time) (ledger.Backfill, error)
	// BackfillObject tells how far an object is taken in.
	BackfillObject(ctx context.Context, id int64, key string) (o ledger.BackfillObject, found bool, err error)
	// SetBackfillObject notes how an object stands of which nothing is taken in now.
	SetBackfillObject(ctx context.Context, b ledger.Backfill, o ledger.BackfillObject) error
	// ForgottenClaims lists objects of our own archive with events in [from, to] whose claims must be remembered before anything is taken in.
	ForgottenClaims(ctx context.Context, from, to time.Time, most int) ([]ledger.ReplayObject, error)
	// RememberClaims notes the batches of entries of the manifest.
	RememberClaims(ctx context.Context, flushes []int64, ids []telemetry.ClaimID) error
	// ArchiveNames tells which objects are our own archive's.
	ArchiveNames(ctx context.Context, keys []string) (map[string]bool, error)
	// EndBackfill notes that nothing is left to do, and adds up.
	EndBackfill(ctx context.Context, b ledger.Backfill) (ledger.BackfillReport, error)
}

// BackfillObjects is the object store's side.
type BackfillObjects interface {
	ArchiveObjects
	List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error
}

// BackfillDeps is what a Backfiller works with. All are required but those said to be not.
type BackfillDeps struct {
	Store BackfillStore
	// Begin begins the transaction of b's next envelope, with events in [from, to], after which o stands as told.
	Begin   func(ctx context.Context, b ledger.Backfill, o ledger.BackfillObject, from, to time.Time) (Tx, error)
	Objects BackfillObjects
	// NewMatcher, NewCollectors and MapVersion as in Deps.
	NewMatcher    func() Matcher
	NewCollectors func() []learn.Collector
	MapVersion    func() string
	Logger        *slog.Logger
	Samples       int        // that a transaction takes in, about; default 100,000
	OnStep        func(Step) // not required
}

// Backfiller takes archives of other deployments, or from before this one, into it: their batches are matched with the present map, archived,
// added up and entered into the ledger, each once, however often and in however many objects they come. Pseudonyms stay those that the
// archive has. What is live is not touched. Safe for concurrent use.
type Backfiller struct{ d BackfillDeps }

// NewBackfiller makes one.
func NewBackfiller(d BackfillDeps) *Backfiller {
	d.Samples = cmp.Or(d.Samples, 100_000)
	if d.OnStep == nil {
		d.OnStep = func(Step) {}
	}
	return &Backfiller{d}
}

// StepLook is where a backfill looks at an object; the other steps are those of flushes.
const StepLook Step = "look"

// Bounds of a backfill. An object is in memory as a whole.
const (
	maxBackfillObject  = 256 << 20
	maxBackfillObjects = 200_000
)

// Run takes in what a selects. It may be killed at any point and run again: then it goes on.
func (p *Backfiller) Run(ctx context.Context, a BackfillArgs, progress job.Progress) (rep ledger.BackfillReport, err error) {
	from, to, err := a.days()
	if err != nil {
		return rep, err
	}
	if p.d.MapVersion() == "" {
		return rep, errors.New("backfill: there is no map yet")
	}
	objects, err := p.list(ctx, a.Prefix)
	if err != nil {
		return rep, err
	}
	b, err := p.d.Store.BeginBackfill(ctx, a.Prefix, from, to)
	if err != nil {
		return rep, err
	}
	run, err := p.run(b)
	if err != nil {
		return rep, err
	}
	for i := range objects {
		progress.Set(int64(i), int64(len(objects)), objects[i].Key)
		if err := run.object(ctx, objects[i]); err != nil {
			return rep, fmt.Errorf("backfill %s: %w", objects[i].Key, err)
		}
	}
	progress.Set(int64(len(objects)), int64(len(objects)), "")
	return p.d.Store.EndBackfill(ctx, run.b)
}

// list lists the Parquet objects under a prefix that are not our own archive's.
func (p *Backfiller) list(ctx context.Context, prefix string) (all []ledger.BackfillObject, err error) {
	err = p.d.Objects.List(ctx, prefix, func(key string, size int64, modified time.Time) error {
		if !strings.HasSuffix(key, ".parquet") {
			return nil
		}
		if len(all) == maxBackfillObjects {
			return &job.ArgsError{Pointer: "/prefix", Detail: fmt.Sprintf("more than %d objects begin with it: take parts of them", maxBackfillObjects)}
		}
		all = append(all, ledger.BackfillObject{Key: key, Bytes: size, Modified: modified.UTC().Truncate(time.Microsecond)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("backfill: list %q: %w", prefix, err)
	}
	if len(all) == 0 {
		return nil, &job.ArgsError{Pointer: "/prefix", Detail: "no object begins with it and ends with .parquet"}
	}
	ours := map[string]bool{}
	for page := range slices.Chunk(all, 1000) {
		keys := make([]string, len(page))
		for i := range page {
			keys[i] = page[i].Key
		}
		named, err := p.d.Store.ArchiveNames(ctx, keys)
		if err != nil {
			return nil, fmt.Errorf("backfill: %w", err)
		}
		maps.Copy(ours, named)
	}
	return slices.DeleteFunc(all, func(o ledger.BackfillObject) bool { return ours[o.Key] }), nil
}

// backfillRun takes objects in, one after the other.
type backfillRun struct {
	d       *BackfillDeps
	b       ledger.Backfill
	prepare *preparer
	flush   *flusher
	work    work

	current    ledger.BackfillObject // as it stands after the chunk in hand
	tMin, tMax int64
	samples    int
}

func (p *Backfiller) run(b ledger.Backfill) (*backfillRun, error) {
	cfg := &Config{Name: "backfill", OnStep: p.d.OnStep, LiveWindow: time.Minute}
	m := newMetrics(prometheus.NewRegistry()) // those of workers are about what cars send
	encoder, err := newArchiver(byPlace)
	if err != nil {
		return nil, err
	}
	r := &backfillRun{d: &p.d, b: b, prepare: &preparer{cfg: cfg, match: p.d.NewMatcher(), m: m, now: time.Now}}
	newSums := func() *aggregate { return newAggregate(p.d.NewCollectors(), nil) }
	r.flush = &flusher{
		cfg: cfg, objects: p.d.Objects, mapVersion: p.d.MapVersion, m: m, now: time.Now, newSums: newSums, sums: newSums(), archive: encoder,
		begin: func(ctx context.Context) (Tx, error) {
			tx, err := p.d.Begin(ctx, r.b, r.current, time.UnixMilli(r.tMin), time.UnixMilli(r.tMax))
			if err != nil {
				return nil, err
			}
			return pastTx{tx}, nil
		},
	}
	return r, nil
}

// pastTx marks no tile of what shows the present.
type pastTx struct{ Tx }

func (t pastTx) Dirty(ctx context.Context, layer string, tiles []learn.DirtyTile) error {
	if layer == LayerSpeeds || layer == LayerHazards {
		return nil
	}
	return t.Tx.Dirty(ctx, layer, tiles)
}

// object takes in what is left of an object, or notes why none of it can be.
func (r *backfillRun) object(ctx context.Context, o ledger.BackfillObject) error {
	r.d.OnStep(StepLook)
	known, found, err := r.d.Store.BackfillObject(ctx, r.b.ID, o.Key)
	if err != nil {
		return err
	}
	if found && known.Bytes == o.Bytes && known.Modified.Equal(o.Modified) {
		if known.Done {
			return nil
		}
		o = known
	}
	o.Done = true
	if o.Bytes > maxBackfillObject {
		o.Error = fmt.Sprintf("%d bytes, expected at most %d", o.Bytes, maxBackfillObject)
		return r.d.Store.SetBackfillObject(ctx, r.b, o)
	}
	body, err := getArchived(ctx, r.d.Objects, o.Key)
	if errors.Is(err, errObjectGone) {
		o.Error = "not there any more"
		return r.d.Store.SetBackfillObject(ctx, r.b, o)
	}
	if err != nil {
		return err
	}
	rows, err := checkArchive(body, time.Now())
	if err != nil {
		o.Error = err.Error()
		return r.d.Store.SetBackfillObject(ctx, r.b, o)
	}
	return r.rows(ctx, body, o, rows)
}

// rows takes in the rows of a checked object from where o stands on.
func (r *backfillRun) rows(ctx context.Context, body []byte, o ledger.BackfillObject, rows int64) error {
	skip := o.Rows
	o.Done = false
	r.begin(o)
	from, to := r.b.From.UnixMilli(), r.b.To.UnixMilli()
	err := eachRows(body, func(some []ArchiveRow) error {
		for i := range some {
			if skip > 0 {
				skip--
				continue
			}
			row := &some[i]
			r.current.Rows++
			if first := row.Samples[row.LeadIn].T; first < from || first >= to {
				r.current.Outside++
				continue
			}
			r.add(row)
			if r.samples >= r.d.Samples && r.current.Rows < rows {
				if err := r.take(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.current.Done = true
	if r.samples == 0 {
		return r.d.Store.SetBackfillObject(ctx, r.b, r.current)
	}
	return r.take(ctx)
}

// begin begins a chunk of an object that stands as told.
func (r *backfillRun) begin(o ledger.BackfillObject) {
	r.work.reset()
	r.current, r.tMin, r.tMax, r.samples = o, 0, 0, 0
}

// add adds a batch to the chunk.
func (r *backfillRun) add(row *ArchiveRow) {
	r.work.addRow(row)
	r.samples += len(row.Samples) - int(row.LeadIn)
	span := func(t int64) {
		if r.tMax == 0 || t < r.tMin {
			r.tMin = t
		}
		r.tMax = max(r.tMax, t)
	}
	for i := int(row.LeadIn); i < len(row.Samples); i++ {
		span(row.Samples[i].T)
	}
	for i := range row.Events {
		span(row.Events[i].T)
	}
}

// backfillTries is how often a chunk is tried while our own archive changes.
const backfillTries = 5

// take brings the chunk in as one envelope, and begins the next.
func (r *backfillRun) take(ctx context.Context) error {
	w := &r.work
	w.edges = w.edges[:0] // those of another map
	if err := r.prepare.matchBatches(ctx, w, 0); err != nil {
		return err
	}
	n := ledger.Count{Batches: int64(len(w.batches)), Samples: int64(r.samples)}
	header := telemetry.Header{
		Receiver: r.b.Receiver, Seq: r.b.Seq + 1, AcceptedAt: time.Now().UnixMilli(), Batches: uint32(n.Batches), Samples: uint32(n.Samples),
		TotalBatches: uint64(r.b.Total.Batches + n.Batches), TotalSamples: uint64(r.b.Total.Samples + n.Samples), ConfirmedThrough: r.b.Seq,
	}
	w.envelopes = append(w.envelopes[:0], envelope{header: header, inLedger: true, last: len(w.batches)})
	for try := 1; ; try++ {
		if err := r.remember(ctx); err != nil {
			return err
		}
		res, err := r.flush.flush(ctx, w, []int{0})
		if errors.Is(err, ledger.ErrBackfillForgotten) && try < backfillTries {
			continue
		}
		if err != nil {
			return err
		}
		if res.handled != 1 {
			return ledger.ErrBackfillMoved
		}
		break
	}
	r.b.Seq++
	r.b.Total.Add(n)
	r.begin(r.current)
	return nil
}

// remember looks up what our own archive holds of the chunk's time.
func (r *backfillRun) remember(ctx context.Context) error {
	missing := 0
	for {
		objects, err := r.d.Store.ForgottenClaims(ctx, time.UnixMilli(r.tMin), time.UnixMilli(r.tMax), 64)
		if err != nil || len(objects) == 0 {
			return err
		}
		for i := range objects {
			body, err := getArchived(ctx, r.d.Objects, objects[i].Key)
			if errors.Is(err, errObjectGone) && missing < 3 { // put together meanwhile: the manifest names another
				missing++
				break
			}
			if err != nil {
				return err
			}
			ids, err := archivedClaims(body)
			if err != nil {
				return fmt.Errorf("%s: %w", objects[i].Key, err)
			}
			if err := r.d.Store.RememberClaims(ctx, objects[i].Flushes, ids); err != nil {
				return err
			}
			missing = 0
		}
	}
}
