package geo

import (
	"fmt"
	"math"
)

// MaxZoom is the deepest zoom level that a Tile may have; its quadkey fits 32 bits.
const MaxZoom = 16

// MaxLatitude is where Web Mercator (EPSG:3857) ends, in degrees.
const MaxLatitude = 85.05112877980659

// Tile is a Web Mercator tile in the XYZ scheme: y grows southwards.
type Tile struct {
	Z    uint8
	X, Y uint32
}

// TileAt is the tile of a zoom level (≤ MaxZoom) that contains p; latitudes beyond Web
// Mercator fall into the outermost row.
func TileAt(p Point, z uint8) Tile {
	x, y := Mercator(p)
	n := float64(uint32(1) << z)
	return Tile{Z: z, X: clampIndex(x*n, n), Y: clampIndex(y*n, n)}
}

// Mercator is the position in the unit square of Web Mercator: x eastwards, y southwards.
func Mercator(p Point) (x, y float64) {
	lat := math.Max(-MaxLatitude, math.Min(MaxLatitude, p.Lat()))
	s := math.Sin(lat * math.Pi / 180)
	return p.Lon()/360 + 0.5, 0.5 - math.Log((1+s)/(1-s))/(4*math.Pi)
}

func clampIndex(v, n float64) uint32 {
	return uint32(math.Max(0, math.Min(n-1, math.Floor(v))))
}

// FromQuadkey is the tile with a Morton number at zoom z: the inverse of Quadkey.
func FromQuadkey(z uint8, q uint32) Tile {
	return Tile{Z: z, X: squeeze(q), Y: squeeze(q >> 1)}
}

// Quadkey is the tile's Morton number within its zoom level: bits of x in the even
// places, bits of y in the odd ones, as in Bing's quadkeys.
func (t Tile) Quadkey() uint32 { return spread(t.X) | spread(t.Y)<<1 }

// Valid reports whether the tile exists: Z ≤ MaxZoom, X and Y below 2^Z.
func (t Tile) Valid() bool {
	return t.Z <= MaxZoom && t.X < 1<<t.Z && t.Y < 1<<t.Z
}

// Ancestor is the tile of zoom z (≤ t.Z) that contains t.
func (t Tile) Ancestor(z uint8) Tile {
	d := t.Z - z
	return Tile{Z: z, X: t.X >> d, Y: t.Y >> d}
}

// Descendants is the range of quadkeys [first, last] at zoom z (≥ t.Z) within t: a
// tile's descendants have consecutive Morton numbers.
func (t Tile) Descendants(z uint8) (first, last uint32) {
	d := 2 * uint64(z-t.Z)
	lo := uint64(t.Quadkey()) << d
	return uint32(lo), uint32(lo | (1<<d - 1))
}

// Box is the tile's extent.
func (t Tile) Box() Box {
	n := float64(uint32(1) << t.Z)
	north, south := latitude(float64(t.Y)/n), latitude(float64(t.Y+1)/n)
	return Box{
		West:  int32(math.Round((float64(t.X)/n - 0.5) * 360e7)),
		East:  int32(math.Round((float64(t.X+1)/n - 0.5) * 360e7)),
		North: int32(math.Round(north * 1e7)),
		South: int32(math.Round(south * 1e7)),
	}
}

// String is z/x/y.
func (t Tile) String() string { return fmt.Sprintf("%d/%d/%d", t.Z, t.X, t.Y) }

// TilesIn calls yield for every tile of zoom z that intersects the box, row by row,
// until yield returns false.
func TilesIn(b Box, z uint8) func(yield func(Tile) bool) {
	return func(yield func(Tile) bool) {
		if b.Empty() {
			return
		}
		first := TileAt(Point{LatE7: b.North, LonE7: b.West}, z)
		last := TileAt(Point{LatE7: b.South, LonE7: b.East}, z)
		for y := first.Y; y <= last.Y; y++ {
			for x := first.X; x <= last.X; x++ {
				if !yield(Tile{Z: z, X: x, Y: y}) {
					return
				}
			}
		}
	}
}

// latitude is the inverse of Mercator's y, in degrees.
func latitude(y float64) float64 {
	return math.Atan(math.Sinh(math.Pi*(1-2*y))) * 180 / math.Pi
}

// spread puts the low 16 bits into the even places.
func spread(v uint32) uint32 {
	v &= 0xffff
	v = (v | v<<8) & 0x00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f
	v = (v | v<<2) & 0x33333333
	return (v | v<<1) & 0x55555555
}

// squeeze is the inverse of spread.
func squeeze(v uint32) uint32 {
	v &= 0x55555555
	v = (v | v>>1) & 0x33333333
	v = (v | v>>2) & 0x0f0f0f0f
	v = (v | v>>4) & 0x00ff00ff
	return (v | v>>8) & 0xffff
}
