package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/carasso/carasso/internal/audit"
)

// BeginAudit enters what is about to be changed into the audit log and returns the entry's id.
func (db *DB) BeginAudit(ctx context.Context, e audit.Entry) (id int64, err error) {
	err = db.pool.QueryRow(ctx, `INSERT INTO audit (subject, role, action, target, request_id, asked)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		clean(e.Subject), clean(e.Role), e.Action, clean(e.Target), clean(e.RequestID), document(e.Asked)).Scan(&id)
	return id, wrap("enter into the audit log", err)
}

// EndAudit enters what came of it. A second result for the same entry is an error.
func (db *DB) EndAudit(ctx context.Context, id int64, r audit.Result) error {
	_, err := db.pool.Exec(ctx, "INSERT INTO audit_outcome (audit, outcome, detail, before, after) VALUES ($1, $2, $3, $4, $5)",
		id, string(r.Outcome), clean(r.Detail), document(r.Before), document(r.After))
	return wrap("enter an outcome into the audit log", err)
}

const auditPage = `SELECT a.id, a.at, a.subject, a.role, a.action, a.target, a.request_id, a.asked, o.at, coalesce(o.outcome, 'unknown'),
	coalesce(o.detail, ''), o.before, o.after
FROM audit a LEFT JOIN audit_outcome o ON o.audit = a.id
WHERE ($1 = 0 OR a.id < $1) AND ($2::timestamptz IS NULL OR a.at >= $2) AND ($3::timestamptz IS NULL OR a.at < $3)
	AND ($4 = '' OR a.subject = $4) AND ($5 = '' OR a.action = $5)
ORDER BY a.id DESC LIMIT $6`

// Audit lists the audit log, newest first.
func (db *DB) Audit(ctx context.Context, f audit.Filter) ([]audit.Record, error) {
	rows, err := db.pool.Query(ctx, auditPage, f.Before, moment(f.From), moment(f.To), f.Subject, f.Action, f.Most)
	if err != nil {
		return nil, wrap("read the audit log", err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r audit.Record, err error) {
		var ended *time.Time
		err = row.Scan(&r.ID, &r.At, &r.Subject, &r.Role, &r.Action, &r.Target, &r.RequestID, &r.Asked, &ended,
			&r.Outcome, &r.Detail, &r.Before, &r.After)
		r.At = r.At.UTC()
		if ended != nil {
			r.EndedAt = ended.UTC()
		}
		return r, err
	})
	return records, wrap("read the audit log", err)
}

// document is a JSON column's value, null for none.
func document(d json.RawMessage) *string {
	if d == nil {
		return nil
	}
	s := string(d)
	return &s
}

// moment is a time for a query, null for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
