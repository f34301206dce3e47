package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// replayed are the tables of which a replay makes another version, with the column of event time by which they are
// partitioned into days. They are locked in this order.
var replayed = [...]struct{ table, column string }{
	{"segment_speed", "bucket"}, {"edge_day", "day"}, {"speed_day", "bucket"}, {"sensor_health", "hour"}, {"evidence", "bucket"},
}

// maxReplays is how many replays may take up space at once: not swapped or dropped.
const maxReplays = 3

// replayMargin is how far a batch's buckets may reach beyond the event times in its manifest entry: lead-in.
const replayMargin = time.Hour

func replaySchema(id int64) string { return fmt.Sprintf("replay_%d", id) }

// BeginReplay makes the tables of a replay of the UTC days [from, to), or returns the one of the same days and map that is
// still being built: whoever was killed goes on with it. One of another map is dropped. Errors: ledger.ErrReplays,
// ledger.ErrReplayRange.
func (db *DB) BeginReplay(ctx context.Context, from, to time.Time, mapVersion string) (r ledger.Replay, err error) {
	err = db.inTx(ctx, "begin a replay", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockReplay)); err != nil {
			return err
		}
		open, err := replays(ctx, tx, "state IN ('building', 'built')")
		if err != nil {
			return err
		}
		taken := len(open)
		for _, o := range open {
			if o.State != ledger.ReplayBuilding || !o.From.Equal(from) || !o.To.Equal(to) {
				continue
			}
			if o.MapVersion == mapVersion {
				r = o
				return nil
			}
			if err := dropReplay(ctx, tx, o.ID); err != nil {
				return err
			}
			taken--
		}
		if taken >= maxReplays {
			return ledger.ErrReplays
		}
		rows, err := tx.Query(ctx, "INSERT INTO replay (from_day, to_day, map_version) VALUES ($1, $2, $3) RETURNING "+replayColumns, from, to, mapVersion)
		if err != nil {
			return err
		}
		if r, err = pgx.CollectExactlyOneRow(rows, scanReplay); err != nil {
			return err
		}
		return db.makeReplay(ctx, tx, r)
	})
	return r, err
}

// makeReplay makes the schema with the tables: the partitioned ones with a partition for each day that the live ones
// have, the deltas that a step goes through, and what was taken in.
func (db *DB) makeReplay(ctx context.Context, tx pgx.Tx, r ledger.Replay) error {
	var live string
	if err := tx.QueryRow(ctx, "SELECT current_schema()").Scan(&live); err != nil {
		return err
	}
	have, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	schema := replaySchema(r.ID)
	live = pgx.Identifier{live}.Sanitize()
	statements := []string{
		"CREATE SCHEMA " + schema,
		"CREATE TABLE " + schema + ".done (flush bigint PRIMARY KEY)",
	}
	for _, t := range [...]string{"segment_speed_delta", "sensor_health_delta", "evidence_delta"} {
		statements = append(statements, fmt.Sprintf("CREATE TABLE %[1]s.%[2]s_0 (LIKE %[3]s.%[2]s)", schema, t, live))
	}
	for d := r.From; d.Before(r.To); d = d.Add(day) {
		if state, ok := have[partitionName("segment_speed", d)]; !ok || state != attached {
			return ledger.ErrReplayRange
		}
	}
	for _, t := range replayed {
		statements = append(statements, fmt.Sprintf("CREATE TABLE %[1]s.%[2]s (LIKE %[3]s.%[2]s INCLUDING ALL) PARTITION BY RANGE (%[4]s)", schema, t.table, live, t.column))
		for d := r.From; d.Before(r.To); d = d.Add(day) {
			name := partitionName(t.table, d)
			if state, ok := have[name]; !ok || state != attached {
				continue
			}
			// The check lets the partition be attached to the live table later without being looked through.
			statements = append(statements, fmt.Sprintf("CREATE TABLE %[1]s.%[2]s (LIKE %[3]s.%[4]s INCLUDING ALL, CONSTRAINT %[8]s CHECK (%[5]s >= %[6]s AND %[5]s < %[7]s)) WITH (fillfactor = 75);"+
				"ALTER TABLE %[1]s.%[4]s ATTACH PARTITION %[1]s.%[2]s FOR VALUES FROM (%[6]s) TO (%[7]s)",
				schema, name, live, t.table, t.column, timeBound(d), timeBound(d.Add(day)), dayCheck))
		}
	}
	for _, s := range statements {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

const dayCheck = "replayed_day"

// DropReplay gives a replay up. To drop one that was is no error; ledger.ErrReplayState if it was swapped.
func (db *DB) DropReplay(ctx context.Context, id int64) (ledger.Replay, error) {
	var r ledger.Replay
	err := db.inTx(ctx, "drop a replay", func(tx pgx.Tx) (err error) {
		if r, err = lockReplayRow(ctx, tx, id); err != nil {
			return err
		}
		switch r.State {
		case ledger.ReplayDropped:
			return nil
		case ledger.ReplaySwapped:
			return fmt.Errorf("replay %d is %s: %w", id, r.State, ledger.ErrReplayState)
		case ledger.ReplayBuilding, ledger.ReplayBuilt:
		}
		return dropReplay(ctx, tx, id)
	})
	if err != nil {
		return ledger.Replay{}, err
	}
	return db.Replay(ctx, id)
}

func dropReplay(ctx context.Context, tx pgx.Tx, id int64) error {
	if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+replaySchema(id)+" CASCADE"); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE replay SET state = 'dropped', ended_at = now() WHERE id = $1", id)
	return err
}

// EndReplay notes that a replay is built, and how it differs.
func (db *DB) EndReplay(ctx context.Context, id int64, diff []byte) (ledger.Replay, error) {
	_, err := db.pool.Exec(ctx, "UPDATE replay SET state = 'built', built_at = now(), diff = $2 WHERE id = $1 AND state IN ('building', 'built')", id, string(diff))
	if err != nil {
		return ledger.Replay{}, wrap("end a replay", err)
	}
	return db.Replay(ctx, id)
}

// ReplayPending lists objects that a replay has not taken in, oldest first, at most so many, and counts the entries of the manifest
// that are taken in and all.
func (db *DB) ReplayPending(ctx context.Context, r ledger.Replay, most int) (objects []ledger.ReplayObject, done, all int64, err error) {
	schema := replaySchema(r.ID)
	const in = " m.object_key IS NOT NULL AND m.t_max >= $1 AND m.t_min < $2"
	from, to := r.From.Add(-replayMargin), r.To.Add(replayMargin)
	rows, err := db.pool.Query(ctx, `SELECT m.object_key, array_agg(m.id ORDER BY m.id) FILTER (WHERE d.flush IS NULL), bool_or(d.flush IS NOT NULL)
		FROM manifest m LEFT JOIN `+schema+`.done d ON d.flush = m.id WHERE`+in+`
		GROUP BY m.object_key HAVING count(*) FILTER (WHERE d.flush IS NULL) > 0 ORDER BY min(m.id) LIMIT $3`, from, to, most)
	if err != nil {
		return nil, 0, 0, wrap("list what a replay lacks", missingReplay(err))
	}
	objects, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.ReplayObject])
	if err != nil {
		return nil, 0, 0, wrap("list what a replay lacks", missingReplay(err))
	}
	err = db.pool.QueryRow(ctx, "SELECT (SELECT count(*) FROM "+schema+".done), (SELECT count(*) FROM manifest m WHERE"+in+")", from, to).Scan(&done, &all)
	return objects, done, all, wrap("count what a replay lacks", err)
}

// ClaimedBy tells for each id which entry of the manifest claimed it; 0 if that is not known any more.
func (db *DB) ClaimedBy(ctx context.Context, ids []telemetry.ClaimID) ([]int64, error) {
	at := make(map[telemetry.ClaimID][]int, len(ids))
	list := make([][16]byte, len(ids))
	for i, id := range ids {
		at[id] = append(at[id], i)
		list[i] = id
	}
	rows, err := db.pool.Query(ctx, "SELECT id, flush FROM claim WHERE id = ANY ($1)", list)
	if err != nil {
		return nil, wrap("look claims up", err)
	}
	flushes := make([]int64, len(ids))
	var id [16]byte
	var flush int64
	_, err = pgx.ForEachRow(rows, []any{&id, &flush}, func() error {
		for _, i := range at[id] {
			flushes[i] = flush
		}
		return nil
	})
	return flushes, wrap("look claims up", err)
}

const replayColumns = "id, from_day, to_day, map_version, state, created_at, built_at, ended_at, diff"

// Replays lists the replays with ids below before (0: the newest), newest first.
func (db *DB) Replays(ctx context.Context, before int64, most int) ([]ledger.Replay, error) {
	all, err := replays(ctx, db.pool, "$1 = 0 OR id < $1 ORDER BY id DESC LIMIT $2", before, most)
	return all, wrap("list replays", err)
}

// Replay looks a replay up; ledger.ErrNoReplay.
func (db *DB) Replay(ctx context.Context, id int64) (ledger.Replay, error) {
	all, err := replays(ctx, db.pool, "id = $1", id)
	if err == nil && len(all) == 0 {
		err = ledger.ErrNoReplay
	}
	if err != nil {
		return ledger.Replay{}, wrap(fmt.Sprintf("look replay %d up", id), err)
	}
	return all[0], nil
}

func lockReplayRow(ctx context.Context, tx pgx.Tx, id int64) (ledger.Replay, error) {
	all, err := replays(ctx, tx, "id = $1 FOR UPDATE", id)
	if err == nil && len(all) == 0 {
		err = ledger.ErrNoReplay
	}
	if err != nil {
		return ledger.Replay{}, err
	}
	return all[0], nil
}

func replays(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, where string, args ...any,
) ([]ledger.Replay, error) {
	rows, err := q.Query(ctx, "SELECT "+replayColumns+" FROM replay WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanReplay)
}

func scanReplay(row pgx.CollectableRow) (r ledger.Replay, err error) {
	var built, ended *time.Time
	err = row.Scan(&r.ID, &r.From, &r.To, &r.MapVersion, &r.State, &r.CreatedAt, &built, &ended, &r.Diff)
	r.From, r.To, r.CreatedAt = r.From.UTC(), r.To.UTC(), r.CreatedAt.UTC()
	if built != nil {
		r.BuiltAt = built.UTC()
	}
	if ended != nil {
		r.EndedAt = ended.UTC()
	}
	return r, err
}

// missingReplay names the error of a replay whose tables are gone.
func missingReplay(err error) error {
	if code(err) == "42P01" { // undefined_table
		return errors.Join(ledger.ErrReplayState, err)
	}
	return err
}
