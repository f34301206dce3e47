// Package road holds the immutable road graph: segments between junctions with ids
// that survive a re-import of unchanged roads, cut into partitions of one z14 tile
// each, and what is needed to search them.
package road

import (
	"strconv"

	"github.com/carasso/carasso/mapdata/geo"
)

// Zoom is the level of the tiles that the graph is partitioned by.
const Zoom = 14

const (
	hashBits = 24
	edgeBits = hashBits + 1
)

// Edge is the id of a segment in one direction of travel, below 2^53 so that JSON
// readers keep it exact: 28 bits quadkey of the z14 tile that holds the segment's
// midpoint, 24 bits hash of its shape, 1 bit direction (0 as drawn, 1 against).
// Unchanged roads keep their ids over a re-import. No road has id 0.
type Edge uint64

// SegmentID is the id of a segment regardless of direction: Edge without its last bit.
type SegmentID uint64

// MaxEdge is the greatest possible id.
const MaxEdge Edge = 1<<53 - 1

// Segment is the id of the edge's segment.
func (e Edge) Segment() SegmentID { return SegmentID(e >> 1) }

// Against reports whether travel is against the direction in which OSM draws the road.
func (e Edge) Against() bool { return e&1 == 1 }

// Reverse is the same segment in the other direction.
func (e Edge) Reverse() Edge { return e ^ 1 }

// Quadkey is the Morton number of the z14 tile that owns the edge.
func (e Edge) Quadkey() uint32 { return uint32(e >> edgeBits) }

// Tile is the z14 tile that owns the edge.
func (e Edge) Tile() geo.Tile { return geo.FromQuadkey(Zoom, e.Quadkey()) }

// String is the decimal number.
func (e Edge) String() string { return strconv.FormatUint(uint64(e), 10) }

// EdgeRange is the inclusive range of ids of all edges that a z14 tile owns.
func EdgeRange(quadkey uint32) (first, last Edge) {
	first = Edge(quadkey) << edgeBits
	return first, first | (1<<edgeBits - 1)
}

// Edge is the segment in the direction drawn, or against it.
func (s SegmentID) Edge(against bool) Edge {
	if against {
		return Edge(s<<1 | 1)
	}
	return Edge(s << 1)
}

// Quadkey is the Morton number of the z14 tile that owns the segment.
func (s SegmentID) Quadkey() uint32 { return uint32(s >> hashBits) }

// String is the decimal number.
func (s SegmentID) String() string { return strconv.FormatUint(uint64(s), 10) }
