package pmtiles

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/carasso/carasso/mapdata/geo"
)

// HeaderBytes is the size of a header, and headBytes the part of a file that must hold the
// root directory too.
const (
	HeaderBytes = 127
	headBytes   = 16_384
)

// ErrArchive is wrapped by every error about bytes that are no archive, or a broken one.
var ErrArchive = errors.New("not a PMTiles archive")

// Compression is how directories, metadata or tiles are compressed.
type Compression uint8

// The compressions that are read and written here.
const (
	Plain Compression = 1
	Gzip  Compression = 2
)

// Type is what tiles are.
type Type uint8

// VectorTiles are Mapbox vector tiles.
const VectorTiles Type = 1

// Range is a stretch of the file, or of one of its sections.
type Range struct{ Offset, Length uint64 }

// Header is the beginning of an archive.
type Header struct {
	Root, Metadata, Leaves, Data Range

	Addressed uint64 // tiles
	Entries   uint64 // of directories, that are of tiles: runs of equal ones are one
	Contents  uint64 // different tiles

	Clustered bool // contents are in order of their first tile
	Internal  Compression
	Tiles     Compression
	Type      Type

	MinZoom, MaxZoom uint8
	Box              geo.Box
	CenterZoom       uint8
	Center           geo.Point
}

// AppendBinary appends the 127 bytes; it never fails.
func (h *Header) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, "PMTiles\x03"...)
	for _, v := range [...]uint64{
		h.Root.Offset, h.Root.Length, h.Metadata.Offset, h.Metadata.Length, h.Leaves.Offset, h.Leaves.Length,
		h.Data.Offset, h.Data.Length, h.Addressed, h.Entries, h.Contents,
	} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	clustered := byte(0)
	if h.Clustered {
		clustered = 1
	}
	dst = append(dst, clustered, byte(h.Internal), byte(h.Tiles), byte(h.Type), h.MinZoom, h.MaxZoom)
	for _, v := range [...]int32{h.Box.West, h.Box.South, h.Box.East, h.Box.North} {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	dst = append(dst, h.CenterZoom)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Center.LonE7))
	return binary.LittleEndian.AppendUint32(dst, uint32(h.Center.LatE7)), nil
}

// UnmarshalBinary reads at least 127 bytes. The error wraps ErrArchive.
func (h *Header) UnmarshalBinary(b []byte) error {
	if len(b) < HeaderBytes || string(b[:7]) != "PMTiles" {
		return ErrArchive
	}
	if b[7] != 3 {
		return fmt.Errorf("%w of version 3, but %d", ErrArchive, b[7])
	}
	u := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	i := func(at int) int32 { return int32(binary.LittleEndian.Uint32(b[at:])) }
	*h = Header{
		Root: Range{u(8), u(16)}, Metadata: Range{u(24), u(32)}, Leaves: Range{u(40), u(48)}, Data: Range{u(56), u(64)},
		Addressed: u(72), Entries: u(80), Contents: u(88),
		Clustered: b[96] == 1, Internal: Compression(b[97]), Tiles: Compression(b[98]), Type: Type(b[99]),
		MinZoom: b[100], MaxZoom: b[101],
		Box:        geo.Box{West: i(102), South: i(106), East: i(110), North: i(114)},
		CenterZoom: b[118], Center: geo.Point{LonE7: i(119), LatE7: i(123)},
	}
	if h.MinZoom > h.MaxZoom || h.MaxZoom > MaxZoom {
		return fmt.Errorf("%w: zooms %d to %d", ErrArchive, h.MinZoom, h.MaxZoom)
	}
	return nil
}
