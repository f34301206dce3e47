package pmtiles

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

// Entry is a line of a directory.
type Entry struct {
	ID     uint64 // of the first tile
	Offset uint64 // in the section of tiles, or of leaf directories
	Length uint32 // > 0
	Run    uint32 // so many tiles in a row have this content; 0: a leaf directory that begins at ID
}

// appendDirectory appends the serial form, not compressed: the columns one after another,
// ids as differences, offsets as 0 where they follow the entry before.
func appendDirectory(dst []byte, entries []Entry) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(entries)))
	last := uint64(0)
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, e.ID-last)
		last = e.ID
	}
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, uint64(e.Run))
	}
	for _, e := range entries {
		dst = binary.AppendUvarint(dst, uint64(e.Length))
	}
	const none = math.MaxUint64
	end := uint64(none) // of the entry before
	for _, e := range entries {
		if e.Offset == end {
			dst = append(dst, 0)
		} else {
			dst = binary.AppendUvarint(dst, e.Offset+1)
		}
		end = e.Offset + uint64(e.Length)
	}
	return dst
}

// parseDirectory is the inverse of appendDirectory. The error wraps ErrArchive. Ids ascend,
// runs do not overlap, and no offset overflows in what it returns.
func parseDirectory(b []byte) ([]Entry, error) {
	p := varints{b: b}
	n := p.next()
	if p.bad || n == 0 || n > uint64(len(b))/4 { // an entry takes at least four bytes
		return nil, fmt.Errorf("%w: a directory of %d entries in %d bytes", ErrArchive, n, len(b))
	}
	entries := make([]Entry, n)
	var id uint64
	for i := range entries {
		step := p.next()
		if i > 0 && step == 0 || id+step < id {
			return nil, fmt.Errorf("%w: ids of a directory do not ascend", ErrArchive)
		}
		id += step
		entries[i].ID = id
	}
	for i := range entries {
		entries[i].Run = p.next32()
		e := &entries[i]
		if e.ID+uint64(e.Run) < e.ID || i > 0 && entries[i-1].ID+uint64(entries[i-1].Run) > e.ID {
			return nil, fmt.Errorf("%w: runs of a directory overlap", ErrArchive)
		}
	}
	for i := range entries {
		if entries[i].Length = p.next32(); entries[i].Length == 0 {
			return nil, fmt.Errorf("%w: an entry without content", ErrArchive)
		}
	}
	for i := range entries {
		switch v := p.next(); {
		case v > 0:
			entries[i].Offset = v - 1
		case i == 0:
			return nil, fmt.Errorf("%w: the first entry follows none", ErrArchive)
		default:
			entries[i].Offset = entries[i-1].Offset + uint64(entries[i-1].Length)
		}
		if e := &entries[i]; e.Offset > math.MaxInt64-uint64(e.Length) {
			return nil, fmt.Errorf("%w: an offset beyond all files", ErrArchive)
		}
	}
	if p.bad || len(p.b) > 0 {
		return nil, fmt.Errorf("%w: a directory's length", ErrArchive)
	}
	return entries, nil
}

// varints reads one number after another; bad is set, and 0 returned, where there is none.
type varints struct {
	b   []byte
	bad bool
}

func (p *varints) next() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *varints) next32() uint32 {
	v := p.next()
	if v > math.MaxUint32 {
		p.bad = true
		return 0
	}
	return uint32(v)
}

// find is the entry that a tile is in, or the leaf directory in which it may be.
func find(entries []Entry, id uint64) (Entry, bool) {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].ID > id }) - 1
	if i < 0 {
		return Entry{}, false
	}
	e := entries[i]
	return e, e.Run == 0 || id-e.ID < uint64(e.Run)
}
