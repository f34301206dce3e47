package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

// limitEvidence is the column of learned_limit.
type limitEvidence struct {
	Candidates []limitCandidate `json:"candidates"`
	Variants   []limitVariant   `json:"variants,omitempty"`
}

type limitCandidate struct {
	KMH         uint8   `json:"kmh"`
	Probability float32 `json:"p"`
}

type limitVariant struct {
	KMH       uint8   `json:"kmh"`
	Wet       bool    `json:"wet,omitempty"`
	FromHour  uint8   `json:"from_hour,omitempty"`
	ToHour    uint8   `json:"to_hour,omitempty"`
	Vehicles  int     `json:"vehicles"`
	Posterior float32 `json:"p"`
}

func encodeLimitEvidence(l *limit.Limit) (string, error) {
	doc := limitEvidence{Candidates: make([]limitCandidate, len(l.Candidates))}
	for i, c := range l.Candidates {
		doc.Candidates[i] = limitCandidate(c)
	}
	for _, v := range l.Variants {
		doc.Variants = append(doc.Variants, limitVariant(v))
	}
	b, err := json.Marshal(doc)
	return string(b), err
}

func decodeLimitEvidence(b []byte, l *limit.Limit) error {
	var doc limitEvidence
	if err := json.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("segment %d: %w", l.Edge, err)
	}
	for _, c := range doc.Candidates {
		l.Candidates = append(l.Candidates, limit.Candidate(c))
	}
	for _, v := range doc.Variants {
		l.Variants = append(l.Variants, limit.Variant(v))
	}
	return nil
}

// All parts see the rows as they were before.
const storeLimits = `WITH new AS MATERIALIZED (
	SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::real[], $5::int[], $6::bigint[], $7::timestamptz[], $8::text[])
		AS n (edge, kmh, map_kmh, posterior, vehicles, readings, since, evidence)
), old AS MATERIALIZED (
	SELECT edge, kmh FROM learned_limit WHERE edge = ANY ($1)
), changed AS (
	INSERT INTO limit_change (edge, from_kmh, to_kmh, at)
	SELECT n.edge, coalesce(o.kmh, 0), n.kmh, $9 FROM new n LEFT JOIN old o USING (edge) WHERE n.kmh <> coalesce(o.kmh, 0)
)
INSERT INTO learned_limit AS l SELECT edge, kmh, map_kmh, posterior, vehicles, readings, since, evidence::jsonb, $9 FROM new
ON CONFLICT (edge) DO UPDATE SET kmh = excluded.kmh, map_kmh = excluded.map_kmh, posterior = excluded.posterior,
	vehicles = excluded.vehicles, readings = excluded.readings, since = excluded.since, evidence = excluded.evidence,
	updated_at = excluded.updated_at
WHERE (l.kmh, l.map_kmh, l.posterior, l.vehicles, l.readings, l.since, l.evidence)
	IS DISTINCT FROM (excluded.kmh, excluded.map_kmh, excluded.posterior, excluded.vehicles, excluded.readings, excluded.since, excluded.evidence)
	OR l.updated_at < excluded.updated_at - interval '1 day'`

// StoreLimits stores what was judged of directed segments at a time, and enters into the history what
// changed of what is published. There is each segment once. What is judged as before is not written again within a day.
func (db *DB) StoreLimits(ctx context.Context, ls []limit.Limit, at time.Time) error {
	if len(ls) == 0 {
		return nil
	}
	n := len(ls)
	edges, kmh, mapKMH, posterior := make([]int64, n), make([]int16, n), make([]int16, n), make([]float32, n)
	vehicles, readings, since, evidence := make([]int32, n), make([]int64, n), make([]time.Time, n), make([]string, n)
	for i := range ls {
		l := &ls[i]
		doc, err := encodeLimitEvidence(l)
		if err != nil {
			return wrap("store limits", fmt.Errorf("%w: %w", errBadData, err))
		}
		edges[i], kmh[i], mapKMH[i], posterior[i] = int64(l.Edge), int16(l.KMH), int16(l.MapKMH), l.Posterior
		vehicles[i], readings[i], since[i], evidence[i] = int32(l.Vehicles), int64(l.Readings), msTime(l.SinceMS), doc
	}
	_, err := db.pool.Exec(ctx, storeLimits, edges, kmh, mapKMH, posterior, vehicles, readings, since, evidence, at.UTC())
	return wrap("store limits", err)
}

const limitsPage = `SELECT edge, kmh, map_kmh, posterior, vehicles, readings, since, evidence FROM learned_limit
WHERE edge > $1 AND (NOT $2 OR kmh <> 0) AND EXISTS (SELECT FROM unnest($3::bigint[], $4::bigint[]) r (lo, hi) WHERE edge >= r.lo AND edge < r.hi)
	AND edge >= $5 AND edge < $6 ORDER BY edge LIMIT $7`

// Limits lists up to most learned limits of directed segments in one of the half-open ranges of ids and above
// after, lowest first; only those that are published, if publishedOnly.
func (db *DB) Limits(ctx context.Context, ranges [][2]uint64, publishedOnly bool, after uint64, most int) ([]limit.Limit, error) {
	lo, hi := make([]int64, len(ranges)), make([]int64, len(ranges))
	least, greatest := int64(1<<62), int64(0) // bounds that the index can use
	for i, r := range ranges {
		lo[i], hi[i] = int64(r[0]), int64(r[1])
		least, greatest = min(least, lo[i]), max(greatest, hi[i])
	}
	rows, err := db.pool.Query(ctx, limitsPage, int64(after), publishedOnly, lo, hi, least, greatest, most)
	if err != nil {
		return nil, wrap("list limits", err)
	}
	var out []limit.Limit
	var edge, readings int64
	var kmh, mapKMH int16
	var vehicles int32
	var posterior float32
	var since time.Time
	var evidence []byte
	_, err = pgx.ForEachRow(rows, []any{&edge, &kmh, &mapKMH, &posterior, &vehicles, &readings, &since, &evidence}, func() error {
		l := limit.Limit{
			Edge: road.Edge(edge), KMH: uint8(kmh), MapKMH: uint8(mapKMH), Posterior: posterior, Vehicles: int(vehicles), Readings: int(readings),
			SinceMS: since.UnixMilli(),
		}
		if err := decodeLimitEvidence(evidence, &l); err != nil {
			return err
		}
		out = append(out, l)
		return nil
	})
	return out, wrap("list limits", err)
}

// LimitChanges lists up to most changes of a directed segment, newest first.
func (db *DB) LimitChanges(ctx context.Context, edge uint64, most int) ([]limit.Change, error) {
	rows, err := db.pool.Query(ctx, "SELECT from_kmh, to_kmh, at FROM limit_change WHERE edge = $1 ORDER BY at DESC, id DESC LIMIT $2", int64(edge), most)
	if err != nil {
		return nil, wrap("list changes of a limit", err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (limit.Change, error) {
		var from, to int16
		var c limit.Change
		err := r.Scan(&from, &to, &c.At)
		c.FromKMH, c.ToKMH, c.At = uint8(from), uint8(to), c.At.UTC()
		return c, err
	})
	return out, wrap("list changes of a limit", err)
}

// DeleteLimits forgets what was learned of directed segments.
func (db *DB) DeleteLimits(ctx context.Context, edges []uint64, at time.Time) error {
	if len(edges) == 0 {
		return nil
	}
	_, err := db.pool.Exec(ctx, `WITH gone AS (DELETE FROM learned_limit WHERE edge = ANY ($1) RETURNING edge, kmh)
		INSERT INTO limit_change (edge, from_kmh, to_kmh, at) SELECT edge, kmh, 0, $2 FROM gone WHERE kmh <> 0`, signed(edges), at.UTC())
	return wrap("delete limits", err)
}
