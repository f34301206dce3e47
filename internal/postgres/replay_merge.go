package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// ReplayTx is a step of a replay: one transaction, in which entries of the manifest are taken and what their batches say is
// added to the replay's tables. So each is taken once, whoever is killed when. Used by one goroutine.
type ReplayTx struct{ f Flush }

// BeginReplayTx begins a step. Every ReplayTx must end with Commit or Rollback.
func (db *DB) BeginReplayTx(ctx context.Context, r ledger.Replay) (*ReplayTx, error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, wrap("begin a replay's step", err)
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		conn.Release()
		return nil, wrap("begin a replay's step", err)
	}
	t := &ReplayTx{Flush{conn: conn, tx: tx, copy: copier{buf: takeBuffer()}}}
	// The same statements as for the live tables, and no way to reach those.
	if _, err = tx.Exec(ctx, "SET LOCAL search_path TO "+replaySchema(r.ID)); err != nil {
		t.Rollback(ctx)
		return nil, wrap("begin a replay's step", err)
	}
	return t, nil
}

// Take takes entries of the manifest; it fails if any was taken.
func (t *ReplayTx) Take(ctx context.Context, flushes []int64) error {
	_, err := t.f.tx.Exec(ctx, "INSERT INTO done SELECT unnest($1::bigint[])", flushes)
	return wrap("take archived objects in", missingReplay(err))
}

// Add adds to the tables; all rows must be of the replay's days.
func (t *ReplayTx) Add(ctx context.Context, speeds []learn.SpeedRow, health []learn.HealthRow, evidence []learn.Evidence) error {
	if err := t.f.Speeds(ctx, speeds); err != nil {
		return err
	}
	if err := t.f.Health(ctx, health); err != nil {
		return err
	}
	if err := t.f.Evidence(ctx, evidence); err != nil {
		return err
	}
	for _, m := range []struct {
		table, temp string
		rows        int
		merge       mergeSlot
	}{
		{"segment_speed_delta_0", "folded_speed", len(speeds), foldSpeeds},
		{"sensor_health_delta_0", "", len(health), foldHealth},
		{"evidence_delta_0", "folded_evidence", len(evidence), foldEvidence},
	} {
		if m.rows == 0 {
			continue
		}
		if _, _, err := m.merge(ctx, t.f.tx, m.table); err != nil {
			return wrap("merge "+m.table+" of a replay", err)
		}
		emptied := m.table
		if m.temp != "" { // a transaction may merge several times
			emptied += ", " + m.temp
		}
		if _, err := t.f.tx.Exec(ctx, "TRUNCATE "+emptied); err != nil {
			return wrap("empty the deltas of a replay", err)
		}
	}
	return nil
}

// rollUpReplay adds the speeds of a replay's past days up, as AddUpDays does those of the live ones.
func (db *DB) rollUpReplay(ctx context.Context, r ledger.Replay) error {
	today := db.now().UTC().Truncate(day)
	for d := r.From; d.Before(r.To) && d.Before(today); d = d.Add(day) {
		for {
			var n int
			err := db.inTx(ctx, "add up the speeds of a replayed day", func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "SET LOCAL search_path TO "+replaySchema(r.ID)); err != nil {
					return err
				}
				var there bool
				if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", partitionName("speed_day", d)).Scan(&there); err != nil || !there {
					return err
				}
				var err error
				n, err = rollUp(ctx, tx, d)
				return err
			})
			if err != nil {
				return err
			}
			if n < rollUpSegments {
				break
			}
		}
	}
	return nil
}

// Commit ends the step. After an error it is unknown whether it did.
func (t *ReplayTx) Commit(ctx context.Context) error {
	err := t.f.tx.Commit(ctx)
	t.f.release()
	return wrap("commit a replay's step", err)
}

// Rollback undoes the step. Without effect after Commit.
func (t *ReplayTx) Rollback(ctx context.Context) { t.f.Rollback(ctx) }

// code is the SQLSTATE of an error of the database, "" if it is none.
func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
