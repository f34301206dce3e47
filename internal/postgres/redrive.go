package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// PendingRedrives lists the objects that pending requests are about, longest waiting first.
func (db *DB) PendingRedrives(ctx context.Context, most int) ([]string, error) {
	rows, err := db.pool.Query(ctx, `SELECT q.object_key FROM redrive r JOIN quarantine q ON q.id = r.quarantine
		WHERE r.done_at IS NULL AND q.resolved_at IS NULL GROUP BY q.object_key ORDER BY min(r.id) LIMIT $1`, most)
	if err != nil {
		return nil, wrap("list pending redrives", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return keys, wrap("list pending redrives", err)
}

// LockRedrives returns the pending requests about an object, which no other transaction works on until this one ends.
func (f *Flush) LockRedrives(ctx context.Context, objectKey string) ([]ledger.RedriveRequest, error) {
	// All of an envelope's entries have one object: two transactions must not both count what is left of it.
	if _, err := f.tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1::int, hashtext($2))", int32(lockRedrive&0x7fff_ffff), objectKey); err != nil {
		return nil, wrap("lock redrives", err)
	}
	rows, err := f.tx.Query(ctx, `SELECT r.id, q.id, q.claim FROM redrive r JOIN quarantine q ON q.id = r.quarantine
		WHERE q.object_key = $1 AND r.done_at IS NULL AND q.resolved_at IS NULL ORDER BY r.id FOR UPDATE OF q`, objectKey)
	if err != nil {
		return nil, wrap("lock redrives", err)
	}
	requests, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r ledger.RedriveRequest, err error) {
		var claim *[16]byte
		err = row.Scan(&r.ID, &r.Quarantine, &claim)
		if claim != nil {
			r.HasClaim, r.Claim = true, *claim
		}
		return r, err
	})
	return requests, wrap("lock redrives", err)
}

const stillQuarantined = `SELECT e.quarantined + coalesce(a.batches, 0), e.quarantined_samples + coalesce(a.samples, 0)
FROM envelope e LEFT JOIN LATERAL (SELECT sum(quarantined)::bigint AS batches, sum(quarantined_samples)::bigint AS samples FROM envelope_adjustment
	WHERE accepted_at = $1 AND receiver = $2 AND seq = $3) a ON true
WHERE e.accepted_at = $1 AND e.receiver = $2 AND e.seq = $3`

// StillQuarantined is how much of an envelope the ledger has as quarantined.
func (f *Flush) StillQuarantined(ctx context.Context, h *telemetry.Header) (left ledger.Count, known bool, err error) {
	err = f.tx.QueryRow(ctx, stillQuarantined, time.UnixMilli(h.AcceptedAt).UTC(), [16]byte(h.Receiver), int64(h.Seq)).Scan(&left.Batches, &left.Samples)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Count{}, false, nil
	}
	return left, err == nil, wrap("look an envelope up", err)
}

// Redriven enters the results of requests and moves what they moved in the ledger.
func (f *Flush) Redriven(ctx context.Context, adjusted *ledger.Adjustment, results []ledger.RedriveResult) error {
	b := &pgx.Batch{}
	if a := adjusted; a != nil {
		b.Queue(`INSERT INTO envelope_adjustment (accepted_at, receiver, seq, flush, archived, archived_samples, duplicate, duplicate_samples,
			quarantined, quarantined_samples) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			time.UnixMilli(a.Header.AcceptedAt).UTC(), [16]byte(a.Header.Receiver), int64(a.Header.Seq), f.id,
			int32(a.Archived), int32(a.ArchivedSamples), int32(a.Duplicate), int32(a.DuplicateSamples),
			-int32(a.Archived+a.Duplicate), -int32(a.ArchivedSamples+a.DuplicateSamples))
	}
	for i := range results {
		r := &results[i]
		b.Queue(`UPDATE redrive SET done_at = now(), resolved = $2, archived = $3, duplicate = $4, reason = nullif($5, ''), detail = nullif($6, ''), flush = $7
			WHERE id = $1`, r.ID, r.Resolved, int32(r.Archived), int32(r.Duplicate), string(r.Reason), clean(r.Detail), f.id)
		if r.Resolved {
			b.Queue("UPDATE quarantine SET resolved_at = now() WHERE id = $1", r.Quarantine)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return wrap("enter redrives", f.tx.SendBatch(ctx, b).Close())
}
