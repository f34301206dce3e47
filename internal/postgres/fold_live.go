package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The ring of hours of live_speed. At any moment it holds the hour of LivePast ago up to that of
// liveAhead from now, four at most, and so each in a partition of its own.
const (
	liveRings = 4
	liveAhead = 10 * time.Minute // the clocks of cars may be ahead; what lies further is not live
)

// LivePast is how far back LiveSpeeds and Passes can look. What is folded later than that goes
// to the 5-minute buckets only.
const LivePast = 2 * time.Hour

// liveSpan is what live_speed takes at a moment: minutes from since, before until.
func liveSpan(now time.Time) (since, until time.Time) {
	return now.Add(-LivePast).UTC().Truncate(time.Hour), now.Add(liveAhead).UTC().Truncate(time.Minute)
}

// liveRing is the partition of a minute.
func liveRing(t time.Time) int16 { return int16(t.Unix() / int64(time.Hour/time.Second) % liveRings) }

// clearLive empties the partitions of live_speed that hold hours gone by. In a transaction
// of its own: a fold that locked a partition of it as well as deltas could deadlock with readers,
// which lock both.
func (db *DB) clearLive(ctx context.Context, now time.Time) error {
	since, _ := liveSpan(now)
	const old = `SELECT r::smallint FROM generate_series(0, 3) r
		WHERE EXISTS (SELECT FROM live_speed l WHERE l.ring = r::smallint AND l.minute < $1)`
	rows, err := db.pool.Query(ctx, old, since)
	if err != nil {
		return wrap("look for old live speeds", err)
	}
	rings, err := pgx.CollectRows(rows, pgx.RowTo[int16])
	if err != nil {
		return wrap("look for old live speeds", err)
	}
	for _, ring := range rings {
		err := db.inTx(ctx, "clear old live speeds", func(tx pgx.Tx) error {
			if err := foldAlone(ctx, tx); err != nil {
				return err
			}
			// Another fold may have cleared and filled it meanwhile.
			var still bool
			table := fmt.Sprintf("live_speed_%d", ring)
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+" WHERE ring = $2 AND minute < $1)", since, ring).Scan(&still); err != nil || !still {
				return err
			}
			_, err := tx.Exec(ctx, "TRUNCATE "+table)
			return err
		})
		if err != nil && !errors.Is(err, errFolding) {
			return err
		}
	}
	return nil
}

// foldLive adds a slot's recent minutes to live_speed.
func foldLive(ctx context.Context, tx pgx.Tx, table string, now time.Time) error {
	since, until := liveSpan(now)
	_, err := tx.Exec(ctx, `INSERT INTO live_speed AS l SELECT (extract(epoch FROM minute)::bigint / 3600 % 4)::smallint, minute, edge,
			sum(n), sum(sum_cmps), bit_or(v0), bit_or(v1) FROM `+table+` WHERE minute >= $1 AND minute < $2 GROUP BY minute, edge
		ON CONFLICT (ring, minute, edge) DO UPDATE SET n = l.n + excluded.n, sum_cmps = l.sum_cmps + excluded.sum_cmps,
			v0 = l.v0 | excluded.v0, v1 = l.v1 | excluded.v1`, since, until)
	return err
}
