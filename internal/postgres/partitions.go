package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry/ledger"
)

// The days around today for which every partitioned table has a partition after Migrate
// or CreatePartitions. What lies outside can't be stored: workers quarantine it.
const (
	PastDays  = 8
	AheadDays = 2
)

const day = 24 * time.Hour

// Retention is how long what grows with time is kept, counted in whole UTC days.
type Retention struct {
	Claims   time.Duration // idempotency; the accepted window and a day; default and least 8 days
	Ledger   time.Duration // envelope, with its adjustments, voided_envelope and quarantine; backfill; default 90 days
	Speeds   time.Duration // segment_speed, edge_day and sensor_health; default 35 days
	Evidence time.Duration // and what is learned from it alone; default 35 days
	History  time.Duration // speed_day, limit_change, ended hazards and decided map errors; default 400 days
}

// DefaultRetention fits the default accepted window of 7 days.
var DefaultRetention = Retention{Claims: PastDays * day, Ledger: 90 * day, Speeds: 35 * day, Evidence: 35 * day, History: 400 * day}

func (r Retention) withDefaults() Retention {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&r.Claims, DefaultRetention.Claims)
	set(&r.Ledger, DefaultRetention.Ledger)
	set(&r.Speeds, DefaultRetention.Speeds)
	set(&r.Evidence, DefaultRetention.Evidence)
	set(&r.History, DefaultRetention.History)
	return r
}

func (r Retention) validate() error {
	for name, d := range map[string]time.Duration{
		"Claims": r.Claims, "Ledger": r.Ledger, "Speeds": r.Speeds, "Evidence": r.Evidence, "History": r.History,
	} {
		if d != 0 && d < PastDays*day {
			return fmt.Errorf("postgres: Retention.%s %v is below %d days", name, d, PastDays)
		}
	}
	return nil
}

// daily is a table with a partition for each UTC day.
type daily struct {
	table string
	bound func(time.Time) string // the day's lower bound as an SQL literal
	keep  time.Duration
	with  string
}

func (db *DB) dailies() []daily {
	// Folding rewrites rows in place: leave it room for heap-only updates.
	const rewritten = " WITH (fillfactor = 75)"
	r := db.retention
	return []daily{
		{"claim", uuidBound, r.Claims, ""},
		{"envelope", timeBound, r.Ledger, ""},
		{"segment_speed", timeBound, r.Speeds, rewritten},
		{"edge_day", timeBound, r.Speeds, rewritten},
		{"speed_day", timeBound, r.History, ""},
		{"sensor_health", timeBound, r.Speeds, rewritten},
		{"evidence", timeBound, r.Evidence, rewritten},
	}
}

func timeBound(t time.Time) string { return "'" + t.UTC().Format("2006-01-02 15:04:05+00") + "'" }

// uuidBound is the least UUIDv7-like id of a moment.
func uuidBound(t time.Time) string {
	ms := t.UnixMilli()
	var b [16]byte
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	h := hex.EncodeToString(b[:])
	return "'" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:] + "'"
}

const suffixLayout = "20060102"

func partitionName(table string, d time.Time) string { return table + "_" + d.Format(suffixLayout) }

// CreatePartitions makes the partitions of the days around now and tells how many it made. It doesn't stop
// writers, and any number of processes may call it at once.
func (db *DB) CreatePartitions(ctx context.Context) (made int, err error) {
	today := db.now().UTC().Truncate(day)
	// One creator at a time; the lock is gone with the transaction.
	return made, db.inTx(ctx, "create partitions", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockPartitions)); err != nil {
			return err
		}
		have, err := partitions(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range db.dailies() {
			n, err := makePartitions(ctx, tx, have, t, today.Add(-PastDays*day), today.Add(AheadDays*day))
			if err != nil {
				return err
			}
			made += n
		}
		return nil
	})
}

// makePartitions makes those of a table's partitions of the days from first to last that are not in have, and tells how many.
func makePartitions(ctx context.Context, tx pgx.Tx, have map[string]attachment, t daily, first, last time.Time) (made int, err error) {
	for d := first; !d.After(last); d = d.Add(day) {
		name := partitionName(t.table, d)
		if state, ok := have[name]; ok && state != detached {
			continue
		}
		// CREATE TABLE … PARTITION OF would lock the parent exclusively; ATTACH does not.
		made++
		_, err := tx.Exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %[1]s (LIKE %[2]s INCLUDING ALL)%[5]s;"+
			"ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM (%[3]s) TO (%[4]s)",
			name, t.table, t.bound(d), t.bound(d.Add(day)), t.with))
		if err != nil {
			return made, fmt.Errorf("partition %s: %w", name, err)
		}
	}
	return made, nil
}

// attachment is how a table that is named like a partition relates to its parent.
type attachment int

const (
	attached  attachment = iota
	detaching            // an interrupted detach is pending
	detached             // no partition, or no longer: a crash came between detach and drop
)

// partitions lists by name every table that is or may have been a partition: all but the partitioned.
func partitions(ctx context.Context, q interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) (map[string]attachment, error) {
	rows, err := q.Query(ctx, `SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false) FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
		WHERE c.relkind = 'r' AND n.nspname = current_schema()`)
	if err != nil {
		return nil, err
	}
	have := map[string]attachment{}
	var name string
	var child, pending bool
	_, err = pgx.ForEachRow(rows, []any{&name, &child, &pending}, func() error {
		switch {
		case !child:
			have[name] = detached
		case pending:
			have[name] = detaching
		default:
			have[name] = attached
		}
		return nil
	})
	return have, err
}

// EndRetention drops the partitions whose retention is over and deletes what is past retention elsewhere;
// it tells how many partitions and rows. It doesn't stop writers: partitions are detached under weak
// locks. One process at a time should call it. The manifest stays: it lives as long as the raw archive.
func (db *DB) EndRetention(ctx context.Context) (dropped int, deleted int64, err error) {
	if dropped, err = db.dropPartitions(ctx); err != nil {
		return dropped, 0, err
	}
	if deleted, err = db.deleteExpired(ctx); err != nil {
		return dropped, deleted, err
	}
	return dropped, deleted, db.forgetOldClaims(ctx)
}

func (db *DB) dropPartitions(ctx context.Context) (dropped int, err error) {
	have, err := partitions(ctx, db.pool)
	if err != nil {
		return 0, wrap("list partitions", err)
	}
	today := db.now().UTC().Truncate(day)
	for name, state := range have {
		for _, t := range db.dailies() {
			suffix, ok := strings.CutPrefix(name, t.table+"_")
			if !ok {
				continue
			}
			d, err := time.Parse(suffixLayout, suffix)
			if err != nil || !d.Before(today.Add(-t.keep)) {
				continue
			}
			if err := db.dropPartition(ctx, t.table, name, state); err != nil {
				return dropped, err
			}
			dropped++
			db.log.InfoContext(ctx, "partition dropped", "partition", name)
		}
	}
	return dropped, nil
}

func (db *DB) dropPartition(ctx context.Context, table, name string, state attachment) error {
	if state != detached {
		how := "CONCURRENTLY"
		if state == detaching {
			how = "FINALIZE"
		}
		if _, err := db.pool.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s %s", table, name, how)); err != nil {
			return wrap("detach partition "+name, err)
		}
	}
	// A concurrent detach can't share a transaction with this. What a crash leaves here, the next call finds.
	if _, err := db.pool.Exec(ctx, "DROP TABLE IF EXISTS "+name); err != nil {
		return wrap("drop partition "+name, err)
	}
	return nil
}

// keepProjections is how long the rest is kept: readers look minutes back.
const keepProjections = day

// What is learned from evidence that is gone is gone too, and its tiles are to be published anew.
const (
	expireLimits = `WITH gone AS (DELETE FROM learned_limit WHERE updated_at < $1 RETURNING edge, kmh), told AS (
		INSERT INTO limit_change (edge, from_kmh, to_kmh, at) SELECT edge, kmh, 0, now() FROM gone WHERE kmh <> 0)
		INSERT INTO dirty_tile AS d SELECT DISTINCT 'limits', edge >> 25, now(), now() FROM gone
		ON CONFLICT (layer, tile) DO UPDATE SET mark = excluded.mark`
	expireErrors = `WITH gone AS (DELETE FROM map_error WHERE updated_at < $1 AND status IN ('open', 'gone') RETURNING tile)
		INSERT INTO dirty_tile AS d SELECT DISTINCT 'errors', tile, now(), now() FROM gone
		ON CONFLICT (layer, tile) DO UPDATE SET mark = excluded.mark`
)

// deleteVoided deletes what was voided by receivers of which the ledger holds nothing any
// more. It steps from receiver to receiver by index, and looks each up in the ledger once.
const deleteVoided = `WITH RECURSIVE r (receiver) AS (
	(SELECT receiver FROM voided_envelope ORDER BY receiver LIMIT 1)
	UNION ALL
	SELECT (SELECT v.receiver FROM voided_envelope v WHERE v.receiver > r.receiver ORDER BY v.receiver LIMIT 1)
	FROM r WHERE r.receiver IS NOT NULL
), gone AS MATERIALIZED (
	SELECT r.receiver FROM r LEFT JOIN LATERAL (
		SELECT e.seq FROM envelope e WHERE e.receiver = r.receiver ORDER BY e.seq LIMIT 1
	) e ON true WHERE r.receiver IS NOT NULL AND e.seq IS NULL
)
DELETE FROM voided_envelope v USING gone WHERE v.receiver = gone.receiver`

// deleteExpired ends the retention of what isn't partitioned.
func (db *DB) deleteExpired(ctx context.Context) (deleted int64, err error) {
	now := db.now().UTC()
	type expiry struct {
		table, sql string
		args       []any
	}
	all := []expiry{
		{"projection", "DELETE FROM projection WHERE at < $1", []any{now.Add(-keepProjections)}},
		{"quarantine", "DELETE FROM quarantine WHERE at < $1", []any{now.Truncate(day).Add(-db.retention.Ledger)}},
		{"redrive", "DELETE FROM redrive r WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.id = r.quarantine)", nil},
		{"envelope_adjustment", "DELETE FROM envelope_adjustment WHERE accepted_at < $1", []any{now.Truncate(day).Add(-db.retention.Ledger)}},
		{"voided_envelope", deleteVoided, nil},
		{"hazard", "DELETE FROM hazard WHERE ended_at < $1", []any{now.Add(-db.retention.History)}},
		{
			"webhook_delivery", `DELETE FROM webhook_delivery WHERE created_at < $1 OR created_at < $2 AND state = 'delivered' AND last_at < $2`,
			[]any{now.Add(-keepDead), now.Add(-keepDelivered)},
		},
		{"webhook_told", "DELETE FROM webhook_told t WHERE NOT EXISTS (SELECT FROM hazard h WHERE h.id = t.hazard)", nil},
		{"limit_change", "DELETE FROM limit_change WHERE at < $1", []any{now.Add(-db.retention.History)}},
		{"backfill", "DELETE FROM backfill WHERE touched_at < $1", []any{now.Truncate(day).Add(-db.retention.Ledger)}},
		{"map_error", expireErrors, []any{now.Add(-db.retention.Evidence)}},
		{"map_error", "DELETE FROM map_error WHERE updated_at < $1", []any{now.Add(-db.retention.History)}},
		{"erased_pseudonym", "DELETE FROM erased_pseudonym WHERE keep_until < $1", []any{now}},
		{"erasure", abandonErasures, []any{now.Add(-ledger.ErasurePatience)}},
	}
	// Limits have no index by age, which each judgement would have to keep: they are looked through once a day.
	today := now.Unix() / int64(day/time.Second)
	if db.limitsExpired.Load() != today {
		all = append(all, expiry{"learned_limit", expireLimits, []any{now.Add(-db.retention.Evidence)}})
	}
	for _, d := range all {
		tag, err := db.pool.Exec(ctx, d.sql, d.args...)
		if err != nil {
			return deleted, wrap("delete expired rows of "+d.table, err)
		}
		deleted += tag.RowsAffected()
		if n := tag.RowsAffected(); n > 0 {
			db.log.InfoContext(ctx, "expired rows deleted", "table", d.table, "rows", n)
		}
	}
	db.limitsExpired.Store(today)
	return deleted, nil
}
