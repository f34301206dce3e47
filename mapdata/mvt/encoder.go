// Package mvt encodes Mapbox Vector Tiles 2.1 straight from roads' shapes and
// places: it projects, simplifies, clips and writes in one go, without geometry objects between.
package mvt

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carasso/carasso/mapdata/geo"
)

const (
	// Extent is the number of units across a tile.
	Extent = 4096
	// Buffer is how many units a tile's geometry reaches beyond its borders.
	Buffer = 64
)

// The field numbers and values of the specification's protobuf schema.
const (
	tileLayer    = 3
	layerName    = 1
	layerFeature = 2
	layerKey     = 3
	layerValue   = 4
	layerExtent  = 5
	layerVersion = 15
	featureID    = 1
	featureTags  = 2
	featureType  = 3
	featureGeom  = 4
	point        = 1
	lineString   = 2
	valueString  = 1
	valueDouble  = 3
	valueUint    = 5
	valueBool    = 7
)

// Encoder encodes one tile at a time and keeps its memory for the next. Use: Begin, then
// for each layer BeginLayer, Line or Point and properties, EndLayer; then Bytes. Not safe for
// concurrent use.
type Encoder struct {
	out  []byte
	proj projection
	// tolerance of simplification in units; 0: none
	tolerance float64

	name     string
	features []byte
	keyIndex map[string]uint32
	keys     []string
	hint     int         // place of the key that follows the last one, as a rule
	last     []lastValue // of each key
	values   []value
	texts    map[string]uint32 // places in values
	doubles  map[uint64]uint32
	uints    map[uint64]uint32
	small    [smallUints]uint32 // of the least numbers; place plus one
	bools    [2]uint32          // place plus one
	count    int

	open  bool // a feature is being written
	kind  byte // of its geometry
	id    uint64
	tags  []byte
	geom  []byte
	line  []vec
	keep  []bool
	stack []span
	run   [][2]int32
	at    [2]int32 // cursor of the geometry
}

// What most properties' values are is found without a map: numbers below smallUints by a
// table. Those from unshared are ids, which hardly come twice: they are not looked for.
const (
	smallUints = 256
	unshared   = 1 << 32
)

// lastValue is the value that a key had last, and its place.
type lastValue struct {
	value
	place uint32
	known bool
}

// value is one property value: the kind is its field number.
type value struct {
	kind uint8
	num  uint64
	str  string
}

// NewEncoder is an Encoder.
func NewEncoder() *Encoder {
	return &Encoder{
		keyIndex: make(map[string]uint32), texts: make(map[string]uint32),
		doubles: make(map[uint64]uint32), uints: make(map[uint64]uint32),
	}
}

// Begin starts a tile. Lines get simplified by Douglas and Peucker's method so that they
// stay within tolerance units (0: not simplified).
func (e *Encoder) Begin(t geo.Tile, tolerance float64) {
	e.out, e.tolerance = e.out[:0], tolerance
	e.proj = projectionOf(t)
}

// BeginLayer starts a layer.
func (e *Encoder) BeginLayer(name string) {
	e.name, e.features, e.count = name, e.features[:0], 0
	e.keys, e.values, e.last = e.keys[:0], e.values[:0], e.last[:0]
	clear(e.keyIndex)
	clear(e.texts)
	clear(e.doubles)
	clear(e.uints)
	e.small, e.bools = [smallUints]uint32{}, [2]uint32{}
}

// Line starts a feature: the shape, or its mirror if reverse is set, clipped to the tile
// and its buffer. It returns false, and there is no feature, when nothing of it is left;
// otherwise properties may follow.
func (e *Encoder) Line(id uint64, shape []geo.Point, reverse bool) bool {
	e.closeFeature()
	e.line = e.line[:0]
	for i := range shape {
		p := shape[i]
		if reverse {
			p = shape[len(shape)-1-i]
		}
		e.line = append(e.line, e.proj.point(p))
	}
	if e.tolerance > 0 {
		e.simplify()
	}
	e.geom = e.geom[:0]
	e.at = [2]int32{}
	e.clip()
	if len(e.geom) == 0 {
		return false
	}
	e.open, e.kind, e.id, e.tags, e.hint = true, lineString, id, e.tags[:0], 0
	return true
}

// Point starts a feature of one point. It returns false, and there is no feature, when the
// point is outside of the tile and its buffer; otherwise properties may follow.
func (e *Encoder) Point(id uint64, p geo.Point) bool {
	e.closeFeature()
	v := e.proj.point(p)
	if !inside(v) {
		return false
	}
	e.geom = append(e.geom[:0], 1<<3|1) // MoveTo, once
	e.at = [2]int32{}
	e.move(v.round())
	e.open, e.kind, e.id, e.tags, e.hint = true, point, id, e.tags[:0], 0
	return true
}

// String adds a property to the feature.
func (e *Encoder) String(key, v string) { e.tag(key, value{kind: valueString, str: v}) }

// Uint adds a property to the feature.
func (e *Encoder) Uint(key string, v uint64) { e.tag(key, value{kind: valueUint, num: v}) }

// Bool adds a property to the feature.
func (e *Encoder) Bool(key string, v bool) {
	n := uint64(0)
	if v {
		n = 1
	}
	e.tag(key, value{kind: valueBool, num: n})
}

// Double adds a property to the feature.
func (e *Encoder) Double(key string, v float64) {
	e.tag(key, value{kind: valueDouble, num: math.Float64bits(v)})
}

func (e *Encoder) tag(key string, v value) {
	k := e.key(key)
	last := &e.last[k]
	if !last.known || last.value != v {
		*last = lastValue{v, e.place(v), true}
	}
	e.tags = protowire.AppendVarint(e.tags, uint64(k))
	e.tags = protowire.AppendVarint(e.tags, uint64(last.place))
}

// key is the place of a key, as a rule the one after the last.
func (e *Encoder) key(key string) int {
	if e.hint >= len(e.keys) || e.keys[e.hint] != key {
		k, ok := e.keyIndex[key]
		if !ok {
			k = uint32(len(e.keys))
			e.keyIndex[key] = k
			e.keys = append(e.keys, key)
			e.last = append(e.last, lastValue{})
		}
		e.hint = int(k)
	}
	e.hint++
	return e.hint - 1
}

// place is the place of a value.
func (e *Encoder) place(v value) uint32 {
	switch {
	case v.kind == valueUint && v.num < smallUints:
		return e.tabled(&e.small[v.num], v)
	case v.kind == valueUint && v.num >= unshared:
		e.values = append(e.values, v)
		return uint32(len(e.values) - 1)
	case v.kind == valueUint:
		return placeIn(e, e.uints, v.num, v)
	case v.kind == valueBool:
		return e.tabled(&e.bools[v.num&1], v)
	case v.kind == valueDouble:
		return placeIn(e, e.doubles, v.num, v)
	default:
		return placeIn(e, e.texts, v.str, v)
	}
}

// tabled is the place of a value that has an entry of its own.
func (e *Encoder) tabled(entry *uint32, v value) uint32 {
	if *entry == 0 {
		e.values = append(e.values, v)
		*entry = uint32(len(e.values))
	}
	return *entry - 1
}

func placeIn[K comparable](e *Encoder, in map[K]uint32, key K, v value) uint32 {
	n, ok := in[key]
	if !ok {
		n = uint32(len(e.values))
		in[key] = n
		e.values = append(e.values, v)
	}
	return n
}

func (e *Encoder) closeFeature() {
	if !e.open {
		return
	}
	e.open = false
	e.count++
	size := 1 + protowire.SizeVarint(e.id) + 2 + 1 + protowire.SizeBytes(len(e.geom))
	if len(e.tags) > 0 {
		size += 1 + protowire.SizeBytes(len(e.tags))
	}
	b := appendTag(e.features, layerFeature, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendTag(b, featureID, protowire.VarintType)
	b = protowire.AppendVarint(b, e.id)
	if len(e.tags) > 0 {
		b = appendTag(b, featureTags, protowire.BytesType)
		b = protowire.AppendBytes(b, e.tags)
	}
	b = appendTag(b, featureType, protowire.VarintType)
	b = append(b, e.kind)
	b = appendTag(b, featureGeom, protowire.BytesType)
	e.features = protowire.AppendBytes(b, e.geom)
}

// EndLayer closes the layer and returns the number of its features; one without
// features is left out of the tile.
func (e *Encoder) EndLayer() int {
	e.closeFeature()
	if e.count == 0 {
		return 0
	}
	size := 1 + protowire.SizeBytes(len(e.name)) + len(e.features) +
		1 + protowire.SizeVarint(Extent) + 2
	for _, k := range e.keys {
		size += 1 + protowire.SizeBytes(len(k))
	}
	for _, v := range e.values {
		size += 1 + protowire.SizeBytes(v.size())
	}
	b := appendTag(e.out, tileLayer, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendTag(b, layerName, protowire.BytesType)
	b = protowire.AppendString(b, e.name)
	b = append(b, e.features...)
	for _, k := range e.keys {
		b = appendTag(b, layerKey, protowire.BytesType)
		b = protowire.AppendString(b, k)
	}
	for _, v := range e.values {
		b = appendTag(b, layerValue, protowire.BytesType)
		b = v.append(protowire.AppendVarint(b, uint64(v.size())))
	}
	b = appendTag(b, layerExtent, protowire.VarintType)
	b = protowire.AppendVarint(b, Extent)
	b = appendTag(b, layerVersion, protowire.VarintType)
	b = append(b, 2)
	e.out = b
	return e.count
}

// Bytes is the tile, valid until the next Begin; empty if it has no features.
func (e *Encoder) Bytes() []byte { return e.out }

func (v value) size() int {
	switch v.kind {
	case valueString:
		return 1 + protowire.SizeBytes(len(v.str))
	case valueDouble:
		return 9
	default:
		return 1 + protowire.SizeVarint(v.num)
	}
}

func (v value) append(b []byte) []byte {
	switch v.kind {
	case valueString:
		return protowire.AppendString(appendTag(b, valueString, protowire.BytesType), v.str)
	case valueDouble:
		return protowire.AppendFixed64(appendTag(b, valueDouble, protowire.Fixed64Type), v.num)
	default:
		return protowire.AppendVarint(appendTag(b, protowire.Number(v.kind), protowire.VarintType), v.num)
	}
}

func appendTag(b []byte, num protowire.Number, typ protowire.Type) []byte {
	return protowire.AppendTag(b, num, typ)
}
