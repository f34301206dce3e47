package road

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/carasso/carasso/mapdata/geo"
)

// Format is the version of the partition encoding.
const Format = 2

const magic = "CRSP"

// headerLen is magic, Format in one byte, CRC-32C of the rest (little endian).
const headerLen = len(magic) + 1 + 4

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Encode is the partition's compact binary form; lengths, adjacency and grid are left
// out and derived again by DecodePartition. The same segments give the same bytes.
//
// After the header everything is a varint, signed ones zigzag: the quadkey; the numbers
// of nodes, texts, segments and points; node ids as differences; texts as length and
// bytes; then for each segment its id as difference, from, to, class, flags, layer, two
// limits, name, ref, number of points, and the points as differences to the one before;
// then the number of forbidden turns and for each the edge turned from as difference, and
// the one turned into.
func (p *Partition) Encode() []byte {
	b := make([]byte, headerLen, headerLen+64+32*len(p.segs)+6*len(p.points))
	copy(b, magic)
	b[len(magic)] = Format
	b = binary.AppendUvarint(b, uint64(p.Quadkey))
	for _, n := range []int{len(p.nodeID), len(p.text) - 1, len(p.segs), len(p.points)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	var node int64
	for _, id := range p.nodeID {
		b = binary.AppendVarint(b, id-node) // wraps around, as does the sum
		node = id
	}
	for _, t := range p.text[1:] {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	var id SegmentID
	at := geo.FromQuadkey(Zoom, p.Quadkey).Box()
	last := geo.Point{LatE7: at.South, LonE7: at.West}
	for n := range p.segs {
		s := &p.segs[n]
		b = binary.AppendUvarint(b, uint64(s.id-id))
		b = binary.AppendUvarint(b, uint64(s.from))
		b = binary.AppendUvarint(b, uint64(s.to))
		b = append(b, byte(s.class()), byte(s.flags), byte(s.layer), s.limit[0], s.limit[1])
		b = binary.AppendUvarint(b, uint64(s.name))
		b = binary.AppendUvarint(b, uint64(s.ref()))
		shape := p.points[p.shapeStart[n]:p.shapeStart[n+1]]
		b = binary.AppendUvarint(b, uint64(len(shape)))
		for _, pt := range shape {
			b = binary.AppendVarint(b, int64(pt.LatE7)-int64(last.LatE7))
			b = binary.AppendVarint(b, int64(pt.LonE7)-int64(last.LonE7))
			last = pt
		}
		id = s.id
	}
	b = binary.AppendUvarint(b, uint64(len(p.turns)))
	var from Edge
	for _, t := range p.turns {
		b = binary.AppendUvarint(b, uint64(t.From-from))
		b = binary.AppendUvarint(b, uint64(t.To))
		from = t.From
	}
	binary.LittleEndian.PutUint32(b[len(magic)+1:], crc32.Checksum(b[headerLen:], castagnoli()))
	return b
}
