package postgres

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

func TestMigrateConcurrently(t *testing.T) {
	url := pgtest.New(t)
	var wg sync.WaitGroup
	for range 4 {
		db := openAt(t, url)
		wg.Go(func() {
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	db := openAt(t, url)
	if n := count(t, db, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'claim'::regclass"); n != PastDays+1+AheadDays {
		t.Errorf("%d partitions of claims, want %d", n, PastDays+1+AheadDays)
	}
}

func TestMaintainMovesTheWindow(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	partitionsOf := func(table string) int64 {
		return count(t, db, "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass", table)
	}
	// A flush under way neither stops new partitions nor is stopped by them.
	f := begin(t, db)
	fresh := []bool{false}
	must(t, f.Claim(ctx, claimIDs(testRand(), time.Now(), 1), []int16{1}, fresh))
	later := db.at(time.Now().Add(3 * day))
	if _, err := later.CreatePartitions(ctx); err != nil {
		t.Fatal(err)
	}
	f.Rollback(ctx)

	maintain(ctx, t, later)
	if n := partitionsOf("claim"); n != PastDays+1+AheadDays {
		t.Errorf("%d partitions of claims after three days, want %d", n, PastDays+1+AheadDays)
	}
	if n := partitionsOf("segment_speed"); n != PastDays+1+AheadDays+3 {
		t.Errorf("%d partitions of speeds after three days, want them all kept: %d", n, PastDays+1+AheadDays+3)
	}
	maintain(ctx, t, db.at(time.Now().Add(60*day)))
	if n := partitionsOf("segment_speed"); n != PastDays+1+AheadDays {
		t.Errorf("%d partitions of speeds after 60 days, want %d", n, PastDays+1+AheadDays)
	}
}

func TestMaintainDeletesWhatExpired(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	now := time.Now()
	gone, kept, silent := header(1, 5, now.Add(-2*day)), header(2, 5, now), header(3, 1, now)
	f := begin(t, db)
	must(t, f.Envelopes(ctx, []*telemetry.Header{gone, kept}, make([]bool, 2)))
	must(t, f.Commit(ctx, ledger.Flush{}))
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.pool.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*telemetry.Header{gone, kept, silent} {
		exec("INSERT INTO voided_envelope SELECT $1, s, 1, 1 FROM generate_series(1, 3) s", [16]byte(h.Receiver))
	}
	today := now.UTC().Truncate(day)
	for i, at := range []time.Time{now.Add(-25 * time.Hour), now.Add(-23 * time.Hour), today.Add(-90*day - time.Second), today.Add(-90 * day)} {
		exec("INSERT INTO projection VALUES ($1, 'speeds', 1, 1, 1, 1)", at)
		exec("INSERT INTO quarantine (at, reason, detail, object_key, bytes, batches, samples) VALUES ($1, 'r', '', $2, 1, 1, 1)",
			at, strconv.Itoa(i))
	}
	exec("INSERT INTO manifest (committed_at, worker, object_bytes, batches, samples, map_version) VALUES ($1, '', 0, 0, 0, '')", now.Add(-900*day))
	manifests := count(t, db, "SELECT count(*) FROM manifest")

	check := func(when string, want map[string]int64) {
		t.Helper()
		for sql, n := range want {
			if got := count(t, db, "SELECT count(*) FROM "+sql); got != n {
				t.Errorf("%s: %d rows of %s, want %d", when, got, sql, n)
			}
		}
	}
	maintain(ctx, t, db)
	check("today", map[string]int64{"projection": 1, "quarantine": 3, "voided_envelope": 6, "manifest": manifests})
	maintain(ctx, t, db.at(now.Add(89*day))) // the older envelope's partition goes
	check("in 89 days", map[string]int64{"projection": 0, "envelope": 1, "voided_envelope": 3, "manifest": manifests})
	maintain(ctx, t, db.at(now.Add(100*day)))
	check("in 100 days", map[string]int64{"quarantine": 0, "voided_envelope": 0, "manifest": manifests})
}

func TestMaintainDropsPartitionsLeftDetached(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	today := time.Now().UTC().Truncate(day)
	expired, live := partitionName("evidence", today), partitionName("segment_speed", today.Add(30*day))
	for _, sql := range []string{
		// As a crash leaves it between detach and drop.
		"ALTER TABLE evidence DETACH PARTITION " + expired,
		"CREATE TABLE " + live + " (LIKE segment_speed)",
		"CREATE TABLE envelope_notes ()",
	} {
		if _, err := db.pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	maintain(ctx, t, db.at(today.Add(60*day)))
	for table, want := range map[string]int64{expired: 0, live: 1, "envelope_notes": 1} {
		if n := count(t, db, "SELECT count(*) FROM pg_class WHERE relname = $1", table); n != want {
			t.Errorf("%d tables %s, want %d", n, table, want)
		}
	}
	// Within the window it becomes a partition again.
	if _, err := db.at(today.Add(30 * day)).CreatePartitions(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, "SELECT count(*) FROM pg_inherits WHERE inhrelid = $1::text::regclass", live); n != 1 {
		t.Errorf("%s isn't attached", live)
	}
}

func TestLeadIsExclusive(t *testing.T) {
	db := openTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	release := make(chan struct{})
	wg.Go(func() {
		err := db.Lead(ctx, RoleProjector, 10*time.Millisecond, func(context.Context) error {
			close(first)
			<-release
			select {
			case <-second:
				t.Error("two leaders at once")
			default:
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-first
	wg.Go(func() {
		err := db.Lead(ctx, RoleProjector, 10*time.Millisecond, func(lead context.Context) error {
			close(second)
			// Its session dies: it must hear of it.
			_, err := db.pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks
				WHERE locktype = 'advisory' AND granted AND objid = $1::bigint & x'ffffffff'::bigint::bigint`, int64(RoleProjector))
			if err != nil {
				t.Error(err)
			}
			<-lead.Done()
			return lead.Err()
		})
		if !errors.Is(err, errLeadLost) {
			t.Errorf("error %v, want that leadership was lost", err)
		}
	})
	close(release)
	wg.Wait()
}

// maintain is what jobs do hourly.
func maintain(ctx context.Context, t *testing.T, db *DB) {
	t.Helper()
	if _, err := db.CreatePartitions(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.EndRetention(ctx); err != nil {
		t.Fatal(err)
	}
}
