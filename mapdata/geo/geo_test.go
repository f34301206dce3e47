package geo

import (
	"math"
	"testing"
)

func TestQuadkey(t *testing.T) {
	// Bing Maps Tile System: tile (3, 5) of level 3 has the quadkey "213", in base 4.
	if q := (Tile{Z: 3, X: 3, Y: 5}).Quadkey(); q != 2*16+1*4+3 {
		t.Errorf("quadkey %d", q)
	}
	for z := uint8(0); z <= MaxZoom; z++ {
		edge := uint32(1)<<z - 1
		for _, want := range []Tile{{z, 0, 0}, {z, edge, edge}, {z, edge / 3, edge / 7}, {z, 0, edge}} {
			if got := FromQuadkey(z, want.Quadkey()); got != want || !want.Valid() {
				t.Errorf("%v became %v", want, got)
			}
			first, last := want.Descendants(MaxZoom)
			if a, b := FromQuadkey(MaxZoom, first), FromQuadkey(MaxZoom, last); a.Ancestor(z) != want || b.Ancestor(z) != want ||
				last-first != uint32(1<<(2*(MaxZoom-z))-1) {
				t.Errorf("%v: descendants %v to %v", want, a, b)
			}
		}
	}
	if (Tile{Z: 3, X: 8}).Valid() || (Tile{Z: MaxZoom + 1}).Valid() {
		t.Error("a tile beyond the world is valid")
	}
}

func TestTileAt(t *testing.T) {
	for _, p := range []Point{At(42.5063, 1.5218), At(-33.9, 151.2), At(64.1, -21.9), At(0, 0), At(85, -180)} {
		for z := uint8(0); z <= MaxZoom; z++ {
			if tile := TileAt(p, z); !tile.Valid() || !tile.Box().Contains(p) {
				t.Errorf("%v at zoom %d: %v does not contain it", p, z, tile)
			}
		}
	}
	for _, p := range []Point{{LatE7: 900000000, LonE7: 1800000000}, {LatE7: -900000000, LonE7: -1800000000}, {LatE7: math.MaxInt32, LonE7: math.MinInt32}} {
		if tile := TileAt(p, 14); !tile.Valid() {
			t.Errorf("%v: %v", p, tile)
		}
	}
	if got := TileAt(At(42.5063, 1.5218), 14); got != (Tile{14, 8261, 6050}) {
		t.Errorf("Andorra la Vella is in %v", got)
	}
}

func TestMetres(t *testing.T) {
	a, b := At(42.5, 1.5), At(42.51, 1.5)
	if d := DistanceM(a, b); math.Abs(d-1111.95) > 0.1 {
		t.Errorf("0.01° of latitude are %.2f m", d)
	}
	for want, p := range map[float64]Point{0: At(42.6, 1.5), 90: At(42.5, 1.6), 180: At(42.4, 1.5), 270: At(42.5, 1.4)} {
		if got := BearingDeg(a, p); math.Abs(got-want) > 0.1 {
			t.Errorf("bearing %.2f, want %.0f", got, want)
		}
	}
	box := BoxOf([]Point{a, b}).Expand(100)
	for _, deg := range []float64{0, 45, 90, 200} {
		sin, cos := math.Sincos(deg * math.Pi / 180)
		p := Point{LatE7: b.LatE7 + int32(99*cos/MetresPerE7), LonE7: b.LonE7 + int32(99*sin/Scale(b.LatE7))}
		if !box.Contains(p) {
			t.Errorf("the expanded box lacks a point 99 m off at %.0f°", deg)
		}
	}
	if !EmptyBox().Empty() || box.Empty() || EmptyBox().Intersects(box) {
		t.Error("empty boxes")
	}
}
