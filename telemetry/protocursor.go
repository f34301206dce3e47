package telemetry

import (
	"encoding/binary"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoField is one field of a protobuf message as read off the wire.
type protoField struct {
	num  protowire.Number
	typ  protowire.Type
	uint uint64 // of a varint, fixed32 or fixed64
	data []byte // of a length-delimited field; aliases the message
}

// protoFields walks the fields of a message.
type protoFields struct {
	rest []byte
	bad  bool // the message is cut short or no protobuf
}

// next reads one field; false at the end or when the message is bad.
func (p *protoFields) next(f *protoField) bool {
	if len(p.rest) == 0 {
		return false
	}
	tag, rest, ok := uvarint(p.rest)
	if !ok || tag>>3 < uint64(protowire.MinValidNumber) || tag>>3 > uint64(protowire.MaxValidNumber) {
		return p.fail()
	}
	f.num, f.typ = protowire.Number(tag>>3), protowire.Type(tag&7)
	switch f.typ {
	case protowire.VarintType:
		if f.uint, rest, ok = uvarint(rest); !ok {
			return p.fail()
		}
	case protowire.BytesType:
		var n uint64
		if n, rest, ok = uvarint(rest); !ok || n > uint64(len(rest)) {
			return p.fail()
		}
		f.data, rest = rest[:n], rest[n:]
	case protowire.Fixed64Type:
		if len(rest) < 8 {
			return p.fail()
		}
		f.uint, rest = binary.LittleEndian.Uint64(rest), rest[8:]
	case protowire.Fixed32Type:
		if len(rest) < 4 {
			return p.fail()
		}
		f.uint, rest = uint64(binary.LittleEndian.Uint32(rest)), rest[4:]
	default: // groups: only ever unknown fields; depth is bounded by protowire
		n := protowire.ConsumeFieldValue(f.num, f.typ, rest)
		if n < 0 {
			return p.fail()
		}
		rest = rest[n:]
	}
	p.rest = rest
	return true
}

func (p *protoFields) fail() bool {
	p.bad = true
	return false
}

// fault is the error for a bad message, nil for a good one.
func (p *protoFields) fault(pointer string) *Invalid {
	if !p.bad {
		return nil
	}
	return malformed(CodeSyntax, pointer, "a protobuf message", "a bad field "+strconv.Itoa(len(p.rest))+
		" bytes before its end")
}

// want checks the wire type of a known field, and through seen that it comes once.
func (f *protoField) want(typ protowire.Type, seen *uint32, pointer string) *Invalid {
	if f.typ != typ {
		return malformed(CodeType, pointer, "protobuf wire type "+strconv.Itoa(int(typ)), strconv.Itoa(int(f.typ)))
	}
	bit := uint32(1) << f.num
	if *seen&bit != 0 {
		return malformed(CodeDuplicate, pointer, "the field once", "it again")
	}
	*seen |= bit
	return nil
}

// uvarint reads a base-128 varint of at most 64 bits.
func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), b[1:], true
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, b[2:], true
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, b, false
	}
	return v, b[n:], true
}

// unzigzag is the inverse of the zigzag code of protobuf's sint32 and sint64.
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// zigzag maps numbers of small magnitude to small unsigned ones.
func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// countVarints is the number of complete varints in b.
func countVarints(b []byte) (n int) {
	for _, c := range b {
		n += int(^c >> 7)
	}
	return n
}
