package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry/ledger"
)

// changedSegments is how many segments a diff names.
const changedSegments = 20

// DiffReplay compares a replay with the live tables as of now, after a fold of all deltas. What is flushed meanwhile
// may count on one side only. Means are told of segments that k vehicles drove on.
func (db *DB) DiffReplay(ctx context.Context, r ledger.Replay, k int) (d ledger.ReplayDiff, err error) {
	if _, _, err := db.FoldAll(ctx); err != nil {
		return d, err
	}
	if err := db.rollUpReplay(ctx, r); err != nil { // here, so that little is left to do when it is swapped
		return d, err
	}
	schema := replaySchema(r.ID)
	for _, t := range []struct {
		to                           *ledger.TableDiff
		table, column, keys, content string
		amount                       string // one of content's, or 1
	}{
		{&d.Speeds, "segment_speed", "bucket", "bucket, edge", "n, sum_cmps, v0, v1, bins", "n"},
		{&d.Days, "edge_day", "day", "day, edge", "n, v0, v1", "n"},
		{
			&d.Health, "sensor_health", "hour", "hour, model, software",
			strings.TrimSuffix(healthSums, ", signs_compared, signs_disagree") + ", v0, v1", "samples", // see swap
		},
		{&d.Evidence, "evidence", "bucket", "bucket, kind, key", "votes", "1"},
	} {
		// There is a column of either side that is null if, and only if, that side lacks the row.
		sql := `SELECT count(*) FILTER (WHERE l.there AND s.there AND l.content = s.content), count(*) FILTER (WHERE l.there AND s.there AND l.content <> s.content),
			count(*) FILTER (WHERE s.there IS NULL), count(*) FILTER (WHERE l.there IS NULL), coalesce(sum(l.amount), 0)::bigint, coalesce(sum(s.amount), 0)::bigint
		FROM (SELECT ` + t.keys + `, true AS there, ROW(` + t.content + `) AS content, ` + t.amount + ` AS amount FROM ` + t.table + ` WHERE ` + t.column + ` >= $1 AND ` + t.column + ` < $2) l
		FULL JOIN (SELECT ` + t.keys + `, true AS there, ROW(` + t.content + `) AS content, ` + t.amount + ` AS amount FROM ` + schema + `.` + t.table + `) s USING (` + t.keys + `)`
		if err := db.pool.QueryRow(ctx, sql, r.From, r.To).Scan(&t.to.Equal, &t.to.Changed, &t.to.Missing, &t.to.New, &t.to.LiveAmount, &t.to.NewAmount); err != nil {
			return d, wrap("compare "+t.table+" with a replay", missingReplay(err))
		}
	}
	d.Segments, err = db.changedSegments(ctx, r, k)
	return d, wrap("compare segments with a replay", missingReplay(err))
}

func (db *DB) changedSegments(ctx context.Context, r ledger.Replay, k int) ([]ledger.SegmentChange, error) {
	schema := replaySchema(r.ID)
	side := func(prefix string) string {
		return `(SELECT s.edge, s.n, 0.036 * s.sum / nullif(s.n, 0) AS kmh, v.vehicles FROM
			(SELECT edge, sum(n)::bigint AS n, sum(sum_cmps)::float8 AS sum FROM ` + prefix + `segment_speed WHERE bucket >= $1 AND bucket < $2 GROUP BY edge) s JOIN
			(SELECT edge, max(bit_count(v0::bit(64)) + bit_count(v1::bit(64))) AS vehicles FROM ` + prefix + `edge_day WHERE day >= $1 AND day < $2 GROUP BY edge) v USING (edge))`
	}
	rows, err := db.pool.Query(ctx, `SELECT edge, coalesce(l.n, 0), coalesce(s.n, 0), CASE WHEN l.vehicles >= $3 THEN l.kmh END, CASE WHEN s.vehicles >= $3 THEN s.kmh END
		FROM `+side("")+` l FULL JOIN `+side(schema+".")+` s USING (edge) WHERE l.n IS DISTINCT FROM s.n OR l.kmh IS DISTINCT FROM s.kmh
		ORDER BY abs(coalesce(l.n, 0) - coalesce(s.n, 0)) DESC, abs(coalesce(l.kmh, 0) - coalesce(s.kmh, 0)) DESC, edge LIMIT $4`, r.From, r.To, k, changedSegments)
	if err != nil {
		return nil, err
	}
	out := []ledger.SegmentChange{}
	var edge int64
	var c ledger.SegmentChange
	_, err = pgx.ForEachRow(rows, []any{&edge, &c.LiveSamples, &c.NewSamples, &c.LiveMeanKMH, &c.NewMeanKMH}, func() error {
		c.Edge = uint64(edge)
		out = append(out, c)
		c.LiveMeanKMH, c.NewMeanKMH = nil, nil
		return nil
	})
	return out, err
}
