package tile

import (
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
)

const (
	// MaxStreamTiles is how many tiles a stream's filter may name.
	MaxStreamTiles = 256
	// MaxCorridor is how many points a stream's corridor may have.
	MaxCorridor = 256

	defaultWidthM = 500
	minWidthM     = 10
	maxWidthM     = 10_000
)

// hazardFilter says which hazards a client wants; the zero value: all.
type hazardFilter struct {
	tiles  map[uint32]bool // quadkeys at zoom 14; nil: anywhere
	box    *geo.Box
	line   []geo.Point
	near   geo.Box // around line
	widthM float64
}

// wants reports whether a hazard passes: where it is drawn, or for tiles also where a segment
// that it covers belongs to.
func (f *hazardFilter) wants(h *hazard.Hazard) bool {
	switch {
	case f.tiles != nil:
		if f.tiles[geo.TileAt(h.At, MaxZoom).Quadkey()] || h.Edge != 0 && f.tiles[h.Edge.Quadkey()] {
			return true
		}
		for _, e := range h.Edges {
			if f.tiles[e.Quadkey()] {
				return true
			}
		}
		return false
	case f.box != nil:
		return f.box.Contains(h.At)
	case f.line != nil:
		return f.near.Contains(h.At) && distanceM(h.At, f.line) <= f.widthM
	default:
		return true
	}
}

// distanceM is the distance from a point to a line of at least one point, on the point's
// tangent plane.
func distanceM(p geo.Point, line []geo.Point) float64 {
	scale := geo.Scale(p.LatE7)
	at := func(q geo.Point) (x, y float64) {
		return float64(int64(q.LonE7)-int64(p.LonE7)) * scale, float64(int64(q.LatE7)-int64(p.LatE7)) * geo.MetresPerE7
	}
	ax, ay := at(line[0])
	best := math.Hypot(ax, ay)
	for _, q := range line[1:] {
		bx, by := at(q)
		ux, uy := bx-ax, by-ay
		t := 0.0
		if uu := ux*ux + uy*uy; uu > 0 {
			t = min(max(-(ax*ux+ay*uy)/uu, 0), 1)
		}
		best = min(best, math.Hypot(ax+t*ux, ay+t*uy))
		ax, ay = bx, by
	}
	return best
}

// parseFilter reads a stream's parameters.
func parseFilter(q url.Values) (hazardFilter, *problem.Problem) {
	var f hazardFilter
	named := 0
	for _, name := range []string{"tiles", "bbox", "corridor"} {
		if q.Has(name) {
			named++
		}
	}
	if named > 1 {
		return f, invalid("", "Several filters are named.", "one of tiles, bbox and corridor")
	}
	if q.Has("width_m") && !q.Has("corridor") {
		return f, invalid("/width_m", "A width needs a corridor.", "corridor as well")
	}
	switch {
	case q.Has("tiles"):
		return parseTiles(q.Get("tiles"))
	case q.Has("bbox"):
		return parseBox(q.Get("bbox"))
	case q.Has("corridor"):
		return parseCorridor(q.Get("corridor"), q.Get("width_m"))
	}
	return f, nil
}

func parseTiles(text string) (f hazardFilter, p *problem.Problem) {
	f.tiles = make(map[uint32]bool)
	n := 0
	for name := range strings.SplitSeq(text, ",") {
		id, ok := parseName(name)
		if n++; !ok || n > MaxStreamTiles {
			return f, invalid("/tiles", "The tiles can't be read.", "1 to "+strconv.Itoa(MaxStreamTiles)+" of 14/x/y, or quadkeys of 14 digits")
		}
		f.tiles[id.Quadkey()] = true
	}
	return f, nil
}

func parseBox(text string) (f hazardFilter, p *problem.Problem) {
	parts := strings.Split(text, ",")
	if len(parts) == 4 {
		sw, ok := parsePoint(parts[1], parts[0])
		ne, good := parsePoint(parts[3], parts[2])
		box := geo.Box{West: sw.LonE7, South: sw.LatE7, East: ne.LonE7, North: ne.LatE7}
		if ok && good && !box.Empty() {
			return hazardFilter{box: &box}, nil
		}
	}
	return f, invalid("/bbox", "The box can't be read.", "west,south,east,north in degrees")
}

func parseCorridor(text, width string) (f hazardFilter, p *problem.Problem) {
	f.widthM = defaultWidthM
	if width != "" {
		v, err := strconv.ParseFloat(width, 64)
		if err != nil || !(v >= minWidthM && v <= maxWidthM) {
			return f, invalid("/width_m", "The width can't be used.", strconv.Itoa(minWidthM)+" to "+strconv.Itoa(maxWidthM)+" metres")
		}
		f.widthM = v
	}
	for part := range strings.SplitSeq(text, ";") {
		lat, lon, _ := strings.Cut(part, ",")
		at, ok := parsePoint(lat, lon)
		if !ok || len(f.line) == MaxCorridor {
			return f, invalid("/corridor", "The corridor can't be read.", "1 to "+strconv.Itoa(MaxCorridor)+" points lat,lon in degrees, with ; between")
		}
		f.line = append(f.line, at)
	}
	f.near = geo.BoxOf(f.line).Expand(f.widthM)
	return f, nil
}

func parsePoint(lat, lon string) (geo.Point, bool) {
	la, err := strconv.ParseFloat(lat, 64)
	lo, err2 := strconv.ParseFloat(lon, 64)
	if err != nil || err2 != nil || !(math.Abs(la) <= 90) || !(math.Abs(lo) <= 180) {
		return geo.Point{}, false
	}
	return geo.At(la, lo), true
}
