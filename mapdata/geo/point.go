// Package geo holds the fixed-point geometry that the map shares: WGS 84 points at
// 1e-7°, boxes, metres on the local tangent plane and Web Mercator tiles. Nothing
// here crosses the antimeridian: a box's West is never greater than its East.
package geo

import "math"

// MetresPerE7 is the length of 1e-7° of latitude on the mean sphere (R = 6,371,008.8 m).
const MetresPerE7 = 6371008.8 * math.Pi / 180 * 1e-7

// Point is a WGS 84 position at 1e-7 degrees.
type Point struct {
	LatE7, LonE7 int32
}

// At is the point nearest to a position in degrees, which must be within ±90 and ±180.
func At(lat, lon float64) Point {
	return Point{LatE7: int32(math.Round(lat * 1e7)), LonE7: int32(math.Round(lon * 1e7))}
}

// Lat is the latitude in degrees.
func (p Point) Lat() float64 { return float64(p.LatE7) / 1e7 }

// Lon is the longitude in degrees.
func (p Point) Lon() float64 { return float64(p.LonE7) / 1e7 }

// Valid reports whether the point is on Earth: ±90° and ±180°.
func (p Point) Valid() bool {
	return p.LatE7 >= -900000000 && p.LatE7 <= 900000000 && p.LonE7 >= -1800000000 && p.LonE7 <= 1800000000
}

// Scale is the number of metres of 1e-7° of longitude at a latitude.
func Scale(latE7 int32) float64 {
	return MetresPerE7 * math.Cos(float64(latE7)*(1e-7*math.Pi/180))
}

// DistanceM is the distance in metres on the local tangent plane: within 0.1 % up to
// some tens of kilometres away from the poles.
func DistanceM(a, b Point) float64 {
	mid := int32((int64(a.LatE7) + int64(b.LatE7)) / 2)
	dx := float64(int64(b.LonE7)-int64(a.LonE7)) * Scale(mid)
	dy := float64(int64(b.LatE7)-int64(a.LatE7)) * MetresPerE7
	return math.Sqrt(dx*dx + dy*dy)
}

// Between is the point at fraction f (0 to 1) of the straight way from a to b.
func Between(a, b Point, f float64) Point {
	return Point{
		LatE7: a.LatE7 + int32(math.Round(float64(int64(b.LatE7)-int64(a.LatE7))*f)),
		LonE7: a.LonE7 + int32(math.Round(float64(int64(b.LonE7)-int64(a.LonE7))*f)),
	}
}

// BearingDeg is the initial direction from a to b, degrees clockwise from north, [0,360).
func BearingDeg(a, b Point) float64 {
	mid := int32((int64(a.LatE7) + int64(b.LatE7)) / 2)
	dx := float64(int64(b.LonE7)-int64(a.LonE7)) * Scale(mid)
	dy := float64(int64(b.LatE7)-int64(a.LatE7)) * MetresPerE7
	deg := math.Atan2(dx, dy) * 180 / math.Pi
	if deg < 0 {
		deg += 360
	}
	return deg
}

// Box is a rectangle at 1e-7 degrees, its borders included.
type Box struct {
	West, South, East, North int32
}

// EmptyBox contains nothing, and becomes a point's box when extended by it.
func EmptyBox() Box {
	return Box{West: math.MaxInt32, South: math.MaxInt32, East: math.MinInt32, North: math.MinInt32}
}

// BoxOf is the smallest box around the points.
func BoxOf(points []Point) Box {
	b := EmptyBox()
	for _, p := range points {
		b = b.Extend(p)
	}
	return b
}

// Empty reports whether the box contains nothing.
func (b Box) Empty() bool { return b.West > b.East || b.South > b.North }

// Extend is the smallest box that also contains p.
func (b Box) Extend(p Point) Box {
	return Box{
		West: min(b.West, p.LonE7), South: min(b.South, p.LatE7),
		East: max(b.East, p.LonE7), North: max(b.North, p.LatE7),
	}
}

// Union is the smallest box that contains both.
func (b Box) Union(o Box) Box {
	return Box{
		West: min(b.West, o.West), South: min(b.South, o.South),
		East: max(b.East, o.East), North: max(b.North, o.North),
	}
}

// Contains reports whether p is inside or on the border.
func (b Box) Contains(p Point) bool {
	return p.LonE7 >= b.West && p.LonE7 <= b.East && p.LatE7 >= b.South && p.LatE7 <= b.North
}

// Intersects reports whether the boxes share a point.
func (b Box) Intersects(o Box) bool {
	return b.West <= o.East && o.West <= b.East && b.South <= o.North && o.South <= b.North
}

// Expand is the box with metres added on every side, clamped to ±90° and ±180°.
func (b Box) Expand(metres float64) Box {
	lat := int64(metres / MetresPerE7)
	far := max(abs(int64(b.South)), abs(int64(b.North)))
	scale := max(Scale(int32(far)), 1e-3*MetresPerE7)
	lon := int64(metres / scale)
	return Box{
		West:  int32(max(int64(b.West)-lon, -1800000000)),
		South: int32(max(int64(b.South)-lat, -900000000)),
		East:  int32(min(int64(b.East)+lon, 1800000000)),
		North: int32(min(int64(b.North)+lat, 900000000)),
	}
}

// Degrees is west, south, east, north in degrees: the order of GeoJSON and TileJSON.
func (b Box) Degrees() [4]float64 {
	return [4]float64{float64(b.West) / 1e7, float64(b.South) / 1e7, float64(b.East) / 1e7, float64(b.North) / 1e7}
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}
