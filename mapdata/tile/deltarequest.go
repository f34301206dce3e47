package tile

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

const (
	// MaxDeltaTiles is how many tiles one request for a delta may name.
	MaxDeltaTiles = 64
	// MaxDeltaBody bounds the body of that request in bytes.
	MaxDeltaBody = 64 << 10
)

// held is what a client holds of a tile; layers that are not asked for are nil.
type held struct {
	id      ID
	name    string // as the client calls it
	roads   *string
	limits  *int64
	speeds  *int64
	hazards *int64
}

// live is the field of a live layer, nil for other layers.
func (h *held) live(layer string) **int64 {
	switch layer {
	case LimitLayer:
		return &h.limits
	case SpeedLayer:
		return &h.speeds
	case HazardLayer:
		return &h.hazards
	default:
		return nil
	}
}

// all asks for every layer, from nothing, where none was named.
func (h *held) all() {
	if h.roads == nil && h.limits == nil && h.speeds == nil && h.hazards == nil {
		h.roads, h.limits, h.speeds, h.hazards = new(string), new(int64), new(int64), new(int64)
	}
}

func invalid(pointer, detail, expected string) *problem.Problem {
	return &problem.Problem{Kind: problem.InvalidRequest, Pointer: pointer, Detail: detail, Expected: expected}
}

// pointer is a JSON pointer (RFC 6901).
func pointer(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		if len(n) > 64 {
			n = n[:64]
		}
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(strings.ToValidUTF8(n, "?")))
	}
	return b.String()
}

// parseDeltaJSON reads {"tiles": {tile: {layer: version}}}, or the inner object alone. A
// tile is z/x/y or its quadkey in base 4, as Bing's; a version a string or a number, where
// "", 0 and null stand for nothing held.
func parseDeltaJSON(body []byte) ([]held, *problem.Problem) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, invalid("", "The body is no JSON object.", `{"tiles": {"14/x/y": {"speeds": "version"}}}`)
	}
	var path []string
	if inner, ok := members["tiles"]; ok {
		members, path = nil, []string{"tiles"}
		if err := json.Unmarshal(inner, &members); err != nil || members == nil {
			return nil, invalid("/tiles", "The tiles are no JSON object.", `{"14/x/y": {"speeds": "version"}}`)
		}
	}
	if p := checkTileCount(pointer(path...), len(members)); p != nil {
		return nil, p
	}
	all := make([]held, 0, len(members))
	for name, raw := range members {
		h := held{name: name}
		var ok bool
		if h.id, ok = parseName(name); !ok {
			return nil, invalid(pointer(append(path, name)...), "There is no such tile.", "14/x/y, or a quadkey of 14 digits from 0 to 3")
		}
		var layers map[string]json.RawMessage
		if err := json.Unmarshal(raw, &layers); err != nil {
			return nil, invalid(pointer(append(path, name)...), "What is held of the tile is no JSON object.", `{"speeds": "version"}`)
		}
		for layer, raw := range layers {
			if p := h.read(layer, raw); p != nil {
				p.Pointer = pointer(append(path, name, layer)...)
				return nil, p
			}
		}
		h.all()
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b held) int { return int(int64(a.id.Quadkey()) - int64(b.id.Quadkey())) })
	for i := 1; i < len(all); i++ {
		if all[i].id == all[i-1].id {
			return nil, invalid(pointer(append(path, all[i].name)...), "The tile is named twice.", "each tile once")
		}
	}
	return all, nil
}

func checkTileCount(at string, n int) *problem.Problem {
	if n < 1 || n > MaxDeltaTiles {
		return invalid(at, fmt.Sprintf("%d tiles are named.", n), fmt.Sprintf("1 to %d tiles", MaxDeltaTiles))
	}
	return nil
}

// read sets a layer's version.
func (h *held) read(layer string, raw json.RawMessage) *problem.Problem {
	text := string(raw)
	switch {
	case text == "null":
		text = ""
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal(raw, &text); err != nil {
			return invalid("", "The version is no text.", "a version as answered")
		}
	}
	if layer == Roads {
		if text == "0" {
			text = ""
		}
		if !validMapVersion(text) {
			return invalid("", "There is no such version.", "a version as answered")
		}
		h.roads = &text
		return nil
	}
	field := h.live(layer)
	if field == nil {
		return invalid("", "There is no such layer.", "roads, limits, speeds or hazards")
	}
	version := int64(0)
	if text != "" {
		var err error
		if version, err = strconv.ParseInt(text, 10, 64); err != nil || version < 0 {
			return invalid("", "There is no such version.", "a version as answered")
		}
	}
	*field = &version
	return nil
}

// validMapVersion reports whether a text may be a map's version; it becomes part of an
// object's key.
func validMapVersion(s string) bool {
	if len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// parseName reads "14/x/y" or a quadkey of 14 digits.
func parseName(name string) (ID, bool) {
	if len(name) == MaxZoom && !strings.Contains(name, "/") {
		q, err := strconv.ParseUint(name, 4, 32)
		return geo.FromQuadkey(MaxZoom, uint32(q)), err == nil
	}
	z, rest, _ := strings.Cut(name, "/")
	x, y, _ := strings.Cut(rest, "/")
	id, ok := idOf(z, x, y)
	return id, ok && id.Z == MaxZoom
}

// idOf is the tile with the given numbers in decimal.
func idOf(z, x, y string) (ID, bool) {
	var n [3]uint64
	for i, s := range [3]string{z, x, y} {
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil || len(s) > 1 && s[0] == '0' || s[0] == '+' {
			return ID{}, false
		}
		n[i] = v
	}
	if n[0] > MaxZoom {
		return ID{}, false
	}
	id := ID{Z: uint8(n[0]), X: uint32(n[1]), Y: uint32(n[2])}
	return id, id.Valid()
}

// parseDeltaProto reads a DeltaRequest.
func parseDeltaProto(body []byte) ([]held, *problem.Problem) {
	var m tilepb.DeltaRequest
	if err := m.UnmarshalVT(body); err != nil {
		return nil, invalid("", "The body is no protobuf message.", "carasso.tile.v1.DeltaRequest")
	}
	if p := checkTileCount("/tiles", len(m.GetTiles())); p != nil {
		return nil, p
	}
	all := make([]held, 0, len(m.GetTiles()))
	seen := make(map[uint32]bool, len(m.GetTiles()))
	for i, t := range m.GetTiles() {
		at := pointer("tiles", strconv.Itoa(i))
		switch {
		case t.GetQuadkey() >= 1<<(2*MaxZoom):
			return nil, invalid(at+"/quadkey", "There is no such tile.", "a quadkey of zoom 14: below 2^28")
		case seen[t.GetQuadkey()]:
			return nil, invalid(at+"/quadkey", "The tile is named twice.", "each tile once")
		case t.Roads != nil && !validMapVersion(*t.Roads):
			return nil, invalid(at+"/roads", "There is no such version.", "a version as answered")
		}
		seen[t.GetQuadkey()] = true
		h := held{id: geo.FromQuadkey(MaxZoom, t.GetQuadkey()), roads: t.Roads}
		h.name = h.id.String()
		for _, l := range [3]struct {
			name string
			v    *uint64
		}{{LimitLayer, t.Limits}, {SpeedLayer, t.Speeds}, {HazardLayer, t.Hazards}} {
			if l.v == nil {
				continue
			}
			if *l.v > math.MaxInt64 {
				return nil, invalid(at+"/"+l.name, "There is no such version.", "a version as answered")
			}
			v := int64(*l.v)
			*h.live(l.name) = &v
		}
		h.all()
		all = append(all, h)
	}
	return all, nil
}
