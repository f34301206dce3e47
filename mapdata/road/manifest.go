package road

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
)

// Attribution is what must be shown wherever the map is.
const Attribution = "© OpenStreetMap contributors"

// CurrentKey is the object that holds the version of the map in use.
const CurrentKey = "map/current"

// Manifest describes one immutable version of the map.
type Manifest struct {
	Version     string     `json:"version"`     // content hash of the roads, lower-case hex
	Format      int        `json:"format"`      // of the partitions
	Created     time.Time  `json:"created"`     // when it was imported first
	Source      string     `json:"source"`      // name of the imported file
	Attribution string     `json:"attribution"` // see Attribution
	BBox        [4]float64 `json:"bbox"`        // west, south, east, north in degrees
	Nodes       int        `json:"nodes"`       // junctions and ends
	Segments    int        `json:"segments"`
	Edges       int        `json:"edges"` // directed, only those that may be driven
	LengthKM    float64    `json:"length_km"`
	Turns       int        `json:"turns"`      // forbidden ones
	Bytes       int64      `json:"bytes"`      // of all partitions, encoded
	RoadTiles   int        `json:"road_tiles"` // objects of the roads layer
	Tiles       []uint32   `json:"tiles"`      // quadkeys of the z14 tiles that have a partition, ascending
	Skipped     Skipped    `json:"skipped"`
}

// Skipped counts what the import left out.
type Skipped struct {
	DanglingNodes int `json:"dangling_nodes"` // referenced by a road but absent from the file
	InvalidNodes  int `json:"invalid_nodes"`  // not on Earth
	EmptyWays     int `json:"empty_ways"`     // roads with fewer than two usable nodes
	ZeroLength    int `json:"zero_length"`    // segments without extent
	// Turn restrictions: over a way instead of a node, at times or else on conditions, and
	// those of which the turn can't be found.
	ViaWays     int `json:"restrictions_via_ways"`
	Conditional int `json:"restrictions_conditional"`
	Unresolved  int `json:"restrictions_unresolved"`
}

// Box is BBox as a box.
func (m Manifest) Box() geo.Box {
	sw, ne := geo.At(m.BBox[1], m.BBox[0]), geo.At(m.BBox[3], m.BBox[2])
	return geo.Box{West: sw.LonE7, South: sw.LatE7, East: ne.LonE7, North: ne.LatE7}
}

// ManifestKey is the object that holds a version's manifest.
func ManifestKey(version string) string { return "map/" + version + "/manifest.json" }

// PartitionKey is the object that holds the partition of a z14 tile.
func PartitionKey(version string, quadkey uint32) string {
	t := geo.FromQuadkey(Zoom, quadkey)
	return fmt.Sprintf("map/%s/%d/%d/%d.bin", version, Zoom, t.X, t.Y)
}

// Objects is the part of the object store that reading the map needs. Get's error is
// fs.ErrNotExist for an absent key.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// ReadCurrent is the version in use; its error is fs.ErrNotExist if no map was imported.
func ReadCurrent(ctx context.Context, objects Objects) (string, error) {
	b, err := objects.Get(ctx, CurrentKey)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", CurrentKey, err)
	}
	version := strings.TrimSpace(string(b))
	if version == "" || len(version) > 64 || strings.ContainsAny(version, "/.\\") {
		return "", fmt.Errorf("read %s: not a version: %q", CurrentKey, version)
	}
	return version, nil
}

// ReadManifest is the manifest of a version; its error is fs.ErrNotExist if there is none.
func ReadManifest(ctx context.Context, objects Objects, version string) (Manifest, error) {
	var m Manifest
	key := ManifestKey(version)
	b, err := objects.Get(ctx, key)
	if err != nil {
		return m, fmt.Errorf("read %s: %w", key, err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("decode %s: %w", key, err)
	}
	if m.Version != version {
		return m, fmt.Errorf("decode %s: it describes version %q", key, m.Version)
	}
	return m, nil
}
