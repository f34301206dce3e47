package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/internal/webhook"
)

// How long the log of deliveries is kept, and how long one that waits is good for.
const (
	keepDelivered = 7 * day
	keepDead      = 30 * day
)

// claimDeliveries takes for each host, in turns, deliveries that are due and before which none about the same hazard waits.
const claimDeliveries = `WITH busy AS (SELECT * FROM unnest($1::text[], $2::int[]) AS b (host, n)),
due AS (
	SELECT d.id, w.host, row_number() OVER (PARTITION BY w.host ORDER BY d.next_at, d.id) AS turn
	FROM webhook w CROSS JOIN LATERAL (
		SELECT d.id, d.next_at FROM webhook_delivery d
		WHERE d.webhook = w.id AND d.state = 'pending' AND d.next_at <= clock_timestamp() AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
			AND (d.hazard IS NULL OR w.state = 'active' AND (w.hold_until IS NULL OR w.hold_until <= clock_timestamp()))
			AND NOT EXISTS (SELECT FROM webhook_delivery e WHERE e.webhook = d.webhook AND e.hazard = d.hazard AND e.state = 'pending' AND e.id < d.id)
		ORDER BY d.next_at, d.id LIMIT $3
	) d
), picked AS (
	SELECT due.id FROM due LEFT JOIN busy ON busy.host = due.host WHERE due.turn <= $3 - coalesce(busy.n, 0)
	ORDER BY due.turn, due.id LIMIT $4
), locked AS (
	SELECT d.id FROM webhook_delivery d JOIN picked USING (id)
	WHERE d.state = 'pending' AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp()) FOR UPDATE OF d SKIP LOCKED
)
UPDATE webhook_delivery d SET lease_until = clock_timestamp() + $5 * interval '1 ms', attempts = d.attempts + 1, first_at = coalesce(d.first_at, now())
FROM locked, webhook w WHERE d.id = locked.id AND w.id = d.webhook
RETURNING d.id, d.webhook, w.url, w.host, d.event, d.body, d.attempts, now(), w.secret, CASE WHEN w.old_until > clock_timestamp() THEN w.old_secret END`

// ClaimDeliveries implements webhook.Store.
func (db *DB) ClaimDeliveries(ctx context.Context, c webhook.Claim) ([]webhook.Attempt, error) {
	const op = "claim deliveries"
	hosts, counts := make([]string, 0, len(c.Busy)), make([]int32, 0, len(c.Busy))
	for h, n := range c.Busy {
		hosts, counts = append(hosts, h), append(counts, int32(n))
	}
	rows, err := db.pool.Query(ctx, claimDeliveries, hosts, counts, c.PerHost, c.Most, c.Lease.Milliseconds())
	if err != nil {
		return nil, wrap(op, err)
	}
	as, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a webhook.Attempt, err error) {
		var secret, old []byte
		err = row.Scan(&a.Delivery, &a.Webhook, &a.URL, &a.Host, &a.Event, &a.Body, &a.Number, &a.ClaimedAt, &secret, &old)
		a.Secrets = append(a.Secrets, secret)
		if old != nil {
			a.Secrets = append(a.Secrets, old)
		}
		return a, err
	})
	return as, wrap(op, err)
}

// EndAttempt implements webhook.Store.
func (db *DB) EndAttempt(ctx context.Context, a *webhook.Attempt, judge func(webhook.History) webhook.Verdict) (v webhook.Verdict, err error) {
	return v, db.inTx(ctx, "end a delivery's attempt", func(tx pgx.Tx) error {
		h := webhook.History{Attempt: a.Number}
		var failing *float64
		var first float64
		// The webhook before the delivery, as all who lock both do. Both times are up to the same moment: a delivery that was tried all
		// day without a success in between is dead exactly when the webhook has failed all day.
		err := tx.QueryRow(ctx, "SELECT extract(epoch FROM now() - failing_since)::float8 FROM webhook WHERE id = $1 FOR NO KEY UPDATE", a.Webhook).Scan(&failing)
		if err == nil {
			err = tx.QueryRow(ctx, `SELECT coalesce(extract(epoch FROM now() - first_at), 0)::float8, hazard IS NULL FROM webhook_delivery
				WHERE id = $1 AND state = 'pending' AND attempts = $2 FOR UPDATE`, a.Delivery, a.Number).Scan(&first, &h.Test)
		}
		if errors.Is(err, pgx.ErrNoRows) { // deleted, or another's by now: then that one's outcome counts
			h.Test = true
			v = judge(h)
			return nil
		}
		if err != nil {
			return err
		}
		h.SinceFirst = seconds(first)
		if failing != nil {
			h.Failing = seconds(*failing)
		}
		v = judge(h)
		var status *int
		if v.Status != 0 {
			status = &v.Status
		}
		b := &pgx.Batch{}
		b.Queue(`UPDATE webhook_delivery SET state = $2, next_at = clock_timestamp() + $3 * interval '1 ms', lease_until = NULL, last_at = clock_timestamp(),
			latency_ms = $4, status = $5, error = $6, last_error = coalesce(nullif($6, ''), last_error) WHERE id = $1`, a.Delivery, string(v.State), v.After.Milliseconds(), v.Latency.Milliseconds(), status, v.Error)
		switch {
		case h.Test:
		case v.Error == "":
			b.Queue("UPDATE webhook SET failing_since = NULL, hold_until = NULL WHERE id = $1 AND (failing_since IS NOT NULL OR hold_until IS NOT NULL)", a.Webhook)
		default:
			b.Queue(`UPDATE webhook SET failing_since = coalesce(failing_since, $3),
				hold_until = CASE WHEN $2::bigint > 0 THEN greatest(hold_until, clock_timestamp() + $2 * interval '1 ms') ELSE hold_until END WHERE id = $1`,
				a.Webhook, v.Hold.Milliseconds(), a.ClaimedAt)
			if v.Webhook != "" {
				b.Queue("UPDATE webhook SET state = $2, reason = $3 WHERE id = $1 AND state = 'active'", a.Webhook, string(v.Webhook), v.Reason)
			}
		}
		return tx.SendBatch(ctx, b).Close()
	})
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// ReleaseAttempt implements webhook.Store.
func (db *DB) ReleaseAttempt(ctx context.Context, a *webhook.Attempt) error {
	_, err := db.pool.Exec(ctx, `UPDATE webhook_delivery SET lease_until = NULL, next_at = clock_timestamp()
		WHERE id = $1 AND attempts = $2 AND state = 'pending'`, a.Delivery, a.Number)
	return wrap("give a delivery back", err)
}

// WebhookBacklog implements webhook.Store.
func (db *DB) WebhookBacklog(ctx context.Context) (b webhook.Backlog, err error) {
	var age float64
	if err := db.pool.QueryRow(ctx, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(d.created_at)), 0)::float8
		FROM webhook_delivery d JOIN webhook w ON w.id = d.webhook WHERE d.state = 'pending' AND w.state = 'active'`).Scan(&b.Pending, &age); err != nil {
		return b, wrap("count webhooks' deliveries", err)
	}
	b.OldestAge, b.Webhooks = seconds(age), map[webhook.State]int{}
	rows, err := db.pool.Query(ctx, "SELECT state, count(*) FROM webhook GROUP BY state")
	if err != nil {
		return b, wrap("count webhooks", err)
	}
	var state webhook.State
	var n int
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		b.Webhooks[state] = n
		return nil
	})
	return b, wrap("count webhooks", err)
}
