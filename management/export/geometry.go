package export

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
)

// Shape is a kind of geometry, as RFC 7946 and WKB name it.
type Shape string

// The shapes.
const (
	Point      Shape = "Point"
	LineString Shape = "LineString"
	Polygon    Shape = "Polygon"
)

// Geometry is a place on earth: WGS 84, longitude before latitude, degrees. A point has one position, a line two or more, a polygon one
// closed ring, in either direction.
type Geometry struct {
	Shape     Shape
	Positions [][2]float64
}

// ring is a polygon's ring counterclockwise, as RFC 7946 and GeoParquet ask of outer rings.
func (g *Geometry) ring() [][2]float64 {
	var twice float64
	for i := 1; i < len(g.Positions); i++ {
		a, b := g.Positions[i-1], g.Positions[i]
		twice += (b[0] - a[0]) * (b[1] + a[1])
	}
	if twice <= 0 {
		return g.Positions
	}
	turned := slices.Clone(g.Positions)
	slices.Reverse(turned)
	return turned
}

func appendDegrees(b []byte, v float64) []byte { return strconv.AppendFloat(b, round7(v), 'f', -1, 64) }

// round7 rounds to 1e-7 degrees, about a centimetre.
func round7(v float64) float64 { return math.Round(v*1e7) / 1e7 }

// appendJSON appends the geometry as RFC 7946 has it; null for nil.
func (g *Geometry) appendJSON(b []byte) []byte {
	if g == nil || len(g.Positions) == 0 {
		return append(b, "null"...)
	}
	position := func(b []byte, p [2]float64) []byte {
		b = appendDegrees(append(b, '['), p[0])
		return append(appendDegrees(append(b, ','), p[1]), ']')
	}
	b = append(append(append(b, `{"type":"`...), g.Shape...), `","coordinates":`...)
	if g.Shape == Point {
		return append(position(b, g.Positions[0]), '}')
	}
	positions := g.Positions
	if g.Shape == Polygon {
		positions = g.ring()
		b = append(b, '[')
	}
	for i, p := range positions {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		b = position(append(b, sep), p)
	}
	if g.Shape == Polygon {
		b = append(b, ']')
	}
	return append(b, "]}"...)
}

// wkt is the geometry as well-known text (OGC 06-103r4); "" for nil.
func (g *Geometry) wkt() string {
	if g == nil || len(g.Positions) == 0 {
		return ""
	}
	positions, open, end := g.Positions, "(", ")"
	name := map[Shape]string{Point: "POINT ", LineString: "LINESTRING ", Polygon: "POLYGON "}[g.Shape]
	if g.Shape == Polygon {
		positions, open, end = g.ring(), "((", "))"
	}
	b := []byte(name + open)
	for i, p := range positions {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendDegrees(append(appendDegrees(b, p[0]), ' '), p[1])
	}
	return string(append(b, end...))
}

// wkb is the geometry as well-known binary, little-endian, as GeoParquet has it; nil for nil.
func (g *Geometry) wkb() []byte {
	if g == nil || len(g.Positions) == 0 {
		return nil
	}
	le := binary.LittleEndian
	positions := g.Positions
	b := make([]byte, 0, 16+16*len(positions))
	b = append(b, 1)
	switch g.Shape {
	case Point:
		b = le.AppendUint32(b, 1)
	case LineString:
		b = le.AppendUint32(le.AppendUint32(b, 2), uint32(len(positions)))
	case Polygon:
		positions = g.ring()
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 3), 1), uint32(len(positions)))
	}
	for _, p := range positions {
		b = le.AppendUint64(b, math.Float64bits(round7(p[0])))
		b = le.AppendUint64(b, math.Float64bits(round7(p[1])))
	}
	return b
}
