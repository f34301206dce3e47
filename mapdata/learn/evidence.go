package learn

import (
	"cmp"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
)

// Widths of the buckets of evidence, aligned to the Unix epoch, in ms.
const (
	MinuteMS = int64(time.Minute / time.Millisecond)
	DayMS    = 24 * 60 * MinuteMS
)

// EvidenceKey names a place, in the terms of a learner, in a bucket of event time.
type EvidenceKey struct {
	Kind     Kind
	BucketMS int64 // start of the bucket, ms since the epoch
	Key      uint64
}

// Evidence is what vehicles said about a place in a bucket of time.
type Evidence struct {
	EvidenceKey
	Votes Votes
}

// Pass is who drove on an edge in a minute, and so could have noticed something there.
type Pass struct {
	MinuteMS int64 // its start, ms since the epoch
	Vehicles Vehicles
}

// EvidenceSet gathers evidence in memory. The zero value is empty; Reset keeps memory.
// Not safe for concurrent use.
type EvidenceSet struct {
	at   map[EvidenceKey]int32
	list []Evidence
}

// Add counts a vote.
func (s *EvidenceSet) Add(k EvidenceKey, v Vote) {
	i, ok := s.at[k]
	if !ok {
		if s.at == nil {
			s.at = map[EvidenceKey]int32{}
		}
		i = int32(len(s.list))
		s.at[k] = i
		if int(i) < cap(s.list) { // reuse the votes' memory
			s.list = s.list[:i+1]
			s.list[i] = Evidence{EvidenceKey: k, Votes: s.list[i].Votes[:0]}
		} else {
			s.list = append(s.list, Evidence{EvidenceKey: k})
		}
	}
	s.list[i].Votes.Add(v)
}

// Rows are the evidence gathered, in order of kind, bucket and key; valid until the next
// call of another method.
func (s *EvidenceSet) Rows() []Evidence {
	slices.SortFunc(s.list, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.BucketMS, b.BucketMS), cmp.Compare(a.Key, b.Key))
	})
	for i := range s.list {
		s.at[s.list[i].EvidenceKey] = int32(i)
	}
	return s.list
}

// Len is the number of rows.
func (s *EvidenceSet) Len() int { return len(s.list) }

// Reset empties the set.
func (s *EvidenceSet) Reset() {
	clear(s.at)
	s.list = s.list[:0]
}

// CellKey is the key of a z18 cell and a heading octant (0 to 7: N, NE, …; 0 where the
// heading does not matter): the quadkey of its z14 tile, then 8 bits place within it, then
// 3 bits octant.
func CellKey(p geo.Point, octant uint8) uint64 {
	x, y := geo.Mercator(p)
	const n = 1 << 18
	cx, cy := uint32(min(max(x*n, 0), n-1)), uint32(min(max(y*n, 0), n-1))
	tile := geo.Tile{Z: 14, X: cx >> 4, Y: cy >> 4}
	return uint64(tile.Quadkey())<<25 | uint64(cy&15)<<7 | uint64(cx&15)<<3 | uint64(octant&7)
}

// CellBox is the extent of a CellKey's cell, and its heading octant.
func CellBox(key uint64) (box geo.Box, octant uint8) {
	t := geo.FromQuadkey(14, uint32(key>>25))
	b := t.Box()
	x, y := int64(key>>3&15), int64(key>>7&15)
	w, h := int64(b.East)-int64(b.West), int64(b.North)-int64(b.South)
	return geo.Box{
		West: b.West + int32(w*x/16), East: b.West + int32(w*(x+1)/16),
		North: b.North - int32(h*y/16), South: b.North - int32(h*(y+1)/16),
	}, uint8(key & 7)
}
