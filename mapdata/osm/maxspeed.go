package osm

import (
	"math"
	"strconv"
	"strings"

	"github.com/carasso/carasso/mapdata/road"
)

const (
	kmhPerMile = 1.609344
	kmhPerKnot = 1.852
	walkKMH    = 7
)

// implicit are the legal limits behind values such as "RO:urban", where they differ from
// the usual ones: OSM wiki, Default speed limits. km/h.
var implicit = map[string]uint8{
	"at:rural": 100, "at:trunk": 100, "at:motorway": 130,
	"be:rural": 70, "be-vlg:rural": 70, "be-wal:rural": 90, "be:trunk": 120, "be:motorway": 120,
	"ch:rural": 80, "ch:trunk": 100, "ch:motorway": 120,
	"cz:trunk": 110, "cz:urban_motorway": 80,
	"de:rural": 100, "de:trunk": road.Unlimited, "de:motorway": road.Unlimited, "de:bicycle_road": 30,
	"dk:rural": 80, "es:trunk": 90, "es:motorway": 120, "fi:rural": 80, "fi:trunk": 100, "fi:motorway": 120,
	"fr:rural": 80, "fr:trunk": 110,
	"gb:nsl_single": 97, "gb:nsl_dual": 113, "gb:motorway": 113, "gb:nsl_restricted": 48, "gb:urban": 48, "gb:rural": 97,
	"uk:nsl_single": 97, "uk:nsl_dual": 113, "uk:motorway": 113, "uk:urban": 48, "uk:rural": 97,
	"hu:trunk": 110, "it:trunk": 110, "lu:motorway": 130, "nl:rural": 80, "nl:trunk": 100, "nl:motorway": 100,
	"no:rural": 80, "no:motorway": 110, "pl:motorway": 140, "pl:trunk": 100, "pt:motorway": 120, "pt:trunk": 100,
	"ro:trunk": 100, "ru:urban": 60, "ru:motorway": 110, "se:rural": 70, "se:motorway": 110, "ua:motorway": 130,
	"ua:trunk": 110, "bg:motorway": 140, "tr:motorway": 120,
}

// usual are the limits behind the part after the country's code.
var usual = map[string]uint8{
	"urban": 50, "rural": 90, "trunk": 100, "motorway": 130, "motorroad": 100, "expressway": 100,
	"living_street": 20, "pedestrian_zone": walkKMH, "bicycle_road": 30, "school": 30, "walk": walkKMH,
}

// What a posted limit can be, km/h: less or more is a slip of the pen.
const (
	minLimitKMH = 3
	maxLimitKMH = 200
)

// parseMaxspeed is the limit in km/h that a value of OSM's maxspeed stands for, or
// road.NoLimitKnown. Of several ("50;70") it is the lowest; limits that hold under a
// condition ("50 @ (wet)", "60 @ (Mo-Fr 22:00-06:00; Sa 20:00-06:00)") are ignored.
func parseMaxspeed(value string) uint8 {
	limit := road.NoLimitKnown
	for len(value) > 0 {
		var part string
		part, value = cutValue(value)
		v := parseOne(strings.ToLower(strings.TrimSpace(part)))
		if v != road.NoLimitKnown && (limit == road.NoLimitKnown || v < limit) {
			limit = v
		}
	}
	return limit
}

// cutValue cuts a list at the first separator that is not in parentheses.
func cutValue(list string) (first, rest string) {
	depth := 0
	for i := range len(list) {
		switch list[i] {
		case '(':
			depth++
		case ')':
			depth = max(depth-1, 0)
		case ';', ',', '|':
			if depth == 0 {
				return list[:i], list[i+1:]
			}
		}
	}
	return list, ""
}

func parseOne(v string) uint8 {
	switch v {
	case "none", "unlimited":
		return road.Unlimited
	case "walk":
		return walkKMH
	}
	if strings.ContainsAny(v, "@()") {
		return road.NoLimitKnown
	}
	country, rest, ok := strings.Cut(v, ":")
	if !ok {
		return number(v)
	}
	country, rest = strings.TrimSpace(country), strings.TrimSpace(rest)
	if limit, ok := implicit[country+":"+rest]; ok {
		return limit
	}
	if limit, ok := usual[rest]; ok {
		return limit
	}
	// "zone:30" and "DE:zone:30" and "DE:zone30"
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "zone"), ":")
	if country != "zone" && !isCountry(country) {
		return road.NoLimitKnown
	}
	return number(rest)
}

// isCountry tells whether something looks like a country's code, perhaps with a region's.
func isCountry(code string) bool {
	if len(code) < 2 || len(code) > 10 {
		return false
	}
	for i := range len(code) {
		if c := code[i]; (c < 'a' || c > 'z') && (i < 2 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// number is a count of km/h, or of another unit that is named.
func number(v string) uint8 {
	v = strings.TrimSpace(v)
	end := 0
	for end < len(v) && (v[end] >= '0' && v[end] <= '9' || v[end] == '.') {
		end++
	}
	n, err := strconv.ParseFloat(v[:end], 64)
	if err != nil {
		return road.NoLimitKnown
	}
	switch strings.TrimSpace(v[end:]) {
	case "", "km/h", "kmh", "kph", "kmph":
	case "mph":
		n *= kmhPerMile
	case "knots", "knot", "kn":
		n *= kmhPerKnot
	default:
		return road.NoLimitKnown
	}
	if n = math.Round(n); n < minLimitKMH || n > maxLimitKMH {
		return road.NoLimitKnown
	}
	return uint8(n)
}
