package postgres

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/telemetry"
)

const webhookColumns = `SELECT w.id, w.url, w.description, w.categories, w.south_e7, w.west_e7, w.north_e7, w.east_e7, w.min_probability, w.state,
	w.reason, w.created_at, w.created_by, w.failing_since, CASE WHEN w.old_until > clock_timestamp() THEN w.old_until END,
	(SELECT count(*) FROM webhook_delivery d WHERE d.webhook = w.id AND d.state = 'pending'),
	(SELECT max(d.last_at) FROM webhook_delivery d WHERE d.webhook = w.id AND d.state = 'delivered')
	FROM webhook w `

func scanWebhook(row pgx.CollectableRow) (w webhook.Webhook, err error) {
	var categories []int16
	var failing, oldUntil, delivered *time.Time
	b := &w.Filter.Box
	err = row.Scan(&w.ID, &w.URL, &w.Description, &categories, &b.South, &b.West, &b.North, &b.East, &w.Filter.MinProbability, &w.State,
		&w.Reason, &w.CreatedAt, &w.CreatedBy, &failing, &oldUntil, &w.Pending, &delivered)
	for _, c := range categories {
		w.Filter.Categories = append(w.Filter.Categories, telemetry.Hazard(c))
	}
	w.FailingSince, w.OldSecretUntil, w.LastDelivered = orZero(failing), orZero(oldUntil), orZero(delivered)
	return w, err
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func categoryCodes(hs []telemetry.Hazard) []int16 {
	codes := make([]int16, len(hs))
	for i, h := range hs {
		codes[i] = int16(h)
	}
	return codes
}

// hostOf is the host and port that a URL's deliveries go to.
func hostOf(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + port, nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// oneWebhook reads one, or fails with webhook.ErrNotFound. q is the pool or a transaction.
func oneWebhook(ctx context.Context, q querier, id, lock string) (webhook.Webhook, error) {
	rows, err := q.Query(ctx, webhookColumns+"WHERE w.id = $1"+lock, id)
	if err != nil {
		return webhook.Webhook{}, err
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWebhook)
	if errors.Is(err, pgx.ErrNoRows) {
		err = webhook.ErrNotFound
	}
	return w, err
}

const lockWebhook = " FOR NO KEY UPDATE OF w"

// beforeActive is the cursor from which every active hazard is planned.
const beforeActive = "coalesce((SELECT min(seq) - 1 FROM hazard WHERE ended_at IS NULL), (SELECT max(seq) FROM hazard), 0)"

// CreateWebhook stores a webhook, active, with its sealed secret. It is told of the hazards that are active, and of all that
// begin from then on. Errors: webhook.ErrTooMany.
func (db *DB) CreateWebhook(ctx context.Context, w webhook.Webhook, secret []byte) (out webhook.Webhook, err error) {
	return out, db.inTx(ctx, "create a webhook", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockWebhooks)); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM webhook").Scan(&n); err != nil {
			return err
		}
		if n >= webhook.MaxWebhooks {
			return webhook.ErrTooMany
		}
		host, err := hostOf(w.URL)
		if err != nil {
			return err
		}
		b := w.Filter.Box
		if _, err := tx.Exec(ctx, `INSERT INTO webhook (id, url, host, description, categories, south_e7, west_e7, north_e7, east_e7, min_probability,
			secret, cursor, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, `+beforeActive+`, $12)`,
			w.ID, w.URL, host, w.Description, categoryCodes(w.Filter.Categories), b.South, b.West, b.North, b.East, w.Filter.MinProbability, secret,
			w.CreatedBy); err != nil {
			return err
		}
		out, err = oneWebhook(ctx, tx, w.ID, "")
		return err
	})
}

// Webhooks lists all, oldest first: there are at most webhook.MaxWebhooks.
func (db *DB) Webhooks(ctx context.Context) ([]webhook.Webhook, error) {
	rows, err := db.pool.Query(ctx, webhookColumns+"ORDER BY w.created_at, w.id LIMIT $1", webhook.MaxWebhooks)
	if err != nil {
		return nil, wrap("list webhooks", err)
	}
	ws, err := pgx.CollectRows(rows, scanWebhook)
	return ws, wrap("list webhooks", err)
}

// Webhook reads one. Errors: webhook.ErrNotFound.
func (db *DB) Webhook(ctx context.Context, id string) (webhook.Webhook, error) {
	w, err := oneWebhook(ctx, db.pool, id, "")
	return w, wrap("read a webhook", err)
}

// ChangeWebhook changes one, and returns it as it was and is. A filter that changes is looked through all active hazards again;
// a webhook that is made active is tried at once. Errors: webhook.ErrNotFound.
func (db *DB) ChangeWebhook(ctx context.Context, id string, c webhook.Change) (before, after webhook.Webhook, err error) {
	err = db.inTx(ctx, "change a webhook", func(tx pgx.Tx) error {
		if before, err = oneWebhook(ctx, tx, id, lockWebhook); err != nil {
			return err
		}
		b := &pgx.Batch{}
		if c.URL != nil {
			host, err := hostOf(*c.URL)
			if err != nil {
				return err
			}
			b.Queue("UPDATE webhook SET url = $2, host = $3, hold_until = NULL, failing_since = NULL WHERE id = $1", id, *c.URL, host)
		}
		if c.Description != nil {
			b.Queue("UPDATE webhook SET description = $2 WHERE id = $1", id, *c.Description)
		}
		if f := c.Filter; f != nil {
			b.Queue(`UPDATE webhook SET categories = $2, south_e7 = $3, west_e7 = $4, north_e7 = $5, east_e7 = $6, min_probability = $7,
				cursor = least(cursor, `+beforeActive+`) WHERE id = $1`,
				id, categoryCodes(f.Categories), f.Box.South, f.Box.West, f.Box.North, f.Box.East, f.MinProbability)
		}
		if c.State != nil && *c.State != before.State {
			reason := ""
			if *c.State != webhook.Active {
				reason = "paused by request"
			} else {
				b.Queue("UPDATE webhook_delivery SET next_at = clock_timestamp(), first_at = NULL WHERE webhook = $1 AND state = 'pending'", id)
			}
			b.Queue("UPDATE webhook SET state = $2, reason = $3, hold_until = NULL, failing_since = NULL WHERE id = $1", id, string(*c.State), reason)
		}
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return err
		}
		after, err = oneWebhook(ctx, tx, id, "")
		return err
	})
	return before, after, err
}

// RotateWebhookSecret puts a new sealed secret in the place of the present one, which signs too for grace. Of an older one, no
// trace is left. Errors: webhook.ErrNotFound.
func (db *DB) RotateWebhookSecret(ctx context.Context, id string, secret []byte, grace time.Duration) (w webhook.Webhook, err error) {
	return w, db.inTx(ctx, "rotate a webhook's secret", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE webhook SET secret = $2, old_secret = CASE WHEN $3::bigint > 0 THEN secret END,
			old_until = CASE WHEN $3::bigint > 0 THEN clock_timestamp() + $3 * interval '1 ms' END WHERE id = $1`, id, secret, grace.Milliseconds()); err != nil {
			return err
		}
		w, err = oneWebhook(ctx, tx, id, "")
		return err
	})
}

// DeleteWebhook deletes one with its log, and returns what it was. Errors: webhook.ErrNotFound.
func (db *DB) DeleteWebhook(ctx context.Context, id string) (w webhook.Webhook, err error) {
	return w, db.inTx(ctx, "delete a webhook", func(tx pgx.Tx) error {
		if w, err = oneWebhook(ctx, tx, id, " FOR UPDATE OF w"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM webhook WHERE id = $1", id)
		return err
	})
}

const deliveryColumns = `SELECT id, event, type, coalesce(hazard, 0), state, attempts, created_at, CASE WHEN state = 'pending' THEN next_at END, last_at,
	coalesce(latency_ms, 0), coalesce(status, 0), error, last_error FROM webhook_delivery `

func scanDelivery(row pgx.CollectableRow) (d webhook.Delivery, err error) {
	var next, last *time.Time
	var hazard, latency int64
	err = row.Scan(&d.ID, &d.Event, &d.Type, &hazard, &d.State, &d.Attempts, &d.CreatedAt, &next, &last, &latency, &d.Status, &d.Error, &d.LastError)
	d.Hazard, d.Latency, d.NextAt, d.LastAt = uint64(hazard), time.Duration(latency)*time.Millisecond, orZero(next), orZero(last)
	return d, err
}

// WebhookDeliveries lists deliveries of a webhook, newest first. Errors: webhook.ErrNotFound.
func (db *DB) WebhookDeliveries(ctx context.Context, id string, f webhook.DeliveryFilter) ([]webhook.Delivery, error) {
	const op = "list a webhook's deliveries"
	if _, err := oneWebhook(ctx, db.pool, id, ""); err != nil {
		return nil, wrap(op, err)
	}
	rows, err := db.pool.Query(ctx, deliveryColumns+`WHERE webhook = $1 AND ($2::bigint = 0 OR id < $2) AND ($3 = '' OR state = $3)
		ORDER BY id DESC LIMIT $4`, id, f.Before, string(f.State), f.Most)
	if err != nil {
		return nil, wrap(op, err)
	}
	ds, err := pgx.CollectRows(rows, scanDelivery)
	return ds, wrap(op, err)
}

// TestWebhook stores a delivery that is no hazard's; it is made in any state of the webhook. Errors: webhook.ErrNotFound,
// webhook.ErrTooMany.
func (db *DB) TestWebhook(ctx context.Context, id string, e webhook.Event) (d webhook.Delivery, err error) {
	return d, db.inTx(ctx, "test a webhook", func(tx pgx.Tx) error {
		w, err := oneWebhook(ctx, tx, id, lockWebhook)
		if err != nil {
			return err
		}
		if w.Pending >= webhook.MaxPending {
			return webhook.ErrTooMany
		}
		rows, err := tx.Query(ctx, "WITH new AS (INSERT INTO webhook_delivery (webhook, event, type, body) VALUES ($1, $2, $3, $4) RETURNING *) "+
			strings.Replace(deliveryColumns, "webhook_delivery", "new", 1), id, e.ID, e.Type, e.Body)
		if err != nil {
			return err
		}
		d, err = pgx.CollectExactlyOneRow(rows, scanDelivery)
		return err
	})
}

// Redeliver makes a delivery due again, whatever came of it, and returns it as it was and is. Errors: webhook.ErrNotFound,
// webhook.ErrInactive, webhook.ErrTooMany.
func (db *DB) Redeliver(ctx context.Context, id string, delivery int64) (before, after webhook.Delivery, err error) {
	err = db.inTx(ctx, "redeliver", func(tx pgx.Tx) error {
		w, err := oneWebhook(ctx, tx, id, lockWebhook)
		if err != nil {
			return err
		}
		one := func(sql string) (webhook.Delivery, error) {
			rows, err := tx.Query(ctx, sql, id, delivery)
			if err != nil {
				return webhook.Delivery{}, err
			}
			d, err := pgx.CollectExactlyOneRow(rows, scanDelivery)
			if errors.Is(err, pgx.ErrNoRows) {
				err = webhook.ErrNotFound
			}
			return d, err
		}
		if before, err = one(deliveryColumns + "WHERE webhook = $1 AND id = $2 FOR UPDATE"); err != nil {
			return err
		}
		switch {
		case w.State != webhook.Active && before.Hazard != 0:
			return webhook.ErrInactive
		case w.Pending >= webhook.MaxPending && before.State != webhook.Pending:
			return webhook.ErrTooMany
		}
		after, err = one("WITH new AS (UPDATE webhook_delivery SET state = 'pending', next_at = clock_timestamp(), first_at = NULL WHERE webhook = $1 AND id = $2 RETURNING *) " +
			strings.Replace(deliveryColumns, "webhook_delivery", "new", 1))
		return err
	})
	return before, after, err
}
