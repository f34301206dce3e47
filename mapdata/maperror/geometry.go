package maperror

import (
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// foot is the place of a line that is nearest to a point.
type foot struct {
	distM, rightM float64 // of the point from the line; rightM is negative on its left
	headingDeg    float64 // of the line there, as drawn
	at            geo.Point
}

// footOf is the foot on the straight line from a to b; scale is geo.Scale at p.
func footOf(p, a, b geo.Point, scale float64) foot {
	d2, f := road.Foot(p, a, b, scale)
	ux, uy := float64(b.LonE7-a.LonE7)*scale, float64(b.LatE7-a.LatE7)*geo.MetresPerE7
	vx, vy := float64(p.LonE7-a.LonE7)*scale, float64(p.LatE7-a.LatE7)*geo.MetresPerE7
	r := foot{distM: math.Sqrt(d2), at: geo.Between(a, b, f), headingDeg: math.Atan2(ux, uy) * 180 / math.Pi}
	r.rightM = math.Copysign(r.distM, vx*uy-vy*ux)
	return r
}

// footOn is the foot on a line of ≥ 2 points.
func footOn(line []geo.Point, p geo.Point) foot {
	scale := geo.Scale(p.LatE7)
	best, at := math.Inf(1), 1
	for i := 1; i < len(line); i++ {
		if d2, _ := road.Foot(p, line[i-1], line[i], scale); d2 < best {
			best, at = d2, i
		}
	}
	return footOf(p, line[at-1], line[at], scale)
}

func lengthM(line []geo.Point) float64 {
	d := 0.0
	for i := 1; i < len(line); i++ {
		d += geo.DistanceM(line[i-1], line[i])
	}
	return d
}

// pointAt is the place alongM metres from a line's start, and the heading there.
func pointAt(line []geo.Point, alongM float64) (geo.Point, float64) {
	for i := 1; ; i++ {
		d := geo.DistanceM(line[i-1], line[i])
		if alongM <= d || i == len(line)-1 {
			f := 0.0
			if d > 0 {
				f = min(max(alongM/d, 0), 1)
			}
			return geo.Between(line[i-1], line[i], f), geo.BearingDeg(line[i-1], line[i])
		}
		alongM -= d
	}
}

// offset is the point so many metres from p in a direction.
func offset(p geo.Point, headingDeg, metres float64) geo.Point {
	sin, cos := math.Sincos(headingDeg * math.Pi / 180)
	return geo.Point{
		LatE7: p.LatE7 + int32(metres*cos/geo.MetresPerE7),
		LonE7: p.LonE7 + int32(metres*sin/geo.Scale(p.LatE7)),
	}
}

// shift is a line moved to its right by so many metres.
func shift(line []geo.Point, rightM float64) []geo.Point {
	out := make([]geo.Point, len(line))
	for i, p := range line {
		heading := geo.BearingDeg(line[max(i-1, 0)], line[min(i+1, len(line)-1)])
		out[i] = offset(p, heading+90, rightM)
	}
	return out
}

// simplify leaves out points within toleranceM of the line through the others (Douglas
// and Peucker 1973).
func simplify(line []geo.Point, toleranceM float64) []geo.Point {
	if len(line) < 3 {
		return line
	}
	a, b := line[0], line[len(line)-1]
	far, at := 0.0, 0
	for i := 1; i < len(line)-1; i++ {
		if d := footOf(line[i], a, b, geo.Scale(line[i].LatE7)).distM; d > far {
			far, at = d, i
		}
	}
	if far <= toleranceM {
		return []geo.Point{a, b}
	}
	left := simplify(line[:at+1], toleranceM)
	return append(left[:len(left):len(left)], simplify(line[at:], toleranceM)[1:]...)
}

// beside is the share of a line's length within reachM of another line.
func beside(line, other []geo.Point, reachM float64) float64 {
	return besideAny(line, [][]geo.Point{other}, reachM)
}

// besideAny is the share of a line's length within reachM of any of some lines.
func besideAny(line []geo.Point, others [][]geo.Point, reachM float64) float64 {
	const steps = 20
	n, total := 0, lengthM(line)
	for i := range steps + 1 {
		p, _ := pointAt(line, total*float64(i)/steps)
		for _, o := range others {
			if footOn(o, p).distM <= reachM {
				n++
				break
			}
		}
	}
	return float64(n) / (steps + 1)
}
