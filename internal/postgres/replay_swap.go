package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// How long the swap waits for locks, and how often it tries. While it waits, others wait behind it: it gives up before the
// database looks for deadlocks (after 1 s), so that it is never a reader who is refused.
const (
	swapFlushWait = "10s"
	swapTableWait = "500ms"
	swapTries     = 40
	swapPause     = 250 * time.Millisecond
)

// SwapReplay puts a replay's days in the place of the live ones, all at once, and drops those. Flushes are kept out for as
// long: those under way end, others wait. Then catchUp must take in what was archived since, the last deltas are folded into
// the days that will go, and partitions change places. So a batch is in the live tables before and in the replay's
// after, or the other way round in none. layerOf names the layer that a kind of evidence is shown in, "" for none: the
// tiles of both versions are marked, in layers and in speeds. It takes two connections of the pool at once, which flushes that wait must leave
// free. To swap one that was is no error. Errors: ledger.ErrNoReplay,
// ledger.ErrReplayState.
func (db *DB) SwapReplay(ctx context.Context, id int64, speeds string, layerOf func(learn.Kind) string, catchUp func(context.Context, ledger.Replay) error) (ledger.Replay, error) {
	r, err := db.Replay(ctx, id)
	if err != nil || r.State == ledger.ReplaySwapped {
		return r, err
	}
	if r.State != ledger.ReplayBuilt {
		return r, fmt.Errorf("replay %d is %s: %w", id, r.State, ledger.ErrReplayState)
	}
	// Most of this work is done before anybody waits for it.
	if _, _, err := db.Fold(ctx); err != nil {
		return r, err
	}
	if err := db.rollUpReplay(ctx, r); err != nil {
		return r, err
	}
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return r, wrap("swap a replay", err)
	}
	defer conn.Release()
	unlock, err := lockAlone(ctx, conn, lockFlush)
	if err != nil {
		return r, wrap("wait for the flushes under way", err)
	}
	defer unlock()
	kept := time.Now()
	if err := catchUp(ctx, r); err != nil {
		return r, err
	}
	if err := db.foldEverything(ctx); err != nil {
		return r, err
	}
	if err := db.rollUpReplay(ctx, r); err != nil {
		return r, err
	}
	dirty, err := db.replayTiles(ctx, r, speeds, layerOf)
	if err != nil {
		return r, wrap("list a replay's tiles", err)
	}
	for try := 1; ; try++ {
		// On the session that holds the lock: if that is lost, so is the transaction.
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return db.swap(ctx, tx, r, dirty) })
		if code(err) != "55P03" || try == swapTries { // lock_not_available
			break
		}
		if err := pause(ctx, swapPause); err != nil {
			return r, wrap("swap a replay", err)
		}
	}
	if err != nil {
		return r, wrap("swap a replay", err)
	}
	db.log.InfoContext(ctx, "replay swapped", "replay", id, "from", r.From, "to", r.To, "flushes_waited", time.Since(kept))
	return db.Replay(ctx, id)
}

// lockAlone waits for those who hold the lock, and keeps others waiting until unlock or the session's end. With lockFlush these are
// flushes.
func lockAlone(ctx context.Context, conn *pgxpool.Conn, lock Role) (unlock func(), err error) {
	if _, err := conn.Exec(ctx, "SET lock_timeout = '"+swapFlushWait+"'"); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lock))
		if code(err) != "55P03" || try == swapTries {
			break
		}
		if err = pause(ctx, swapPause); err != nil { // those behind have their turn
			break
		}
	}
	reset, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, rerr := conn.Exec(reset, "RESET lock_timeout"); rerr != nil || err != nil {
		_ = conn.Conn().Close(reset) // whatever it holds goes with it
		return nil, errors.Join(err, rerr)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(lock)); err != nil {
			_ = conn.Conn().Close(ctx) // the lock goes with its session
		}
	}, nil
}

// foldEverything folds until no delta is left. Flushes are kept out.
func (db *DB) foldEverything(ctx context.Context) error {
	for try := 1; ; try++ {
		if _, _, err := db.FoldAll(ctx); err != nil {
			return err
		}
		left, err := deltasLeft(ctx, db.pool)
		if err != nil {
			return wrap("look for deltas", err)
		}
		if left == 0 {
			return nil
		}
		if try == swapTries {
			return errors.New("somebody else keeps folding")
		}
		if err := pause(ctx, swapPause); err != nil {
			return wrap("fold everything", err)
		}
	}
}

// deltasLeft is the size of all slots: folding leaves nothing of one. It waits for a fold that is about to end.
func deltasLeft(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (size int64, err error) {
	err = q.QueryRow(ctx, `SELECT sum(pg_relation_size(i.inhrelid)) FROM pg_inherits i
		WHERE i.inhparent IN ('segment_speed_delta'::regclass, 'sensor_health_delta'::regclass, 'evidence_delta'::regclass)`).Scan(&size)
	return size, err
}

// dirtyLayer is tiles of a layer.
type dirtyLayer struct {
	layer string
	tiles []int64
}

// replayTiles are the tiles that show anything of the replay's days, in either version.
func (db *DB) replayTiles(ctx context.Context, r ledger.Replay, speeds string, layerOf func(learn.Kind) string) ([]dirtyLayer, error) {
	schema := replaySchema(r.ID)
	list := func(query string, kind int16) ([]int64, error) {
		rows, err := db.pool.Query(ctx, query, r.From, r.To, kind)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[int64])
	}
	tiles, err := list("SELECT edge >> 25 FROM edge_day WHERE day >= $1 AND day < $2 AND $3 = 0 UNION SELECT edge >> 25 FROM "+schema+".edge_day", 0)
	if err != nil {
		return nil, err
	}
	all := []dirtyLayer{{speeds, tiles}}
	rows, err := db.pool.Query(ctx, "SELECT DISTINCT kind FROM evidence WHERE bucket >= $1 AND bucket < $2 UNION SELECT DISTINCT kind FROM "+schema+".evidence", r.From, r.To)
	if err != nil {
		return nil, err
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[int16])
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		layer := layerOf(learn.Kind(k))
		if layer == "" {
			continue
		}
		tiles, err := list("SELECT key >> 25 FROM evidence WHERE bucket >= $1 AND bucket < $2 AND kind = $3 UNION SELECT key >> 25 FROM "+schema+".evidence WHERE kind = $3", k)
		if err != nil {
			return nil, err
		}
		all = append(all, dirtyLayer{layer, tiles})
	}
	return all, nil
}

var errNotCaughtUp = errors.New("something was flushed meanwhile, by a program that does not know of replays")

func (db *DB) swap(ctx context.Context, tx pgx.Tx, r ledger.Replay, dirty []dirtyLayer) error {
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+swapTableWait+"'"); err != nil {
		return err
	}
	for _, lock := range []Role{lockPartitions, lockReplay} {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lock)); err != nil {
			return err
		}
	}
	now, err := lockReplayRow(ctx, tx, r.ID)
	if err != nil || now.State == ledger.ReplaySwapped {
		return err
	}
	if now.State != ledger.ReplayBuilt {
		return ledger.ErrReplayState
	}
	for _, t := range replayed {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+t.table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	left, err := deltasLeft(ctx, tx)
	if err != nil {
		return err
	}
	if left != 0 {
		return errNotCaughtUp
	}
	// Signs were compared with the limits that were published at the time: that can't be done again, and stays.
	if _, err := tx.Exec(ctx, "UPDATE "+replaySchema(r.ID)+`.sensor_health s SET signs_compared = l.signs_compared, signs_disagree = l.signs_disagree
		FROM sensor_health l WHERE s.hour = l.hour AND s.model = l.model AND s.software = l.software AND l.hour >= $1 AND l.hour < $2`, r.From, r.To); err != nil {
		return err
	}
	for _, t := range replayed {
		if err := swapTable(ctx, tx, r, t.table); err != nil {
			return err
		}
	}
	for _, d := range dirty {
		if _, err := tx.Exec(ctx, "INSERT INTO outbox (layer, tile, accepted_at, event_at) SELECT $1, unnest($2::bigint[]), now(), now()", d.layer, d.tiles); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, "DROP SCHEMA "+replaySchema(r.ID)+" CASCADE"); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE replay SET state = 'swapped', ended_at = now() WHERE id = $1", r.ID)
	return err
}

// swapTable changes a table's partitions. Of days whose live partition is gone, because their retention has ended, nothing is kept.
func swapTable(ctx context.Context, tx pgx.Tx, r ledger.Replay, table string) error {
	have, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	var live string
	if err := tx.QueryRow(ctx, "SELECT quote_ident(current_schema())").Scan(&live); err != nil {
		return err
	}
	schema := replaySchema(r.ID)
	for d := r.From; d.Before(r.To); d = d.Add(day) {
		name := partitionName(table, d)
		if state, ok := have[name]; !ok || state != attached {
			continue
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`DROP TABLE %[1]s;
			ALTER TABLE %[2]s.%[3]s DETACH PARTITION %[2]s.%[1]s;
			ALTER TABLE %[2]s.%[1]s SET SCHEMA %[4]s;
			ALTER TABLE %[3]s ATTACH PARTITION %[1]s FOR VALUES FROM (%[5]s) TO (%[6]s);
			ALTER TABLE %[1]s DROP CONSTRAINT %[7]s`, name, schema, table, live, timeBound(d), timeBound(d.Add(day)), dayCheck))
		if err != nil {
			return fmt.Errorf("partition %s: %w", name, err)
		}
	}
	return nil
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
