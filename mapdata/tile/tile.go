// Package tile makes, publishes and serves vector tiles of the map: the static roads
// and the live layers over them.
package tile

import (
	"context"
	"fmt"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/tile/state"
)

// ID names a tile: zoom and place in the XYZ scheme.
type ID = geo.Tile

// Record is what cars are told of one thing in a z14 tile: see the Records methods of Speeds,
// Limits and Hazards.
type Record = state.Record

// The layers.
const (
	Roads       = "roads"
	LimitLayer  = "limits"
	SpeedLayer  = "speeds"
	HazardLayer = "hazards"
)

// ContentType is the media type of vector tiles.
const ContentType = "application/vnd.mapbox-vector-tile"

// Objects is the part of the object store that tiles need. Get's error is
// fs.ErrNotExist for an absent key; Put is atomic.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
	Delete(ctx context.Context, key string) error
}

// Live is the part of the live store that tiles need. Get's error is fs.ErrNotExist for
// an absent key; PutIfNewer writes only over a lesser version.
type Live interface {
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error)
}

// ObjectKey is where a version of a tile is stored, gzip'd.
func ObjectKey(layer string, id ID, version string) string {
	return fmt.Sprintf("tiles/%s/%d/%d/%d/%s.mvt.gz", layer, id.Z, id.X, id.Y, version)
}

// LiveKey is the live store's item that points to a live tile's current version.
func LiveKey(layer string, id ID) string {
	return fmt.Sprintf("tile/%s/%d/%d/%d", layer, id.Z, id.X, id.Y)
}

// recordsKey is where the records of a version of a z14 tile are stored. The sum of the
// content keeps apart what two publishers make of the same version.
func recordsKey(layer string, id ID, version int64, sum string) string {
	return fmt.Sprintf("tiles/%s/%d/%d/%d/%d-%s.records", layer, id.Z, id.X, id.Y, version, sum)
}

// Pointer is the live store's item for a tile. The item's own version there is no more
// than a count of its changes, by which publishers notice one another.
type Pointer struct {
	Version     int64     `json:"version"`
	ETag        string    `json:"etag"` // hash of the content; "" for a tile with nothing to show
	Key         string    `json:"key"`  // object; "" for a tile with nothing to show
	PublishedAt time.Time `json:"published_at"`
	Previous    string    `json:"previous,omitempty"` // object of the version before, kept for slow readers

	Records         string `json:"records,omitempty"`          // object; "" for a tile without records
	Changed         int64  `json:"changed,omitempty"`          // version at which the records changed last
	PreviousRecords string `json:"previous_records,omitempty"` // as Previous
}
