package pmtiles

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/carasso/carasso/mapdata/geo"
)

// VectorLayer describes a layer of vector tiles, as in TileJSON 3.0.
type VectorLayer struct {
	ID          string            `json:"id"`
	Description string            `json:"description,omitempty"`
	MinZoom     uint8             `json:"minzoom"`
	MaxZoom     uint8             `json:"maxzoom"`
	Fields      map[string]string `json:"fields"`
}

// Metadata is what an archive says of itself.
type Metadata struct {
	Name         string         `json:"name,omitempty"`
	Description  string         `json:"description,omitempty"`
	Attribution  string         `json:"attribution,omitempty"`
	Kind         string         `json:"type,omitempty"` // "overlay" or "baselayer"
	Version      string         `json:"version,omitempty"`
	VectorLayers []VectorLayer  `json:"vector_layers"`
	Extra        map[string]any `json:"carasso,omitempty"` // what viewers do not know of
}

// Writer makes an archive of vector tiles: Add for each tile, then Finish. Contents go to a
// spool, since the directory stands before them; only directory and hashes are kept in
// memory, about 100 B a tile. The same tiles give the same bytes. Not safe for concurrent use.
type Writer struct {
	spool   io.ReadWriteSeeker
	size    uint64
	entries []Entry
	known   map[[16]byte]Range
	header  Header
	next    uint64 // the least id that may come
}

// NewWriter makes a writer whose tiles are compressed as given. spool is an empty temporary
// file, the caller's to remove.
func NewWriter(spool io.ReadWriteSeeker, tiles Compression) *Writer {
	return &Writer{
		spool: spool, known: map[[16]byte]Range{},
		header: Header{Clustered: true, Internal: Gzip, Tiles: tiles, Type: VectorTiles, MinZoom: MaxZoom, Box: geo.EmptyBox()},
	}
}

// Add adds a tile. Tiles must come in ascending order of ID; an empty body is an error,
// as the format can't tell it from none.
func (w *Writer) Add(z uint8, x, y uint32, body []byte) error {
	if z > MaxZoom || x >= 1<<z || y >= 1<<z {
		return fmt.Errorf("pmtiles: no tile %d/%d/%d", z, x, y)
	}
	id := ID(z, x, y)
	switch {
	case len(body) == 0 || len(body) > math.MaxInt32:
		return fmt.Errorf("pmtiles: tile %d/%d/%d: %d bytes", z, x, y, len(body))
	case id < w.next:
		return fmt.Errorf("pmtiles: tile %d/%d/%d comes after one with a greater id", z, x, y)
	}
	sum := sha256.Sum256(body)
	hash := [16]byte(sum[:16])
	at, known := w.known[hash]
	if !known {
		if _, err := w.spool.Write(body); err != nil {
			return fmt.Errorf("pmtiles: spool tile %d/%d/%d: %w", z, x, y, err)
		}
		at = Range{w.size, uint64(len(body))}
		w.known[hash] = at
		w.size += at.Length
	}
	w.next = id + 1
	w.header.Addressed++
	w.header.MinZoom, w.header.MaxZoom = min(w.header.MinZoom, z), max(w.header.MaxZoom, z)
	if n := len(w.entries); n > 0 {
		if e := &w.entries[n-1]; e.ID+uint64(e.Run) == id && e.Offset == at.Offset && e.Run < math.MaxUint32 {
			e.Run++
			return nil
		}
	}
	w.entries = append(w.entries, Entry{ID: id, Offset: at.Offset, Length: uint32(at.Length), Run: 1})
	return nil
}

// Finish writes the archive. box is what it covers; it opens at its middle.
func (w *Writer) Finish(out io.Writer, m *Metadata, box geo.Box, centerZoom uint8) error {
	if len(w.entries) == 0 {
		return errors.New("pmtiles: no tile")
	}
	meta, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("pmtiles: metadata: %w", err)
	}
	if meta, err = zip(meta); err != nil {
		return err
	}
	root, leaves, err := directories(w.entries, headBytes-HeaderBytes)
	if err != nil {
		return err
	}
	h := w.header
	h.Entries, h.Contents = uint64(len(w.entries)), uint64(len(w.known))
	h.Box, h.CenterZoom = box, centerZoom
	h.Center = geo.Point{LatE7: middle(box.South, box.North), LonE7: middle(box.West, box.East)}
	h.Root = Range{HeaderBytes, uint64(len(root))}
	h.Metadata = Range{h.Root.Offset + h.Root.Length, uint64(len(meta))}
	h.Leaves = Range{h.Metadata.Offset + h.Metadata.Length, uint64(len(leaves))}
	h.Data = Range{h.Leaves.Offset + h.Leaves.Length, w.size}
	head, err := h.AppendBinary(nil)
	if err != nil {
		return err
	}
	for _, part := range [...][]byte{head, root, meta, leaves} {
		if _, err := out.Write(part); err != nil {
			return fmt.Errorf("pmtiles: write: %w", err)
		}
	}
	if _, err := w.spool.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("pmtiles: rewind the spool: %w", err)
	}
	n, err := io.Copy(out, w.spool)
	if err != nil {
		return fmt.Errorf("pmtiles: write tiles: %w", err)
	}
	if uint64(n) != w.size {
		return fmt.Errorf("pmtiles: write tiles: the spool holds %d bytes of %d", n, w.size)
	}
	return nil
}

// Counts are how many tiles were added, and how many different ones.
func (w *Writer) Counts() (tiles, contents int) { return int(w.header.Addressed), len(w.known) }

func middle(a, b int32) int32 { return int32((int64(a) + int64(b)) / 2) }

// leafEntries is how many entries a leaf directory has at first.
const leafEntries = 4096

// directories are the root directory of at most so many bytes and the leaf directories, if
// any are needed, compressed.
func directories(entries []Entry, rootBytes int) (root, leaves []byte, err error) {
	if root, err = zip(appendDirectory(nil, entries)); err != nil || len(root) <= rootBytes {
		return root, nil, err
	}
	for size := leafEntries; ; size += size / 2 {
		var tops []Entry
		leaves = leaves[:0]
		for at := 0; at < len(entries); at += size {
			part := entries[at:min(at+size, len(entries))]
			leaf, err := zip(appendDirectory(nil, part))
			if err != nil {
				return nil, nil, err
			}
			tops = append(tops, Entry{ID: part[0].ID, Offset: uint64(len(leaves)), Length: uint32(len(leaf))})
			leaves = append(leaves, leaf...)
		}
		if root, err = zip(appendDirectory(nil, tops)); err != nil || len(root) <= rootBytes {
			return root, leaves, err
		}
	}
}

// zip compresses.
func zip(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("pmtiles: gzip: %w", err)
	}
	if _, err := z.Write(b); err != nil {
		return nil, fmt.Errorf("pmtiles: gzip: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pmtiles: gzip: %w", err)
	}
	return out.Bytes(), nil
}
