package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

// LimitHistory lists up to most changes of limits in [from, to) on directed segments in one of the half-open ranges of ids, with
// ids above after, lowest first.
func (db *DB) LimitHistory(ctx context.Context, from, to time.Time, ranges [][2]uint64, after uint64, most int) ([]limit.PastChange, error) {
	lo, hi := make([]int64, len(ranges)), make([]int64, len(ranges))
	for i, r := range ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
	}
	rows, err := db.pool.Query(ctx, `SELECT c.id, c.edge, c.from_kmh, c.to_kmh, c.at, coalesce(l.posterior, 0), coalesce(l.vehicles, 0), coalesce(l.readings, 0)
		FROM limit_change c LEFT JOIN learned_limit l ON l.edge = c.edge AND l.kmh = c.to_kmh
		WHERE c.at >= $1 AND c.at < $2 AND c.id > $5
		AND EXISTS (SELECT FROM unnest($3::bigint[], $4::bigint[]) r (lo, hi) WHERE c.edge >= r.lo AND c.edge < r.hi)
		ORDER BY c.id LIMIT $6`, from.UTC(), to.UTC(), lo, hi, int64(after), most)
	if err != nil {
		return nil, wrap("read changes of limits", err)
	}
	var out []limit.PastChange
	var c limit.PastChange
	var id, edge int64
	var fromKMH, toKMH int16
	_, err = pgx.ForEachRow(rows, []any{&id, &edge, &fromKMH, &toKMH, &c.At, &c.Posterior, &c.Vehicles, &c.Readings}, func() error {
		c.ID, c.Edge, c.FromKMH, c.ToKMH, c.At = uint64(id), road.Edge(edge), uint8(fromKMH), uint8(toKMH), c.At.UTC()
		out = append(out, c)
		return nil
	})
	return out, wrap("read changes of limits", err)
}

// HazardHistory lists up to most hazards in a box that were active within [from, to), by when they began.
func (db *DB) HazardHistory(ctx context.Context, from, to time.Time, box geo.Box, most int) ([]hazard.Hazard, error) {
	hs, _, err := db.hazards(ctx, "list past hazards", `WHERE started_at < $2 AND (ended_at IS NULL OR ended_at > $1)
		AND lat_e7 BETWEEN $3 AND $4 AND lon_e7 BETWEEN $5 AND $6 ORDER BY started_at, id LIMIT $7`,
		from.UTC(), to.UTC(), box.South, box.North, box.West, box.East, most)
	return hs, err
}
