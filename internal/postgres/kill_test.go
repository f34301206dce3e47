package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

// chore is the whole of what a kind of job does to the database.
type chore struct {
	after time.Duration // how long after the database was filled it runs
	do    func(ctx context.Context, db *DB) error
}

func chores() map[string]chore {
	replay := func(f func(ctx context.Context, db *DB, id int64) error) func(context.Context, *DB) error {
		return func(ctx context.Context, db *DB) error { return f(ctx, db, 1) }
	}
	return map[string]chore{
		"partitions": {3 * day, func(ctx context.Context, db *DB) error {
			_, err := db.CreatePartitions(ctx)
			return err
		}},
		"retention": {40 * day, func(ctx context.Context, db *DB) error {
			_, _, err := db.EndRetention(ctx)
			return err
		}},
		"fold": {time.Minute, func(ctx context.Context, db *DB) error {
			_, _, err := db.Fold(ctx)
			return err
		}},
		"days": {time.Minute, func(ctx context.Context, db *DB) error {
			_, err := db.AddUpDays(ctx)
			return err
		}},
		"profiles": {20 * day, func(ctx context.Context, db *DB) error {
			_, _, err := db.addTypicalDays(ctx, 2, noProgress)
			return err
		}},
		"replay-swap": {time.Minute, replay(func(ctx context.Context, db *DB, id int64) error {
			_, err := db.SwapReplay(ctx, id, "speeds", func(learn.Kind) string { return "hazards" }, func(context.Context, ledger.Replay) error { return nil })
			return err
		})},
		"replay-drop": {time.Minute, replay(func(ctx context.Context, db *DB, id int64) error {
			_, err := db.DropReplay(ctx, id)
			return err
		})},
	}
}

// filled is a template of a database in which every chore has something to do.
func filled(t *testing.T, now time.Time) *pgtest.Template {
	t.Helper()
	return &pgtest.Template{Migrate: func(ctx context.Context, url string) error {
		db, err := Open(ctx, Config{URL: url}, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		defer db.Close()
		db.now = func() time.Time { return now }
		if err := db.Migrate(ctx); err != nil {
			return err
		}
		edges := []uint64{1<<25 + 2, 1<<25 + 3, 1<<25 + 4, 7 << 25, 9 << 25}
		start := now.Truncate(day).Add(-PastDays * day)
		for i := range 3 { // into three slots
			driven(t, db.at(now.Add(-time.Duration(i)*slotSpan)), rand.New(rand.NewPCG(8, uint64(i))), start, PastDays*288, edges)
		}
		f, err := db.BeginFlush(ctx)
		if err != nil {
			return err
		}
		defer f.Rollback(ctx)
		if err := f.Envelopes(ctx, []*telemetry.Header{header(1, 5, now)}, make([]bool, 1)); err != nil {
			return err
		}
		if err := f.Claim(ctx, claimIDs(testRand(), now, 3), []int16{1, 2, 3}, make([]bool, 3)); err != nil {
			return err
		}
		bucket := learn.BucketStart(now.Add(-day).UnixMilli())
		if err := f.Health(ctx, []learn.HealthRow{{HealthKey: learn.HealthKey{HourMS: bucket - bucket%3_600_000, Model: "m"}, Health: learn.Health{Samples: 7}}}); err != nil {
			return err
		}
		var set learn.EvidenceSet
		for i := range uint64(9) {
			set.Add(learn.EvidenceKey{Kind: learn.HazardCellEvidence, BucketMS: bucket, Key: i%3<<25 + 1}, learn.Vote{Code: 1, N: 1})
		}
		if err := f.Evidence(ctx, set.Rows()); err != nil {
			return err
		}
		if err := f.Commit(ctx, ledger.Flush{}); err != nil {
			return err
		}
		for _, sql := range []string{
			"INSERT INTO projection (at, layer, tiles, p50_s, p95_s, max_s, event_p50_s, event_p95_s) VALUES ($1, 'speeds', 1, 1, 1, 1, 1, 1)",
			"INSERT INTO voided_envelope SELECT '00000000-0000-0000-0000-000000000007', s, 1, 1 FROM generate_series(1, 3) s WHERE $1::timestamptz IS NOT NULL",
			"INSERT INTO quarantine (at, reason, detail, object_key, bytes, batches, samples) VALUES ($1::timestamptz - interval '60 days', 'r', '', 'k', 1, 1, 1)",
			"INSERT INTO learned_limit SELECT e << 25, 50, 30, 1, 3, 3, $1, '{}', $1 FROM generate_series(1, 3) e",
			`INSERT INTO map_error (id, type, geometry, lat_e7, lon_e7, tile, vehicles, against, score, first_at, last_at, updated_at)
				SELECT e, 1, '', 1, 1, e, 5, 0, 1, $1, $1, $1 FROM generate_series(1, 3) e`,
		} {
			if _, err := db.pool.Exec(ctx, sql, now); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return replayed3Days(ctx, db, now, edges)
	}}
}

// replayed3Days builds a replay that differs from what is live.
func replayed3Days(ctx context.Context, db *DB, now time.Time, edges []uint64) error {
	today := now.Truncate(day)
	r, err := db.BeginReplay(ctx, today.Add(-2*day), today.Add(day), "m")
	if err != nil {
		return err
	}
	tx, err := db.BeginReplayTx(ctx, r)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	if err := tx.Add(ctx, randomRows(testRand(), learn.BucketStart(today.Add(-day).UnixMilli()), len(edges), 30), nil, nil); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	_, err = db.EndReplay(ctx, r.ID, []byte("{}"))
	return err
}

// state tells of every table to which part of which other it belongs, and what it holds, without what is named for the moment of
// writing.
func state(t *testing.T, db *DB) map[string]string {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), `SELECT n.nspname, c.relname, coalesce(i.inhparent::regclass::text || ' ' || pg_get_expr(c.relpartbound, c.oid), '') ||
			coalesce(i.inhdetachpending::text, '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
		WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' AND c.relname !~ '^river'`)
	must(t, err)
	type table struct{ Schema, Name, Part string }
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	must(t, err)
	all := make(map[string]string, len(tables))
	for _, tb := range tables {
		name := pgx.Identifier{tb.Schema, tb.Name}.Sanitize()
		var content string
		must(t, db.pool.QueryRow(t.Context(), `SELECT coalesce(count(*) || ' ' || md5(string_agg(x, ' ' ORDER BY x)), '0') FROM (
			SELECT (to_jsonb(t) - '{id,at,mark,accepted_at,event_at,ended_at,tstamp}'::text[])::text x FROM `+name+" t) rows").Scan(&content))
		all[name] = tb.Part + ": " + content
	}
	return all
}

// killer ends its own process, as kill -9 does, when it is about to send its n-th statement; it only counts if n is 0.
type killer struct{ n, sent atomic.Int64 }

func (k *killer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if n := k.sent.Add(1); n == k.n.Load() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return ctx
}

func (*killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// doomed opens the database with a clock that stands still.
func doomed(t *testing.T, url string, now time.Time, k *killer) *DB {
	t.Helper()
	db := openAt(t, url)
	cfg := db.pool.Config()
	cfg.ConnConfig.Tracer = k
	traced, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(traced.Close)
	at := *db
	at.pool, at.now = traced, func() time.Time { return now }
	return &at
}

// What tells the child of TestChoresKilledAtAnyStatement what to do.
const (
	choreEnv     = "CARASSO_TEST_CHORE"
	choreURLEnv  = "CARASSO_TEST_CHORE_URL"
	choreNowEnv  = "CARASSO_TEST_CHORE_NOW"
	choreDiesEnv = "CARASSO_TEST_CHORE_DIES_AT"
)

// TestChoresChild is the process that is killed.
func TestChoresChild(t *testing.T) {
	c, ok := chores()[os.Getenv(choreEnv)]
	if !ok {
		return // TestChoresKilledAtAnyStatement starts it
	}
	seconds, err := strconv.ParseInt(os.Getenv(choreNowEnv), 10, 64)
	must(t, err)
	dies, err := strconv.ParseInt(os.Getenv(choreDiesEnv), 10, 64)
	must(t, err)
	k := &killer{}
	k.n.Store(dies)
	must(t, c.do(t.Context(), doomed(t, os.Getenv(choreURLEnv), time.Unix(seconds, 0).UTC().Add(c.after), k)))
}

// kill -9 between two statements, then again: the database is as if nothing had happened.
func TestChoresKilledAtAnyStatement(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	template := filled(t, now)
	const kills = 6 // of each, spread over its statements, the last among them
	for name, c := range chores() {
		t.Run(name, func(t *testing.T) {
			k := &killer{}
			whole := doomed(t, template.New(t), now.Add(c.after), k)
			before := state(t, whole)
			k.sent.Store(0)
			must(t, c.do(t.Context(), whole))
			statements := k.sent.Load()
			want := state(t, whole)
			if gocmp.Equal(before, want) {
				t.Fatal("there was nothing to do")
			}
			must(t, c.do(t.Context(), whole))
			if d := gocmp.Diff(want, state(t, whole)); d != "" {
				t.Errorf("done twice (-once +twice):\n%s", d)
			}
			last := int64(0)
			for i := range int64(kills) {
				n := 1 + (statements-1)*i/(kills-1)
				if n == last {
					continue
				}
				last = n
				url := template.New(t)
				child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChoresChild$")
				child.Env = append(os.Environ(), choreEnv+"="+name, choreURLEnv+"="+url, choreNowEnv+"="+strconv.FormatInt(now.Unix(), 10), choreDiesEnv+"="+strconv.FormatInt(n, 10))
				out, err := child.CombinedOutput()
				if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
					t.Fatalf("it should have killed itself at statement %d of %d: %v\n%s", n, statements, err, out)
				}
				again := doomed(t, url, now.Add(c.after), &killer{})
				must(t, c.do(t.Context(), again))
				if d := gocmp.Diff(want, state(t, again)); d != "" {
					t.Errorf("killed at statement %d of %d (-undisturbed +killed and done again):\n%s", n, statements, d)
				}
			}
			t.Logf("%d statements", statements)
		})
	}
}
