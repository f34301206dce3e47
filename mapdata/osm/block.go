package osm

import (
	"encoding/binary"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// block is a PrimitiveBlock: some thousand nodes or ways with their strings.
type block struct {
	strings        [][]byte
	groups         [][]byte
	granularity    int64 // units of 1e-9 degrees
	latOff, lonOff int64 // 1e-9 degrees
	refs           []int64
	tags           []tag
	members        []member
}

func (b *block) scan(data []byte, c *collector) error {
	b.strings, b.groups = b.strings[:0], b.groups[:0]
	b.granularity, b.latOff, b.lonOff = 100, 0, 0
	err := fields(data, func(num protowire.Number, v uint64, msg []byte) error {
		switch num {
		case 1:
			return fields(msg, func(num protowire.Number, _ uint64, s []byte) error {
				if num == 1 {
					b.strings = append(b.strings, s)
				}
				return nil
			})
		case 2:
			b.groups = append(b.groups, msg)
		case 17:
			b.granularity = int64(int32(v))
		case 19:
			b.latOff = int64(v)
		case 20:
			b.lonOff = int64(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range b.groups {
		err := fields(g, func(num protowire.Number, _ uint64, msg []byte) error {
			switch num {
			case 1:
				return b.node(msg, c)
			case 2:
				return b.dense(msg, c)
			case 3:
				return b.way(msg, c)
			case 4:
				return b.relation(msg, c)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// emit converts a position in the block's units to 1e-7 degrees.
func (b *block) emit(c *collector, id, lat, lon int64) {
	c.node(id, toE7(b.latOff+b.granularity*lat), toE7(b.lonOff+b.granularity*lon))
}

// toE7 rounds 1e-9 degrees.
func toE7(nano int64) int64 {
	if nano < 0 {
		return (nano - 50) / 100
	}
	return (nano + 50) / 100
}

func (b *block) node(msg []byte, c *collector) error {
	var id, lat, lon int64
	err := fields(msg, func(num protowire.Number, v uint64, _ []byte) error {
		switch num {
		case 1:
			id = protowire.DecodeZigZag(v)
		case 8:
			lat = protowire.DecodeZigZag(v)
		case 9:
			lon = protowire.DecodeZigZag(v)
		}
		return nil
	})
	if err == nil {
		b.emit(c, id, lat, lon)
	}
	return err
}

func (b *block) dense(msg []byte, c *collector) error {
	var ids, lats, lons []byte
	err := fields(msg, func(num protowire.Number, _ uint64, p []byte) error {
		switch num {
		case 1:
			ids = p
		case 8:
			lats = p
		case 9:
			lons = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	var id, lat, lon int64
	for len(ids) > 0 {
		did, n1 := binary.Varint(ids)
		dlat, n2 := binary.Varint(lats)
		dlon, n3 := binary.Varint(lons)
		if n1 <= 0 || n2 <= 0 || n3 <= 0 {
			return fmt.Errorf("%w: dense nodes of unequal lengths", ErrFormat)
		}
		ids, lats, lons = ids[n1:], lats[n2:], lons[n3:]
		id, lat, lon = id+did, lat+dlat, lon+dlon
		b.emit(c, id, lat, lon)
	}
	return nil
}

func (b *block) way(msg []byte, c *collector) error {
	var id int64
	var keys, vals, refs []byte
	err := fields(msg, func(num protowire.Number, v uint64, p []byte) error {
		switch num {
		case 1:
			id = int64(v)
		case 2:
			keys = p
		case 3:
			vals = p
		case 8:
			refs = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.refs = b.refs[:0]
	if !b.readTags(keys, vals, wanted) {
		return fmt.Errorf("%w: way %d: tags", ErrFormat, id)
	}
	var ref int64
	for len(refs) > 0 {
		d, n := binary.Varint(refs)
		if n <= 0 || len(b.refs) == maxRefs {
			return fmt.Errorf("%w: way %d: references", ErrFormat, id)
		}
		refs = refs[n:]
		ref += d
		b.refs = append(b.refs, ref)
	}
	c.way(id, b.refs, b.tags)
	return nil
}

// readTags reads the wanted ones of an element's tags to b.tags; false if they are malformed.
func (b *block) readTags(keys, vals []byte, wanted func(key []byte) bool) bool {
	b.tags = b.tags[:0]
	for len(keys) > 0 {
		k, n1 := binary.Uvarint(keys)
		v, n2 := binary.Uvarint(vals)
		if n1 <= 0 || n2 <= 0 || k >= uint64(len(b.strings)) || v >= uint64(len(b.strings)) {
			return false
		}
		keys, vals = keys[n1:], vals[n2:]
		if key := b.strings[k]; wanted(key) {
			b.tags = append(b.tags, tag{string(key), strings.ToValidUTF8(string(b.strings[v]), "\uFFFD")})
		}
	}
	return true
}

func (b *block) relation(msg []byte, c *collector) error {
	var id int64
	var keys, vals, roles, ids, kinds []byte
	err := fields(msg, func(num protowire.Number, v uint64, p []byte) error {
		switch num {
		case 1:
			id = int64(v)
		case 2:
			keys = p
		case 3:
			vals = p
		case 8:
			roles = p
		case 9:
			ids = p
		case 10:
			kinds = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !b.readTags(keys, vals, wantedOfRelation) {
		return fmt.Errorf("%w: relation %d: tags", ErrFormat, id)
	}
	b.members = b.members[:0]
	var ref int64
	for len(ids) > 0 {
		role, n1 := binary.Uvarint(roles)
		d, n2 := binary.Varint(ids)
		kindOf, n3 := binary.Uvarint(kinds)
		if n1 <= 0 || n2 <= 0 || n3 <= 0 || role >= uint64(len(b.strings)) || kindOf > uint64(relationKind) {
			return fmt.Errorf("%w: relation %d: members", ErrFormat, id)
		}
		roles, ids, kinds = roles[n1:], ids[n2:], kinds[n3:]
		ref += d
		if r := wantedRole(b.strings[role]); r != "" && len(b.members) < maxMembers {
			b.members = append(b.members, member{ref, kind(kindOf), r})
		}
	}
	c.relation(b.members, b.tags)
	return nil
}
