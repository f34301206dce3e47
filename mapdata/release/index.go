package release

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
)

// tileEntry is a tile of a layer's index.
type tileEntry struct {
	id    geo.Tile
	hash  string // SHA-256 of the tile as stored, first 32 hex digits
	bytes int
}

// hashDigits is how many hex digits name a content: 128 bits.
const hashDigits = 32

// line is a tileEntry as it is written.
type line struct {
	Z     uint8  `json:"z"`
	X     uint32 `json:"x"`
	Y     uint32 `json:"y"`
	Hash  string `json:"hash"`
	Bytes int    `json:"bytes"`
}

// encodeIndex is the index's lines; entries are sorted by zoom and quadkey.
func encodeIndex(entries []tileEntry) ([]byte, error) {
	slices.SortFunc(entries, func(a, b tileEntry) int {
		return cmp.Or(cmp.Compare(a.id.Z, b.id.Z), cmp.Compare(a.id.Quadkey(), b.id.Quadkey()))
	})
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, e := range entries {
		if err := enc.Encode(line{e.id.Z, e.id.X, e.id.Y, e.hash, e.bytes}); err != nil {
			return nil, fmt.Errorf("encode the index: %w", err)
		}
	}
	return out.Bytes(), nil
}

// readIndex is a layer's index; nothing of none.
func readIndex(ctx context.Context, o Objects, l *Layer) ([]tileEntry, error) {
	if l == nil {
		return nil, nil
	}
	lines, err := getRows[line](ctx, o, Rows{Key: l.Index, Rows: l.Tiles, Hash: l.Hash})
	if err != nil {
		return nil, err
	}
	out := make([]tileEntry, len(lines))
	for i, v := range lines {
		out[i] = tileEntry{geo.Tile{Z: v.Z, X: v.X, Y: v.Y}, v.Hash, v.Bytes}
		if raw, err := hex.DecodeString(v.Hash); err != nil || len(raw) != hashDigits/2 || !out[i].id.Valid() {
			return nil, fmt.Errorf("read %s: line %d is no tile", l.Index, i+1)
		}
	}
	return out, nil
}

// differing counts the tiles that only one of two indexes has, or that differ.
func differing(a, b []tileEntry) int {
	of := make(map[geo.Tile]string, len(a))
	for _, e := range a {
		of[e.id] = e.hash
	}
	n := 0
	for _, e := range b {
		hash, ok := of[e.id]
		if !ok || hash != e.hash {
			n++
		}
		delete(of, e.id)
	}
	return n + len(of)
}
