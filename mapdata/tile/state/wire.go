package state

import (
	"fmt"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
	"github.com/carasso/carasso/telemetry"
)

// SpeedsMessage is a change of a tile's speeds in protobuf. The error wraps ErrCorrupt if a
// value is no speed.
func SpeedsMessage(version int64, c *Change) (*tilepb.Speeds, error) {
	m := &tilepb.Speeds{Version: uint64(version), Full: c.Full, Removed: deltas(c.Removed)}
	m.Edge, m.Value = make([]uint32, len(c.Changed)), make([]uint32, len(c.Changed))
	before := uint64(0)
	for i, r := range c.Changed {
		v, err := DecodeSpeed(r.Value)
		if err != nil {
			return nil, err
		}
		m.Edge[i], m.Value[i] = uint32(r.Key-before), v.Packed()
		before = r.Key
	}
	return m, nil
}

// ReadSpeeds is the inverse of SpeedsMessage, but for the records' versions. The error wraps
// ErrCorrupt.
func ReadSpeeds(m *tilepb.Speeds) (c Change, err error) {
	if c, err = readColumns(m.GetFull(), m.GetEdge(), m.GetValue(), m.GetRemoved()); err != nil {
		return Change{}, err
	}
	for i, n := range m.GetValue() {
		v, ok := UnpackSpeed(n)
		if !ok {
			return Change{}, fmt.Errorf("%w: speed %d", ErrCorrupt, n)
		}
		c.Changed[i].Value = AppendSpeed(nil, v)
	}
	return c, nil
}

// LimitsMessage is a change of a tile's limits in protobuf. The error wraps ErrCorrupt if a
// value is no limit.
func LimitsMessage(version int64, c *Change) (*tilepb.Limits, error) {
	m := &tilepb.Limits{Version: uint64(version), Full: c.Full, Removed: deltas(c.Removed)}
	m.Edge, m.Value = make([]uint32, len(c.Changed)), make([]uint32, len(c.Changed))
	before := uint64(0)
	for i, r := range c.Changed {
		l, err := DecodeLimit(r.Value)
		if err != nil {
			return nil, err
		}
		m.Edge[i], m.Value[i] = uint32(r.Key-before), uint32(l.KMH)<<1|uint32(flag(l.Learned, 1))
		before = r.Key
		for _, v := range l.Variants {
			m.Variants = append(m.Variants, &tilepb.Variant{
				Row: uint32(i), Kmh: uint32(v.KMH), Wet: v.Wet, FromHour: uint32(v.FromHour), ToHour: uint32(v.ToHour),
			})
		}
	}
	return m, nil
}

// ReadLimits is the inverse of LimitsMessage, but for the records' versions. The error wraps
// ErrCorrupt.
func ReadLimits(m *tilepb.Limits) (c Change, err error) {
	if c, err = readColumns(m.GetFull(), m.GetEdge(), m.GetValue(), m.GetRemoved()); err != nil {
		return Change{}, err
	}
	variants := m.GetVariants()
	for i, n := range m.GetValue() {
		l := Limit{KMH: uint8(n >> 1), Learned: n&1 == 1}
		if n > 511 || l.KMH == road.NoLimitKnown {
			return Change{}, fmt.Errorf("%w: limit %d", ErrCorrupt, n)
		}
		for ; len(variants) > 0 && variants[0].GetRow() == uint32(i); variants = variants[1:] {
			w := variants[0]
			v := Variant{KMH: uint8(w.GetKmh()), Wet: w.GetWet(), FromHour: uint8(w.GetFromHour()), ToHour: uint8(w.GetToHour())}
			if max(w.GetKmh(), w.GetFromHour(), w.GetToHour()) > 255 || !v.valid() || len(l.Variants) == MaxVariants {
				return Change{}, fmt.Errorf("%w: variant of limit %d", ErrCorrupt, i)
			}
			l.Variants = append(l.Variants, v)
		}
		c.Changed[i].Value = AppendLimit(nil, l)
	}
	if len(variants) > 0 {
		return Change{}, fmt.Errorf("%w: a variant of row %d, which is none or out of order", ErrCorrupt, variants[0].GetRow())
	}
	return c, nil
}

// HazardsMessage is a change of the hazards of the z14 tile in protobuf. The error wraps
// ErrCorrupt if a value is no hazard.
func HazardsMessage(t geo.Tile, version int64, c *Change) (*tilepb.Hazards, error) {
	m := &tilepb.Hazards{Version: uint64(version), Full: c.Full, Removed: c.Removed}
	box := t.Box()
	for _, r := range c.Changed {
		h, err := DecodeHazard(t, r.Value)
		if err != nil {
			return nil, err
		}
		m.Changed = append(m.Changed, &tilepb.Hazard{
			Id: r.Key, Category: uint32(h.Category), NorthE7: h.At.LatE7 - box.South, EastE7: h.At.LonE7 - box.West,
			Edge: uint64(h.Edge), Percent: uint32(h.Percent),
			StartedMs: uint64(h.StartedMS), UpdatedAfterMs: h.UpdatedMS - h.StartedMS,
		})
	}
	return m, nil
}

// ReadHazards is the inverse of HazardsMessage, but for the records' versions. The error wraps
// ErrCorrupt.
func ReadHazards(t geo.Tile, m *tilepb.Hazards) (Change, error) {
	c := Change{Full: m.GetFull(), Removed: m.GetRemoved(), Changed: make([]Record, len(m.GetChanged()))}
	box := t.Box()
	for i, w := range m.GetChanged() {
		lat, lon := int64(box.South)+int64(w.GetNorthE7()), int64(box.West)+int64(w.GetEastE7())
		h := Hazard{
			Category: telemetry.Hazard(w.GetCategory()), At: geo.Point{LatE7: int32(lat), LonE7: int32(lon)},
			Edge: road.Edge(w.GetEdge()), Percent: uint8(w.GetPercent()),
			StartedMS: int64(w.GetStartedMs()), UpdatedMS: int64(w.GetStartedMs()) + w.GetUpdatedAfterMs(),
		}
		switch {
		case i > 0 && w.GetId() <= c.Changed[i-1].Key:
			return Change{}, fmt.Errorf("%w: hazard %d out of order", ErrCorrupt, w.GetId())
		case w.GetCategory() > 255 || w.GetPercent() > 100 || h.Edge > road.MaxEdge || w.GetStartedMs() > 1<<53 ||
			w.GetUpdatedAfterMs() > 1<<53 || w.GetUpdatedAfterMs() < -1<<53 ||
			lat != int64(int32(lat)) || lon != int64(int32(lon)) || !h.At.Valid():
			return Change{}, fmt.Errorf("%w: hazard %d", ErrCorrupt, w.GetId())
		}
		c.Changed[i] = Record{Key: w.GetId(), Value: AppendHazard(nil, t, &h)}
	}
	for i, id := range c.Removed {
		if i > 0 && id <= c.Removed[i-1] {
			return Change{}, fmt.Errorf("%w: hazard %d out of order", ErrCorrupt, id)
		}
	}
	return c, nil
}

// deltas delta-codes keys of edges.
func deltas(keys []uint64) []uint32 {
	if len(keys) == 0 {
		return nil
	}
	out := make([]uint32, len(keys))
	before := uint64(0)
	for i, k := range keys {
		out[i] = uint32(k - before)
		before = k
	}
	return out
}

// readColumns reads the keys of edges; the values are the caller's.
func readColumns(full bool, edge, value, removed []uint32) (Change, error) {
	c := Change{Full: full, Changed: make([]Record, len(edge))}
	if len(edge) != len(value) {
		return Change{}, fmt.Errorf("%w: %d edges with %d values", ErrCorrupt, len(edge), len(value))
	}
	key := uint64(0)
	for i, d := range edge {
		if key += uint64(d); d == 0 && i > 0 || key >= 1<<edgeBits {
			return Change{}, fmt.Errorf("%w: edge %d", ErrCorrupt, key)
		}
		c.Changed[i].Key = key
	}
	key = 0
	for i, d := range removed {
		if key += uint64(d); d == 0 && i > 0 || key >= 1<<edgeBits {
			return Change{}, fmt.Errorf("%w: edge %d", ErrCorrupt, key)
		}
		c.Removed = append(c.Removed, key)
	}
	return c, nil
}
