package management

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
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
	p := newParams(r.URL.RawQuery, "bbox", "status", "limit", "cursor")
	f := maperror.Filter{After: p.cursor("cursor")}
	limit := p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	f.Most = limit + 1
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
	rows, err := s.deps.Store.MapErrors(r.Context(), f)
	if err != nil {
		return nil, err
	}
	doc := mapErrorsDoc{Type: "FeatureCollection", Features: []mapErrorFeature{}}
	for i := range rows {
		if i == limit {
			doc.NextCursor = strconv.FormatUint(rows[i-1].ID, 10)
			break
		}
		if rows[i].Vehicles < s.cfg.K {
			continue
		}
		feature, err := s.mapErrorFeature(r, &rows[i])
		if err != nil {
			return nil, err
		}
		doc.Features = append(doc.Features, feature)
	}
	return doc, nil
}

func (s *Server) mapErrorFeature(r *http.Request, e *maperror.Reviewed) (mapErrorFeature, error) {
	f := mapErrorFeature{Type: "Feature", ID: e.ID, Properties: mapErrorProps{
		Type: e.Type.String(), Status: e.Status, Edge: uint64(e.Edge), ToEdge: uint64(e.To), At: newPoint(e.At).Coordinates,
		Vehicles: e.Vehicles, Against: e.Against, Score: share(e.Score), First: utc(e.FirstMS), Last: utc(e.LastMS), Updated: e.UpdatedAt,
	}}
	var seg *road.Segment
	if e.Edge != 0 {
		var err error
		if seg, err = s.segment(r.Context(), e.Edge); err != nil {
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
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReviewBody))
	var d review
	if err != nil || json.Unmarshal(body, &d) != nil {
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
