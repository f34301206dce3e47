package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// A state of the past, as a projector that lost its leadership without noticing may have, changes nothing.
const storeHazard = `INSERT INTO hazard AS h (id, category, edge, edges, lat_e7, lon_e7, probability, vehicles, clean,
	started_at, updated_at, ended_at, seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nextval('hazard_seq'))
ON CONFLICT (id) DO UPDATE SET category = excluded.category, edge = excluded.edge, edges = excluded.edges, lat_e7 = excluded.lat_e7,
	lon_e7 = excluded.lon_e7, probability = excluded.probability, vehicles = excluded.vehicles, clean = excluded.clean,
	started_at = excluded.started_at, updated_at = excluded.updated_at, ended_at = excluded.ended_at, seq = excluded.seq,
	changed_at = clock_timestamp()
WHERE h.ended_at IS NULL AND excluded.updated_at >= h.updated_at`

// StoreHazards stores hazards in their present state. What it stores shows to HazardsSince at once
// and in the order of commits.
func (db *DB) StoreHazards(ctx context.Context, hs []hazard.Hazard) error {
	if len(hs) == 0 {
		return nil
	}
	return db.inTx(ctx, "store hazards", func(tx pgx.Tx) error {
		// Else a lower seq could become visible after a higher one, and readers would miss it.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockHazards)); err != nil {
			return err
		}
		b := &pgx.Batch{}
		for i := range hs {
			h := &hs[i]
			edges := make([]int64, len(h.Edges))
			for j, e := range h.Edges {
				edges[j] = int64(e)
			}
			b.Queue(storeHazard, int64(h.ID), int16(h.Category), nullable(uint64(h.Edge)), edges, h.At.LatE7, h.At.LonE7, h.Probability,
				int32(h.Vehicles), int32(h.Clean), msTime(h.StartedMS), msTime(h.UpdatedMS), nullableTime(h.EndedMS))
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

func nullable(id uint64) *int64 {
	if id == 0 {
		return nil
	}
	v := int64(id)
	return &v
}

func nullableTime(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := msTime(ms)
	return &t
}

const hazardColumns = `SELECT id, category, coalesce(edge, 0), edges, lat_e7, lon_e7, probability, vehicles, clean, started_at, updated_at,
	ended_at, seq, first_at, changed_at FROM hazard `

func (db *DB) hazardRevisions(ctx context.Context, op, where string, args ...any) ([]hazard.Revision, error) {
	rows, err := db.pool.Query(ctx, hazardColumns+where, args...)
	if err != nil {
		return nil, wrap(op, err)
	}
	hs, err := pgx.CollectRows(rows, scanHazard)
	return hs, wrap(op, err)
}

func scanHazard(row pgx.CollectableRow) (h hazard.Revision, err error) {
	var (
		id, edge         int64
		category         int16
		edges            []int64
		vehicles, clean  int32
		started, updated time.Time
		ended            *time.Time
	)
	err = row.Scan(&id, &category, &edge, &edges, &h.At.LatE7, &h.At.LonE7, &h.Probability, &vehicles, &clean, &started, &updated, &ended,
		&h.Seq, &h.FirstAt, &h.ChangedAt)
	h.ID, h.Category, h.Edge = uint64(id), telemetry.Hazard(category), road.Edge(edge)
	h.Vehicles, h.Clean = int(vehicles), int(clean)
	h.StartedMS, h.UpdatedMS = started.UnixMilli(), updated.UnixMilli()
	for _, e := range edges {
		h.Edges = append(h.Edges, road.Edge(e))
	}
	if ended != nil {
		h.EndedMS = ended.UnixMilli()
	}
	return h, err
}

// hazards are their present states without what was stored beside them, and the highest seq of them.
func (db *DB) hazards(ctx context.Context, op, where string, args ...any) (hs []hazard.Hazard, seq int64, err error) {
	rs, err := db.hazardRevisions(ctx, op, where, args...)
	for i := range rs {
		seq = max(seq, rs[i].Seq)
		hs = append(hs, rs[i].Hazard)
	}
	return hs, seq, err
}

// ActiveHazards lists the active hazards and those that ended after endedSince (event time), by id, and the
// cursor from which HazardsSince tells what changes afterwards.
func (db *DB) ActiveHazards(ctx context.Context, endedSince time.Time) (hs []hazard.Hazard, seq int64, err error) {
	// The cursor before the list: what comes between is told twice, not missed.
	if err := db.pool.QueryRow(ctx, "SELECT coalesce(max(seq), 0) FROM hazard").Scan(&seq); err != nil {
		return nil, 0, wrap("read the hazards' cursor", err)
	}
	hs, _, err = db.hazards(ctx, "list hazards", "WHERE ended_at IS NULL OR ended_at > $1 ORDER BY id", endedSince.UTC())
	return hs, seq, err
}

// HazardsIn lists up to most hazards in a box (its edges included) with ids above after, lowest first: the active ones
// and those that ended after endedSince (event time).
func (db *DB) HazardsIn(ctx context.Context, endedSince time.Time, box geo.Box, after uint64, most int) ([]hazard.Hazard, error) {
	hs, _, err := db.hazards(ctx, "list hazards in an area", `WHERE (ended_at IS NULL OR ended_at > $1) AND id > $2
		AND lat_e7 BETWEEN $3 AND $4 AND lon_e7 BETWEEN $5 AND $6 ORDER BY id LIMIT $7`,
		endedSince.UTC(), int64(after), box.South, box.North, box.West, box.East, most)
	return hs, err
}

// HazardRevisionsIn lists up to most hazards in a box (its edges included), by id: the active ones and those that ended
// after endedSince (event time).
func (db *DB) HazardRevisionsIn(ctx context.Context, endedSince time.Time, box geo.Box, most int) ([]hazard.Revision, error) {
	return db.hazardRevisions(ctx, "list hazards for a feed", `WHERE (ended_at IS NULL OR ended_at > $1)
		AND lat_e7 BETWEEN $2 AND $3 AND lon_e7 BETWEEN $4 AND $5 ORDER BY id LIMIT $6`,
		endedSince.UTC(), box.South, box.North, box.West, box.East, most)
}

// HazardsSince lists up to most hazards that changed after the cursor seq, in the order of their
// last change and in their present state, and the cursor from which to go on.
func (db *DB) HazardsSince(ctx context.Context, seq int64, most int) (hs []hazard.Hazard, next int64, err error) {
	hs, next, err = db.hazards(ctx, "list changed hazards", "WHERE seq > $1 ORDER BY seq LIMIT $2", seq, most)
	return slices.Clip(hs), max(seq, next), err
}
