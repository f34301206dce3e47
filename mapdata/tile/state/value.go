package state

import (
	"encoding/binary"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

const edgeBits = 25

// EdgeKey is the key of an edge among the records of the tile that owns it.
func EdgeKey(e road.Edge) uint64 { return uint64(e) & (1<<edgeBits - 1) }

// EdgeOf is the edge with a key in the z14 tile with the given quadkey.
func EdgeOf(quadkey uint32, key uint64) road.Edge {
	return road.Edge(quadkey)<<edgeBits | road.Edge(key&(1<<edgeBits-1))
}

// Speed is what is told of the traffic on an edge.
type Speed struct {
	KMH   uint16 // whole km/h; at most MaxKMH
	Level uint8  // 0 to 3, tile.LevelFree to tile.LevelJam
}

// MaxKMH is the greatest speed that is told.
const MaxKMH = 511

// Packed is the speed as one number: four times km/h, plus the level.
func (s Speed) Packed() uint32 { return uint32(min(s.KMH, MaxKMH))<<2 | uint32(s.Level&3) }

// UnpackSpeed is the inverse of Packed; ok is false for what it never gives.
func UnpackSpeed(n uint32) (s Speed, ok bool) {
	return Speed{KMH: uint16(n >> 2), Level: uint8(n & 3)}, n>>2 <= MaxKMH
}

// AppendSpeed appends a record's value: Packed as an unsigned varint.
func AppendSpeed(dst []byte, s Speed) []byte {
	return binary.AppendUvarint(dst, uint64(s.Packed()))
}

// DecodeSpeed reads a value; the error wraps ErrCorrupt.
func DecodeSpeed(b []byte) (Speed, error) {
	d := decoder{b: b}
	n := d.uvarint("speed")
	s, ok := UnpackSpeed(uint32(min(n, math.MaxUint32)))
	if !ok || len(d.b) > 0 {
		d.fail("speed")
	}
	return s, d.err
}

// Limit is what is told of the speed limit of an edge.
type Limit struct {
	KMH      uint8 // road.Unlimited: none. Never road.NoLimitKnown.
	Learned  bool  // from vehicles; else from the map
	Variants []Variant
}

// Variant is another limit that holds under a condition.
type Variant struct {
	KMH              uint8
	Wet              bool
	FromHour, ToHour uint8 // local solar time, 0 to 23; equal: all day
}

// MaxVariants is how many variants of a limit are told.
const MaxVariants = 8

// LimitOf is what is told of a limit; ok is false if none is known.
func LimitOf(l *limit.Limit) (told Limit, ok bool) {
	told = Limit{KMH: l.Effective(), Learned: l.Published()}
	for _, v := range l.Variants[:min(len(l.Variants), MaxVariants)] {
		if v.KMH != road.NoLimitKnown {
			told.Variants = append(told.Variants, Variant{v.KMH, v.Wet, v.FromHour % 24, v.ToHour % 24})
		}
	}
	return told, told.KMH != road.NoLimitKnown
}

// AppendLimit appends a record's value: a byte km/h, a byte 1 if learned, and for each
// variant a byte km/h, a byte first hour (plus 32 when wet), a byte last hour.
func AppendLimit(dst []byte, l Limit) []byte {
	dst = append(dst, l.KMH, flag(l.Learned, 1))
	for _, v := range l.Variants {
		dst = append(dst, v.KMH, v.FromHour|flag(v.Wet, 32), v.ToHour)
	}
	return dst
}

func flag(on bool, v byte) byte {
	if on {
		return v
	}
	return 0
}

// DecodeLimit reads a value; the error wraps ErrCorrupt.
func DecodeLimit(b []byte) (Limit, error) {
	d := decoder{b: b}
	if len(b) < 2 || len(b)%3 != 2 || len(b)/3 > MaxVariants || b[0] == road.NoLimitKnown || b[1] > 1 {
		d.fail("limit")
		return Limit{}, d.err
	}
	l := Limit{KMH: b[0], Learned: b[1] == 1}
	for b = b[2:]; len(b) > 0; b = b[3:] {
		v := Variant{KMH: b[0], Wet: b[1]&32 != 0, FromHour: b[1] &^ 32, ToHour: b[2]}
		if !v.valid() {
			d.fail("variant")
			return Limit{}, d.err
		}
		l.Variants = append(l.Variants, v)
	}
	return l, nil
}

func (v Variant) valid() bool {
	return v.KMH != road.NoLimitKnown && v.FromHour < 24 && v.ToHour < 24
}

// Hazard is what is told of a hazard; its id is the record's key.
type Hazard struct {
	Category  telemetry.Hazard
	At        geo.Point // in the tile that tells of it
	Edge      road.Edge // where it begins; 0 away from roads
	Percent   uint8     // probability, 0 to 100
	StartedMS int64     // ms since the epoch, from 0
	UpdatedMS int64
}

// AppendHazard appends a record's value in the z14 tile: a byte category, how far the place
// is north and east of the tile's south-western corner in 1e-7 degrees, the edge, a byte
// percent, when it started and how much later it was updated in ms; numbers are unsigned
// varints, but places and the last signed ones.
func AppendHazard(dst []byte, t geo.Tile, h *Hazard) []byte {
	box := t.Box()
	dst = append(dst, byte(h.Category))
	dst = binary.AppendVarint(dst, int64(h.At.LatE7)-int64(box.South))
	dst = binary.AppendVarint(dst, int64(h.At.LonE7)-int64(box.West))
	dst = binary.AppendUvarint(dst, uint64(h.Edge))
	dst = append(dst, min(h.Percent, 100))
	dst = binary.AppendUvarint(dst, uint64(max(h.StartedMS, 0)))
	return binary.AppendVarint(dst, h.UpdatedMS-max(h.StartedMS, 0))
}

// DecodeHazard reads a value; the error wraps ErrCorrupt.
func DecodeHazard(t geo.Tile, b []byte) (Hazard, error) {
	d := decoder{b: b}
	box := t.Box()
	var h Hazard
	h.Category = telemetry.Hazard(d.byte("category"))
	lat, lon := int64(box.South)+d.varint("place"), int64(box.West)+d.varint("place")
	if lat != int64(int32(lat)) || lon != int64(int32(lon)) {
		d.fail("place")
	}
	h.At = geo.Point{LatE7: int32(lat), LonE7: int32(lon)}
	edge := d.uvarint("edge")
	h.Percent = d.byte("percent")
	started := d.uvarint("start")
	after := d.varint("update")
	if !h.At.Valid() || edge > uint64(road.MaxEdge) || h.Percent > 100 || started > 1<<53 || after > 1<<53 || after < -1<<53 || len(d.b) > 0 {
		d.fail("hazard")
	}
	if d.err != nil {
		return Hazard{}, d.err
	}
	h.Edge, h.StartedMS, h.UpdatedMS = road.Edge(edge), int64(started), int64(started)+after
	return h, nil
}

func (d *decoder) byte(what string) byte {
	if len(d.b) == 0 {
		d.fail(what)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) varint(what string) int64 {
	u := d.uvarint(what)
	return int64(u>>1) ^ -int64(u&1)
}
