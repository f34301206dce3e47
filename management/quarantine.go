package management

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/ledger"
)

type quarantineDoc struct {
	Entries    []quarantineEntry `json:"entries"`
	NextCursor string            `json:"next_cursor,omitempty"`
}

type quarantineEntry struct {
	ID         int64                  `json:"id"`
	At         time.Time              `json:"at"`
	Reason     ledger.Reason          `json:"reason"`
	Detail     string                 `json:"detail"`
	State      ledger.QuarantineState `json:"state"`
	ResolvedAt *time.Time             `json:"resolved_at,omitempty"`
	Scope      string                 `json:"scope"`
	Receiver   string                 `json:"receiver,omitempty"`
	Seq        uint64                 `json:"seq,omitempty"`
	Batches    uint32                 `json:"batches"`
	Samples    uint32                 `json:"samples"`
	Bytes      int                    `json:"bytes"`
	Object     string                 `json:"object"`
}

func newQuarantineEntry(e *ledger.QuarantineEntry) quarantineEntry {
	doc := quarantineEntry{
		ID: e.ID, At: e.At, Reason: e.Reason, Detail: firstLine(e.Detail), State: e.State, Scope: "envelope",
		Batches: e.Batches, Samples: e.Samples, Bytes: e.Bytes, Object: e.ObjectKey,
	}
	if e.HasClaim {
		doc.Scope = "batch"
	}
	if e.HasEnvelope {
		doc.Receiver, doc.Seq = telemetry.BatchID(e.Receiver).String(), e.Seq
	}
	if !e.ResolvedAt.IsZero() {
		doc.ResolvedAt = &e.ResolvedAt
	}
	return doc
}

// firstLine leaves out the stack of a panic.
func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// anything selects every reason or state.
const anything = "any"

func reasons() []string {
	names := []string{anything}
	for _, r := range ledger.Reasons() {
		names = append(names, string(r))
	}
	return names
}

// getQuarantine lists what could not be used, newest first.
func (s *Server) getQuarantine(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "from", "to", "reason", "state", "limit", "cursor")
	limit := p.integer("limit", defaultEntries, 1, maxEntries)
	f := ledger.QuarantineFilter{
		Before: int64(p.cursor("cursor")), From: p.instant("from", time.Time{}), To: p.instant("to", time.Time{}), Most: limit + 1,
	}
	if reason := p.choice("reason", reasons()...); reason != anything {
		f.Reason = ledger.Reason(reason)
	}
	if state := p.choice("state", string(ledger.Open), string(ledger.Pending), string(ledger.Resolved), anything); state != anything {
		f.State = ledger.QuarantineState(state)
	}
	if err := p.problem(); err != nil {
		return nil, err
	}
	entries, err := s.deps.Store.Quarantine(r.Context(), f)
	if err != nil {
		return nil, err
	}
	doc := quarantineDoc{Entries: []quarantineEntry{}}
	for i := range entries {
		if i == limit {
			doc.NextCursor = strconv.FormatInt(entries[i-1].ID, 10)
			break
		}
		doc.Entries = append(doc.Entries, newQuarantineEntry(&entries[i]))
	}
	return doc, nil
}

type quarantinedDoc struct {
	quarantineEntry
	Redrives []redriveDoc `json:"redrives"`
	Preview  previewDoc   `json:"preview"`
}

type redriveDoc struct {
	RequestedAt time.Time     `json:"requested_at"`
	DoneAt      *time.Time    `json:"done_at"`
	Resolved    bool          `json:"resolved"`
	Archived    int           `json:"archived"`
	Duplicate   int           `json:"duplicate"`
	Reason      ledger.Reason `json:"reason,omitempty"`
	Detail      string        `json:"detail,omitempty"`
}

// getQuarantined shows one entry, with what can be told of its content.
func (s *Server) getQuarantined(r *http.Request) (any, error) {
	id, err := quarantineID(r)
	if err != nil {
		return nil, err
	}
	entry, redrives, found, err := s.deps.Store.Quarantined(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoQuarantine()
	}
	doc := quarantinedDoc{quarantineEntry: newQuarantineEntry(&entry), Redrives: []redriveDoc{}}
	for _, d := range redrives {
		rd := redriveDoc{
			RequestedAt: d.RequestedAt, Resolved: d.Resolved, Archived: d.Archived, Duplicate: d.Duplicate, Reason: d.Reason, Detail: firstLine(d.Detail),
		}
		if !d.DoneAt.IsZero() {
			rd.DoneAt = &d.DoneAt
		}
		doc.Redrives = append(doc.Redrives, rd)
	}
	doc.Preview, err = s.preview(r.Context(), &entry)
	return doc, err
}

func quarantineID(r *http.Request) (int64, error) {
	raw := chi.URLParam(r, "id")
	id, err := strconv.ParseUint(raw, 10, 53)
	if err != nil || id == 0 {
		return 0, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The id is " + quote(raw) + ".", Expected: "the id of an entry of /v1/quarantine"}
	}
	return int64(id), nil
}

func errNoQuarantine() error {
	return problem.New(problem.NotFound, "There is no such entry; /v1/quarantine lists them. What is past its retention is gone.")
}

// requestedDoc answers a request to redrive. Workers do it within seconds.
type requestedDoc struct {
	Requested int                    `json:"requested"`
	State     ledger.QuarantineState `json:"state,omitempty"`
	More      bool                   `json:"more"`
}

func (requestedDoc) status() int { return http.StatusAccepted }

// postRedrive asks workers to try one entry again. Asking twice is asking once.
func (s *Server) postRedrive(r *http.Request) (change, error) {
	id, err := quarantineID(r)
	if err != nil {
		return change{}, err
	}
	return change{target: fmt.Sprintf("quarantine/%d", id), apply: func(ctx context.Context) (effect, error) {
		before, found, err := s.deps.Store.RequestRedriveOf(ctx, id)
		switch {
		case err != nil:
			return effect{}, err
		case !found:
			return effect{}, errNoQuarantine()
		case before == ledger.Open:
			return redriveEffect(before, ledger.Pending, 1), nil
		}
		return redriveEffect(before, before, 0), nil
	}}, nil
}

func redriveEffect(before, after ledger.QuarantineState, n int) effect {
	type state struct {
		State ledger.QuarantineState `json:"state"`
	}
	return effect{answer: requestedDoc{Requested: n, State: after}, before: state{before}, after: state{after}}
}

// maxRedrives bounds the entries that one request may ask for.
const maxRedrives = 10_000

type redriveQuery struct {
	Reason string     `json:"reason"`
	From   *time.Time `json:"from,omitempty"`
	To     *time.Time `json:"to,omitempty"`
}

// postRedrives asks workers to try again all that is open for a reason.
func (s *Server) postRedrives(r *http.Request) (change, error) {
	expected := `{"reason":"event_time","from":"2026-11-23T16:00:00Z","to":"2026-11-23T17:00:00Z"}; reason is one of ` + strings.Join(reasons(), ", ") + `; from and to may be left out`
	var q redriveQuery
	if err := readJSON(r, &q, expected); err != nil {
		return change{}, err
	}
	if !slices.Contains(reasons(), q.Reason) {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/reason", Detail: "The reason is " + quote(q.Reason) + ".", Expected: expected}
	}
	f := ledger.QuarantineFilter{Most: maxRedrives}
	if q.Reason != anything {
		f.Reason = ledger.Reason(q.Reason)
	}
	if q.From != nil {
		f.From = q.From.UTC()
	}
	if q.To != nil {
		f.To = q.To.UTC()
	}
	if q.From != nil && q.To != nil && !f.From.Before(f.To) {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/from", Detail: "It is not before to.", Expected: expected}
	}
	return change{target: "quarantine", asked: q, apply: func(ctx context.Context) (effect, error) {
		n, err := s.deps.Store.RequestRedrive(ctx, f)
		doc := requestedDoc{Requested: n, More: n == maxRedrives}
		return effect{answer: doc, after: doc}, err
	}}, nil
}
