package osm

import (
	"strconv"

	"github.com/carasso/carasso/mapdata/road"
)

// wanted reports whether attributes looks at a key.
func wanted(key []byte) bool {
	switch string(key) {
	case "highway", "area", "access", "vehicle", "motor_vehicle", "motorcar", "oneway", "junction",
		"maxspeed", "maxspeed:forward", "maxspeed:backward", "maxspeed:type", "source:maxspeed", "zone:maxspeed",
		"name", "ref", "tunnel", "bridge", "layer":
		return true
	default:
		return false
	}
}

// values are the tags of a way by key; a key that comes twice keeps its last value.
type values struct {
	highway, area, access, vehicle, motorVehicle, motorcar, oneway, junction   string
	maxspeed, forward, backward, kind, source, zone, name, ref, tunnel, bridge string
	layer                                                                      string
}

func (v *values) set(t tag) {
	switch t.key {
	case "highway":
		v.highway = t.value
	case "area":
		v.area = t.value
	case "access":
		v.access = t.value
	case "vehicle":
		v.vehicle = t.value
	case "motor_vehicle":
		v.motorVehicle = t.value
	case "motorcar":
		v.motorcar = t.value
	case "oneway":
		v.oneway = t.value
	case "junction":
		v.junction = t.value
	case "maxspeed":
		v.maxspeed = t.value
	case "maxspeed:forward":
		v.forward = t.value
	case "maxspeed:backward":
		v.backward = t.value
	case "maxspeed:type":
		v.kind = t.value
	case "source:maxspeed":
		v.source = t.value
	case "zone:maxspeed":
		v.zone = t.value
	case "name":
		v.name = t.value
	case "ref":
		v.ref = t.value
	case "tunnel":
		v.tunnel = t.value
	case "bridge":
		v.bridge = t.value
	case "layer":
		v.layer = t.value
	}
}

// maxText bounds names; OSM's own limit is 255 characters.
const maxText = 1020

// attributes is what a way's tags say; ok is false if it is not a road for cars. Its
// class is set all the same if it would be one, were it open to them.
func attributes(tags []tag) (a road.Attributes, ok bool) {
	var v values
	for _, t := range tags {
		v.set(t)
	}
	class, ok := road.ParseClass(v.highway)
	a.Class = class
	if !ok || v.area == "yes" || !v.accessible() {
		return a, false
	}
	a.Flags = v.directions(class)
	if v.tunnel != "" && v.tunnel != "no" {
		a.Flags |= road.Tunnel
	}
	if v.bridge != "" && v.bridge != "no" {
		a.Flags |= road.Bridge
	}
	if v.junction == "roundabout" || v.junction == "circular" {
		a.Flags |= road.Roundabout
	}
	if n, err := strconv.ParseInt(v.layer, 10, 8); err == nil {
		a.Layer = int8(n)
	}
	a.Limit = v.limits()
	if len(v.name) <= maxText {
		a.Name = v.name
	}
	if len(v.ref) <= maxText {
		a.Ref = v.ref
	}
	return a, true
}

// accessible follows the hierarchy of OSM's access keys: the most specific one decides.
func (v *values) accessible() bool {
	for _, a := range []string{v.motorcar, v.motorVehicle, v.vehicle, v.access} {
		switch a {
		case "":
			continue
		case "no", "private", "agricultural", "forestry", "emergency", "military", "use_sidepath", "dismount":
			return false
		default:
			return true
		}
	}
	return true
}

func (v *values) directions(class road.Class) road.Flags {
	switch v.oneway {
	case "yes", "true", "1":
		return road.Forward
	case "-1", "reverse":
		return road.Backward
	case "no", "false", "0", "reversible", "alternating":
		return road.Forward | road.Backward
	}
	if class == road.Motorway || v.junction == "roundabout" || v.junction == "circular" {
		return road.Forward
	}
	return road.Forward | road.Backward
}

// limits are the posted limits as drawn and against. Where no limit is tagged, the
// zone or kind of limit ("DE:urban") may still say one.
func (v *values) limits() [2]uint8 {
	both := parseMaxspeed(v.maxspeed)
	for _, s := range []string{v.zone, v.kind, v.source} {
		if both == road.NoLimitKnown {
			both = parseMaxspeed(s)
		}
	}
	limits := [2]uint8{both, both}
	if f := parseMaxspeed(v.forward); f != road.NoLimitKnown {
		limits[0] = f
	}
	if b := parseMaxspeed(v.backward); b != road.NoLimitKnown {
		limits[1] = b
	}
	return limits
}
