package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry/ledger"
)

const (
	// erasureSkew is how far a receiver's clock may be behind: what it accepted so long after a request is erased too.
	erasureSkew = time.Minute
	// inFlightDays are the days of event time before a request of which batches may still come out of a queue: they are accepted up
	// to 8 days after the event, and SQS keeps them for 14.
	inFlightDays = 23
	// inFlightKeep is how long after a request workers look for such batches.
	inFlightKeep = 16 * day
)

const erasureColumns = `id, subject, from_day, to_day, state, requested_by, requested_at, upto, searched, coalesce(job, 0), ended_at, receipt`

// abandonErasures ends erasures that no job has ended for long.
const abandonErasures = `WITH gone AS (UPDATE erasure SET state = 'abandoned', ended_at = now() WHERE state = 'pending' AND requested_at < $1 RETURNING id),
	days AS (DELETE FROM erasure_day USING gone WHERE erasure = gone.id)
	DELETE FROM erasure_object USING gone WHERE erasure = gone.id`

// ArchivedSince is when the oldest that is archived or in quarantine was put there; the present if there is nothing.
func (db *DB) ArchivedSince(ctx context.Context) (at time.Time, err error) {
	err = db.pool.QueryRow(ctx, "SELECT least((SELECT min(committed_at) FROM manifest), (SELECT min(at) FROM quarantine), now())").Scan(&at)
	return at.UTC(), wrap("look for the oldest that is archived", err)
}

// RequestErasure enters a request to erase what is archived of a vehicle under the pseudonyms of some days, or finds the same request that is
// pending (created is then false). From then on workers drop what arrives of it late. Of e Subject, From, To and RequestedBy are read.
func (db *DB) RequestErasure(ctx context.Context, e ledger.Erasure, days []ledger.ErasedDay) (_ ledger.Erasure, created bool, err error) {
	err = db.inTx(ctx, "request an erasure", func(tx pgx.Tx) error {
		from, to := moment(e.From), moment(e.To)
		rows, err := tx.Query(ctx, `INSERT INTO erasure (subject, from_day, to_day, requested_by, upto, searched)
			VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval, $6) ON CONFLICT DO NOTHING RETURNING `+erasureColumns,
			e.Subject[:], from, to, e.RequestedBy, erasureSkew, len(days))
		if err != nil {
			return err
		}
		made, err := pgx.CollectRows(rows, scanErasure)
		if err != nil {
			return err
		}
		if len(made) == 0 {
			made, err = erasures(ctx, tx, "subject = $1 AND from_day IS NOT DISTINCT FROM $2 AND to_day IS NOT DISTINCT FROM $3 AND state = 'pending'", e.Subject[:], from, to)
			if err == nil && len(made) == 0 {
				err = errors.New("the same request ended just now")
			}
			if err != nil {
				return err
			}
			e = made[0]
			return nil
		}
		e, created = made[0], true
		dates, pseudonyms := make([]time.Time, len(days)), make([]int64, len(days))
		for i, d := range days {
			dates[i], pseudonyms[i] = d.Day, int64(d.Pseudonym)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO erasure_day SELECT $1, * FROM unnest($2::date[], $3::bigint[])", e.ID, dates, pseudonyms); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO erased_pseudonym AS o SELECT DISTINCT pseudonym, $2::timestamptz, $3::timestamptz FROM erasure_day WHERE erasure = $1 AND day >= $4::date ORDER BY 1
			ON CONFLICT (pseudonym) DO UPDATE SET upto = greatest(o.upto, excluded.upto), keep_until = greatest(o.keep_until, excluded.keep_until)`,
			e.ID, e.UpTo, e.RequestedAt.Add(inFlightKeep), e.RequestedAt.Add(-inFlightDays*day))
		return err
	})
	return e, created, err
}

// ErasureJob notes which job carries an erasure out.
func (db *DB) ErasureJob(ctx context.Context, id, job int64) error {
	_, err := db.pool.Exec(ctx, "UPDATE erasure SET job = $2 WHERE id = $1", id, job)
	return wrap("note an erasure's job", err)
}

// Erasures lists up to most with ids below before (0: the newest), newest first.
func (db *DB) Erasures(ctx context.Context, before int64, most int) ([]ledger.Erasure, error) {
	all, err := erasures(ctx, db.pool, "$1 = 0 OR id < $1 ORDER BY id DESC LIMIT $2", before, most)
	return all, wrap("list erasures", err)
}

// Erasure looks one up: ledger.ErrNoErasure.
func (db *DB) Erasure(ctx context.Context, id int64) (ledger.Erasure, error) {
	all, err := erasures(ctx, db.pool, "id = $1", id)
	if err == nil && len(all) == 0 {
		err = ledger.ErrNoErasure
	}
	if err != nil {
		return ledger.Erasure{}, wrap(fmt.Sprintf("look erasure %d up", id), err)
	}
	return all[0], nil
}

func erasures(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, where string, args ...any,
) ([]ledger.Erasure, error) {
	rows, err := q.Query(ctx, "SELECT "+erasureColumns+" FROM erasure WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanErasure)
}

func scanErasure(row pgx.CollectableRow) (e ledger.Erasure, err error) {
	var from, to, ended *time.Time
	var subject []byte
	var receipt *string
	err = row.Scan(&e.ID, &subject, &from, &to, &e.State, &e.RequestedBy, &e.RequestedAt, &e.UpTo, &e.Searched, &e.Job, &ended, &receipt)
	copy(e.Subject[:], subject)
	e.RequestedAt, e.UpTo = e.RequestedAt.UTC(), e.UpTo.UTC()
	for _, t := range [...]struct {
		from *time.Time
		to   *time.Time
	}{{from, &e.From}, {to, &e.To}, {ended, &e.EndedAt}} {
		if t.from != nil {
			*t.to = t.from.UTC()
		}
	}
	if receipt != nil {
		e.Receipt = []byte(*receipt)
	}
	return e, err
}

// ErasedDays are the pseudonyms of a pending erasure, by day.
func (db *DB) ErasedDays(ctx context.Context, id int64) ([]ledger.ErasedDay, error) {
	rows, err := db.pool.Query(ctx, "SELECT day, pseudonym FROM erasure_day WHERE erasure = $1 ORDER BY day", id)
	if err != nil {
		return nil, wrap("read an erasure's days", err)
	}
	days, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d ledger.ErasedDay, err error) {
		var p int64
		err = row.Scan(&d.Day, &p)
		d.Pseudonym = uint64(p)
		return d, err
	})
	return days, wrap("read an erasure's days", err)
}

// SettleFlushes waits for the flushes under way. Those that begin later see every erasure that was requested before.
func (db *DB) SettleFlushes(ctx context.Context) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return wrap("wait for the flushes under way", err)
	}
	defer conn.Release()
	unlock, err := lockAlone(ctx, conn, lockFlush)
	if err != nil {
		return wrap("wait for the flushes under way", err)
	}
	unlock()
	return nil
}

// SettleErasure waits for the flushes under way, if that was not done for the erasure before: then all that it has to look through
// is in the manifest.
func (db *DB) SettleErasure(ctx context.Context, id int64) error {
	var settled bool
	if err := db.pool.QueryRow(ctx, "SELECT settled_at IS NOT NULL FROM erasure WHERE id = $1", id).Scan(&settled); err != nil || settled {
		return wrap("settle an erasure", err)
	}
	if err := db.SettleFlushes(ctx); err != nil {
		return err
	}
	_, err := db.pool.Exec(ctx, "UPDATE erasure SET settled_at = clock_timestamp() WHERE id = $1 AND settled_at IS NULL", id)
	return wrap("settle an erasure", err)
}

// erasable are the rows of the manifest, m, that an erasure, e, must look at: those of its days that were not flushed without it.
const erasable = ` e.id = $1 AND m.object_key IS NOT NULL AND m.committed_at <= e.settled_at
	AND EXISTS (SELECT FROM erasure_day d WHERE d.erasure = e.id AND m.t_max >= d.day AND m.t_min < d.day + 1)`

// ErasureHours lists the hours of the archive, by commit, that an erasure is still to look through.
func (db *DB) ErasureHours(ctx context.Context, id int64) ([]time.Time, error) {
	rows, err := db.pool.Query(ctx, `SELECT DISTINCT date_trunc('hour', m.committed_at) FROM erasure e, manifest m WHERE`+erasable+`
		AND (e.hour_done IS NULL OR date_trunc('hour', m.committed_at) > e.hour_done) ORDER BY 1`, id)
	if err != nil {
		return nil, wrap("list the hours to be erased", err)
	}
	hours, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	return hours, wrap("list the hours to be erased", err)
}

// ErasureObjects lists the objects of an hour that an erasure must look at.
func (db *DB) ErasureObjects(ctx context.Context, id int64, hour time.Time) ([]ledger.ErasureObject, error) {
	rows, err := db.pool.Query(ctx, `SELECT object_key, array_agg(id ORDER BY id), sum(batches - erased_batches)::bigint, sum(samples - erased_samples)::bigint
		FROM manifest WHERE object_key IN (SELECT m.object_key FROM erasure e, manifest m WHERE`+erasable+`
			AND m.committed_at >= $2 AND m.committed_at < $2 + interval '1 hour') GROUP BY object_key ORDER BY min(id)`, id, hour)
	if err != nil {
		return nil, wrap("list the objects to be erased", err)
	}
	objects, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o ledger.ErasureObject, err error) {
		return o, row.Scan(&o.Key, &o.Flushes, &o.Batches, &o.Samples)
	})
	return objects, wrap("list the objects to be erased", err)
}

// HourErased notes that an erasure has looked through the hours of the archive up to one.
func (db *DB) HourErased(ctx context.Context, id int64, hour time.Time) error {
	_, err := db.pool.Exec(ctx, "UPDATE erasure SET hour_done = $2 WHERE id = $1", id, hour)
	return wrap("note an erased hour", err)
}

// SwapErased makes the manifest name an object that lacks what is gone (key "": none, as all is) instead of o, and notes that the old one is to be
// deleted. ledger.ErrArchiveChanged if other rows name o by now.
func (db *DB) SwapErased(ctx context.Context, id int64, o ledger.ErasureObject, key string, bytes int64, gone ledger.Count) error {
	return db.inTx(ctx, "swap an erased object", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT id, batches - erased_batches, samples - erased_samples FROM manifest WHERE object_key = $1 ORDER BY id FOR UPDATE", o.Key)
		if err != nil {
			return err
		}
		type entry struct{ ID, Batches, Samples int64 }
		entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
		if err != nil {
			return err
		}
		ids := make([]int64, len(entries))
		for i := range entries {
			ids[i] = entries[i].ID
		}
		if !slices.Equal(ids, o.Flushes) {
			return ledger.ErrArchiveChanged
		}
		// Which flush a batch was of is known only as long as its claim is: so the first rows take all.
		batches, samples, shares := make([]int64, len(entries)), make([]int64, len(entries)), make([]int64, len(entries))
		left, leftBytes, kept := gone, bytes, o.Samples-gone.Samples
		for i, e := range entries {
			batches[i], samples[i] = min(left.Batches, e.Batches), min(left.Samples, e.Samples)
			left.Batches -= batches[i]
			left.Samples -= samples[i]
			shares[i] = int64(float64(bytes) * float64(e.Samples-samples[i]) / float64(max(kept, 1)))
			if i == len(entries)-1 {
				shares[i] = leftBytes
			}
			leftBytes -= shares[i]
		}
		if left != (ledger.Count{}) {
			return fmt.Errorf("%s: %+v more would be gone than the manifest has", o.Key, left)
		}
		if _, err := tx.Exec(ctx, `UPDATE manifest m SET object_key = nullif($1, ''), object_bytes = g.share, erased_batches = erased_batches + g.batches, erased_samples = erased_samples + g.samples
			FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS g (id, share, batches, samples) WHERE m.id = g.id`, key, ids, shares, batches, samples); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, insertErasureObject, id, o.Key, string(ledger.ErasedArchive), gone.Batches, gone.Samples, true)
		return err
	})
}

const insertErasureObject = "INSERT INTO erasure_object (erasure, object_key, place, batches, samples, remains) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"

// ErasedCopy notes that an object that nothing names held data of the vehicle and is to be deleted.
func (db *DB) ErasedCopy(ctx context.Context, id int64, key string, gone ledger.Count) error {
	_, err := db.pool.Exec(ctx, insertErasureObject, id, key, string(ledger.ErasedCopy), gone.Batches, gone.Samples, true)
	return wrap("note a copy to be deleted", err)
}

// ErasedQuarantine notes that records, with their claims, are about to be taken out of an object in quarantine.
func (db *DB) ErasedQuarantine(ctx context.Context, id int64, key string, claims [][16]byte, gone ledger.Count) error {
	return db.inTx(ctx, "note erased records in quarantine", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, insertErasureObject, id, key, string(ledger.ErasedQuarantine), gone.Batches, gone.Samples, false)
		if err != nil || tag.RowsAffected() == 0 { // noted before the process died
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE quarantine SET
			erased_batches = least(batches, erased_batches + CASE WHEN claim IS NULL THEN $3 ELSE batches END),
			erased_samples = least(samples, erased_samples + CASE WHEN claim IS NULL THEN $4 ELSE samples END)
			WHERE object_key = $1 AND resolved_at IS NULL AND (claim IS NULL OR claim = ANY($2))`, key, claims, gone.Batches, gone.Samples)
		return err
	})
}

// ErasureRemains lists objects that are to be deleted, up to most; ErasureDeleted notes that one was.
func (db *DB) ErasureRemains(ctx context.Context, id int64, most int) ([]string, error) {
	rows, err := db.pool.Query(ctx, "SELECT object_key FROM erasure_object WHERE erasure = $1 AND remains ORDER BY object_key LIMIT $2", id, most)
	if err != nil {
		return nil, wrap("list objects to be deleted", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return keys, wrap("list objects to be deleted", err)
}

// ErasureDeleted notes that an object was deleted.
func (db *DB) ErasureDeleted(ctx context.Context, id int64, key string) error {
	_, err := db.pool.Exec(ctx, "UPDATE erasure_object SET remains = false WHERE erasure = $1 AND object_key = $2", id, key)
	return wrap("note a deleted object", err)
}

// ErasureTotals sums up what was found, by place.
func (db *DB) ErasureTotals(ctx context.Context, id int64) (map[ledger.ErasedPlace]ledger.ErasedCount, error) {
	rows, err := db.pool.Query(ctx, "SELECT place, count(*), sum(batches)::bigint, sum(samples)::bigint FROM erasure_object WHERE erasure = $1 GROUP BY place", id)
	if err != nil {
		return nil, wrap("sum an erasure up", err)
	}
	totals := map[ledger.ErasedPlace]ledger.ErasedCount{}
	var place ledger.ErasedPlace
	var c ledger.ErasedCount
	_, err = pgx.ForEachRow(rows, []any{&place, &c.Objects, &c.Batches, &c.Samples}, func() error { totals[place] = c; return nil })
	return totals, wrap("sum an erasure up", err)
}

// EndErasure stores the receipt and forgets what the vehicle was called and where it was found. Of two that end the same one the first
// has its way.
func (db *DB) EndErasure(ctx context.Context, id int64, ended time.Time, receipt []byte) (ledger.Erasure, error) {
	err := db.inTx(ctx, "end an erasure", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE erasure SET state = 'done', ended_at = $2, receipt = $3 WHERE id = $1 AND state = 'pending'", id, ended, string(receipt))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM erasure_day WHERE erasure = $1", id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM erasure_object WHERE erasure = $1", id)
		return err
	})
	if err != nil {
		return ledger.Erasure{}, err
	}
	return db.Erasure(ctx, id)
}
