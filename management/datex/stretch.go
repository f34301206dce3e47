package datex

import (
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// Part is a directed segment that a hazard covers.
type Part struct {
	Segment *road.Segment
	Against bool // the drawing order
}

func (p Part) from() int64 {
	if p.Against {
		return p.Segment.To
	}
	return p.Segment.From
}

func (p Part) to() int64 {
	if p.Against {
		return p.Segment.From
	}
	return p.Segment.To
}

// shape runs in the direction of travel.
func (p Part) shape() []geo.Point {
	if !p.Against {
		return p.Segment.Shape
	}
	s := slices.Clone(p.Segment.Shape)
	slices.Reverse(s)
	return s
}

// maxPoints bounds a stretch, in points.
const maxPoints = 2000

// Stretch is the parts one after the other, if they are a single way from one end to the other without a fork
// or a gap, in whatever order they come; nil if not, or if it is too long.
func Stretch(parts []Part) []geo.Point {
	next, entered := map[int64]int{}, map[int64]bool{}
	points := 1
	for i, p := range parts {
		if _, fork := next[p.from()]; fork || entered[p.to()] {
			return nil
		}
		next[p.from()], entered[p.to()] = i, true
		points += len(p.Segment.Shape) - 1
	}
	if points > maxPoints {
		return nil
	}
	first := slices.IndexFunc(parts, func(p Part) bool { return !entered[p.from()] })
	if first < 0 { // none, or a ring
		return nil
	}
	line := []geo.Point{parts[first].shape()[0]}
	used := 0
	for i, ok := first, true; ok; i, ok = next[parts[i].to()] {
		line = append(line, parts[i].shape()[1:]...)
		used++
	}
	if used < len(parts) {
		return nil
	}
	return line
}

// Bearing is the direction of travel on a part where it passes closest to a point, degrees clockwise from north.
func Bearing(p Part, at geo.Point) float64 {
	shape := p.shape()
	best, bearing := -1.0, -1.0
	for i := 1; i < len(shape); i++ {
		a, b := shape[i-1], shape[i]
		d := geo.DistanceM(at, geo.Between(a, b, 0.5)) - geo.DistanceM(a, b)/2
		if a != b && (bearing < 0 || d < best) {
			best, bearing = d, geo.BearingDeg(a, b)
		}
	}
	return bearing
}
