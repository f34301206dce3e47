package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// ReplayStore is the database's side of replays. Safe for concurrent use.
type ReplayStore interface {
	// BeginReplay makes an empty version of the aggregates of the UTC days [from, to), or finds the one that is being built.
	BeginReplay(ctx context.Context, from, to time.Time, mapVersion string) (ledger.Replay, error)
	// Replay looks one up: ledger.ErrNoReplay.
	Replay(ctx context.Context, id int64) (ledger.Replay, error)
	// ReplayPending lists objects that are not in it yet, and counts the manifest's entries that are, and all.
	ReplayPending(ctx context.Context, r ledger.Replay, most int) (objects []ledger.ReplayObject, done, all int64, err error)
	// ClaimedBy tells which entry of the manifest claimed each batch, 0 if that is forgotten.
	ClaimedBy(ctx context.Context, ids []telemetry.ClaimID) ([]int64, error)
	// DiffReplay compares it with the live version; means of fewer than k vehicles are left out.
	DiffReplay(ctx context.Context, r ledger.Replay, k int) (ledger.ReplayDiff, error)
	// EndReplay notes that it is built.
	EndReplay(ctx context.Context, id int64, diff []byte) (ledger.Replay, error)
	// SwapReplay puts it in the live version's place. While nothing is flushed it calls catchUp. The tiles of its speeds are marked in layer speeds, those
	// of its evidence in layerOf.
	SwapReplay(ctx context.Context, id int64, speeds string, layerOf func(learn.Kind) string, catchUp func(context.Context, ledger.Replay) error) (ledger.Replay, error)
	// DropReplay gives it up.
	DropReplay(ctx context.Context, id int64) (ledger.Replay, error)
}

// ReplayTx takes entries of the manifest in, and adds what their batches say, in one transaction. Used by one
// goroutine.
type ReplayTx interface {
	Take(ctx context.Context, flushes []int64) error
	Add(ctx context.Context, speeds []learn.SpeedRow, health []learn.HealthRow, evidence []learn.Evidence) error
	Commit(ctx context.Context) error
	Rollback(ctx context.Context)
}

// ReplayStep is a step of a replay. A crash between any two leaves it to be carried on.
type ReplayStep string

// The steps.
const (
	ReplayList   ReplayStep = "list"
	ReplayRead   ReplayStep = "read"
	ReplayCommit ReplayStep = "commit"
	ReplayDiff   ReplayStep = "diff"
	ReplayLock   ReplayStep = "lock"   // before flushes are kept out
	ReplayLocked ReplayStep = "locked" // while they are
	ReplayEnded  ReplayStep = "ended"
)

// ReplayDeps is what a Replayer works with. All are required but those said to be not.
type ReplayDeps struct {
	Store   ReplayStore
	Begin   func(ctx context.Context, r ledger.Replay) (ReplayTx, error)
	Objects StoredObjects
	// NewMatcher, NewCollectors and MapVersion as in Deps.
	NewMatcher    func() Matcher
	NewCollectors func() []learn.Collector
	MapVersion    func() string
	K             int // vehicles from which a segment's mean is told; default 3
	StepObjects   int // objects that a transaction takes in at most; default 64
	Logger        *slog.Logger
	OnStep        func(ReplayStep) // not required
}

// Replayer rebuilds aggregates from the raw archive, beside the live ones, with the present matcher, learners and map. What it
// builds is what flushes would have: live speeds of the last hours, and what is judged from evidence, follow by themselves. Safe for concurrent use.
type Replayer struct{ d ReplayDeps }

// NewReplayer makes one.
func NewReplayer(d ReplayDeps) *Replayer {
	d.K, d.StepObjects = cmp.Or(d.K, 3), cmp.Or(d.StepObjects, 64)
	if d.OnStep == nil {
		d.OnStep = func(ReplayStep) {}
	}
	return &Replayer{d}
}

// ReplayReport is what came of a replay.
type ReplayReport struct {
	Replay  string            `json:"replay"` // its id
	Batches int64             `json:"batches"`
	Samples int64             `json:"samples"`
	Equal   bool              `json:"equal"` // to the live version
	Diff    ledger.ReplayDiff `json:"diff"`
}

// Build builds a version of the UTC days [from, to) and compares it. It may be killed at any point and run again: then it goes on.
// Batches and samples are those of this run.
func (p *Replayer) Build(ctx context.Context, from, to time.Time, progress job.Progress) (rep ReplayReport, err error) {
	version := p.d.MapVersion()
	if version == "" {
		return rep, errors.New("replay: there is no map yet")
	}
	r, err := p.d.Store.BeginReplay(ctx, from, to, version)
	if err != nil {
		return rep, fmt.Errorf("replay: %w", err)
	}
	run := p.run(r)
	if err := run.catchUp(ctx, progress); err != nil {
		return rep, fmt.Errorf("replay %d: %w", r.ID, err)
	}
	p.d.OnStep(ReplayDiff)
	rep = ReplayReport{Replay: strconv.FormatInt(r.ID, 10), Batches: run.batches, Samples: run.samples}
	if rep.Diff, err = p.d.Store.DiffReplay(ctx, r, p.d.K); err != nil {
		return rep, fmt.Errorf("replay %d: %w", r.ID, err)
	}
	rep.Equal = rep.Diff.Equal()
	diff, err := json.Marshal(rep.Diff)
	if err != nil {
		return rep, fmt.Errorf("replay %d: %w", r.ID, err)
	}
	_, err = p.d.Store.EndReplay(ctx, r.ID, diff)
	p.d.OnStep(ReplayEnded)
	return rep, err
}

// Swap puts a replay that is built in the live version's place. What was archived since is taken in first, the last of it
// while no flush can commit. It may be killed at any point and run again.
func (p *Replayer) Swap(ctx context.Context, id int64, progress job.Progress) (ledger.Replay, error) {
	r, err := p.d.Store.Replay(ctx, id)
	if err != nil {
		return r, err
	}
	if r.State == ledger.ReplayBuilt {
		if err := p.run(r).catchUp(ctx, progress); err != nil {
			return r, fmt.Errorf("replay %d: %w", id, err)
		}
	}
	p.d.OnStep(ReplayLock)
	r, err = p.d.Store.SwapReplay(ctx, id, LayerSpeeds, func(k learn.Kind) string {
		if layer := layerOf(k); layer >= 0 {
			return layerName(layer)
		}
		return ""
	}, func(ctx context.Context, r ledger.Replay) error {
		p.d.OnStep(ReplayLocked)
		return p.run(r).catchUp(ctx, progress)
	})
	if err == nil {
		p.d.OnStep(ReplayEnded)
	}
	return r, err
}

// Drop gives a replay up.
func (p *Replayer) Drop(ctx context.Context, id int64) (ledger.Replay, error) {
	return p.d.Store.DropReplay(ctx, id)
}

func (p *Replayer) run(r ledger.Replay) *replayRun {
	return &replayRun{d: &p.d, r: r, prepare: &preparer{match: p.d.NewMatcher()}, sums: newAggregate(p.d.NewCollectors(), nil)}
}

// replayRows is how many rows of sums a step of a replay holds at most (of speeds some 700 bytes each).
const replayRows = 100_000

// replayRun takes objects in, one after the other.
type replayRun struct {
	d                *ReplayDeps
	r                ledger.Replay
	prepare          *preparer
	work             work
	sums             *aggregate
	tx               ReplayTx
	batches, samples int64
}

// catchUp takes in what is archived and not in the replay, until nothing is.
func (p *replayRun) catchUp(ctx context.Context, progress job.Progress) error {
	missing := 0
	for {
		p.d.OnStep(ReplayList)
		objects, done, all, err := p.d.Store.ReplayPending(ctx, p.r, p.d.StepObjects)
		if err != nil {
			return err
		}
		progress.Set(done, all, "replay "+strconv.FormatInt(p.r.ID, 10))
		if len(objects) == 0 {
			return nil
		}
		if p.d.MapVersion() != p.r.MapVersion {
			return ledger.ErrReplayMap
		}
		err = p.step(ctx, objects)
		switch {
		case err == nil:
			missing = 0
		case errors.Is(err, errObjectGone) && missing < 3: // put together meanwhile: the manifest names another
			missing++
		default:
			return err
		}
	}
}

var errObjectGone = errors.New("an archived object is not there")

// step takes objects in, as many as fit, in one transaction.
func (p *replayRun) step(ctx context.Context, objects []ledger.ReplayObject) error {
	p.sums.reset()
	p.work.reset()
	var err error
	if p.tx, err = p.d.Begin(ctx, p.r); err != nil {
		return err
	}
	defer p.tx.Rollback(ctx)
	stored := false
	for i := range objects {
		if stored { // enough for a transaction
			break
		}
		p.d.OnStep(ReplayRead)
		if stored, err = p.object(ctx, &objects[i]); err != nil {
			return fmt.Errorf("%s: %w", objects[i].Key, err)
		}
	}
	if err := p.store(ctx); err != nil {
		return err
	}
	p.d.OnStep(ReplayCommit)
	return p.tx.Commit(ctx)
}

// object adds up an object's batches, and tells whether it had to store sums meanwhile.
func (p *replayRun) object(ctx context.Context, o *ledger.ReplayObject) (stored bool, err error) {
	body, err := getArchived(ctx, p.d.Objects, o.Key)
	if err != nil {
		return false, err
	}
	if err := p.tx.Take(ctx, o.Flushes); err != nil {
		return false, err
	}
	return stored, eachRows(body, func(rows []ArchiveRow) error {
		if o.Mixed {
			if rows, err = p.ofFlushes(ctx, rows, o.Flushes); err != nil {
				return err
			}
		}
		if err := p.add(ctx, rows); err != nil {
			return err
		}
		if len(p.sums.speeds)+p.sums.learned.all.Len() < replayRows && len(p.work.kinds.list) < maxKinds/2 {
			return nil
		}
		stored = true
		return p.store(ctx)
	})
}

// ofFlushes leaves the rows that were claimed by one of the flushes.
func (p *replayRun) ofFlushes(ctx context.Context, rows []ArchiveRow, flushes []int64) ([]ArchiveRow, error) {
	ids := make([]telemetry.ClaimID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Claim
	}
	by, err := p.d.Store.ClaimedBy(ctx, ids)
	if err != nil {
		return nil, err
	}
	if slices.Contains(by, 0) {
		return nil, ledger.ErrReplayOrigin
	}
	kept := rows[:0:0]
	for i := range rows {
		if slices.Contains(flushes, by[i]) {
			kept = append(kept, rows[i])
		}
	}
	return kept, nil
}

// add matches rows and adds them up. The kinds of vehicles stay, as the sums refer to them.
func (p *replayRun) add(ctx context.Context, rows []ArchiveRow) error {
	w := &p.work
	w.truncate(mark{})
	w.envelopes = w.envelopes[:0]
	for i := range rows {
		w.addRow(&rows[i])
	}
	w.edges = w.edges[:0] // those of another map, perhaps
	if err := p.prepare.matchBatches(ctx, w, 0); err != nil {
		return err
	}
	before, samples := p.sums.batches, p.sums.samples
	w.envelopes = append(w.envelopes, envelope{last: len(w.batches), fresh: true})
	if err := p.sums.add(ctx, w, []int{0}, math.MaxInt64); err != nil {
		return err
	}
	p.batches += int64(p.sums.batches - before)
	p.samples += p.sums.samples - samples
	return nil
}

// store stores the sums of the replay's days and begins new ones.
func (p *replayRun) store(ctx context.Context) error {
	from, to := p.r.From.UnixMilli(), p.r.To.UnixMilli()
	outside := func(ms int64) bool { return ms < from || ms >= to }
	a := p.sums
	speeds := slices.DeleteFunc(a.speeds, func(r learn.SpeedRow) bool { return outside(r.BucketMS) })
	health := slices.DeleteFunc(a.health, func(r learn.HealthRow) bool { return outside(r.HourMS) })
	evidence := slices.DeleteFunc(slices.Clone(a.learned.all.Rows()), func(r learn.Evidence) bool { return outside(r.BucketMS) })
	if err := p.tx.Add(ctx, speeds, health, evidence); err != nil {
		return err
	}
	a.reset()
	p.work.reset()
	return nil
}
