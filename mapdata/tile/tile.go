// Package tile makes, publishes and serves vector tiles of the map: the static roads
// and the live layers over them.
package tile

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// ID names a tile: zoom and place in the XYZ scheme.
type ID = geo.Tile

// The layers.
const (
	Roads      = "roads"
	SpeedLayer = "speeds"
)

// Speed is the present state of traffic on one edge.
type Speed struct {
	KMH      float64 // mean speed
	Vehicles int     // distinct vehicles behind it
}

// Speeds builds the tiles of the speeds layer. Safe for concurrent use.
type Speeds struct {
	roads *road.Store
	k     int
}

// NewSpeeds builds over a road graph; edges with fewer than k distinct vehicles are left
// out (k-anonymity).
func NewSpeeds(roads *road.Store, k int) *Speeds { return &Speeds{roads: roads, k: k} }

// Affected lists the tiles of zoom 10 to 14 that show an edge owned by one of the given
// z14 tiles (quadkeys): what to publish again when those edges' speeds changed. z14 tiles
// come first.
func (s *Speeds) Affected(ctx context.Context, quadkeys []uint32) ([]ID, error) {
	return nil, errors.New("tile: not built yet")
}

// Sources lists the z14 tiles (quadkeys, ascending) that own the edges which the tile
// shows: Build asks for speeds within their road.EdgeRange only.
func (s *Speeds) Sources(ctx context.Context, id ID) ([]uint32, error) {
	return nil, errors.New("tile: not built yet")
}

// Build encodes a tile of zoom 10 to 14; speed is asked for each edge. It is nil when
// there is nothing to show.
func (s *Speeds) Build(ctx context.Context, id ID, speed func(road.Edge) (Speed, bool)) ([]byte, error) {
	return nil, errors.New("tile: not built yet")
}

// Objects is the part of the object store that tiles need.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
	Delete(ctx context.Context, key string) error
}

// Live is the part of the live store that tiles need. Get's error is fs.ErrNotExist for
// an absent key.
type Live interface {
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error)
}

// Publisher stores new versions of live tiles. Safe for concurrent use.
type Publisher struct {
	objects Objects
	live    Live
}

// NewPublisher publishes to the given stores.
func NewPublisher(objects Objects, live Live) *Publisher {
	return &Publisher{objects: objects, live: live}
}

// Publish stores a tile (mvt uncompressed; empty: nothing to show) and makes it the
// current one, unless one of the same or a newer version is published already: then it
// returns false. version must grow with the content's age, e.g. ms since the epoch.
func (p *Publisher) Publish(ctx context.Context, layer string, id ID, version int64, mvt []byte) (bool, error) {
	return false, errors.New("tile: not built yet")
}

// HandlerConfig is what a Handler serves.
type HandlerConfig struct {
	Objects  Objects
	Live     Live
	Manifest func() (road.Manifest, bool) // the map now in use; false: none yet
	Logger   *slog.Logger
}

// NewHandler serves GET /v1/tiles.json and GET /v1/tiles/{layer}/{z}/{x}/{y}.mvt.
func NewHandler(cfg HandlerConfig) http.Handler { return http.NotFoundHandler() }
