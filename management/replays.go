package management

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Replays tells of rebuilt versions of the aggregates; jobs build, swap and drop them. Safe for concurrent use.
type Replays interface {
	// Replays lists up to most with ids below before (0: the newest), newest first; Replay is one, or ledger.ErrNoReplay.
	Replays(ctx context.Context, before int64, most int) ([]ledger.Replay, error)
	Replay(ctx context.Context, id int64) (ledger.Replay, error)
}

func (s *Server) replayRoutes(analyst chi.Router) {
	analyst.Get("/v1/replays", s.handle(s.getReplays))
	analyst.Get("/v1/replays/{id}", s.handle(s.getReplay))
}

// maxReplays is the longest page of replays.
const maxReplays = 200

type replaysDoc struct {
	Replays    []replayDoc `json:"replays"`
	NextCursor string      `json:"next_cursor,omitempty"`
}

type replayDoc struct {
	ID         string             `json:"id"`
	From       string             `json:"from"` // first and last UTC day
	To         string             `json:"to"`
	MapVersion string             `json:"map_version"`
	State      ledger.ReplayState `json:"state"`
	Created    time.Time          `json:"created"`
	Built      *time.Time         `json:"built"`
	Ended      *time.Time         `json:"ended"`
	Diff       json.RawMessage    `json:"diff"` // null before it is built
}

func newReplayDoc(r *ledger.Replay) replayDoc {
	return replayDoc{
		ID: strconv.FormatInt(r.ID, 10), From: r.From.Format(time.DateOnly), To: r.To.AddDate(0, 0, -1).Format(time.DateOnly), MapVersion: r.MapVersion,
		State: r.State, Created: r.CreatedAt, Built: instantOrNull(r.BuiltAt), Ended: instantOrNull(r.EndedAt), Diff: r.Diff,
	}
}

// getReplays lists replays, newest first.
func (s *Server) getReplays(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "limit", "cursor")
	limit, before := p.integer("limit", 20, 1, maxReplays), int64(p.cursor("cursor"))
	if err := p.problem(); err != nil {
		return nil, err
	}
	all, err := s.deps.Store.Replays(r.Context(), before, limit+1)
	if err != nil {
		return nil, err
	}
	doc := replaysDoc{Replays: []replayDoc{}}
	for i := range all {
		if i == limit {
			doc.NextCursor = strconv.FormatInt(all[i-1].ID, 10)
			break
		}
		doc.Replays = append(doc.Replays, newReplayDoc(&all[i]))
	}
	return doc, nil
}

// getReplay tells how a replay stands and differs from the live version.
func (s *Server) getReplay(r *http.Request) (any, error) {
	if err := newParams(r.URL.RawQuery).problem(); err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil || id < 1 {
		return nil, errNoReplay()
	}
	one, err := s.deps.Store.Replay(r.Context(), id)
	if errors.Is(err, ledger.ErrNoReplay) {
		return nil, errNoReplay()
	}
	if err != nil {
		return nil, err
	}
	return newReplayDoc(&one), nil
}

func errNoReplay() error { return problem.New(problem.NotFound, "There is no such replay.") }
