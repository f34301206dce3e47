package management

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// defaultLimit is how many features a page has unless the client says otherwise.
const defaultLimit = 1000

type segmentsDoc struct {
	Type            string    `json:"type"`
	Features        []feature `json:"features"`
	From            time.Time `json:"from"`
	To              time.Time `json:"to"`
	K               int       `json:"k"`
	SuppressedCount int       `json:"suppressed_count"`
	NextCursor      string    `json:"next_cursor,omitempty"`
}

func (segmentsDoc) contentType() string { return "application/geo+json" }

type feature struct {
	Type       string       `json:"type"`
	ID         uint64       `json:"id"`
	Geometry   *lineString  `json:"geometry"`
	Properties segmentProps `json:"properties"`
}

type lineString struct {
	Type        string       `json:"type"`
	Coordinates [][2]float64 `json:"coordinates"`
}

// roadProps describe a directed segment.
type roadProps struct {
	Edge      uint64 `json:"edge"`
	Segment   uint64 `json:"segment"`
	Direction string `json:"direction"`
	Tile      string `json:"tile"`
	Class     string `json:"class"`
	Name      string `json:"name"`
	Ref       string `json:"ref"`
	// LimitKMH is null when no limit is known or there is none.
	LimitKMH *int     `json:"limit_kmh"`
	FreeKMH  *float64 `json:"free_kmh"`
	LengthM  *float64 `json:"length_m"`
}

type segmentProps struct {
	roadProps
	// Samples and Vehicles are null when suppressed, like the speeds: counts along the
	// roads follow a single car as well as speeds do.
	Samples    *int64   `json:"samples"`
	Vehicles   *int     `json:"vehicles"`
	MeanKMH    *float64 `json:"mean_kmh"`
	P50KMH     *float64 `json:"p50_kmh"`
	P85KMH     *float64 `json:"p85_kmh"`
	Suppressed bool     `json:"suppressed"`
}

type segmentsQuery struct {
	box      geo.Box
	from, to time.Time
	geometry bool
	limit    int
	after    uint64
}

func (s *Server) getSegments(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "from", "to", "geometry", "limit", "cursor")
	q := segmentsQuery{box: p.bbox("bbox")}
	q.from, q.to = p.period(s.deps.Now(), time.Hour, s.cfg.MaxRange)
	q.geometry = p.boolean("geometry", true)
	q.limit = p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	q.after = p.cursor("cursor")
	p.atMostTiles("bbox", q.box, s.cfg.MaxTiles)
	if err := p.problem(); err != nil {
		return nil, err
	}
	doc := segmentsDoc{Type: "FeatureCollection", Features: []feature{}, From: q.from, To: q.to, K: s.cfg.K}
	err := s.withHeavy(r.Context(), func(ctx context.Context) error { return s.fillSegments(ctx, q, &doc) })
	return doc, err
}

// fillSegments adds features until there are enough or no more. The database knows only
// tiles, so what it returns along the box's border may be outside of it.
func (s *Server) fillSegments(ctx context.Context, q segmentsQuery, doc *segmentsDoc) error {
	ranges := edgeRanges(q.box)
	for {
		want := q.limit - len(doc.Features) + 1
		rows, err := s.deps.Store.Speeds(ctx, q.from, q.to, ranges, q.after, want)
		if err != nil {
			return err
		}
		edges := 0
		for len(rows) > 0 {
			n := 1
			for n < len(rows) && rows[n].Edge == rows[0].Edge {
				n++
			}
			days := rows[:n]
			rows = rows[n:]
			edges++
			edge := road.Edge(days[0].Edge)
			seg, err := s.segment(ctx, edge)
			if err != nil {
				return err
			}
			if !inBox(q.box, edge, seg) {
				q.after = uint64(edge)
				continue
			}
			if len(doc.Features) == q.limit {
				doc.NextCursor = strconv.FormatUint(q.after, 10)
				return nil
			}
			f := s.feature(edge, seg, days, q.geometry)
			if f.Properties.Suppressed {
				doc.SuppressedCount++
			}
			doc.Features = append(doc.Features, f)
			q.after = uint64(edge)
		}
		if edges < want {
			return nil
		}
	}
}

func (s *Server) feature(edge road.Edge, seg *road.Segment, days []learn.SpeedRow, geometry bool) feature {
	var sum learn.Speed
	// Pseudonyms change at midnight (UTC): a vehicle that comes every day would count once a
	// day. The busiest day alone never says more than there were.
	atLeast, estimate := 0, 0.0
	for i := range days {
		sum.Merge(&days[i].Speed)
		atLeast = max(atLeast, days[i].Vehicles.AtLeast())
		estimate = max(estimate, days[i].Vehicles.Estimate())
	}
	f := feature{Type: "Feature", ID: uint64(edge), Properties: segmentProps{
		roadProps: newRoadProps(edge, seg), Suppressed: atLeast < s.cfg.K,
	}}
	if !f.Properties.Suppressed {
		f.Properties.Samples, f.Properties.Vehicles = counts(&sum, estimate)
		f.Properties.MeanKMH = kmh(sum.MeanKMH())
		f.Properties.P50KMH = kmh(sum.PercentileKMH(0.5))
		f.Properties.P85KMH = kmh(sum.PercentileKMH(0.85))
	}
	if geometry && seg != nil {
		f.Geometry = &lineString{Type: "LineString", Coordinates: coordinates(seg, edge.Against())}
	}
	return f
}

type edgeSpeedsDoc struct {
	roadProps
	From            time.Time   `json:"from"`
	To              time.Time   `json:"to"`
	BucketS         int         `json:"bucket_s"`
	K               int         `json:"k"`
	SuppressedCount int         `json:"suppressed_count"`
	Buckets         []bucketDoc `json:"buckets"`
}

type bucketDoc struct {
	Bucket     time.Time `json:"bucket"`
	Samples    *int64    `json:"samples"`
	Vehicles   *int      `json:"vehicles"`
	MeanKMH    *float64  `json:"mean_kmh"`
	P15KMH     *float64  `json:"p15_kmh"`
	P50KMH     *float64  `json:"p50_kmh"`
	P85KMH     *float64  `json:"p85_kmh"`
	Suppressed bool      `json:"suppressed"`
}

func (s *Server) getEdgeSpeeds(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "from", "to")
	from, to := p.period(s.deps.Now(), 24*time.Hour, s.cfg.MaxRange)
	edge := p.edge(r)
	if err := p.problem(); err != nil {
		return nil, err
	}
	seg, err := s.segment(r.Context(), edge)
	if err != nil {
		return nil, err
	}
	rows, err := s.deps.Store.EdgeSpeeds(r.Context(), uint64(edge), from, to)
	if err != nil {
		return nil, err
	}
	if seg == nil && len(rows) == 0 {
		return nil, errUnknownSegment()
	}
	doc := edgeSpeedsDoc{
		roadProps: newRoadProps(edge, seg), From: from, To: to, BucketS: int(learn.Bucket / time.Second),
		K: s.cfg.K, Buckets: make([]bucketDoc, 0, len(rows)),
	}
	for i := range rows {
		b := s.bucket(&rows[i])
		if b.Suppressed {
			doc.SuppressedCount++
		}
		doc.Buckets = append(doc.Buckets, b)
	}
	return doc, nil
}

func errUnknownSegment() error {
	return problem.New(problem.NotFound, "Neither the map nor what was observed knows this segment.")
}

func (s *Server) bucket(row *learn.SpeedRow) bucketDoc {
	b := bucketDoc{
		Bucket: time.UnixMilli(row.BucketMS).UTC(), Suppressed: !row.Publishable(s.cfg.K),
	}
	if !b.Suppressed {
		b.Samples, b.Vehicles = counts(&row.Speed, row.Vehicles.Estimate())
		b.MeanKMH = kmh(row.MeanKMH())
		b.P15KMH, b.P50KMH, b.P85KMH = kmh(row.PercentileKMH(0.15)), kmh(row.PercentileKMH(0.5)), kmh(row.PercentileKMH(0.85))
	}
	return b
}

func counts(s *learn.Speed, estimate float64) (samples *int64, vehicles *int) {
	n, v := int64(s.N), int(math.Round(estimate))
	return &n, &v
}

// kmh rounds to 0.1 km/h; nil for NaN.
func kmh(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	v = math.Round(v*10) / 10
	return &v
}

func newRoadProps(edge road.Edge, seg *road.Segment) roadProps {
	p := roadProps{
		Edge: uint64(edge), Segment: uint64(edge.Segment()), Direction: "forward",
		Tile: edge.Tile().String(), Class: road.UnknownClass.String(),
	}
	if edge.Against() {
		p.Direction = "backward"
	}
	if seg == nil {
		return p
	}
	p.Class, p.Name, p.Ref = seg.Class.String(), seg.Name, seg.Ref
	if l := seg.LimitKMH(edge.Against()); l != road.NoLimitKnown && l != road.Unlimited {
		limit := int(l)
		p.LimitKMH = &limit
	}
	p.FreeKMH, p.LengthM = kmh(seg.FreeKMH(edge.Against())), kmh(seg.LengthM)
	return p
}

// coordinates runs in the direction of travel, longitude first.
func coordinates(seg *road.Segment, against bool) [][2]float64 {
	cs := make([][2]float64, len(seg.Shape))
	for i, p := range seg.Shape {
		cs[i] = [2]float64{p.Lon(), p.Lat()}
	}
	if against {
		slices.Reverse(cs)
	}
	return cs
}

// segment is nil when the map doesn't know it (any more).
func (s *Server) segment(ctx context.Context, edge road.Edge) (*road.Segment, error) {
	seg, ok, err := s.deps.Roads.Segment(ctx, edge.Segment())
	if err != nil {
		return nil, fmt.Errorf("roads: %w", err)
	}
	if !ok {
		return nil, nil
	}
	return &seg, nil
}
