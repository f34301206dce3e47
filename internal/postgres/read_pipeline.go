package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/telemetry/ledger"
)

// Rates of acceptance come from the running totals in the headers, so they count what is
// still on its way between two envelopes that arrived.
const activityAccepted = `WITH e AS MATERIALIZED (SELECT CASE WHEN $1 THEN coalesce(max(accepted_at), now()) ELSE now() END AS at,
	max(accepted_at) AS newest FROM envelope)
SELECT now(), e.newest, coalesce(sum(r.b10), 0)::bigint, coalesce(sum(r.s10), 0)::bigint, coalesce(sum(r.b60), 0)::bigint, coalesce(sum(r.s60), 0)::bigint
FROM e LEFT JOIN LATERAL (
	SELECT max(total_batches) FILTER (WHERE x.accepted_at > e.at - interval '10 s') - min(total_batches - batches) FILTER (WHERE x.accepted_at > e.at - interval '10 s') AS b10,
		max(total_samples) FILTER (WHERE x.accepted_at > e.at - interval '10 s') - min(total_samples - samples) FILTER (WHERE x.accepted_at > e.at - interval '10 s') AS s10,
		max(total_batches) - min(total_batches - batches) AS b60, max(total_samples) - min(total_samples - samples) AS s60
	FROM envelope x WHERE x.accepted_at > e.at - interval '60 s' AND x.accepted_at <= e.at + interval '1 s'
	GROUP BY x.receiver
) r ON true GROUP BY e.newest`

const activityProcessed = `SELECT coalesce(sum(batches) FILTER (WHERE committed_at > now() - interval '10 s'), 0)::bigint,
	coalesce(sum(samples) FILTER (WHERE committed_at > now() - interval '10 s'), 0)::bigint,
	coalesce(sum(batches), 0)::bigint, coalesce(sum(samples), 0)::bigint, count(*)
FROM envelope WHERE committed_at > now() - interval '60 s'`

const activityWorkers = `SELECT worker, sum(batches)::bigint, sum(samples)::bigint, count(*), max(committed_at)
FROM manifest WHERE committed_at > now() - interval '60 s' GROUP BY worker ORDER BY worker LIMIT 1000`

const activityFreshness = `SELECT layer, tiles, p50_s, p95_s, max_s, event_p50_s, event_p95_s FROM projection WHERE at > now() - interval '5 min'`

const activityOutbox = `SELECT count(*) FROM (SELECT layer, tile FROM (SELECT layer, tile FROM outbox LIMIT 100000) o
	UNION SELECT layer, tile FROM dirty_tile) d`

// Activity is what the pipeline did lately. backlogged says that the queue is not empty: then
// the newest acceptances are not here yet, and rates of acceptance end at the newest known.
func (db *DB) Activity(ctx context.Context, backlogged bool) (a ledger.Activity, err error) {
	b := &pgx.Batch{}
	b.Queue(activityAccepted, backlogged).QueryRow(func(row pgx.Row) error {
		var newest *time.Time
		var b10, s10, b60, s60 int64
		err := row.Scan(&a.At, &newest, &b10, &s10, &b60, &s60)
		a.At = a.At.UTC()
		if newest != nil {
			a.NewestAccepted = newest.UTC()
		}
		a.Accepted10, a.Accepted60 = rate(b10, s10, 10), rate(b60, s60, 60)
		return err
	})
	b.Queue(activityProcessed).QueryRow(func(row pgx.Row) error {
		var b10, s10, b60, s60, envelopes int64
		err := row.Scan(&b10, &s10, &b60, &s60, &envelopes)
		a.Processed10, a.Processed60 = rate(b10, s10, 10), rate(b60, s60, 60)
		a.EnvelopesPerS = float64(envelopes) / 60
		return err
	})
	b.Queue(activityWorkers).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var w ledger.WorkerActivity
			var batches, samples int64
			if err := rows.Scan(&w.Name, &batches, &samples, &w.Flushes, &w.LastCommitted); err != nil {
				return err
			}
			w.Rate, w.LastCommitted = rate(batches, samples, 60), w.LastCommitted.UTC()
			a.Workers = append(a.Workers, w)
		}
		return rows.Err()
	})
	b.Queue(activityFreshness).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var p ledger.Projection
			if err := rows.Scan(&p.Layer, &p.Tiles, &p.P50S, &p.P95S, &p.MaxS, &p.EventP50S, &p.EventP95S); err != nil {
				return err
			}
			p.Layer, p.Late = strings.CutSuffix(p.Layer, lateSuffix)
			a.Freshness = append(a.Freshness, p)
		}
		return rows.Err()
	})
	b.Queue(activityOutbox).QueryRow(func(row pgx.Row) error { return row.Scan(&a.OutboxTiles) })
	return a, wrap("read the pipeline's activity", db.pool.SendBatch(ctx, b).Close())
}

func rate(batches, samples int64, seconds float64) ledger.Rate {
	return ledger.Rate{Batches: float64(batches) / seconds, Samples: float64(samples) / seconds}
}

// Totals adds up the envelopes committed in [from, to).
func (db *DB) Totals(ctx context.Context, from, to time.Time) (t ledger.Totals, err error) {
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	if !from.Before(to) {
		return t, wrap("add up the ledger", errors.New("the period is empty"))
	}
	err = db.pool.QueryRow(ctx, `SELECT coalesce(sum(n), 0)::bigint, coalesce(sum(batches), 0)::bigint, coalesce(sum(samples), 0)::bigint,
		coalesce(sum(archived), 0)::bigint, coalesce(sum(archived_samples), 0)::bigint,
		coalesce(sum(duplicate), 0)::bigint, coalesce(sum(duplicate_samples), 0)::bigint,
		coalesce(sum(quarantined), 0)::bigint, coalesce(sum(quarantined_samples), 0)::bigint
		FROM (SELECT 1 AS n, batches, samples, archived, archived_samples, duplicate, duplicate_samples, quarantined, quarantined_samples
				FROM envelope WHERE committed_at >= $1 AND committed_at < $2
			UNION ALL SELECT 0, 0, 0, archived, archived_samples, duplicate, duplicate_samples, quarantined, quarantined_samples
				FROM envelope_adjustment WHERE committed_at >= $1 AND committed_at < $2) e`, from, to).
		Scan(&t.Envelopes, &t.Handled.Batches, &t.Handled.Samples, &t.Archived.Batches, &t.Archived.Samples,
			&t.Duplicate.Batches, &t.Duplicate.Samples, &t.Quarantined.Batches, &t.Quarantined.Samples)
	return t, wrap("add up the ledger", err)
}

// ArchivedIn adds up what flushes committed in [from, to) have archived: counted samples, and bytes of objects.
func (db *DB) ArchivedIn(ctx context.Context, from, to time.Time) (samples, bytes int64, err error) {
	err = db.pool.QueryRow(ctx, `SELECT coalesce(sum(samples), 0)::bigint, coalesce(sum(object_bytes), 0)::bigint FROM manifest
		WHERE committed_at >= $1 AND committed_at < $2`, from, to).Scan(&samples, &bytes)
	return samples, bytes, wrap("add up the archive", err)
}
