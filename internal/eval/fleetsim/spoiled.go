package fleetsim

import "github.com/carasso/carasso/mapdata/geo"

// spoiled are the squares, apartE7 wide, where something is already wrong: the next error
// of another kind is made elsewhere, so that each is judged by itself.
type spoiled map[[2]int32]struct{}

// apartE7 is about 55 m of latitude, 40 m of longitude in Andorra.
const apartE7 = 5_000

func squareOf(p geo.Point) [2]int32 { return [2]int32{p.LatE7 / apartE7, p.LonE7 / apartE7} }

// mark makes the squares that a line runs through spoiled.
func (s spoiled) mark(line []geo.Point) {
	for _, p := range along(line) {
		s[squareOf(p)] = struct{}{}
	}
}

// near reports whether a line comes to a spoiled square, or next to one.
func (s spoiled) near(line []geo.Point) bool {
	for _, p := range along(line) {
		k := squareOf(p)
		for y := k[0] - 1; y <= k[0]+1; y++ {
			for x := k[1] - 1; x <= k[1]+1; x++ {
				if _, ok := s[[2]int32{y, x}]; ok {
					return true
				}
			}
		}
	}
	return false
}
