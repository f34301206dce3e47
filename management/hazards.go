package management

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
)

type hazardsDoc struct {
	Type       string           `json:"type"`
	Features   []hazard.Feature `json:"features"`
	At         time.Time        `json:"at"`
	NextCursor string           `json:"next_cursor,omitempty"` // absent on the last page
}

func (hazardsDoc) contentType() string { return "application/geo+json" }

type pointDoc struct {
	Type        string     `json:"type"`
	Coordinates [2]float64 `json:"coordinates"`
}

func newPoint(p geo.Point) pointDoc { return pointDoc{"Point", [2]float64{p.Lon(), p.Lat()}} }

// maxEnded is how far back ended hazards are told.
const maxEnded = 7 * 24 * time.Hour

// getHazards lists the hazards in an area: the active ones, and on demand those that ended
// lately, by id and in pages. Hazards are told however few vehicles are behind them: they concern safety.
func (s *Server) getHazards(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "ended_since", "limit", "cursor", "format")
	format := p.format()
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
	if format != "" {
		return &file{format: format, summary: export.Summary{Title: "hazards", To: &now}, columns: &hazardRow{}, read: func(ctx context.Context, put func(row) error) (int, error) {
			return 0, s.everyHazard(ctx, since, box, put)
		}}, nil
	}
	doc := hazardsDoc{Type: "FeatureCollection", Features: []hazard.Feature{}, At: now}
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
			doc.Features = append(doc.Features, hs[i].Feature())
		}
		return nil
	})
	return doc, err
}

// exportPage is how many features are read at a time for a file.
const exportPage = 2000

func (s *Server) everyHazard(ctx context.Context, since time.Time, box geo.Box, put func(row) error) error {
	for after := uint64(0); ; {
		hs, err := s.deps.Store.HazardsIn(ctx, since, box, after, exportPage)
		if err != nil {
			return fmt.Errorf("hazards in an area: %w", err)
		}
		for i := range hs {
			if err := put((*hazardRow)(&hs[i])); err != nil {
				return err
			}
			after = hs[i].ID
		}
		if len(hs) < exportPage {
			return nil
		}
	}
}

func utc(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
