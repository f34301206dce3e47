// Package release makes releases of the map: immutable versions of all layers, each with a
// manifest and with what changed since the one before, why, and on what evidence.
//
// A release's tiles are objects named by their content, so that releases share what did not
// change; its rows (learned limits, speeds, accepted errors of the map) are objects of its
// own. The manifest is written after everything that it names, and the pointer to the
// newest release last: a reader sees a whole release or none.
package release

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/pmtiles"
)

// Objects is the part of the object store that releases need. Put is atomic; Get's error is
// fs.ErrNotExist for an absent key. Safe for concurrent use.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
}

// CurrentKey is the object that holds the newest release's version.
const CurrentKey = "release/current"

// Format is the version of what a release consists of.
const Format = 1

// Manifest describes one release.
type Manifest struct {
	Version     string     `json:"version"`            // r, its number in six digits, -, and a hash of what it holds
	Number      int        `json:"number"`             // 1, 2, 3, …
	Hash        string     `json:"hash"`               // SHA-256 of all that it holds, in hex
	Format      int        `json:"format"`             // see Format
	Created     time.Time  `json:"created"`            // UTC
	Previous    string     `json:"previous,omitempty"` // the release before
	MapVersion  string     `json:"map_version"`
	MapSource   string     `json:"map_source"`
	Attribution string     `json:"attribution"`
	BBox        [4]float64 `json:"bbox"` // west, south, east, north in degrees
	Layers      []Layer    `json:"layers"`
	Limits      Rows       `json:"limits"`     // learned and published: LimitRow
	Speeds      Rows       `json:"speeds"`     // of SpeedDays: SpeedRow
	MapErrors   Rows       `json:"map_errors"` // accepted by a person: ErrorRow
	SpeedDays   int        `json:"speed_days"` // days before Created that speeds are of
	Changes     Summary    `json:"changes"`    // since Previous; of all there is in the first release
}

// Layer is a layer of vector tiles.
type Layer struct {
	pmtiles.VectorLayer
	Tiles int    `json:"tiles"`
	Bytes int64  `json:"bytes"` // of all tiles, compressed
	Hash  string `json:"hash"`  // SHA-256 of the index, in hex
	Index string `json:"index"` // object: which tile has which content
}

// Rows is an object with one JSON value a line, compressed.
type Rows struct {
	Key   string `json:"key"`
	Rows  int    `json:"rows"`
	Bytes int    `json:"bytes"`
	Hash  string `json:"hash"` // SHA-256 of the lines, in hex
}

// Box is BBox as a box.
func (m *Manifest) Box() geo.Box {
	sw, ne := geo.At(m.BBox[1], m.BBox[0]), geo.At(m.BBox[3], m.BBox[2])
	return geo.Box{West: sw.LonE7, South: sw.LatE7, East: ne.LonE7, North: ne.LatE7}
}

// layer is a layer by its name; nil if there is none.
func (m *Manifest) layer(name string) *Layer {
	if m == nil {
		return nil
	}
	for i := range m.Layers {
		if m.Layers[i].ID == name {
			return &m.Layers[i]
		}
	}
	return nil
}

func manifestKey(version string) string { return "release/" + version + "/manifest.json" }

// tileKey is the object of a tile's content, by its hash in hex.
func tileKey(hash string) string { return "release/tiles/" + hash[:2] + "/" + hash + ".mvt.gz" }

// ErrNoRelease is wrapped by the error about a version that is none.
var ErrNoRelease = errors.New("no such release")

// versionForm is what versions look like.
var versionForm = regexp.MustCompile(`^r[0-9]{6,9}-[0-9a-f]{8}$`)

// Current is the version of the newest release; "" if there is none.
func Current(ctx context.Context, o Objects) (string, error) {
	b, err := o.Get(ctx, CurrentKey)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", CurrentKey, err)
	}
	v := strings.TrimSpace(string(b))
	if !versionForm.MatchString(v) {
		return "", fmt.Errorf("read %s: not a version: %.40q", CurrentKey, v)
	}
	return v, nil
}

// Read is the manifest of a version; "" or "current" is the newest. The error wraps ErrNoRelease
// if there is none of that name.
func Read(ctx context.Context, o Objects, version string) (*Manifest, error) {
	if version == "" || version == "current" {
		v, err := Current(ctx, o)
		if err != nil {
			return nil, err
		}
		if v == "" {
			return nil, fmt.Errorf("%w: none has been made", ErrNoRelease)
		}
		version = v
	}
	if !versionForm.MatchString(version) {
		return nil, fmt.Errorf("%w: %.40q", ErrNoRelease, version)
	}
	b, err := o.Get(ctx, manifestKey(version))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoRelease, version)
	}
	if err != nil {
		return nil, fmt.Errorf("read release %s: %w", version, err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read release %s: %w", version, err)
	}
	if m.Format != Format {
		return nil, fmt.Errorf("read release %s: format %d, expected %d", version, m.Format, Format)
	}
	return m, nil
}

// List are the newest releases that are kept, newest first: up to most of them.
func List(ctx context.Context, o Objects, most int) ([]*Manifest, error) {
	var out []*Manifest
	version, err := Current(ctx, o)
	if err != nil {
		return nil, err
	}
	for version != "" && len(out) < most {
		m, err := Read(ctx, o, version)
		if errors.Is(err, ErrNoRelease) && len(out) > 0 {
			break // older ones are not kept
		}
		if err != nil {
			return out, err
		}
		out = append(out, m)
		if version == m.Previous {
			break
		}
		version = m.Previous
	}
	return out, nil
}

// hashOf is the SHA-256 in hex.
func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// putRows writes values as lines of JSON.
func putRows[T any](ctx context.Context, o Objects, key string, rows []T) (Rows, error) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for i := range rows {
		if err := enc.Encode(&rows[i]); err != nil {
			return Rows{}, fmt.Errorf("encode %s: %w", key, err)
		}
	}
	body, err := zip(lines.Bytes())
	if err != nil {
		return Rows{}, fmt.Errorf("compress %s: %w", key, err)
	}
	if err := o.Put(ctx, key, body, "application/x-ndjson", "gzip"); err != nil {
		return Rows{}, fmt.Errorf("write %s: %w", key, err)
	}
	return Rows{Key: key, Rows: len(rows), Bytes: len(body), Hash: hashOf(lines.Bytes())}, nil
}

// maxRows bounds what is read of an object of rows, in bytes.
const maxRows = 4 << 30

// getRows reads what putRows wrote; nothing of the zero Rows.
func getRows[T any](ctx context.Context, o Objects, r Rows) ([]T, error) {
	if r.Key == "" {
		return nil, nil
	}
	b, err := o.Get(ctx, r.Key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Key, err)
	}
	if b, err = unzip(b); err != nil {
		return nil, fmt.Errorf("read %s: %w", r.Key, err)
	}
	if h := hashOf(b); h != r.Hash {
		return nil, fmt.Errorf("read %s: its content is not what was released (SHA-256 %s, not %s)", r.Key, h, r.Hash)
	}
	out := make([]T, 0, r.Rows)
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		var v T
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: row %d: %w", r.Key, len(out), err)
		}
		out = append(out, v)
	}
}

func zip(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, maxRows))
	if err != nil {
		return nil, err
	}
	return out, z.Close()
}
