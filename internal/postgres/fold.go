package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The ring of delta slots. A flush writes to the slot of the moment, so a slot is left alone
// for (slots − 1) × slotSpan before it is written to again: time enough to fold it without
// a writer waiting. A flush that comes late to its slot waits for the fold and then
// finds it empty: nothing is lost, only folded a round later.
const (
	slots    = 8
	slotSpan = 10 * time.Second
)

func slotAt(t time.Time) int { return int(t.Unix() / int64(slotSpan/time.Second) % slots) }

func (db *DB) currentSlot() int { return slotAt(db.now()) }

// Fold merges the deltas of all slots but the current one into their base tables and tells
// how many rows it merged, and wrote. Writers don't wait (see slots); readers do only for
// the moment between the TRUNCATE and its commit. A second Fold at the same time, by
// whomever, has nothing to do.
func (db *DB) Fold(ctx context.Context) (deltas, written int, err error) {
	return db.fold(ctx, db.currentSlot())
}

// FoldAll is Fold for every slot, the current one too: writers wait meanwhile. For tools
// and tests that look at the base tables alone.
func (db *DB) FoldAll(ctx context.Context) (deltas, written int, err error) {
	return db.fold(ctx, -1)
}

func (db *DB) fold(ctx context.Context, but int) (deltas, written int, err error) {
	s := &foldStats{}
	now := db.now()
	if err := db.clearLive(ctx, now); err != nil {
		return 0, 0, err
	}
	for i := range slots {
		if i == but {
			continue
		}
		if err := db.foldSlot(ctx, i, now, s); err != nil {
			return s.deltas, s.written, err
		}
	}
	return s.deltas, s.written, nil
}

// foldStats adds up rows.
type foldStats struct{ deltas, written int }

// mergeSlot reads a slot's table and writes its base tables, in a transaction.
type mergeSlot func(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error)

func (db *DB) foldSlot(ctx context.Context, slot int, now time.Time, s *foldStats) error {
	for _, t := range []struct {
		table string
		merge mergeSlot
	}{
		{"segment_speed_delta", func(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error) {
			if deltas, written, err = foldSpeeds(ctx, tx, table); err != nil || deltas == 0 {
				return deltas, written, err
			}
			if err := foldLate(ctx, tx, table); err != nil {
				return deltas, written, err
			}
			return deltas, written, foldLive(ctx, tx, table, now)
		}},
		{"sensor_health_delta", foldHealth},
		{"evidence_delta", foldEvidence},
	} {
		if err := db.foldTable(ctx, fmt.Sprintf("%s_%d", t.table, slot), s, t.merge); err != nil {
			return err
		}
	}
	return nil
}

var errFolding = errors.New("somebody else folds")

// foldAlone keeps other folds out until the transaction ends.
func foldAlone(ctx context.Context, tx pgx.Tx) error {
	var alone bool
	if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(lockFold)).Scan(&alone); err != nil {
		return err
	}
	if !alone {
		return errFolding
	}
	return nil
}

// foldTable merges one slot's table in one transaction. The table is locked against writers
// and other folds, not against readers; merge reads it and writes the base table.
func (db *DB) foldTable(ctx context.Context, table string, s *foldStats, merge mergeSlot) error {
	// An empty slot costs a look at its size: TRUNCATE leaves no page.
	var size int64
	if err := db.pool.QueryRow(ctx, "SELECT pg_relation_size($1::text::regclass)", table).Scan(&size); err != nil {
		return wrap("look at "+table, err)
	}
	if size == 0 {
		return nil
	}
	var deltas, written int
	err := db.inTx(ctx, "fold "+table, func(tx pgx.Tx) error {
		// The base is read, merged and written back: only one may do that, leader or not.
		if err := foldAlone(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}
		var err error
		if deltas, written, err = merge(ctx, tx, table); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "TRUNCATE "+table)
		return err
	})
	if errors.Is(err, errFolding) {
		return nil
	}
	if err == nil {
		s.deltas += deltas
		s.written += written
	}
	return err
}

// foldHealth merges what is only sums and unions: PostgreSQL can do that itself, and there are few keys.
func foldHealth(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error) {
	var sums, updates strings.Builder
	for column := range strings.SplitSeq(healthSums, ",") {
		column = strings.TrimSpace(column)
		sums.WriteString("sum(" + column + "), ")
		updates.WriteString(column + " = b." + column + " + excluded." + column + ", ")
	}
	tag, err := tx.Exec(ctx, "INSERT INTO sensor_health AS b (hour, model, software, "+healthSums+", v0, v1) SELECT hour, model, software, "+
		sums.String()+"bit_or(v0), bit_or(v1) FROM "+table+" GROUP BY hour, model, software ON CONFLICT (hour, model, software) DO UPDATE SET "+
		updates.String()+"v0 = b.v0 | excluded.v0, v1 = b.v1 | excluded.v1")
	return 0, int(tag.RowsAffected()), err
}
