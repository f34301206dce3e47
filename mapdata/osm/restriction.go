package osm

import (
	"slices"
	"strings"

	"github.com/carasso/carasso/mapdata/road"
)

// member is one of a relation's: what kind of element, and as what.
type member struct {
	id   int64
	kind kind
	role string
}

// kind is that of an element.
type kind uint8

const (
	nodeKind kind = iota
	wayKind
	relationKind
)

// wantedOfRelation reports whether restriction looks at a key.
func wantedOfRelation(key []byte) bool {
	switch string(key) {
	case "type", "except", "restriction", "restriction:vehicle", "restriction:motor_vehicle", "restriction:motorcar",
		"restriction:conditional", "restriction:motor_vehicle:conditional", "restriction:motorcar:conditional",
		"day_on", "day_off", "hour_on", "hour_off":
		return true
	default:
		return false
	}
}

// wantedRole gives the roles that matter their names without an allocation; "" for others.
func wantedRole(role []byte) string {
	switch string(role) {
	case "from":
		return "from"
	case "via":
		return "via"
	case "to":
		return "to"
	default:
		return ""
	}
}

// relation takes a relation's members and its wanted tags; neither is kept.
func (c *collector) relation(members []member, tags []tag) {
	value, conditional := restrictionOf(tags)
	only := strings.HasPrefix(value, "only_")
	switch {
	case conditional:
		c.stats.ConditionalRestrictions++
		return
	case !only && !strings.HasPrefix(value, "no_"):
		return
	}
	var from, via, to []int64
	for _, m := range members {
		switch {
		case m.role == "from" && m.kind == wayKind:
			from = append(from, m.id)
		case m.role == "to" && m.kind == wayKind:
			to = append(to, m.id)
		case m.role == "via" && m.kind == nodeKind:
			via = append(via, m.id)
		case m.role == "via":
			c.stats.ViaWayRestrictions++
			return
		}
	}
	// no_entry and no_exit alone may have several ways, of one role.
	several := len(from) > 1 && len(to) > 1 || only && len(from)+len(to) > 2
	if len(via) != 1 || len(from) == 0 || len(to) == 0 || several {
		c.stats.BadRestrictions++
		return
	}
	c.stats.Restrictions++
	for _, f := range from {
		for _, t := range to {
			c.restrictions = append(c.restrictions, road.Restriction{From: f, Via: via[0], To: t, Only: only})
		}
	}
}

// restrictionOf is the restriction that a relation's tags set for cars, at all times; ""
// if there is none. conditional says that there is one at some times or for some cars.
func restrictionOf(tags []tag) (value string, conditional bool) {
	isRestriction, except, timed := false, "", false
	best := 0 // how specific the value's key is
	for _, t := range tags {
		rank := 0
		switch t.key {
		case "type":
			isRestriction = t.value == "restriction"
		case "except":
			except = t.value
		case "restriction":
			rank = 1
		case "restriction:vehicle":
			rank = 2
		case "restriction:motor_vehicle":
			rank = 3
		case "restriction:motorcar":
			rank = 4
		default:
			timed = true
		}
		if rank > best {
			best, value = rank, t.value
		}
	}
	exempt := slices.ContainsFunc(strings.Split(except, ";"), func(e string) bool {
		e = strings.TrimSpace(e)
		return e == "motorcar" || e == "motor_vehicle" || e == "vehicle"
	})
	switch {
	case !isRestriction, exempt:
		return "", false
	case timed || strings.Contains(value, "@"):
		return "", true
	}
	return value, false
}
