package pmtiles

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
)

// Bounds of what is read from a file that may be hostile.
const (
	maxDirectory = 16 << 20 // bytes, decompressed
	maxMetadata  = 16 << 20
	maxTile      = 64 << 20
	maxDepth     = 4
)

// Reader finds tiles in an archive. Safe for concurrent use if the file is.
type Reader struct {
	file   io.ReaderAt
	size   uint64
	header Header
	root   []Entry

	mu     sync.Mutex
	leaves map[uint64][]Entry // some leaf directories, by their offset in the file
}

// keptLeaves is how many leaf directories are kept in memory: about 100 KB each.
const keptLeaves = 32

// Open reads header and root directory of a file of so many bytes. An error about what it
// holds wraps ErrArchive.
func Open(file io.ReaderAt, size int64) (*Reader, error) {
	r := &Reader{file: file, size: uint64(max(size, 0))}
	head, err := r.read(Range{0, HeaderBytes}, HeaderBytes)
	if err != nil {
		return nil, err
	}
	if err := r.header.UnmarshalBinary(head); err != nil {
		return nil, err
	}
	if r.root, err = r.directory(r.header.Root); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	return r, nil
}

// Header is the archive's header.
func (r *Reader) Header() Header { return r.header }

// Metadata is the archive's metadata: JSON.
func (r *Reader) Metadata() ([]byte, error) {
	if r.header.Metadata.Length == 0 {
		return nil, nil
	}
	b, err := r.section(r.header.Metadata, maxMetadata)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	return b, nil
}

// Tile is a tile as it is stored, compressed as the header says; nil if there is none.
func (r *Reader) Tile(z uint8, x, y uint32) ([]byte, error) {
	if z > MaxZoom || x >= 1<<z || y >= 1<<z {
		return nil, nil
	}
	id := ID(z, x, y)
	entries := r.root
	for range maxDepth {
		e, ok := find(entries, id)
		if !ok {
			return nil, nil
		}
		if e.Run > 0 {
			return r.content(e)
		}
		var err error
		if entries, err = r.leaf(e); err != nil {
			return nil, fmt.Errorf("tile %d/%d/%d: %w", z, x, y, err)
		}
	}
	return nil, fmt.Errorf("tile %d/%d/%d: %w: directories nested deeper than %d", z, x, y, ErrArchive, maxDepth)
}

// Entries calls each for every entry of tiles, in ascending order of ids, until it returns an
// error, which is returned as it is.
func (r *Reader) Entries(each func(Entry) error) error { return r.walk(r.root, maxDepth, each) }

func (r *Reader) walk(entries []Entry, depth int, each func(Entry) error) error {
	if depth == 0 {
		return fmt.Errorf("%w: directories nested deeper than %d", ErrArchive, maxDepth)
	}
	for _, e := range entries {
		if e.Run > 0 {
			if err := each(e); err != nil {
				return err
			}
			continue
		}
		leaf, err := r.leaf(e)
		if err != nil {
			return err
		}
		if err := r.walk(leaf, depth-1, each); err != nil {
			return err
		}
	}
	return nil
}

// content is the tile of an entry.
func (r *Reader) content(e Entry) ([]byte, error) {
	at, err := within(r.header.Data, e)
	if err != nil {
		return nil, err
	}
	return r.read(at, maxTile)
}

func (r *Reader) leaf(e Entry) ([]Entry, error) {
	at, err := within(r.header.Leaves, e)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	entries, ok := r.leaves[at.Offset]
	r.mu.Unlock()
	if ok {
		return entries, nil
	}
	if entries, err = r.directory(at); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaves == nil || len(r.leaves) >= keptLeaves {
		r.leaves = map[uint64][]Entry{}
	}
	r.leaves[at.Offset] = entries
	return entries, nil
}

// within is where in the file an entry of a section points.
func within(section Range, e Entry) (Range, error) {
	if e.Offset+uint64(e.Length) > section.Length || section.Offset > math.MaxInt64-section.Length {
		return Range{}, fmt.Errorf("%w: an entry beyond its section", ErrArchive)
	}
	return Range{section.Offset + e.Offset, uint64(e.Length)}, nil
}

func (r *Reader) directory(at Range) ([]Entry, error) {
	b, err := r.section(at, maxDirectory)
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	return parseDirectory(b)
}

// section reads what is compressed as the header says, up to so many bytes of content.
func (r *Reader) section(at Range, most int64) ([]byte, error) {
	b, err := r.read(at, uint64(most))
	if err != nil {
		return nil, err
	}
	switch r.header.Internal {
	case Plain:
		return b, nil
	case Gzip:
	default:
		return nil, fmt.Errorf("%w that can be read: compression %d", ErrArchive, r.header.Internal)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	out, err := io.ReadAll(io.LimitReader(z, most+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	if int64(len(out)) > most {
		return nil, fmt.Errorf("%w: a section of more than %d bytes", ErrArchive, most)
	}
	return out, nil
}

// read reads a stretch of the file.
func (r *Reader) read(at Range, most uint64) ([]byte, error) {
	if at.Length > most || at.Offset > r.size || at.Length > r.size-at.Offset {
		return nil, fmt.Errorf("%w: %d bytes at %d of a file of %d", ErrArchive, at.Length, at.Offset, r.size)
	}
	b := make([]byte, at.Length)
	if _, err := r.file.ReadAt(b, int64(at.Offset)); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %d bytes at %d: %w", at.Length, at.Offset, err)
	}
	return b, nil
}
