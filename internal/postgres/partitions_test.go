package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/pgtest"
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
	must(t, later.createPartitions(ctx))
	f.Rollback(ctx)

	must(t, later.Maintain(ctx))
	if n := partitionsOf("claim"); n != PastDays+1+AheadDays {
		t.Errorf("%d partitions of claims after three days, want %d", n, PastDays+1+AheadDays)
	}
	if n := partitionsOf("segment_speed"); n != PastDays+1+AheadDays+3 {
		t.Errorf("%d partitions of speeds after three days, want them all kept: %d", n, PastDays+1+AheadDays+3)
	}
	must(t, db.at(time.Now().Add(60*day)).Maintain(ctx))
	if n := partitionsOf("segment_speed"); n != PastDays+1+AheadDays {
		t.Errorf("%d partitions of speeds after 60 days, want %d", n, PastDays+1+AheadDays)
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
			_, err := db.pool.Exec(lead, `SELECT pg_terminate_backend(pid) FROM pg_locks
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
