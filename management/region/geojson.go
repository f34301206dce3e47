package region

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
)

// ErrGeometry is wrapped by every error about a geometry that is no area.
var ErrGeometry = errors.New("not an area")

// geometry is a GeoJSON object: a geometry, or a feature around one.
type geometry struct {
	Type        string          `json:"type"`
	Coordinates json.RawMessage `json:"coordinates"`
	Geometry    json.RawMessage `json:"geometry"`
}

// Parse reads a Polygon or MultiPolygon of GeoJSON (RFC 7946), or a Feature with one, of at most maxVertices
// positions. Altitudes are ignored. The error says what is wrong with which position, and wraps ErrGeometry.
func Parse(doc []byte, maxVertices int) (Region, error) {
	var g geometry
	if err := json.Unmarshal(doc, &g); err != nil {
		return Region{}, fmt.Errorf("%w: it is no JSON object of GeoJSON", ErrGeometry)
	}
	if g.Type == "Feature" {
		if len(g.Geometry) == 0 {
			return Region{}, fmt.Errorf("%w: the feature has no geometry", ErrGeometry)
		}
		inner := g.Geometry
		g = geometry{}
		if err := json.Unmarshal(inner, &g); err != nil {
			return Region{}, fmt.Errorf("%w: the feature's geometry is no JSON object", ErrGeometry)
		}
	}
	var polygons [][][][]float64
	switch g.Type {
	case "Polygon":
		polygons = make([][][][]float64, 1)
		if err := json.Unmarshal(g.Coordinates, &polygons[0]); err != nil {
			return Region{}, fmt.Errorf("%w: coordinates are no rings of positions", ErrGeometry)
		}
	case "MultiPolygon":
		if err := json.Unmarshal(g.Coordinates, &polygons); err != nil {
			return Region{}, fmt.Errorf("%w: coordinates are no polygons of rings of positions", ErrGeometry)
		}
	default:
		return Region{}, fmt.Errorf("%w: type is %.40q", ErrGeometry, g.Type)
	}
	r := Region{bounded: true, box: geo.EmptyBox()}
	vertices := 0
	for _, rings := range polygons {
		for _, ring := range rings {
			if vertices += len(ring); vertices > maxVertices {
				return Region{}, fmt.Errorf("%w: more than %d positions", ErrGeometry, maxVertices)
			}
			points, err := parseRing(ring)
			if err != nil {
				return Region{}, err
			}
			r.rings = append(r.rings, points)
			for _, p := range points {
				r.box = r.box.Extend(p)
			}
		}
	}
	if len(r.rings) == 0 {
		return Region{}, fmt.Errorf("%w: it has no ring", ErrGeometry)
	}
	return r, nil
}

func parseRing(ring [][]float64) ([]geo.Point, error) {
	if len(ring) < 4 {
		return nil, fmt.Errorf("%w: a ring of %d positions, where at least 4 close one", ErrGeometry, len(ring))
	}
	points := make([]geo.Point, len(ring))
	for i, c := range ring {
		if len(c) < 2 || math.Abs(c[0]) > 180 || math.Abs(c[1]) > geo.MaxLatitude {
			return nil, fmt.Errorf("%w: position %d of a ring is %.40s, expected longitude, latitude within ±180 and ±85.05", ErrGeometry, i, fmt.Sprint(c))
		}
		points[i] = geo.At(c[1], c[0])
	}
	if points[0] != points[len(points)-1] {
		return nil, fmt.Errorf("%w: a ring does not end where it begins", ErrGeometry)
	}
	return points, nil
}
