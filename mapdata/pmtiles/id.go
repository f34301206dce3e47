// Package pmtiles writes and reads PMTiles archives, version 3: all tiles of a map in one
// file, found by range requests. See
// https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md.
package pmtiles

// MaxZoom is the deepest zoom of an archive here: its ids fit 63 bits.
const MaxZoom = 31

// ID is a tile's place on the series of Hilbert curves: zoom 0 first, then the four tiles of
// zoom 1, and so on. x and y (XYZ scheme, y grows southwards) must be below 2^z, z at most
// MaxZoom.
func ID(z uint8, x, y uint32) uint64 {
	id := first(z)
	for s := uint32(1) << z >> 1; s > 0; s >>= 1 {
		rx, ry := x&s, y&s
		step := uint64(0)
		if rx != 0 {
			step = 3
		}
		if ry != 0 {
			step ^= 1
		}
		id += uint64(s) * uint64(s) * step
		x, y = turn(s, x, y, rx, ry)
	}
	return id
}

// ZXY is the inverse of ID; ok is false for an id beyond MaxZoom.
func ZXY(id uint64) (z uint8, x, y uint32, ok bool) {
	for z < MaxZoom && id >= first(z+1) {
		z++
	}
	t := id - first(z)
	if t >= uint64(1)<<(2*z) {
		return 0, 0, 0, false
	}
	for k := range z {
		s := uint32(1) << k
		rx := uint32(t>>1) & 1
		ry := (uint32(t) ^ rx) & 1
		x, y = turn(s, x, y, rx, ry)
		x, y = x+s*rx, y+s*ry
		t >>= 2
	}
	return z, x, y, true
}

// first is the id of a zoom's first tile: the number of tiles of all zooms above it.
func first(z uint8) uint64 { return (uint64(1)<<(2*z) - 1) / 3 }

// turn turns and mirrors a quadrant of side s, of which rx and ry tell which it is.
func turn(s, x, y, rx, ry uint32) (uint32, uint32) {
	if ry != 0 {
		return x, y
	}
	if rx != 0 {
		x, y = s-1-x&(s-1), s-1-y&(s-1)
	} else {
		x, y = x&(s-1), y&(s-1)
	}
	return y, x
}
