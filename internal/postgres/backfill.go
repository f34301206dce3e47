package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// backfillWorker is the worker of the manifest's entries that backfills make.
const backfillWorker = "backfill"

// backfillMargin is how many days of a retention are left at least when a day is taken in, so that what is stored is folded and added up
// before its partition goes.
const backfillMargin = 2 * day

// backfilled are the tables that what is taken in goes to by event time.
var backfilled = map[string]bool{"segment_speed": true, "edge_day": true, "speed_day": true, "sensor_health": true, "evidence": true}

// BeginBackfill begins to take in the UTC days [from, to) from the objects under a prefix, or returns what was begun: whoever was killed goes
// on with it. It makes the partitions of these days and of the one before and after. Error: ledger.ErrBackfillDays, if these are not over, or
// past the retention of what is to be made of them.
func (db *DB) BeginBackfill(ctx context.Context, prefix string, from, to time.Time) (b ledger.Backfill, err error) {
	today := db.now().UTC().Truncate(day)
	oldest := today.Add(backfillMargin + day - min(db.retention.Speeds, db.retention.Evidence))
	if to.After(today) || from.Before(oldest) {
		return b, fmt.Errorf("%w: expected some from %s, before which speeds and evidence are past their retention, to %s, the last that is over", ledger.ErrBackfillDays,
			oldest.Format(time.DateOnly), today.Add(-day).Format(time.DateOnly))
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "backfill %s %d %d", prefix, from.Unix(), to.Unix()))
	copy(b.Receiver[:], sum[:])
	err = db.inTx(ctx, "begin a backfill", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockPartitions)); err != nil {
			return err
		}
		have, err := partitions(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range db.dailies() {
			if !backfilled[t.table] {
				continue
			}
			if _, err := makePartitions(ctx, tx, have, t, from.Add(-day), to); err != nil {
				return err
			}
		}
		// The lock orders this and forgetOldClaims: from here on claims that are looked up are kept.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockBackfill)); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `INSERT INTO backfill AS b (prefix, from_day, to_day, receiver) VALUES ($1, $2, $3, $4)
			ON CONFLICT (prefix, from_day, to_day) DO UPDATE SET touched_at = now(), ended_at = NULL
			RETURNING id, prefix, from_day, to_day, receiver, seq, total_batches, total_samples`, prefix, from, to, [16]byte(b.Receiver)).
			Scan(&b.ID, &b.Prefix, &b.From, &b.To, (*[16]byte)(&b.Receiver), &b.Seq, &b.Total.Batches, &b.Total.Samples)
	})
	b.From, b.To = b.From.UTC(), b.To.UTC()
	return b, err
}

// BackfillObject tells how far an object is taken in; found is false if it is not known.
func (db *DB) BackfillObject(ctx context.Context, id int64, key string) (o ledger.BackfillObject, found bool, err error) {
	err = db.pool.QueryRow(ctx, "SELECT object_key, bytes, modified, rows, done, outside, error FROM backfill_object WHERE backfill = $1 AND object_key = $2", id, key).
		Scan(&o.Key, &o.Bytes, &o.Modified, &o.Rows, &o.Done, &o.Outside, &o.Error)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	return o, err == nil, wrap("look an object of a backfill up", err)
}

const setBackfillObject = `INSERT INTO backfill_object (backfill, object_key, bytes, modified, rows, done, outside, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT (backfill, object_key) DO UPDATE SET bytes = excluded.bytes, modified = excluded.modified, rows = excluded.rows, done = excluded.done,
		outside = excluded.outside, error = excluded.error`

func backfillObjectArgs(id int64, o *ledger.BackfillObject) []any {
	return []any{id, o.Key, o.Bytes, o.Modified, o.Rows, o.Done, o.Outside, clean(o.Error)}
}

// SetBackfillObject notes how an object stands of which nothing is taken in now. Error: ledger.ErrBackfillMoved, if b is not how the backfill
// stands.
func (db *DB) SetBackfillObject(ctx context.Context, b ledger.Backfill, o ledger.BackfillObject) error {
	return db.inTx(ctx, "note an object of a backfill", func(tx pgx.Tx) error {
		if err := lockBackfillRow(ctx, tx, b); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, setBackfillObject, backfillObjectArgs(b.ID, &o)...)
		return err
	})
}

// lockBackfillRow lets one run at a time go on from where it stands.
func lockBackfillRow(ctx context.Context, tx pgx.Tx, b ledger.Backfill) error {
	var seq uint64
	if err := tx.QueryRow(ctx, "UPDATE backfill SET touched_at = now() WHERE id = $1 RETURNING seq", b.ID).Scan(&seq); err != nil {
		return err
	}
	if seq != b.Seq {
		return ledger.ErrBackfillMoved
	}
	return nil
}

// forgotten selects the manifest's entries with events in [$1, $2] whose batches may be claimed no longer, and are not looked up. What was
// flushed since midnight holds no batch whose claim is gone: claims are kept for a day longer than batches are accepted.
const forgotten = ` FROM manifest m WHERE m.object_key IS NOT NULL AND m.t_max >= $1 AND m.t_min <= $2 AND (m.committed_at < $3 OR m.worker = '` + backfillWorker + `')
	AND NOT EXISTS (SELECT FROM old_claim_flush f WHERE f.flush = m.id)`

// ForgottenClaims lists objects of the archive with events in [from, to] whose claims are to be remembered first.
func (db *DB) ForgottenClaims(ctx context.Context, from, to time.Time, most int) ([]ledger.ReplayObject, error) {
	rows, err := db.pool.Query(ctx, "SELECT m.object_key, array_agg(m.id), false"+forgotten+" GROUP BY m.object_key ORDER BY min(m.id) LIMIT $4",
		from, to, db.now().UTC().Truncate(day), most)
	if err != nil {
		return nil, wrap("list what the archive holds", err)
	}
	objects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.ReplayObject])
	return objects, wrap("list what the archive holds", err)
}

// RememberClaims notes the batches of entries of the manifest.
func (db *DB) RememberClaims(ctx context.Context, flushes []int64, ids []telemetry.ClaimID) error {
	return db.inTx(ctx, "remember claims", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared($1)", int64(lockBackfill)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO old_claim SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING", uuids(ids)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO old_claim_flush SELECT * FROM unnest($1::bigint[]) ON CONFLICT DO NOTHING", flushes)
		return err
	})
}

func uuids(ids []telemetry.ClaimID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// EndBackfill notes that nothing is left to do, and tells what was done. A run that was given up for dead may call it, too.
func (db *DB) EndBackfill(ctx context.Context, b ledger.Backfill) (r ledger.BackfillReport, err error) {
	const bad = 50 // named
	err = db.inTx(ctx, "end a backfill", func(tx pgx.Tx) error {
		if err := lockBackfillRow(ctx, tx, b); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE backfill SET ended_at = now() WHERE id = $1", b.ID); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT count(*), coalesce(sum(outside), 0)::bigint, count(*) FILTER (WHERE error <> '') FROM backfill_object WHERE backfill = $1", b.ID).
			Scan(&r.Objects, &r.Outside, &r.BadObjects); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(sum(archived), 0)::bigint, coalesce(sum(archived_samples), 0)::bigint, coalesce(sum(duplicate), 0)::bigint
			FROM envelope WHERE receiver = $1`, [16]byte(b.Receiver)).Scan(&r.Batches, &r.Samples, &r.Duplicates); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "SELECT object_key, error FROM backfill_object WHERE backfill = $1 AND error <> '' ORDER BY 1 LIMIT $2", b.ID, bad)
		if err != nil {
			return err
		}
		r.Bad, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.BackfillRefuse])
		return err
	})
	if err != nil {
		return r, err
	}
	r.Receiver = telemetry.BatchID(b.Receiver).String()
	return r, db.forgetOldClaims(ctx)
}

// forgetOldClaims empties what was looked up for backfills, when none is under way: the archive can tell it again.
func (db *DB) forgetOldClaims(ctx context.Context) error {
	return db.inTx(ctx, "forget old claims", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockBackfill)); err != nil {
			return err
		}
		var busy bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM backfill WHERE ended_at IS NULL AND touched_at > $1)", db.now().Add(-PastDays*day)).Scan(&busy); err != nil || busy {
			return err
		}
		_, err := tx.Exec(ctx, "TRUNCATE old_claim, old_claim_flush")
		return err
	})
}

// BackfillFlush is a flush of what a backfill takes in. It claims batches among those of the archive, too, and carries the backfill on. Used by
// one goroutine.
type BackfillFlush struct {
	*Flush
	db     *DB
	b      ledger.Backfill
	object ledger.BackfillObject
}

// BeginBackfillFlush begins the flush of the batches, with events in [from, to], that b's next envelope holds, after which object stands as
// told. Errors: ledger.ErrBackfillMoved, ledger.ErrBackfillForgotten.
func (db *DB) BeginBackfillFlush(ctx context.Context, b ledger.Backfill, object ledger.BackfillObject, from, to time.Time) (*BackfillFlush, error) {
	f, err := db.BeginFlush(ctx)
	if err != nil {
		return nil, err
	}
	t := &BackfillFlush{Flush: f, db: db, b: b, object: object}
	if err := t.begin(ctx, from, to); err != nil {
		f.Rollback(ctx)
		return nil, wrap("begin a backfill's flush", err)
	}
	return t, nil
}

func (t *BackfillFlush) begin(ctx context.Context, from, to time.Time) error {
	if _, err := t.tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared($1)", int64(lockBackfill)); err != nil {
		return err
	}
	if err := lockBackfillRow(ctx, t.tx, t.b); err != nil {
		return err
	}
	var missing bool
	if err := t.tx.QueryRow(ctx, "SELECT EXISTS (SELECT"+forgotten+")", from, to, t.db.now().UTC().Truncate(day)).Scan(&missing); err != nil {
		return err
	}
	if missing {
		return ledger.ErrBackfillForgotten
	}
	return nil
}

// Claim claims batches that neither the archive holds nor anybody has claimed, and tells in fresh which these are. Those of the last days are
// claimed as any other, so that a car that sends one again is told from one that is new.
func (t *BackfillFlush) Claim(ctx context.Context, ids []telemetry.ClaimID, samples []int16, fresh []bool) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := t.tx.Query(ctx, "INSERT INTO old_claim SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING id", uuids(ids))
	if err != nil {
		return wrap("claim batches of an archive", err)
	}
	isNew := make(map[telemetry.ClaimID]bool, len(ids))
	var id [16]byte
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { isNew[id] = true; return nil }); err != nil {
		return wrap("claim batches of an archive", err)
	}
	since := t.db.now().UTC().Truncate(day).Add(-PastDays * day).UnixMilli()
	var recent []telemetry.ClaimID
	var recentSamples []int16
	var at []int
	for i, id := range ids {
		fresh[i] = isNew[id]
		if fresh[i] && id.UnixMilli() >= since {
			recent, recentSamples, at = append(recent, id), append(recentSamples, samples[i]), append(at, i)
		}
	}
	recentFresh := make([]bool, len(recent))
	if err := t.Flush.Claim(ctx, recent, recentSamples, recentFresh); err != nil {
		return err
	}
	for j, i := range at {
		fresh[i] = recentFresh[j]
	}
	return nil
}

// Erased is that of a flush, but what is from an archive counts as accepted before any erasure: its envelope is younger than its batches.
func (t *BackfillFlush) Erased(ctx context.Context, vehicles []uint64, _ []int64, erased []bool) error {
	return t.Flush.Erased(ctx, vehicles, make([]int64, len(vehicles)), erased)
}

// Commit commits the flush, and with it that the backfill has come so far.
func (t *BackfillFlush) Commit(ctx context.Context, m ledger.Flush) error {
	m.Worker = backfillWorker
	err := func() error {
		if _, err := t.tx.Exec(ctx, setBackfillObject, backfillObjectArgs(t.b.ID, &t.object)...); err != nil {
			return err
		}
		if _, err := t.tx.Exec(ctx, "INSERT INTO old_claim_flush VALUES ($1)", t.id); err != nil {
			return err
		}
		_, err := t.tx.Exec(ctx, `UPDATE backfill b SET seq = e.seq, total_batches = e.total_batches, total_samples = e.total_samples
			FROM envelope e WHERE b.id = $1 AND e.receiver = $2 AND e.seq = $3`, t.b.ID, [16]byte(t.b.Receiver), int64(t.b.Seq+1))
		return err
	}()
	if err != nil {
		t.Rollback(ctx)
		return wrap("carry a backfill on", err)
	}
	return t.Flush.Commit(ctx, m)
}
