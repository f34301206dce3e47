package management

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

type mapErrorsDoc struct {
	Type       string            `json:"type"`
	Features   []mapErrorFeature `json:"features"`
	NextCursor string            `json:"next_cursor,omitempty"`
}

func (mapErrorsDoc) contentType() string { return "application/geo+json" }

// mapErrorFeature's geometry is what the map should say: the missing or moved course, or
// where the error is.
type mapErrorFeature struct {
	Type       string        `json:"type"`
	ID         uint64        `json:"id"`
	Geometry   any           `json:"geometry"`
	Properties mapErrorProps `json:"properties"`
}

type mapErrorProps struct {
	Type     string          `json:"type"`
	Status   maperror.Status `json:"status"`
	Edge     uint64          `json:"edge"` // 0 for a missing road
	ToEdge   uint64          `json:"to_edge"`
	Name     string          `json:"name"`
	At       [2]float64      `json:"at"` // longitude, latitude
	Vehicles int             `json:"vehicles"`
	Against  int             `json:"against"`
	Score    float64         `json:"score"`
	First    time.Time       `json:"first"`
	Last     time.Time       `json:"last"`
	Updated  time.Time       `json:"updated"`
}

// getMapErrors lists candidates for errors of the map, by id.
func (s *Server) getMapErrors(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "status", "limit", "cursor", "format")
	format := p.format()
	f := maperror.Filter{After: p.cursor("cursor")}
	limit := p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	if status := p.choice("status", string(maperror.Open), string(maperror.Accepted), string(maperror.Rejected), string(maperror.Gone), "any"); status != "any" {
		f.Status = []maperror.Status{maperror.Status(status)}
	}
	if _, ok := p.get("bbox"); ok {
		box := p.bbox("bbox")
		p.atMostTiles("bbox", box, s.cfg.MaxTiles)
		if p.err == nil {
			f.Tiles = quadkeys(box)
		}
	}
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		return &file{format: format, summary: export.Summary{Title: "map-errors", K: s.cfg.K}, columns: &mapErrorFeature{}, read: func(ctx context.Context, put func(row) error) (int, error) {
			return 0, s.everyMapError(ctx, f, put)
		}}, nil
	}
	doc := mapErrorsDoc{Type: "FeatureCollection"}
	var err error
	doc.Features, doc.NextCursor, err = s.mapErrors(r.Context(), f, limit)
	return doc, err
}

// mapErrors is a page of candidates, and the cursor of the next.
func (s *Server) mapErrors(ctx context.Context, f maperror.Filter, limit int) (page []mapErrorFeature, next string, err error) {
	f.Most = limit + 1
	rows, err := s.deps.Store.MapErrors(ctx, f)
	if err != nil {
		return nil, "", err
	}
	page = []mapErrorFeature{}
	for i := range rows {
		if i == limit {
			return page, strconv.FormatUint(rows[i-1].ID, 10), nil
		}
		if rows[i].Vehicles < s.cfg.K {
			continue
		}
		feature, err := s.mapErrorFeature(ctx, &rows[i])
		if err != nil {
			return nil, "", err
		}
		page = append(page, feature)
	}
	return page, "", nil
}

func (s *Server) everyMapError(ctx context.Context, f maperror.Filter, put func(row) error) error {
	for {
		page, next, err := s.mapErrors(ctx, f, exportPage)
		if err != nil {
			return err
		}
		if err := putAll(page, put); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		if f.After, err = strconv.ParseUint(next, 10, 64); err != nil {
			return err
		}
	}
}

func (s *Server) mapErrorFeature(ctx context.Context, e *maperror.Reviewed) (mapErrorFeature, error) {
	f := mapErrorFeature{Type: "Feature", ID: e.ID, Properties: mapErrorProps{
		Type: e.Type.String(), Status: e.Status, Edge: uint64(e.Edge), ToEdge: uint64(e.To), At: newPoint(e.At).Coordinates,
		Vehicles: e.Vehicles, Against: e.Against, Score: share(e.Score), First: utc(e.FirstMS), Last: utc(e.LastMS), Updated: e.UpdatedAt,
	}}
	var seg *road.Segment
	if e.Edge != 0 {
		var err error
		if seg, err = s.segment(ctx, e.Edge); err != nil {
			return f, err
		}
	}
	if seg != nil {
		f.Properties.Name = seg.Name
	}
	switch {
	case len(e.Geometry) > 1:
		line := lineString{Type: "LineString"}
		for _, p := range e.Geometry {
			line.Coordinates = append(line.Coordinates, [2]float64{p.Lon(), p.Lat()})
		}
		f.Geometry = line
	case seg != nil:
		f.Geometry = lineString{Type: "LineString", Coordinates: coordinates(seg, e.Edge.Against())}
	default:
		f.Geometry = newPoint(e.At)
	}
	return f, nil
}

// review is a person's decision.
type review struct {
	Status maperror.Status `json:"status"`
}

// maxReviewBody bounds a decision, in bytes.
const maxReviewBody = 4 << 10

// putMapErrorStatus enters a decision about a candidate. It may be changed again.
func (s *Server) putMapErrorStatus(r *http.Request) (change, error) {
	const expected = `{"status":"accepted"}, "rejected" or "open"`
	raw := chi.URLParam(r, "id")
	id, err := strconv.ParseUint(raw, 10, 53)
	if err != nil {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The id is " + quote(raw) + ".", Expected: "the id of a feature of /v1/map-errors"}
	}
	body, err := readBody(r, maxReviewBody, expected)
	if err != nil {
		return change{}, err
	}
	var d review
	if json.Unmarshal(body, &d) != nil {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body is not the expected JSON.", Expected: expected}
	}
	switch d.Status {
	case maperror.Open, maperror.Accepted, maperror.Rejected:
	default:
		return change{}, &problem.Problem{
			Kind: problem.InvalidRequest, Pointer: "/status", Detail: "The status is " + quote(string(d.Status)) + ".", Expected: expected,
		}
	}
	return change{target: "map-error/" + raw, asked: d, apply: func(ctx context.Context) (effect, error) {
		before, found, err := s.deps.Store.ReviewMapError(ctx, id, d.Status)
		if err != nil {
			return effect{}, err
		}
		if !found {
			return effect{}, problem.New(problem.NotFound, "There is no such candidate; /v1/map-errors lists them.")
		}
		return effect{answer: d, before: review{before}, after: d}, nil
	}}, nil
}
