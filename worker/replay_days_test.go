package worker_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/telemetry/ledger"
)

// A swap corrects the days that were added up, too, and leaves the profiles of the week as they are: these know days by what they were when
// they were added.
func TestReplaySwapOfPastDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, days := range []int{10, 3} {
		bs := w.past(ago(days), 60)
		w.object("import/"+strconv.Itoa(days)+".parquet", bs...)
		w.remember(bs)
	}
	w.takeIn("import/", ago(10), ago(1))
	fold := func() {
		t.Helper()
		if _, _, err := w.db.FoldAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.db.AddUpDays(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fold()
	const days, profiles = "SELECT sum(hashtextextended(t::text, 0)::numeric)::text FROM speed_day t", "SELECT coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM typical_speed t"
	var right, got string
	w.query(&right, days)

	// As a worker with a bad matcher would have left it, when the older day went into the profiles.
	w.exec("UPDATE segment_speed SET n = n + 9, sum_cmps = sum_cmps + 90000")
	w.exec("UPDATE edge_day d SET n = (SELECT sum(s.n) FROM segment_speed s WHERE s.edge = d.edge AND s.bucket >= d.day AND s.bucket < d.day + interval '1 day')")
	fold()
	if w.query(&got, days); got == right {
		t.Fatal("the days are not as wrong as they should be")
	}
	if added, _, err := w.db.AddTypicalDays(t.Context(), func(int64, int64, string) {}); err != nil || added == 0 {
		t.Fatalf("%d days in the profiles, %v", added, err)
	}
	var before, after string
	w.query(&before, profiles)

	report, err := w.replaying(nil).Build(t.Context(), ago(11), ago(0), noProgress{})
	if err != nil || report.Equal {
		t.Fatalf("%+v, %v", report, err)
	}
	w.swap(report)
	w.verifyPast(0)
	if w.query(&got, days); got != right {
		t.Error("the days that were added up are not right after the swap")
	}
	if n := w.number("SELECT count(*) FROM edge_day e LEFT JOIN speed_day s ON s.bucket = e.day AND s.edge = e.edge WHERE e.n IS DISTINCT FROM s.n"); n != 0 {
		t.Errorf("%d segments' days differ from what they add up", n)
	}
	if w.query(&after, profiles); after != before {
		t.Error("the swap changed profiles")
	}
	if added, _, err := w.db.AddTypicalDays(t.Context(), func(int64, int64, string) {}); err != nil || added != 0 {
		t.Errorf("%d days added to the profiles anew, %v", added, err)
	}
}

// Flushes that wait for a swap hold connections: those that the swap needs are left.
func TestReplaySwapWithFlushesWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drive(3)
	report := w.build()
	id, err := strconv.ParseInt(report.Replay, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	const waiting = 10 // of a pool of 12
	done := make(chan error, waiting)
	var began time.Time
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = w.db.SwapReplay(ctx, id, "speeds", func(learn.Kind) string { return "" }, func(ctx context.Context, _ ledger.Replay) error {
		began = time.Now()
		for range waiting {
			go func() {
				f, err := w.db.BeginFlush(ctx)
				if err == nil {
					f.Rollback(ctx)
				}
				done <- err
			}()
		}
		for w.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") < waiting {
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	})
	took := time.Since(began)
	if err != nil {
		t.Errorf("the swap ended after %v: %v", took, err)
	}
	for range waiting {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Logf("flushes waited %v", took.Round(time.Millisecond))
}
