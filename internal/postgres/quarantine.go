package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry/ledger"
)

const quarantineColumns = `q.id, q.at, q.receiver, q.seq, q.claim, q.reason, q.detail, q.object_key, q.bytes, q.batches, q.samples, q.resolved_at,
	CASE WHEN q.resolved_at IS NOT NULL THEN 'resolved'
		WHEN EXISTS (SELECT FROM redrive r WHERE r.quarantine = q.id AND r.done_at IS NULL) THEN 'pending' ELSE 'open' END AS state`

const quarantinePage = `SELECT * FROM (SELECT ` + quarantineColumns + ` FROM quarantine q
	WHERE ($1 = 0 OR q.id < $1) AND ($2::timestamptz IS NULL OR q.at >= $2) AND ($3::timestamptz IS NULL OR q.at < $3)
	AND ($4 = '' OR q.reason = $4)) e
WHERE $5 = '' OR state = $5 ORDER BY id DESC LIMIT $6`

// Quarantine lists what is in quarantine, and what was, newest first.
func (db *DB) Quarantine(ctx context.Context, f ledger.QuarantineFilter) ([]ledger.QuarantineEntry, error) {
	rows, err := db.pool.Query(ctx, quarantinePage, f.Before, moment(f.From), moment(f.To), string(f.Reason), string(f.State), f.Most)
	if err != nil {
		return nil, wrap("list the quarantine", err)
	}
	entries, err := pgx.CollectRows(rows, scanQuarantined)
	return entries, wrap("list the quarantine", err)
}

// Quarantined looks an entry up, with its redrives, newest first, up to 20.
func (db *DB) Quarantined(ctx context.Context, id int64) (e ledger.QuarantineEntry, redrives []ledger.Redrive, found bool, err error) {
	err = db.snapshot(ctx, "read the quarantine", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT "+quarantineColumns+" FROM quarantine q WHERE q.id = $1", id)
		if err != nil {
			return err
		}
		e, err = pgx.CollectExactlyOneRow(rows, scanQuarantined)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		if rows, err = tx.Query(ctx, `SELECT requested_at, done_at, coalesce(resolved, false), coalesce(archived, 0), coalesce(duplicate, 0),
			coalesce(reason, ''), coalesce(detail, '') FROM redrive WHERE quarantine = $1 ORDER BY id DESC LIMIT 20`, id); err != nil {
			return err
		}
		redrives, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ledger.Redrive, err error) {
			var done *time.Time
			err = row.Scan(&r.RequestedAt, &done, &r.Resolved, &r.Archived, &r.Duplicate, &r.Reason, &r.Detail)
			r.RequestedAt = r.RequestedAt.UTC()
			if done != nil {
				r.DoneAt = done.UTC()
			}
			return r, err
		})
		return err
	})
	return e, redrives, found, err
}

func scanQuarantined(row pgx.CollectableRow) (e ledger.QuarantineEntry, err error) {
	var receiver, claim *[16]byte
	var seq *int64
	var resolved *time.Time
	err = row.Scan(&e.ID, &e.At, &receiver, &seq, &claim, &e.Reason, &e.Detail, &e.ObjectKey, &e.Bytes, &e.Batches, &e.Samples, &resolved, &e.State)
	e.At = e.At.UTC()
	if receiver != nil && seq != nil {
		e.HasEnvelope, e.Receiver, e.Seq = true, *receiver, uint64(*seq)
	}
	if claim != nil {
		e.HasClaim, e.Claim = true, *claim
	}
	if resolved != nil {
		e.ResolvedAt = resolved.UTC()
	}
	return e, err
}

// RequestRedrive asks workers to try entries once more: up to f.Most of the open ones that f selects, oldest first. It
// returns how many were asked for. An entry that is pending already stays so.
func (db *DB) RequestRedrive(ctx context.Context, f ledger.QuarantineFilter) (n int, err error) {
	tag, err := db.pool.Exec(ctx, `INSERT INTO redrive (quarantine) SELECT q.id FROM quarantine q
		WHERE q.resolved_at IS NULL AND ($1::timestamptz IS NULL OR q.at >= $1) AND ($2::timestamptz IS NULL OR q.at < $2)
			AND ($3 = '' OR q.reason = $3) AND NOT EXISTS (SELECT FROM redrive r WHERE r.quarantine = q.id AND r.done_at IS NULL)
		ORDER BY q.id LIMIT $4
		ON CONFLICT (quarantine) WHERE done_at IS NULL DO NOTHING`, moment(f.From), moment(f.To), string(f.Reason), f.Most)
	return int(tag.RowsAffected()), wrap("request redrives", err)
}

// RequestRedriveOf asks for one entry. state is what it was before; found is false if there is none such. Only an open
// one is asked for.
func (db *DB) RequestRedriveOf(ctx context.Context, id int64) (state ledger.QuarantineState, found bool, err error) {
	err = db.inTx(ctx, "request a redrive", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT "+quarantineColumns+" FROM quarantine q WHERE q.id = $1 FOR UPDATE OF q", id)
		if err != nil {
			return err
		}
		e, err := pgx.CollectExactlyOneRow(rows, scanQuarantined)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		state, found = e.State, true
		if state != ledger.Open {
			return nil
		}
		_, err = tx.Exec(ctx, "INSERT INTO redrive (quarantine) VALUES ($1) ON CONFLICT (quarantine) WHERE done_at IS NULL DO NOTHING", id)
		return err
	})
	return state, found, err
}
