package postgres

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

func noProgress(int64, int64, string) {}

// typicalTable is the whole of typical_speed.
func typicalTable(t *testing.T, db *DB) []typicalRow {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), "SELECT weekday, edge, day, slots FROM typical_speed ORDER BY weekday, edge")
	must(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[typicalRow])
	must(t, err)
	return all
}

type typicalRow struct {
	Weekday int
	Edge    int64
	Day     time.Time
	Slots   []byte
}

// answers are what TypicalSpeeds tells at some moments, by moment and segment.
func answers(t *testing.T, db *DB, moments []time.Time) map[[2]uint64]learn.Typical {
	t.Helper()
	out := map[[2]uint64]learn.Typical{}
	for _, at := range moments {
		must(t, db.TypicalSpeeds(t.Context(), []uint32{1, 7}, at.UnixMilli(), 2, func(edge uint64, s learn.Typical) {
			out[[2]uint64{uint64(at.UnixMilli()), edge}] = s
		}))
	}
	return out
}

// However often the work is torn off between days, between batches and within them, readers get the same answers before,
// meanwhile and after, and the profiles end up the same to the bit.
func TestTypicalDaysSurviveBeingTornOff(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	edges := []uint64{1<<25 + 2, 1<<25 + 3, 1<<25 + 4, 7 << 25, 9 << 25}
	today := time.Now().UTC().Truncate(day)
	start := today.Add(-PastDays * day) // with the day a week later, two of the same weekday
	open := func() *DB {
		db := openTest(t)
		driven(t, db, rand.New(rand.NewPCG(8, 9)), start, 8*288, edges)
		_, _, err := db.FoldAll(ctx)
		must(t, err)
		later := *db
		later.now = func() time.Time { return today.Add(20 * day) }
		return &later
	}
	var moments []time.Time
	for slot := 1; slot < 287; slot += 12 {
		moments = append(moments, start.Add(14*day+time.Duration(slot)*learn.Bucket))
	}
	whole := open()
	want := answers(t, whole, moments)
	days, segments, err := whole.AddTypicalDays(ctx, noProgress)
	must(t, err)
	if days < 8 || segments != count(t, whole, "SELECT count(*) FROM edge_day") || len(want) < 20 {
		t.Errorf("%d days, %d segments' days written; %d answers to compare", days, segments, len(want))
	}
	same := func(db *DB, when string) {
		t.Helper()
		if d := gocmp.Diff(want, answers(t, db, moments), cmpopts.EquateApprox(1e-5, 0)); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	same(whole, "added without interruption")

	torn := open()
	// Every fifth row written fails its transaction; a sequence isn't rolled back, so the next run comes further.
	_, err = torn.pool.Exec(ctx, `CREATE SEQUENCE tear; CREATE FUNCTION tear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('tear') % 5 = 0 THEN RAISE EXCEPTION 'torn off'; END IF; RETURN NEW; END $$;
		CREATE TRIGGER tear AFTER INSERT OR UPDATE ON typical_speed FOR EACH ROW EXECUTE FUNCTION tear();
		CREATE TRIGGER tear AFTER INSERT ON typical_speed_done FOR EACH ROW EXECUTE FUNCTION tear();`)
	must(t, err)
	tears, between := 0, 0
	for {
		// Cancelled between days, too: the second one is not begun.
		runCtx, cancel := context.WithCancel(ctx)
		_, _, err := torn.addTypicalDays(runCtx, 2, func(done, _ int64, _ string) {
			if done > 0 {
				cancel()
				between++
			}
		})
		cancel()
		if err == nil {
			break
		}
		if tears++; tears > 200 {
			t.Fatalf("no end: %v", err)
		}
		same(torn, "torn off")
	}
	if tears < 8 || between < 2 {
		t.Errorf("torn off %d times, %d of them between days", tears, between)
	}
	if d := gocmp.Diff(typicalTable(t, whole), typicalTable(t, torn)); d != "" {
		t.Errorf("uninterrupted and torn off (-want +got):\n%s", d)
	}
	// Nothing is added twice, and what was dropped is not missed.
	for _, table := range []string{"segment_speed", "edge_day"} {
		_, err := whole.pool.Exec(ctx, "TRUNCATE "+table)
		must(t, err)
	}
	same(whole, "when the five minutes are gone")
	if days, segments, err := torn.AddTypicalDays(ctx, noProgress); days != 0 || segments != 0 || err != nil {
		t.Errorf("again: %d days, %d segments, %v", days, segments, err)
	}
}

// A day that cars may still tell of is left to the five minutes, where its late news count at once.
func TestTypicalDaysWaitForLateNews(t *testing.T) {
	db := openTest(t)
	ctx := context.WithoutCancel(t.Context())
	today := db.now().UTC().Truncate(day)
	const edge = 1<<25 + 2
	at := today.Add(-7*day + 12*time.Hour)
	drive := func(at time.Time, vehicles ...uint64) {
		t.Helper()
		row := learn.SpeedRow{BucketMS: at.UnixMilli(), Edge: edge}
		for _, v := range vehicles {
			row.Add(1000, v)
		}
		must(t, store(ctx, db, []learn.SpeedRow{row}, nil))
		_, _, err := db.FoldAll(ctx)
		must(t, err)
	}
	drive(at, 1, 2)
	drive(at.Add(-day), 1, 2, 3)
	days, _, err := db.AddTypicalDays(ctx, noProgress)
	must(t, err)
	if days != 1 {
		t.Errorf("%d days added, want that of eight days ago", days)
	}
	drive(at, 3, 4)
	got := answers(t, db, []time.Time{at.Add(7 * day), at.Add(6 * day)})
	for moment, vehicles := range map[time.Time]int{at.Add(7 * day): 4, at.Add(6 * day): 3} {
		s := got[[2]uint64{uint64(moment.UnixMilli()), edge}]
		if math.Abs(s.KMH-36) > 1e-4 || s.Vehicles != vehicles || !s.Publishable(3) || s.Publishable(5) {
			t.Errorf("%v: %+v, want 36 km/h of %d", moment, s, vehicles)
		}
	}
}
