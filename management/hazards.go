package management

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
)

type hazardsDoc struct {
	Type       string          `json:"type"`
	Features   []hazardFeature `json:"features"`
	At         time.Time       `json:"at"`
	NextCursor string          `json:"next_cursor,omitempty"` // absent on the last page
}

func (hazardsDoc) contentType() string { return "application/geo+json" }

type hazardFeature struct {
	Type       string      `json:"type"`
	ID         uint64      `json:"id"`
	Geometry   pointDoc    `json:"geometry"`
	Properties hazardProps `json:"properties"`
}

type pointDoc struct {
	Type        string     `json:"type"`
	Coordinates [2]float64 `json:"coordinates"`
}

func newPoint(p geo.Point) pointDoc { return pointDoc{"Point", [2]float64{p.Lon(), p.Lat()}} }

type hazardProps struct {
	Category    string      `json:"category"`
	Edge        uint64      `json:"edge"` // 0 away from roads
	Edges       []road.Edge `json:"edges"`
	Probability float64     `json:"probability"`
	Vehicles    int         `json:"vehicles"`
	Clean       int         `json:"clean"`
	Started     time.Time   `json:"started"`
	Updated     time.Time   `json:"updated"`
	Ended       *time.Time  `json:"ended"`
}

// maxEnded is how far back ended hazards are told.
const maxEnded = 7 * 24 * time.Hour

// getHazards lists the hazards in an area: the active ones, and on demand those that ended
// lately, by id and in pages. Hazards are told however few vehicles are behind them: they concern safety.
func (s *Server) getHazards(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "ended_since", "limit", "cursor")
	box := p.area("bbox")
	now := s.deps.Now().UTC()
	since := p.instant("ended_since", now)
	if p.err == nil && now.Sub(since) > maxEnded {
		p.fail("ended_since", "is "+since.Format(time.RFC3339), "at most 7 days ago")
	}
	limit := p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	after := p.cursor("cursor")
	if err := p.problem(); err != nil {
		return nil, err
	}
	doc := hazardsDoc{Type: "FeatureCollection", Features: []hazardFeature{}, At: now}
	err := s.withHeavy(r.Context(), func(ctx context.Context) error {
		hs, err := s.deps.Store.HazardsIn(ctx, since, box, after, limit+1)
		if err != nil {
			return fmt.Errorf("hazards in an area: %w", err)
		}
		if len(hs) > limit {
			hs = hs[:limit]
			doc.NextCursor = strconv.FormatUint(hs[limit-1].ID, 10)
		}
		for i := range hs {
			doc.Features = append(doc.Features, newHazardFeature(&hs[i]))
		}
		return nil
	})
	return doc, err
}

func newHazardFeature(h *hazard.Hazard) hazardFeature {
	f := hazardFeature{Type: "Feature", ID: h.ID, Geometry: newPoint(h.At), Properties: hazardProps{
		Category: h.Category.String(), Edge: uint64(h.Edge), Edges: append([]road.Edge{}, h.Edges...),
		Probability: share(h.Probability), Vehicles: h.Vehicles, Clean: h.Clean,
		Started: utc(h.StartedMS), Updated: utc(h.UpdatedMS),
	}}
	if !h.Active() {
		ended := utc(h.EndedMS)
		f.Properties.Ended = &ended
	}
	return f
}

func utc(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
