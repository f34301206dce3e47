package road

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/carasso/carasso/mapdata/geo"
)

// ErrCorrupt is the error of a partition that can not be decoded.
var ErrCorrupt = errors.New("road: corrupt partition")

// DecodePartition is the inverse of Encode. Every count and place is checked before it
// is used; the error is ErrCorrupt.
func DecodePartition(b []byte) (*Partition, error) {
	p, err := decode(b)
	if err != nil {
		return nil, err
	}
	p.finish(partitionBox(p.Quadkey))
	return p, nil
}

// decode checks the header and reads the columns; nothing is derived from them yet.
func decode(b []byte) (*Partition, error) {
	switch {
	case len(b) < headerLen || string(b[:len(magic)]) != magic:
		return nil, fmt.Errorf("%w: not a partition", ErrCorrupt)
	case b[len(magic)] != Format:
		return nil, fmt.Errorf("%w: format %d, expected %d: import the map again", ErrCorrupt, b[len(magic)], Format)
	case binary.LittleEndian.Uint32(b[len(magic)+1:]) != crc32.Checksum(b[headerLen:], castagnoli()):
		return nil, fmt.Errorf("%w: checksum mismatch", ErrCorrupt)
	}
	return decodeColumns(b[headerLen:])
}

// reader takes values off the front of a body; after the first failure it yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// below is a uvarint that must be less than n.
func (r *reader) below(n int) int {
	v := r.uvarint()
	if v >= uint64(n) {
		r.bad = true
		return 0
	}
	return int(v)
}

// count is a number of things of which each takes at least size bytes of the rest.
func (r *reader) count(size int) int {
	v := r.uvarint()
	if v > uint64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(v)
}

// minSegment is the fewest bytes that a segment takes, without its points.
const minSegment = 11

func decodeColumns(body []byte) (*Partition, error) {
	r := &reader{b: body}
	quadkey := r.uvarint()
	nodes, texts, segs, points := r.count(1), r.count(1), r.count(minSegment), r.count(2)
	if r.bad || quadkey >= 1<<(2*Zoom) || points >= maxPoints || texts >= maxTexts {
		return nil, fmt.Errorf("%w: impossible counts", ErrCorrupt)
	}
	g := &Graph{
		nodeID: make([]int64, nodes), text: make([]string, 1, texts+1),
		segs: make([]segment, segs), shapeStart: make([]uint32, segs+1), points: make([]geo.Point, 0, points),
	}
	var node int64
	for i := range g.nodeID {
		next := node + r.varint()
		if i > 0 && next <= node {
			return nil, fmt.Errorf("%w: nodes out of order", ErrCorrupt)
		}
		node = next
		g.nodeID[i] = node
	}
	for range texts {
		g.text = append(g.text, string(r.bytes(r.uvarint())))
	}
	var id SegmentID
	at := geo.FromQuadkey(Zoom, uint32(quadkey)).Box()
	last := geo.Point{LatE7: at.South, LonE7: at.West}
	for n := range g.segs {
		next := id + SegmentID(r.uvarint())
		s := segment{id: next, from: int32(r.below(nodes)), to: int32(r.below(nodes))}
		fixed := r.bytes(5)
		if r.bad || next <= id || next > SegmentID(MaxEdge>>1) || Class(fixed[0]) >= classes {
			return nil, fmt.Errorf("%w: segment %d of %d", ErrCorrupt, n, segs)
		}
		id = next
		s.flags, s.layer = Flags(fixed[1]), int8(fixed[2])
		s.limit = [2]uint8{fixed[3], fixed[4]}
		s.name = uint32(r.below(len(g.text)))
		s.refClass = packRef(uint32(r.below(len(g.text))), Class(fixed[0]))
		count := r.count(2)
		if r.bad || count < 2 || len(g.points)+count > points {
			return nil, fmt.Errorf("%w: shape %d of %d", ErrCorrupt, n, segs)
		}
		for range count {
			lat, lon := int64(last.LatE7)+r.varint(), int64(last.LonE7)+r.varint()
			if lat != int64(int32(lat)) || lon != int64(int32(lon)) {
				return nil, fmt.Errorf("%w: point of segment %d", ErrCorrupt, n)
			}
			last = geo.Point{LatE7: int32(lat), LonE7: int32(lon)}
			if !last.Valid() {
				return nil, fmt.Errorf("%w: point of segment %d", ErrCorrupt, n)
			}
			g.points = append(g.points, last)
		}
		g.segs[n] = s
		g.shapeStart[n+1] = uint32(len(g.points))
	}
	g.turns = r.turns(g)
	if r.bad || len(r.b) > 0 || len(g.points) != points {
		return nil, fmt.Errorf("%w: length", ErrCorrupt)
	}
	return &Partition{Graph: g, Quadkey: uint32(quadkey)}, nil
}

// turns reads the forbidden turns, each from an edge of the graph.
func (r *reader) turns(g *Graph) []Turn {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	turns := make([]Turn, 0, n)
	var last Turn
	for range n {
		t := Turn{From: last.From + Edge(r.uvarint()), To: Edge(r.uvarint())}
		i, ok := g.Find(t.From)
		if r.bad || !ok || t.To > MaxEdge || compareTurns(last, t) >= 0 || g.segs[i>>1].flags&Restricted == 0 {
			r.bad = true
			return nil
		}
		turns = append(turns, t)
		last = t
	}
	return turns
}
