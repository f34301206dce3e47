package worker

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// flusher brings gathered work into the stores, in one transaction. It reuses its memory;
// one goroutine uses it.
type flusher struct {
	cfg        *Config
	begin      func(context.Context) (Tx, error)
	objects    Objects
	mapVersion func() string
	m          *metrics
	now        func() time.Time

	newSums  func() *aggregate
	sums     *aggregate
	archive  *archiver // nil after a panic
	entries  []int     // indexes of envelopes to enter into the ledger, sorted
	headers  []*telemetry.Header
	forgets  forgetter
	claims   []claimed
	ids      []telemetry.ClaimID
	samples  []int16
	fresh    []bool
	outcomes []ledger.Envelope
}

// claimed ties a claim to its batch.
type claimed struct {
	id    telemetry.ClaimID
	batch int32
}

// result is what a flush did, for metrics.
type result struct {
	archived, duplicate, quarantined                      int
	archivedSamples, duplicateSamples, quarantinedSamples int64
	handled, redelivered, bad                             int
	bytes                                                 int
	untrusted                                             int
	reasons                                               []ledger.Reason
}

// flush writes the given envelopes of w: afterwards they are done and can be deleted from the
// queue. After an error nothing, or all of it, may have been written; a flush
// of the same envelopes finds out.
func (f *flusher) flush(ctx context.Context, w *work, envelopes []int) (res result, err error) {
	defer func() {
		// A bug that one envelope triggers must not take the worker down with it again and
		// again: the envelope is looked for, as after a refusal by the database.
		if r := recover(); r != nil {
			f.m.panics.Inc()
			f.sums, f.archive = f.newSums(), nil // who knows what state they are in
			res, err = result{}, &panicError{r, debug.Stack()}
		}
	}()
	return f.try(ctx, w, envelopes)
}

// panicError is a panic during a flush.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// Permanent tells that the same data will panic again.
func (e *panicError) Permanent() bool { return true }

// try is flush, but may panic; the transaction is rolled back then.
func (f *flusher) try(ctx context.Context, w *work, envelopes []int) (res result, err error) {
	step := f.steps()
	defer func() { step("") }()
	step(StepBegin)
	tx, err := f.begin(ctx)
	if err != nil {
		return res, err
	}
	defer tx.Rollback(ctx)

	step(StepEnvelopes)
	if err := f.enter(ctx, tx, w, envelopes, &res); err != nil {
		return res, err
	}
	step(StepClaim)
	if err := f.claim(ctx, tx, w, envelopes); err != nil {
		return res, err
	}
	step(StepAggregate)
	f.sums.reset()
	if err := f.sums.add(ctx, w, envelopes, f.now().Add(-f.cfg.LiveWindow).UnixMilli()); err != nil {
		return res, err
	}
	res.untrusted = f.sums.untrusted
	quarantine := f.settle(w, envelopes, &res)
	if res.handled == 0 && len(quarantine) == 0 {
		return res, nil // nothing but redelivered envelopes
	}

	m, err := f.keep(ctx, tx, w, envelopes, quarantine, step, &res)
	if err != nil {
		return res, err
	}
	step(StepSettle)
	if err := tx.Settle(ctx, f.outcomes, quarantine); err != nil {
		return res, err
	}
	step(StepCommit)
	return res, tx.Commit(ctx, m)
}

// keep archives the fresh batches, stores the objects and what was summed up, and returns the manifest's entry.
func (f *flusher) keep(ctx context.Context, tx Tx, w *work, envelopes []int, quarantine []ledger.Quarantined, step func(Step), res *result) (m ledger.Flush, err error) {
	step(StepArchive)
	var object []byte
	m = ledger.Flush{
		Worker: f.cfg.Name, Batches: f.sums.batches + int(f.forgets.erased.Batches), Samples: f.sums.samples + f.forgets.erased.Samples, Erased: f.forgets.erased, TMin: f.sums.tMin, TMax: f.sums.tMax,
		MapVersion: f.mapVersion(),
	}
	if f.sums.batches > 0 {
		if f.archive == nil {
			if f.archive, err = newArchiver(byPlace); err != nil {
				return m, err
			}
		}
		if object, err = f.archive.encode(w, envelopes); err != nil {
			return m, err
		}
		m.ObjectKey, m.ObjectBytes = f.archiveKey(), int64(len(object))
		res.bytes = len(object)
	}
	step(StepPut)
	if err := f.put(ctx, tx, w, envelopes, m.ObjectKey, object, quarantine); err != nil {
		return m, err
	}
	step(StepStore)
	return m, f.store(ctx, tx)
}

// steps reports the beginning of steps, and observes how long the one before took.
func (f *flusher) steps() func(Step) {
	var running Step
	var since time.Time
	return func(next Step) {
		now := f.now()
		if running != "" {
			f.m.step.WithLabelValues(string(running)).Observe(now.Sub(since).Seconds())
		}
		running, since = next, now
		if next != "" {
			f.cfg.OnStep(next)
		}
	}
}

// compareHeaders orders envelopes by acceptance, receiver and sequence number.
func compareHeaders(a, b *telemetry.Header) int {
	return cmp.Or(cmp.Compare(a.AcceptedAt, b.AcceptedAt), bytes.Compare(a.Receiver[:], b.Receiver[:]), cmp.Compare(a.Seq, b.Seq))
}

// enter enters envelopes into the ledger and marks the fresh ones.
func (f *flusher) enter(ctx context.Context, tx Tx, w *work, envelopes []int, res *result) error {
	f.entries, f.headers = f.entries[:0], f.headers[:0]
	for _, i := range envelopes {
		w.envelopes[i].fresh = false
		if w.envelopes[i].inLedger {
			f.entries = append(f.entries, i)
		}
	}
	header := func(i int) *telemetry.Header { return &w.envelopes[i].header }
	slices.SortStableFunc(f.entries, func(a, b int) int { return compareHeaders(header(a), header(b)) })
	entered := len(f.entries)
	// The same envelope twice in one flush: the first one counts.
	f.entries = slices.CompactFunc(f.entries, func(a, b int) bool { return compareHeaders(header(a), header(b)) == 0 })
	for _, i := range f.entries {
		f.headers = append(f.headers, header(i))
	}
	fresh := f.flags(len(f.headers))
	if err := tx.Envelopes(ctx, f.headers, fresh); err != nil {
		return err
	}
	for j, i := range f.entries {
		w.envelopes[i].fresh = fresh[j]
		if fresh[j] {
			res.handled++
		}
	}
	res.redelivered = entered - res.handled
	return nil
}

// claim claims the batches of the fresh envelopes and marks those that are new.
func (f *flusher) claim(ctx context.Context, tx Tx, w *work, envelopes []int) error {
	f.claims = f.claims[:0]
	for _, i := range envelopes {
		e := &w.envelopes[i]
		for j := e.first; j < e.last; j++ {
			w.batches[j].fresh = false
			if e.fresh && e.bad == nil && !w.batches[j].settled {
				f.claims = append(f.claims, claimed{w.batches[j].claim, int32(j)})
			}
		}
	}
	slices.SortFunc(f.claims, func(a, b claimed) int { return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.batch, b.batch)) })
	// The same batch twice in one flush: the first one counts.
	f.claims = slices.CompactFunc(f.claims, func(a, b claimed) bool { return a.id == b.id })
	f.ids, f.samples = f.ids[:0], f.samples[:0]
	for i := range f.claims {
		f.ids = append(f.ids, f.claims[i].id)
		f.samples = append(f.samples, int16(w.batches[f.claims[i].batch].n()))
	}
	fresh := f.flags(len(f.ids))
	if err := tx.Claim(ctx, f.ids, f.samples, fresh); err != nil {
		return err
	}
	for i := range f.claims {
		w.batches[f.claims[i].batch].fresh = fresh[i]
	}
	return f.forgets.mark(ctx, tx, w, envelopes)
}

func (f *flusher) flags(n int) []bool {
	f.fresh = slices.Grow(f.fresh[:0], n)[:n]
	clear(f.fresh)
	return f.fresh
}

// settle counts the outcome of each fresh envelope and lists what goes to quarantine.
func (f *flusher) settle(w *work, envelopes []int, res *result) []ledger.Quarantined {
	f.outcomes = f.outcomes[:0]
	var quarantine []ledger.Quarantined
	for _, i := range envelopes {
		e := &w.envelopes[i]
		if e.inLedger && !e.fresh {
			continue
		}
		if e.bad != nil {
			quarantine = append(quarantine, e.quarantined(e.bad.reason, e.bad.detail))
			res.bad++
		}
		if !e.inLedger {
			continue
		}
		o := e.outcome(w)
		for j := range e.refused {
			q := e.quarantined(e.refused[j].reason, e.refused[j].detail)
			q.HasClaim, q.Claim, q.Batches, q.Samples = true, e.refused[j].claim, 1, uint32(e.refused[j].samples)
			quarantine = append(quarantine, q)
		}
		f.outcomes = append(f.outcomes, o)
		res.archived += int(o.Archived)
		res.archivedSamples += int64(o.ArchivedSamples)
		res.duplicate += int(o.Duplicate)
		res.duplicateSamples += int64(o.DuplicateSamples)
		res.quarantined += int(o.Quarantined)
		res.quarantinedSamples += int64(o.QuarantinedSamples)
	}
	for i := range quarantine {
		res.reasons = append(res.reasons, quarantine[i].Reason)
	}
	return quarantine
}

// outcome counts what became of the envelope's batches. Samples of batches that can't be read
// are what the header counts and the readable ones don't explain.
func (e *envelope) outcome(w *work) ledger.Envelope {
	o := ledger.Envelope{Header: e.header}
	if e.bad != nil {
		o.Quarantined, o.QuarantinedSamples = e.header.Batches, e.header.Samples
		return o
	}
	for i := e.first; i < e.last; i++ {
		b := &w.batches[i]
		switch {
		case b.settled:
		case b.fresh:
			o.Archived++
			o.ArchivedSamples += uint32(b.n())
		default:
			o.Duplicate++
			o.DuplicateSamples += uint32(b.n())
		}
	}
	o.Quarantined = uint32(len(e.refused))
	if known := o.ArchivedSamples + o.DuplicateSamples; known < e.header.Samples {
		o.QuarantinedSamples = e.header.Samples - known
	}
	return o
}

func (e *envelope) quarantined(reason ledger.Reason, detail string) ledger.Quarantined {
	q := ledger.Quarantined{
		Reason: reason, Detail: detail[:min(len(detail), 500)], ObjectKey: e.quarantineKey(), Bytes: len(e.delivery.Body),
		Batches: e.header.Batches, Samples: e.header.Samples,
	}
	if e.header.Seq != 0 {
		q.HasEnvelope, q.Receiver, q.Seq = true, e.header.Receiver, e.header.Seq
	}
	return q
}

// quarantineKey is the same for each delivery of an envelope, so that a second attempt
// overwrites the object of the first.
func (e *envelope) quarantineKey() string {
	if e.header.Seq != 0 {
		return fmt.Sprintf("quarantine/%s/%s-%d.envelope", time.UnixMilli(e.header.AcceptedAt).UTC().Format("2006/01/02"),
			telemetry.BatchID(e.header.Receiver), e.header.Seq)
	}
	sum := sha256.Sum256(e.delivery.Body)
	return fmt.Sprintf("quarantine/%s/%s.envelope", e.delivery.SentAt.UTC().Format("2006/01/02"), hex.EncodeToString(sum[:16]))
}

// archiveKey is a new key: hour, worker and a UUIDv7, so that a listing is in order of time.
func (f *flusher) archiveKey() string {
	now := f.now().UTC()
	return "raw/" + now.Format("2006/01/02/15") + "/" + f.cfg.Name + "-" + newObjectID(now) + ".parquet"
}

// archiveType is the media type of the archive's objects.
const archiveType = "application/vnd.apache.parquet"

// newObjectID is a UUIDv7 of the moment.
func newObjectID(now time.Time) string {
	var id telemetry.BatchID
	_, _ = rand.Read(id[6:]) // never fails
	ms := now.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}

// put stores the archive's object and what goes to quarantine.
func (f *flusher) put(ctx context.Context, tx Tx, w *work, envelopes []int, key string, object []byte, quarantine []ledger.Quarantined) error {
	if key != "" {
		if err := f.objects.Put(ctx, key, object, archiveType, ""); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
	}
	if len(quarantine) == 0 {
		return nil
	}
	for _, i := range envelopes {
		e := &w.envelopes[i]
		if (e.inLedger && !e.fresh) || (e.bad == nil && len(e.refused) == 0) {
			continue
		}
		key := e.quarantineKey()
		body, err := f.forgets.envelope(ctx, tx, e.delivery.Body, f.cfg.MaxEnvelope)
		if err != nil {
			return err
		}
		if err := f.objects.Put(ctx, key, body, "application/octet-stream", ""); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
	}
	return nil
}

// store writes what the flush learned.
func (f *flusher) store(ctx context.Context, tx Tx) error {
	if err := tx.Speeds(ctx, f.sums.speeds); err != nil {
		return err
	}
	if err := tx.Health(ctx, f.sums.health); err != nil {
		return err
	}
	if err := tx.Evidence(ctx, f.sums.learned.all.Rows()); err != nil {
		return err
	}
	for i := range f.sums.dirty {
		if err := tx.Dirty(ctx, layerName(i), f.sums.dirty[i].list); err != nil {
			return err
		}
	}
	return nil
}

// permanent tells whether an error will come again with the same data.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}
