package datex

import (
	"math"
	"strconv"
	"strings"

	"github.com/carasso/carasso/mapdata/geo"
)

// wgs84 is latitude before longitude, as DATEX II has coordinates.
const wgs84 = "urn:ogc:def:crs:EPSG::4326"

func newLocation(s *Situation) location {
	l := location{Description: describe(s)}
	if len(s.Line) >= 2 {
		l.Type = "loc:LinearLocation"
		l.Display = &point{Latitude: degrees(s.At.LatE7), Longitude: degrees(s.At.LonE7)}
		l.Line = &lineString{Dimension: 2, System: wgs84, Positions: positions(s.Line)}
		return l
	}
	l.Type = "loc:PointLocation"
	l.Point = &pointByCoordinates{Coordinates: point{Latitude: degrees(s.At.LatE7), Longitude: degrees(s.At.LonE7)}}
	if s.BearingDeg >= 0 {
		l.Point.Bearing = strconv.Itoa(int(math.Round(s.BearingDeg)) % 360)
	}
	return l
}

// maxName is the longest string of the schema, in characters.
const maxName = 1024

func describe(s *Situation) *description {
	if s.RoadName == "" && s.RoadNumber == "" {
		return nil
	}
	return &description{Road: roadInformation{Name: clip(s.RoadName), Number: clip(s.RoadNumber)}}
}

func clip(name string) string {
	if r := []rune(name); len(r) > maxName {
		return string(r[:maxName])
	}
	return name
}

// degrees writes 1e-7 degrees without exponent, as the schema's lists of positions need it.
func degrees(e7 int32) string { return strconv.FormatFloat(float64(e7)/1e7, 'f', 7, 64) }

func positions(line []geo.Point) string {
	parts := make([]string, 0, 2*len(line))
	for _, p := range line {
		parts = append(parts, degrees(p.LatE7), degrees(p.LonE7))
	}
	return strings.Join(parts, " ")
}
