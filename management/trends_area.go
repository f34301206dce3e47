package management

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/management/region"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// What an area may be made of.
const (
	maxQueryVertices = 500    // of a polygon in the query: proxies cut long ones off
	maxBodyVertices  = 10_000 // of one in the body
	maxAreaBody      = 1 << 20
	maxAreaEdges     = 200
)

// trendArea is the roads that a question is about.
type trendArea struct {
	region  region.Region
	ranges  [][2]uint64 // of directed segments' ids: perhaps more than the region's
	edges   map[road.Edge]bool
	classes map[road.Class]bool
}

// trendArea reads bbox, polygon or edges, of which at most one may be given, and class; without any it is every road.
func (p *params) trendArea(body *region.Region, maxTiles int) trendArea {
	a := trendArea{ranges: [][2]uint64{{0, uint64(road.MaxEdge) + 1}}}
	given := 0
	if body != nil {
		given, a.region = 1, *body
	}
	for _, name := range []string{"bbox", "polygon", "edges"} {
		v, ok := p.get(name)
		if !ok {
			continue
		}
		if given++; given > 1 {
			p.fail(name, "is given besides another area", "one of bbox, polygon, edges and a polygon in the body")
			return a
		}
		switch name {
		case "bbox":
			a.region = region.Box(p.bbox(name))
		case "polygon":
			r, err := region.Parse([]byte(v), maxQueryVertices)
			if err != nil {
				p.fail(name, "is "+err.Error(), "a Polygon or MultiPolygon of GeoJSON with at most "+strconv.Itoa(maxQueryVertices)+" positions; larger ones in the body of a POST")
				return a
			}
			a.region = r
		case "edges":
			a.edges = p.edges(name, v)
		}
	}
	if !a.region.Everywhere() && p.err == nil {
		p.atMostTiles("area", a.region.Bounds(), maxTiles)
		if p.err == nil {
			a.ranges = edgeRanges(a.region.Bounds())
		}
	}
	if len(a.edges) > 0 {
		a.ranges = nil
		for e := range a.edges {
			a.ranges = append(a.ranges, [2]uint64{uint64(e), uint64(e) + 1})
		}
		slices.SortFunc(a.ranges, func(x, y [2]uint64) int { return slices.Compare(x[:], y[:]) })
	}
	a.classes = p.classes("class")
	return a
}

func (p *params) edges(name, v string) map[road.Edge]bool {
	edges := map[road.Edge]bool{}
	for part := range strings.SplitSeq(v, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 64)
		if err != nil || n == 0 || n > uint64(road.MaxEdge) || len(edges) == maxAreaEdges {
			p.fail(name, "has "+quote(part), "ids of directed segments, at most "+strconv.Itoa(maxAreaEdges)+", joined by commas")
			return nil
		}
		edges[road.Edge(n)] = true
	}
	return edges
}

func (p *params) classes(name string) map[road.Class]bool {
	v, ok := p.get(name)
	if !ok {
		return nil
	}
	classes := map[road.Class]bool{}
	for part := range strings.SplitSeq(v, ",") {
		c, ok := road.ParseClass(part)
		if !ok && part != road.UnknownClass.String() {
			p.fail(name, "has "+quote(part), "values of OpenStreetMap's key highway, such as motorway,trunk,primary, or unknown")
			return nil
		}
		classes[c] = true
	}
	return classes
}

// bodyRegion is the polygon in a POST's body; nil for a GET.
func bodyRegion(w http.ResponseWriter, r *http.Request) (*region.Region, error) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && kind != "application/geo+json" {
		return nil, problem.New(problem.UnsupportedMedia, "Send a Polygon or MultiPolygon of GeoJSON as application/geo+json.")
	}
	doc, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAreaBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, problem.New(problem.TooLarge, "A polygon may have 1 MiB.")
	case err != nil:
		return nil, problem.New(problem.InvalidRequest, "The body did not arrive.")
	case !json.Valid(doc):
		return nil, problem.New(problem.InvalidRequest, "The body is no JSON.")
	}
	a, err := region.Parse(doc, maxBodyVertices)
	if err != nil {
		return nil, &problem.Problem{
			Kind: problem.InvalidRequest, Detail: "The body is " + err.Error() + ".",
			Expected: "a Polygon or MultiPolygon of GeoJSON, or a Feature with one",
		}
	}
	return &a, nil
}

// roadInfo is what is known of a directed segment that a question may be about.
type roadInfo struct {
	in  bool // the area has it
	seg *road.Segment
}

func (i *roadInfo) class() road.Class {
	if i.seg == nil {
		return road.UnknownClass
	}
	return i.seg.Class
}

func (i *roadInfo) lengthM() float64 {
	if i.seg == nil {
		return 0
	}
	return i.seg.LengthM
}

// roadBook remembers the roads of one question.
type roadBook struct {
	server *Server
	area   *trendArea
	known  map[road.SegmentID]*roadInfo
}

func (s *Server) roadBook(a *trendArea) *roadBook {
	return &roadBook{server: s, area: a, known: map[road.SegmentID]*roadInfo{}}
}

// forget drops what it remembers: what comes in order of segment does not come back.
func (b *roadBook) forget() { clear(b.known) }

// of looks a directed segment up.
func (b *roadBook) of(ctx context.Context, e road.Edge) (*roadInfo, error) {
	if info, ok := b.known[e.Segment()]; ok {
		return info, nil
	}
	seg, err := b.server.segment(ctx, e)
	if err != nil {
		return nil, err
	}
	info := &roadInfo{seg: seg}
	info.in = b.area.region.Contains(placeOf(e, seg))
	if b.area.classes != nil && !b.area.classes[info.class()] {
		info.in = false
	}
	b.known[e.Segment()] = info
	return info, nil
}

// placeOf is the point that decides which area a segment belongs to: its midpoint, or the centre of its tile when the
// map has forgotten it.
func placeOf(e road.Edge, seg *road.Segment) geo.Point {
	if seg != nil {
		return midpoint(seg)
	}
	t := e.Tile().Box()
	return geo.Between(geo.Point{LatE7: t.South, LonE7: t.West}, geo.Point{LatE7: t.North, LonE7: t.East}, 0.5)
}
