package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/carasso/carasso/mapdata/learn"
)

// typicalNeighbours is how many slots on both sides of one are looked at, too; learn.DayProfile counts vehicles over as many.
const typicalNeighbours = 1

// typicalSum adds up what is usual on a segment.
type typicalSum struct {
	weight, sum float64
	vehicles    int
}

func (t *typicalSum) add(weight, sum float64, vehicles int) {
	t.weight += weight
	t.sum += sum
	t.vehicles = max(t.vehicles, vehicles)
}

// TypicalSpeeds tells what is usual on the directed segments of z14 tiles in the slot of the week (UTC) that atMS, in ms since the epoch, falls into
// and its two neighbours: by the profiles, and of up to weeks before atMS by the folded speeds that are not in them yet.
// A day counts once at every moment, even while it is being added. In no order.
func (db *DB) TypicalSpeeds(ctx context.Context, tiles []uint32, atMS int64, weeks int, each func(edge uint64, t learn.Typical)) error {
	sums := map[uint64]*typicalSum{}
	of := func(edge uint64) *typicalSum {
		s := sums[edge]
		if s == nil {
			s = new(typicalSum)
			sums[edge] = s
		}
		return s
	}
	// One snapshot for both: what moves from one into the other meanwhile is seen in one of them.
	err := pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := readProfiles(ctx, tx, tiles, atMS, of); err != nil {
			return err
		}
		return readUnprofiled(ctx, tx, tiles, atMS, weeks, of)
	})
	if err != nil {
		return wrap("read typical speeds", err)
	}
	for edge, s := range sums {
		if s.weight > 0 {
			each(edge, learn.Typical{KMH: s.sum / s.weight * learn.CMPSToKMH, Vehicles: s.vehicles})
		}
	}
	return nil
}

// readProfiles reads the slots from the profiles; at midnight they are of two days of the week.
func readProfiles(ctx context.Context, tx pgx.Tx, tiles []uint32, atMS int64, of func(edge uint64) *typicalSum) error {
	slots := map[int][]int{} // by weekday
	var weekdays []int
	for n := -typicalNeighbours; n <= typicalNeighbours; n++ {
		ms := atMS + int64(n)*learn.Bucket.Milliseconds()
		w := learn.Weekday(learn.Day(ms))
		if slots[w] == nil {
			weekdays = append(weekdays, w)
		}
		slots[w] = append(slots[w], learn.DaySlot(ms))
	}
	const sql = `SELECT s.weekday, s.edge, s.slots FROM unnest($1::bigint[]) AS t (tile) CROSS JOIN unnest($2::smallint[]) AS w (weekday)
		CROSS JOIN LATERAL (SELECT * FROM typical_speed x WHERE x.weekday = w.weekday
			AND x.edge >= t.tile << 25 AND x.edge < (t.tile + 1) << 25 OFFSET 0) s`
	rows, err := tx.Query(ctx, sql, quadkeys(tiles), weekdays)
	if err != nil {
		return err
	}
	today := learn.Day(atMS)
	var profile learn.DayProfile
	var weekday int
	var edge int64
	var encoded pgtype.DriverBytes // valid until the next row: no allocation for each
	_, err = pgx.ForEachRow(rows, []any{&weekday, &edge, &encoded}, func() error {
		if err := profile.Decode(encoded); err != nil {
			return fmt.Errorf("segment %d on weekday %d: %w", edge, weekday, err)
		}
		for _, slot := range slots[weekday] {
			weight, sum, vehicles := profile.Slot(slot, today)
			if weekday != learn.Weekday(today) || slot != learn.DaySlot(atMS) {
				vehicles = 0 // of the neighbour's neighbours, too
			}
			if weight > 0 || vehicles > 0 {
				of(uint64(edge)).add(weight, sum, vehicles)
			}
		}
		return nil
	})
	return err
}

// readUnprofiled reads the same slots of past weeks from the days that are not in the profiles.
func readUnprofiled(ctx context.Context, tx pgx.Tx, tiles []uint32, atMS int64, weeks int, of func(edge uint64) *typicalSum) error {
	var done time.Time
	err := tx.QueryRow(ctx, "SELECT day FROM typical_speed_done ORDER BY day DESC LIMIT 1").Scan(&done)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	var buckets []int64
	for _, ms := range learn.TypicalBuckets(atMS, weeks, typicalNeighbours) {
		if done.IsZero() || ms >= done.Add(day).UnixMilli() {
			buckets = append(buckets, ms)
		}
	}
	if len(buckets) == 0 {
		return nil
	}
	const sql = `SELECT s.edge, min(s.bucket), sum(s.n)::bigint, sum(s.sum_cmps)::bigint, bit_or(s.v0), bit_or(s.v1) ` + storedRows + `
		LEFT JOIN typical_speed y ON y.weekday = extract(isodow FROM s.bucket AT TIME ZONE 'UTC') - 1 AND y.edge = s.edge
			AND y.day >= date_trunc('day', s.bucket, 'UTC')
		WHERE y.edge IS NULL GROUP BY s.edge, date_trunc('day', s.bucket, 'UTC')`
	rows, err := tx.Query(ctx, sql, storedArgs(tiles, buckets)...)
	if err != nil {
		return err
	}
	today := learn.Day(atMS)
	var edge, n, sum, v0, v1 int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&edge, &at, &n, &sum, &v0, &v1}, func() error {
		w := learn.DecayedWeight(learn.Day(at.UnixMilli()), today)
		of(uint64(edge)).add(float64(n)*w, float64(sum)*w, learn.Vehicles{uint64(v0), uint64(v1)}.AtLeast())
		return nil
	})
	return err
}
