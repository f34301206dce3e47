package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

// What a person decided stays; what is only gone comes back.
const storeMapError = `INSERT INTO map_error AS m (id, type, edge, to_edge, geometry, lat_e7, lon_e7, tile, vehicles, against, score,
	first_at, last_at, status, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'open', $14)
ON CONFLICT (id) DO UPDATE SET type = excluded.type, edge = excluded.edge, to_edge = excluded.to_edge, geometry = excluded.geometry,
	lat_e7 = excluded.lat_e7, lon_e7 = excluded.lon_e7, tile = excluded.tile, vehicles = excluded.vehicles, against = excluded.against,
	score = excluded.score, first_at = excluded.first_at, last_at = excluded.last_at,
	status = CASE m.status WHEN 'gone' THEN 'open' ELSE m.status END, updated_at = excluded.updated_at`

// StoreMapErrors stores the candidates of a z14 tile (quadkey) as they were judged at a time: open ones
// that are not among them are gone.
func (db *DB) StoreMapErrors(ctx context.Context, tile uint32, cs []maperror.Candidate, at time.Time) error {
	b := &pgx.Batch{}
	ids := make([]int64, len(cs))
	for i := range cs {
		c := &cs[i]
		ids[i] = int64(c.ID)
		b.Queue(storeMapError, ids[i], int16(c.Type), nullable(uint64(c.Edge)), nullable(uint64(c.To)), appendPoints(nil, c.Geometry),
			c.At.LatE7, c.At.LonE7, int64(tile), int32(c.Vehicles), int32(c.Against), c.Score, msTime(c.FirstMS), msTime(c.LastMS), at.UTC())
	}
	b.Queue("UPDATE map_error SET status = 'gone', updated_at = $3 WHERE tile = $1 AND status = 'open' AND id <> ALL ($2)", int64(tile), ids, at.UTC())
	return wrap("store map errors", db.pool.SendBatch(ctx, b).Close())
}

const mapErrorsPage = `SELECT id, type, coalesce(edge, 0), coalesce(to_edge, 0), geometry, lat_e7, lon_e7, vehicles, against, score, first_at, last_at,
	status, updated_at FROM map_error
WHERE id > $1 AND (cardinality($2::bigint[]) = 0 OR tile = ANY ($2)) AND (cardinality($3::text[]) = 0 OR status = ANY ($3))
ORDER BY id LIMIT $4`

// MapErrors lists map errors, lowest id first.
func (db *DB) MapErrors(ctx context.Context, f maperror.Filter) ([]maperror.Reviewed, error) {
	status := make([]string, len(f.Status))
	for i, s := range f.Status {
		status[i] = string(s)
	}
	rows, err := db.pool.Query(ctx, mapErrorsPage, int64(f.After), quadkeys(f.Tiles), status, f.Most)
	if err != nil {
		return nil, wrap("list map errors", err)
	}
	var out []maperror.Reviewed
	var id, edge, to int64
	var kind int16
	var geometry []byte
	var lat, lon, vehicles, against int32
	var score float32
	var first, last, updated time.Time
	var state string
	_, err = pgx.ForEachRow(rows, []any{
		&id, &kind, &edge, &to, &geometry, &lat, &lon, &vehicles, &against, &score, &first, &last, &state, &updated,
	}, func() error {
		points, err := parsePoints(geometry)
		if err != nil {
			return fmt.Errorf("map error %d: %w", id, err)
		}
		out = append(out, maperror.Reviewed{Candidate: maperror.Candidate{
			ID: uint64(id), Type: maperror.Type(kind), Edge: road.Edge(edge), To: road.Edge(to), Geometry: points,
			At: geo.Point{LatE7: lat, LonE7: lon}, Vehicles: int(vehicles), Against: int(against), Score: score,
			FirstMS: first.UnixMilli(), LastMS: last.UnixMilli(),
		}, Status: maperror.Status(state), UpdatedAt: updated.UTC()})
		return nil
	})
	return out, wrap("list map errors", err)
}

// KnownMapErrors are the candidates of z14 tiles, in whatever state: they keep their ids.
func (db *DB) KnownMapErrors(ctx context.Context, tiles []uint32) ([]maperror.Candidate, error) {
	const most = 100_000
	all, err := db.MapErrors(ctx, maperror.Filter{Tiles: tiles, Most: most})
	out := make([]maperror.Candidate, len(all))
	for i := range all {
		out[i] = all[i].Candidate
	}
	return out, err
}

// ReviewMapError enters a person's decision: open again, accepted or rejected. It tells what the state was
// before, and whether there is such a map error.
func (db *DB) ReviewMapError(ctx context.Context, id uint64, status maperror.Status) (before maperror.Status, found bool, err error) {
	switch status {
	case maperror.Open, maperror.Accepted, maperror.Rejected:
	default:
		return "", false, wrap("review a map error", fmt.Errorf("%w: status %q", errBadData, clean(string(status))))
	}
	err = db.pool.QueryRow(ctx, `WITH old AS (SELECT id, status FROM map_error WHERE id = $1 FOR UPDATE)
		UPDATE map_error m SET status = $2, updated_at = $3 FROM old WHERE m.id = old.id RETURNING old.status`,
		int64(id), string(status), db.now().UTC()).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	return before, err == nil, wrap("review a map error", err)
}

// appendPoints writes points as pairs of big-endian int32, latitude first.
func appendPoints(b []byte, ps []geo.Point) []byte {
	if b == nil {
		b = make([]byte, 0, 8*len(ps))
	}
	for _, p := range ps {
		b = binary.BigEndian.AppendUint32(b, uint32(p.LatE7))
		b = binary.BigEndian.AppendUint32(b, uint32(p.LonE7))
	}
	return b
}

func parsePoints(b []byte) ([]geo.Point, error) {
	if len(b)%8 != 0 {
		return nil, errors.New("malformed geometry")
	}
	var ps []geo.Point
	for ; len(b) > 0; b = b[8:] {
		ps = append(ps, geo.Point{LatE7: int32(binary.BigEndian.Uint32(b)), LonE7: int32(binary.BigEndian.Uint32(b[4:]))})
	}
	return ps, nil
}
