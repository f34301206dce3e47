package management

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/audit"
	"github.com/carasso/carasso/internal/problem"
)

// change is what a request asks to change, once it was read and checked.
type change struct {
	target string // on what; names no vehicle
	asked  any    // with which arguments, for the audit log; names no vehicle; nil for none
	apply  func(ctx context.Context) (effect, error)
}

// effect is what a change did.
type effect struct {
	answer        any // to the client
	before, after any // for the audit log; nil for nothing
}

// planner reads and checks a request, and changes nothing.
type planner func(r *http.Request) (change, error)

// audited is a handler that can't change anything without the audit log knowing: what a planner
// returns is applied after the intent was entered durably, and then its outcome is. When the log can't be
// written to, nothing is changed. A process killed in between leaves an entry without an outcome.
type audited struct {
	http.Handler
	action string
}

// Action is the stable code under which the log has what the handler changes.
func (a audited) Action() string { return a.action }

// change makes the handler of every request that changes something.
func (s *Server) change(action string, plan planner) http.Handler {
	return audited{s.handle(func(r *http.Request) (any, error) {
		c, err := plan(r)
		if err != nil {
			return nil, err
		}
		return s.apply(r.Context(), action, c)
	}), action}
}

func (s *Server) apply(ctx context.Context, action string, c change) (any, error) {
	who := sender(ctx)
	asked, err := document(c.asked)
	if err != nil {
		return nil, err
	}
	id, err := s.deps.Store.BeginAudit(ctx, audit.Entry{
		Subject: who.Subject, Role: string(who.Role), Action: action, Target: c.target, RequestID: requestID(ctx), Asked: asked,
	})
	if err != nil {
		return nil, err
	}
	done, err := c.apply(ctx)
	s.conclude(ctx, id, action, done, err)
	return done.answer, err
}

// auditTimeout bounds the entry of an outcome, which does not end with its request.
const auditTimeout = 5 * time.Second

func (s *Server) conclude(ctx context.Context, id int64, action string, done effect, err error) {
	result := audit.Result{Outcome: audit.Done}
	var p *problem.Problem
	switch {
	case err == nil:
		var errs [2]error
		result.Before, errs[0] = document(done.before)
		result.After, errs[1] = document(done.after)
		if err := errors.Join(errs[:]...); err != nil {
			s.deps.Logger.ErrorContext(ctx, "change not describable", "action", action, "audit", id, "error", err)
		}
	case errors.As(err, &p) && p.Kind.Status() < http.StatusInternalServerError:
		result.Outcome, result.Detail = audit.Refused, p.Error()
	default:
		result.Outcome, result.Detail = audit.Failed, err.Error()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := s.deps.Store.EndAudit(ctx, id, result); err != nil {
		s.deps.Logger.ErrorContext(ctx, "outcome not in the audit log", "action", action, "audit", id, "outcome", string(result.Outcome), "error", err)
	}
}

// document encodes v; nil for nil.
func document(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	return json.Marshal(v)
}

// requestIDHeader carries the name under which log, audit log and client know a request.
const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identify names each request: as its client did, if that is up to 64 letters, digits, and .-_, else at random.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !plainName(id) {
			id = rand.Text()
		}
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

func plainName(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

type auditDoc struct {
	Entries    []auditEntry `json:"entries"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

type auditEntry struct {
	ID        int64           `json:"id"`
	At        time.Time       `json:"at"`
	Subject   string          `json:"subject"`
	Role      string          `json:"role"`
	Action    string          `json:"action"`
	Target    string          `json:"target"`
	RequestID string          `json:"request_id"`
	Asked     json.RawMessage `json:"asked,omitempty"`
	Outcome   audit.Outcome   `json:"outcome"`
	EndedAt   *time.Time      `json:"ended_at,omitempty"`
	Detail    string          `json:"detail,omitempty"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
}

// Entries of a page of logs: the audit log and the quarantine.
const (
	defaultEntries = 100
	maxEntries     = 1000
)

// getAudit lists the audit log, newest first.
func (s *Server) getAudit(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "from", "to", "subject", "action", "limit", "cursor")
	limit := p.integer("limit", defaultEntries, 1, maxEntries)
	f := audit.Filter{
		Before: int64(p.cursor("cursor")), From: p.instant("from", time.Time{}), To: p.instant("to", time.Time{}), Most: limit + 1,
	}
	f.Subject, _ = p.get("subject")
	f.Action, _ = p.get("action")
	if err := p.problem(); err != nil {
		return nil, err
	}
	records, err := s.deps.Store.Audit(r.Context(), f)
	if err != nil {
		return nil, err
	}
	doc := auditDoc{Entries: []auditEntry{}}
	for i := range records {
		if i == limit {
			doc.NextCursor = strconv.FormatInt(records[i-1].ID, 10)
			break
		}
		doc.Entries = append(doc.Entries, newAuditEntry(&records[i]))
	}
	return doc, nil
}

func newAuditEntry(r *audit.Record) auditEntry {
	e := auditEntry{
		ID: r.ID, At: r.At, Subject: r.Subject, Role: r.Role, Action: r.Action, Target: r.Target, RequestID: r.RequestID,
		Asked: r.Asked, Outcome: r.Outcome, Detail: r.Detail, Before: r.Before, After: r.After,
	}
	if !r.EndedAt.IsZero() {
		e.EndedAt = &r.EndedAt
	}
	return e
}
