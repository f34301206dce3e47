// Package mapdata makes the map: it imports OpenStreetMap extracts into the road graph's
// partitions and the tiles of the roads layer.
package mapdata

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/carasso/carasso/mapdata/road"
)

// Objects is the part of the object store that an import needs. Put is atomic; Get's
// error is fs.ErrNotExist for an absent key.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
}

// Progress tells how far an import is. Stage is "read", "build", "partitions", "tiles"
// or "done"; Total is 0 while it is unknown.
type Progress struct {
	Stage string
	Done  int64
	Total int64
}

// ImportOptions adjusts an import; the zero value is usable.
type ImportOptions struct {
	Source   string         // name shown in the manifest
	Progress func(Progress) // called from one goroutine at a time; nil: none
	Logger   *slog.Logger   // nil: none
	Writers  int            // parallel writes to the object store; default 8
}

// Import reads an OSM extract (PBF, or XML plain, gzip or bzip2, told apart by content),
// writes the partitions and roads tiles, and makes them current. It is idempotent: the
// same roads give the same version, and what is there already is not written again.
func Import(ctx context.Context, r io.Reader, objects Objects, opts ImportOptions) (road.Manifest, error) {
	return road.Manifest{}, errors.New("mapdata: not built yet")
}

// ImportFile is Import of a file. A file whose very content was imported before is
// not parsed again, only made current.
func ImportFile(ctx context.Context, path string, objects Objects, opts ImportOptions) (road.Manifest, error) {
	return road.Manifest{}, errors.New("mapdata: not built yet")
}
