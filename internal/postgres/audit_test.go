package postgres

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carasso/carasso/internal/audit"
)

func TestAuditLog(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	entry := audit.Entry{
		Subject: "ann", Role: "operator", Action: "map_error.review", Target: "map-error/17", RequestID: "r-1",
		Asked: json.RawMessage(`{"status": "accepted"}`),
	}
	first, err := db.BeginAudit(ctx, entry)
	if err != nil {
		t.Fatal(err)
	}
	second, err := db.BeginAudit(ctx, audit.Entry{Subject: "bob", Role: "admin", Action: "quarantine.redrive", Target: "quarantine/3", RequestID: "r-2"})
	if err != nil {
		t.Fatal(err)
	}
	result := audit.Result{Outcome: audit.Done, Before: json.RawMessage(`{"status": "open"}`), After: json.RawMessage(`{"status": "accepted"}`)}
	if err := db.EndAudit(ctx, first, result); err != nil {
		t.Fatal(err)
	}
	if err := db.EndAudit(ctx, first, audit.Result{Outcome: audit.Failed}); !isPermanent(err) {
		t.Errorf("a second outcome: %v, want a permanent error", err)
	}

	want := []audit.Record{
		{ID: second, Entry: audit.Entry{Subject: "bob", Role: "admin", Action: "quarantine.redrive", Target: "quarantine/3", RequestID: "r-2"}, Result: audit.Result{Outcome: audit.Unknown}},
		{ID: first, Entry: entry, Result: result},
	}
	for name, c := range map[string]struct {
		filter audit.Filter
		want   []audit.Record
	}{
		"all":     {audit.Filter{Most: 10}, want},
		"page":    {audit.Filter{Most: 1}, want[:1]},
		"next":    {audit.Filter{Before: second, Most: 10}, want[1:]},
		"subject": {audit.Filter{Subject: "ann", Most: 10}, want[1:]},
		"action":  {audit.Filter{Action: "quarantine.redrive", Most: 10}, want[:1]},
		"past":    {audit.Filter{To: time.Now().Add(-time.Hour), Most: 10}, nil},
		"since":   {audit.Filter{From: time.Now().Add(-time.Hour), Most: 10}, want},
	} {
		got, err := db.Audit(ctx, c.filter)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(audit.Record{}, "At", "EndedAt"), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestAuditLogIsAppendOnly(t *testing.T) {
	db := openTest(t)
	id, err := db.BeginAudit(t.Context(), audit.Entry{Subject: "ann", Role: "admin", Action: "a", Target: "b", RequestID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.EndAudit(t.Context(), id, audit.Result{Outcome: audit.Done}); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"UPDATE audit SET subject = 'eve'", "DELETE FROM audit", "TRUNCATE audit CASCADE",
		"UPDATE audit_outcome SET outcome = 'failed'", "DELETE FROM audit_outcome", "TRUNCATE audit_outcome",
	} {
		if _, err := db.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: allowed", sql)
		}
	}
	if n := count(t, db, "SELECT count(*) FROM audit JOIN audit_outcome ON audit = id WHERE subject = 'ann' AND outcome = 'done'"); n != 1 {
		t.Errorf("%d entries left, want 1", n)
	}
}
