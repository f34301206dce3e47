package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/hazard"
)

// WebhooksToPlan implements webhook.Store.
func (db *DB) WebhooksToPlan(ctx context.Context) ([]string, error) {
	rows, err := db.pool.Query(ctx, `SELECT w.id FROM webhook w WHERE w.state = 'active' AND w.cursor < (SELECT max(seq) FROM hazard)
		AND (SELECT count(*) FROM webhook_delivery d WHERE d.webhook = w.id AND d.state = 'pending') < $1 ORDER BY w.id`, webhook.MaxPending)
	if err != nil {
		return nil, wrap("list webhooks to plan for", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, wrap("list webhooks to plan for", err)
}

// PlanWebhook implements webhook.Store. Deliveries, what is told and the cursor are written in one transaction, under the
// webhook's lock.
func (db *DB) PlanWebhook(ctx context.Context, id string, most int, event func(*webhook.Webhook, int64, *hazard.Revision) (webhook.Event, error)) (planned int, more bool, err error) {
	err = db.inTx(ctx, "plan a webhook's deliveries", func(tx pgx.Tx) error {
		planned, more, err = planWebhook(ctx, tx, id, most, event)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return planned, more, nil
}

func planWebhook(ctx context.Context, tx pgx.Tx, id string, most int, event func(*webhook.Webhook, int64, *hazard.Revision) (webhook.Event, error)) (planned int, more bool, err error) {
	w, err := oneWebhook(ctx, tx, id, lockWebhook+" SKIP LOCKED")
	if errors.Is(err, webhook.ErrNotFound) {
		return 0, false, nil // deleted, or another plans for it
	}
	if err != nil {
		return 0, false, err
	}
	most = min(most, webhook.MaxPending-w.Pending)
	if w.State != webhook.Active || most < 1 {
		return 0, false, nil
	}
	// Read after the lock: a statement sees what was committed before it began.
	rows, err := tx.Query(ctx, hazardColumns+"WHERE seq > (SELECT cursor FROM webhook WHERE id = $1) ORDER BY seq LIMIT $2", id, most)
	if err != nil {
		return 0, false, err
	}
	rs, err := pgx.CollectRows(rows, scanHazard)
	if err != nil || len(rs) == 0 {
		return 0, false, err
	}
	told, err := toldOf(ctx, tx, id, rs)
	if err != nil {
		return 0, false, err
	}
	b := &pgx.Batch{}
	for i := range rs {
		r := &rs[i]
		e, err := event(&w, told[r.ID], r)
		if err != nil {
			return 0, false, err
		}
		if e.Body == nil {
			continue
		}
		planned++
		b.Queue("INSERT INTO webhook_delivery (webhook, hazard, event, type, body) VALUES ($1, $2, $3, $4, $5)", id, int64(r.ID), e.ID, e.Type, e.Body)
		if r.Active() {
			b.Queue("INSERT INTO webhook_told (webhook, hazard, seq) VALUES ($1, $2, $3) ON CONFLICT (webhook, hazard) DO UPDATE SET seq = excluded.seq", id, int64(r.ID), r.Seq)
		} else {
			b.Queue("DELETE FROM webhook_told WHERE webhook = $1 AND hazard = $2", id, int64(r.ID))
		}
	}
	b.Queue("UPDATE webhook SET cursor = $2 WHERE id = $1", id, rs[len(rs)-1].Seq)
	return planned, len(rs) == most, tx.SendBatch(ctx, b).Close()
}

// toldOf is the revision that the webhook was last told of each hazard that it was told of.
func toldOf(ctx context.Context, tx pgx.Tx, id string, rs []hazard.Revision) (map[uint64]int64, error) {
	ids := make([]int64, len(rs))
	for i := range rs {
		ids[i] = int64(rs[i].ID)
	}
	rows, err := tx.Query(ctx, "SELECT hazard, seq FROM webhook_told WHERE webhook = $1 AND hazard = ANY($2)", id, ids)
	if err != nil {
		return nil, err
	}
	told := map[uint64]int64{}
	var h, seq int64
	_, err = pgx.ForEachRow(rows, []any{&h, &seq}, func() error {
		told[uint64(h)] = seq
		return nil
	})
	return told, err
}
