package management

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

type limitsDoc struct {
	Type       string         `json:"type"`
	Features   []limitFeature `json:"features"`
	K          int            `json:"k"`
	NextCursor string         `json:"next_cursor,omitempty"`
}

func (limitsDoc) contentType() string { return "application/geo+json" }

type limitFeature struct {
	Type       string      `json:"type"`
	ID         uint64      `json:"id"`
	Geometry   *lineString `json:"geometry"`
	Properties limitProps  `json:"properties"`
}

// limitProps is a learned limit with the evidence for it. Limits are km/h; "none" is a
// road without limit.
type limitProps struct {
	roadProps
	Learned    limitValue     `json:"learned"`
	Map        limitValue     `json:"map"` // null: the map does not know
	Differs    bool           `json:"differs"`
	Posterior  float64        `json:"posterior"`
	Vehicles   int            `json:"vehicles"`
	Readings   int            `json:"readings"`
	Since      *time.Time     `json:"since"` // null: nobody read a sign here, it holds on from a road before
	Variants   []variantDoc   `json:"variants"`
	Candidates []candidateDoc `json:"candidates"`
}

type candidateDoc struct {
	Limit       limitValue `json:"limit"`
	Probability float64    `json:"probability"`
}

type variantDoc struct {
	Limit     limitValue `json:"limit"`
	Wet       bool       `json:"wet"`
	FromHour  *uint8     `json:"from_hour"` // local solar time; null: all day
	ToHour    *uint8     `json:"to_hour"`
	Posterior float64    `json:"posterior"`
	Vehicles  int        `json:"vehicles"`
}

// limitValue is km/h as a number, "none" for a road without limit, null if unknown.
type limitValue uint8

// MarshalJSON implements json.Marshaler.
func (v limitValue) MarshalJSON() ([]byte, error) {
	switch uint8(v) {
	case road.NoLimitKnown:
		return []byte("null"), nil
	case road.Unlimited:
		return []byte(`"none"`), nil
	}
	return strconv.AppendUint(nil, uint64(v), 10), nil
}

// getLimits lists the limits learned in an area, by edge.
func (s *Server) getLimits(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "differs", "geometry", "limit", "cursor", "format")
	format := p.format()
	q := segmentsQuery{box: p.bbox("bbox"), geometry: p.boolean("geometry", true)}
	q.limit = p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	q.after = p.cursor("cursor")
	differs := p.boolean("differs", false)
	p.atMostTiles("bbox", q.box, s.cfg.MaxTiles)
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		return &file{format: format, summary: export.Summary{Title: "limits", K: s.cfg.K}, columns: &limitFeature{}, read: func(ctx context.Context, put func(row) error) (int, error) {
			return 0, s.everyLimit(ctx, q, differs, put)
		}}, nil
	}
	doc := limitsDoc{Type: "FeatureCollection", Features: []limitFeature{}, K: s.cfg.K}
	err := s.withHeavy(r.Context(), func(ctx context.Context) error { return s.fillLimits(ctx, q, differs, &doc) })
	return doc, err
}

func (s *Server) everyLimit(ctx context.Context, q segmentsQuery, differs bool, put func(row) error) error {
	for q.limit = exportPage; ; {
		var page limitsDoc
		if err := s.fillLimits(ctx, q, differs, &page); err != nil {
			return err
		}
		if err := putAll(page.Features, put); err != nil {
			return err
		}
		if page.NextCursor == "" {
			return nil
		}
		q.after = page.Features[len(page.Features)-1].ID
	}
}

func (s *Server) fillLimits(ctx context.Context, q segmentsQuery, differs bool, doc *limitsDoc) error {
	ranges := edgeRanges(q.box)
	for {
		want := q.limit - len(doc.Features) + 1
		rows, err := s.deps.Store.Limits(ctx, ranges, true, q.after, want)
		if err != nil {
			return err
		}
		for i := range rows {
			l := &rows[i]
			before := q.after
			q.after = uint64(l.Edge)
			if l.Vehicles < s.cfg.K || differs && !l.Differs() {
				continue
			}
			seg, err := s.segment(ctx, l.Edge)
			if err != nil {
				return err
			}
			if !inBox(q.box, l.Edge, seg) {
				continue
			}
			if len(doc.Features) == q.limit {
				doc.NextCursor = strconv.FormatUint(before, 10)
				return nil
			}
			doc.Features = append(doc.Features, newLimitFeature(l, seg, q.geometry))
		}
		if len(rows) < want {
			return nil
		}
	}
}

func newLimitFeature(l *limit.Limit, seg *road.Segment, geometry bool) limitFeature {
	f := limitFeature{Type: "Feature", ID: uint64(l.Edge), Properties: limitProps{
		roadProps: newRoadProps(l.Edge, seg), Learned: limitValue(l.KMH), Map: limitValue(l.MapKMH), Differs: l.Differs(),
		Posterior: share(l.Posterior), Vehicles: l.Vehicles, Readings: l.Readings,
		Variants: []variantDoc{}, Candidates: []candidateDoc{},
	}}
	if l.SinceMS > 0 {
		since := utc(l.SinceMS)
		f.Properties.Since = &since
	}
	for _, c := range l.Candidates {
		f.Properties.Candidates = append(f.Properties.Candidates, candidateDoc{limitValue(c.KMH), share(c.Probability)})
	}
	for _, v := range l.Variants {
		d := variantDoc{Limit: limitValue(v.KMH), Wet: v.Wet, Posterior: share(v.Posterior), Vehicles: v.Vehicles}
		if v.FromHour != v.ToHour {
			d.FromHour, d.ToHour = &v.FromHour, &v.ToHour
		}
		f.Properties.Variants = append(f.Properties.Variants, d)
	}
	if geometry && seg != nil {
		f.Geometry = &lineString{Type: "LineString", Coordinates: coordinates(seg, l.Edge.Against())}
	}
	return f
}

// share rounds a probability to four decimals.
func share(p float32) float64 { return math.Round(float64(p)*1e4) / 1e4 }

// limitChangesDoc is the history of one directed segment's limit.
type limitChangesDoc struct {
	roadProps
	Changes []limitChangeDoc `json:"changes"`
}

type limitChangeDoc struct {
	From limitValue `json:"from"` // null: nothing was published
	To   limitValue `json:"to"`
	At   time.Time  `json:"at"`
}

// maxChanges is how many changes of a limit are told, newest first.
const maxChanges = 100

func (s *Server) getLimitChanges(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery)
	edge := p.edge(r)
	if err := p.problem(); err != nil {
		return nil, err
	}
	changes, err := s.deps.Store.LimitChanges(r.Context(), uint64(edge), maxChanges)
	if err != nil {
		return nil, fmt.Errorf("limit changes: %w", err)
	}
	seg, err := s.segment(r.Context(), edge)
	if err != nil {
		return nil, err
	}
	if seg == nil && len(changes) == 0 {
		return nil, errUnknownSegment()
	}
	doc := limitChangesDoc{roadProps: newRoadProps(edge, seg), Changes: make([]limitChangeDoc, len(changes))}
	for i, c := range changes {
		doc.Changes[i] = limitChangeDoc{limitValue(c.FromKMH), limitValue(c.ToKMH), c.At}
	}
	return doc, nil
}
