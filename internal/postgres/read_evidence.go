package postgres

import (
	"context"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
)

// Base and deltas are read in one statement: see the package's comment.
const evidenceOf = `SELECT bucket, kind, key, votes FROM (
	SELECT e.bucket, e.kind, e.key, e.votes FROM unnest($1::bigint[]) AS t (tile) CROSS JOIN unnest($2::smallint[]) AS k (kind)
		CROSS JOIN LATERAL (SELECT * FROM evidence x WHERE x.kind = k.kind AND x.key >= t.tile << 25 AND x.key < (t.tile + 1) << 25
			AND x.bucket BETWEEN $3 AND $4 OFFSET 0) e
	UNION ALL
	SELECT d.bucket, d.kind, d.key, d.votes FROM evidence_delta d
		WHERE d.kind = ANY ($2) AND d.key >> 25 = ANY ($1) AND d.bucket BETWEEN $3 AND $4
) AS parts ORDER BY kind, key, bucket`

// Evidence reads the evidence of some kinds in z14 tiles (quadkeys), of buckets that start from since
// to until, not yet folded ones included, by kind, key and bucket.
func (db *DB) Evidence(ctx context.Context, kinds []learn.Kind, tiles []uint32, since, until time.Time, each func(learn.Evidence)) error {
	ks := make([]int16, len(kinds))
	for i, k := range kinds {
		ks[i] = int16(k)
	}
	rows, err := db.pool.Query(ctx, evidenceOf, quadkeys(tiles), ks, since.UTC(), until.UTC())
	if err != nil {
		return wrap("read evidence", err)
	}
	var sofar learn.Evidence // of the key and bucket that are being read
	err = eachEvidence(rows, func(k learn.EvidenceKey, votes []byte) error {
		if k != sofar.EvidenceKey {
			if sofar.Votes != nil {
				each(sofar)
			}
			sofar = learn.Evidence{EvidenceKey: k, Votes: learn.Votes{}}
		}
		return sofar.Votes.MergeEncoded(votes)
	})
	if err == nil && sofar.Votes != nil {
		each(sofar)
	}
	return wrap("read evidence", err)
}

const evidenceTiles = `SELECT DISTINCT tile FROM (
	SELECT key >> 25 AS tile FROM evidence WHERE kind = ANY ($1) AND bucket BETWEEN $2 AND $3
	UNION ALL SELECT key >> 25 FROM evidence_delta WHERE kind = ANY ($1) AND bucket BETWEEN $2 AND $3
) AS t`

// EvidenceTiles lists the z14 tiles with evidence of some kinds in buckets that start from since to
// until, in no order.
func (db *DB) EvidenceTiles(ctx context.Context, kinds []learn.Kind, since, until time.Time) ([]uint32, error) {
	ks := make([]int16, len(kinds))
	for i, k := range kinds {
		ks[i] = int16(k)
	}
	return db.tileList(ctx, "list tiles with evidence", evidenceTiles, ks, since.UTC(), until.UTC())
}
