package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/mapdata/learn"
)

// Evidence stores the flush's evidence as deltas.
func (f *Flush) Evidence(ctx context.Context, rows []learn.Evidence) error {
	if len(rows) == 0 {
		return nil
	}
	f.copy.begin()
	for i := range rows {
		r := &rows[i]
		f.copy.row(5)
		f.copy.int16(int16(f.slot))
		f.copy.evidence(r.EvidenceKey, r.Votes)
	}
	return wrap("store evidence", f.copy.send(ctx, f.conn.Conn(), fmt.Sprintf("evidence_delta_%d", f.slot)))
}

// evidence writes the 4 columns of evidence.
func (c *copier) evidence(k learn.EvidenceKey, votes learn.Votes) {
	c.time(k.BucketMS)
	c.int16(int16(k.Kind))
	c.int64(int64(k.Key))
	c.variable(votes.AppendEncoded)
}

func foldEvidence(ctx context.Context, tx pgx.Tx, table string) (deltas, written int, err error) {
	sums := map[learn.EvidenceKey]*learn.Votes{}
	var lo, hi int64
	add := func(k learn.EvidenceKey, votes []byte) error {
		if deltas == 0 {
			lo, hi = k.BucketMS, k.BucketMS
		}
		lo, hi = min(lo, k.BucketMS), max(hi, k.BucketMS)
		deltas++
		return mergeVotes(sums, k, votes)
	}
	if err := readEvidence(ctx, tx.Conn(), "SELECT bucket, kind, key, votes FROM "+table, nil, add); err != nil || deltas == 0 {
		return 0, 0, err
	}
	buckets, kinds, keys := make([]time.Time, 0, len(sums)), make([]int16, 0, len(sums)), make([]int64, 0, len(sums))
	for k := range sums {
		buckets, kinds, keys = append(buckets, msTime(k.BucketMS)), append(kinds, int16(k.Kind)), append(keys, int64(k.Key))
	}
	const base = `SELECT e.bucket, e.kind, e.key, e.votes FROM evidence e
		JOIN unnest($1::timestamptz[], $2::smallint[], $3::bigint[]) AS k (bucket, kind, key)
			ON e.bucket = k.bucket AND e.kind = k.kind AND e.key = k.key
		WHERE e.bucket BETWEEN $4 AND $5`
	err = readEvidence(ctx, tx.Conn(), base, []any{buckets, kinds, keys, msTime(lo), msTime(hi)},
		func(k learn.EvidenceKey, votes []byte) error { return mergeVotes(sums, k, votes) })
	if err != nil {
		return 0, 0, err
	}
	const temp = "CREATE TEMP TABLE IF NOT EXISTS folded_evidence (LIKE evidence) ON COMMIT DELETE ROWS"
	if _, err := tx.Exec(ctx, temp); err != nil {
		return 0, 0, err
	}
	c := copier{buf: takeBuffer()}
	defer func() { giveBuffer(c.buf) }()
	c.begin()
	for k, votes := range sums {
		c.row(4)
		c.evidence(k, *votes)
	}
	if err := c.send(ctx, tx.Conn(), "folded_evidence"); err != nil {
		return 0, 0, err
	}
	tag, err := tx.Exec(ctx, `INSERT INTO evidence SELECT * FROM folded_evidence
		ON CONFLICT (kind, key, bucket) DO UPDATE SET votes = excluded.votes`)
	return deltas, int(tag.RowsAffected()), err
}

func mergeVotes(sums map[learn.EvidenceKey]*learn.Votes, k learn.EvidenceKey, votes []byte) error {
	s := sums[k]
	if s == nil {
		s = new(learn.Votes)
		sums[k] = s
	}
	if err := s.MergeEncoded(votes); err != nil {
		return fmt.Errorf("evidence of kind %d on %d: %w", k.Kind, k.Key, err)
	}
	return nil
}

func msTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// readEvidence runs a query whose columns are those of evidence and reads the rows in binary form.
// votes are valid only during the call.
func readEvidence(ctx context.Context, conn *pgx.Conn, sql string, args []any, each func(k learn.EvidenceKey, votes []byte) error) error {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	return eachEvidence(rows, each)
}

func eachEvidence(rows pgx.Rows, each func(k learn.EvidenceKey, votes []byte) error) error {
	defer rows.Close()
	for rows.Next() {
		v := rows.RawValues()
		if len(v) != 4 || len(v[0]) != 8 || len(v[1]) != 2 || len(v[2]) != 8 {
			return errors.New("unexpected form of evidence rows")
		}
		be := binary.BigEndian
		k := learn.EvidenceKey{
			BucketMS: int64(be.Uint64(v[0]))/1000 + epochMS,
			Kind:     learn.Kind(be.Uint16(v[1])),
			Key:      be.Uint64(v[2]),
		}
		if err := each(k, v[3]); err != nil {
			return err
		}
	}
	return rows.Err()
}
