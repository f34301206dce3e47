// Package car is what a car needs to keep its map fresh: it holds the layers of the tiles
// around it or along its route, asks for what changed at each layer's own pace, follows the stream
// of hazards, and counts what that costs.
package car

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
)

// Config says where a Map gets its data and how often. The zero value of each field but BaseURL
// stands for its default.
type Config struct {
	// BaseURL is the service, e.g. http://127.0.0.1:8080. Required.
	BaseURL string
	// Client makes the requests; its Timeout does not apply to the stream. Default http.DefaultClient.
	Client *http.Client
	// Logger gets failures. Default none.
	Logger *slog.Logger

	// Roads, Limits, Speeds and Hazards are how often each layer is asked for; each time
	// is spread by a tenth. Hazards is the pace without the stream. Defaults 24 h, 1 h, 1 min and 10 s.
	Roads, Limits, Speeds, Hazards time.Duration
	// NoRoads leaves the roads out: for a car with a map of its own.
	NoRoads bool
	// NoStream leaves the stream of hazards out: they come at the pace of Hazards.
	NoStream bool

	// MaxTiles bounds the tiles that are held, 9 to 256. Default 64.
	MaxTiles int
	// Timeout bounds one request but the stream. Default 30 s.
	Timeout time.Duration
	// MinBackoff and MaxBackoff bound the pause after a failure, which doubles and is drawn at
	// random below that. Defaults 1 s and 1 min.
	MinBackoff, MaxBackoff time.Duration
	// Silence is after how long without a byte a stream is given up. Default 45 s.
	Silence time.Duration
}

// Validate checks the fields.
func (c *Config) Validate() error {
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil:
		return fmt.Errorf("base URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("base URL %q: expected http://HOST or https://HOST", c.BaseURL)
	case c.MaxTiles != 0 && (c.MaxTiles < 9 || c.MaxTiles > maxTiles):
		return fmt.Errorf("max tiles %d: expected 9 to %d", c.MaxTiles, maxTiles)
	case min(c.Roads, c.Limits, c.Speeds, c.Hazards, c.Timeout, c.MinBackoff, c.MaxBackoff, c.Silence) < 0:
		return errors.New("a duration is negative")
	}
	return nil
}

const (
	zoom     = road.Zoom
	maxTiles = 256

	// maxAnswer bounds a delta or a tile of roads, before and after decompression.
	maxAnswer = 16 << 20
	// maxHazards bounds the hazards that the stream told of.
	maxHazards = 10_000
)

// The layers.
const (
	roads = iota
	limits
	speeds
	hazards
	layers
)

// Hazard is an active hazard.
type Hazard struct {
	ID uint64
	state.Hazard
}

// Map is a car's map. Safe for concurrent use; Run and Refresh exclude each other.
type Map struct {
	cfg    Config
	base   string
	client *http.Client
	moved  chan struct{} // the tiles wanted are others
	rehear chan struct{} // the stream's tiles are others
	round  chan struct{} // held while refreshing

	mu       sync.Mutex
	wanted   []geo.Tile // in order of importance
	listen   []geo.Tile // of the stream; nil: everything wanted is still within it
	tiles    map[geo.Tile]*held
	due      [layers]time.Time
	clock    uint64 // counts uses of tiles
	traffic  Traffic
	streamed map[uint64]Hazard
	lost     bool // the stream is not followed: deltas stand in for it
	standIn  bool // they have, since it was lost
}

// held is what is held of a tile.
type held struct {
	used    uint64
	asked   [layers]bool // whether it was ever answered
	version [layers]int64
	records [layers]map[uint64][]byte // but roads
	mapped  string                    // version of the roads
	mvt     []byte                    // the roads
}

// New is a Map that holds nothing yet: tell it where the car is by MoveTo or Follow, and Run it.
func New(cfg Config) (*Map, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("car map: %w", err)
	}
	cfg.Roads = cmp.Or(cfg.Roads, 24*time.Hour)
	cfg.Limits = cmp.Or(cfg.Limits, time.Hour)
	cfg.Speeds = cmp.Or(cfg.Speeds, time.Minute)
	cfg.Hazards = cmp.Or(cfg.Hazards, 10*time.Second)
	cfg.MaxTiles = cmp.Or(cfg.MaxTiles, 64)
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.MinBackoff = cmp.Or(cfg.MinBackoff, time.Second)
	cfg.MaxBackoff = cmp.Or(cfg.MaxBackoff, time.Minute)
	cfg.Silence = cmp.Or(cfg.Silence, 45*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	return &Map{
		cfg: cfg, base: strings.TrimSuffix(cfg.BaseURL, "/"), client: cfg.Client,
		moved: make(chan struct{}, 1), rehear: make(chan struct{}, 1), round: make(chan struct{}, 1),
		tiles: make(map[geo.Tile]*held), streamed: make(map[uint64]Hazard), lost: true,
	}, nil
}

// MoveTo makes the map that of the 3×3 tiles around a position. Cheap when the car is still in
// the same tile.
func (m *Map) MoveTo(p geo.Point) {
	m.want(around(geo.TileAt(p, zoom), 1), around(geo.TileAt(p, zoom), 2))
}

// Follow makes the map that of the tiles within widthM metres of a line, from its beginning
// as far as Config.MaxTiles reaches.
func (m *Map) Follow(line []geo.Point, widthM float64) {
	var ids []geo.Tile
	seen := make(map[geo.Tile]bool)
	add := func(q uint32) {
		if t := geo.FromQuadkey(zoom, q); !seen[t] && len(ids) < m.cfg.MaxTiles {
			seen[t] = true
			ids = append(ids, t)
		}
	}
	if len(line) == 1 {
		line = append(slices.Clone(line), line[0])
	}
	road.TouchedTiles(line, widthM, add)
	m.want(ids, ids)
}

// around are the tiles up to n away from t, nearest first.
func around(t geo.Tile, n int) []geo.Tile {
	var ids []geo.Tile
	for d := range n + 1 {
		for y := int64(t.Y) - int64(d); y <= int64(t.Y)+int64(d); y++ {
			for x := int64(t.X) - int64(d); x <= int64(t.X)+int64(d); x++ {
				if max(x-int64(t.X), int64(t.X)-x, y-int64(t.Y), int64(t.Y)-y) != int64(d) || y < 0 {
					continue
				}
				id := geo.Tile{Z: zoom, X: uint32(x) & (1<<zoom - 1), Y: uint32(y)} // the world is round
				if id.Valid() {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

// want sets the tiles to hold and, if the stream does not cover them, those to listen to.
func (m *Map) want(ids, listen []geo.Tile) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.Equal(ids, m.wanted) {
		return
	}
	m.wanted = ids
	for _, id := range ids {
		m.touch(id)
	}
	m.forget()
	signal(m.moved)
	for _, id := range ids {
		if !slices.Contains(m.listen, id) {
			m.listen = listen
			signal(m.rehear)
			break
		}
	}
}

// signal sets a flag.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// touch is what is held of a tile; mu must be held.
func (m *Map) touch(id geo.Tile) *held {
	t := m.tiles[id]
	if t == nil {
		t = &held{}
		m.tiles[id] = t
	}
	m.clock++
	t.used = m.clock
	return t
}

// forget drops what was used longest ago of too many tiles; mu must be held.
func (m *Map) forget() {
	for len(m.tiles) > m.cfg.MaxTiles {
		var oldest geo.Tile
		least := ^uint64(0)
		for id, t := range m.tiles {
			if t.used < least {
				oldest, least = id, t.used
			}
		}
		delete(m.tiles, oldest)
	}
}

// Tiles are those that the map holds and keeps fresh.
func (m *Map) Tiles() []geo.Tile {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.wanted)
}

// Limit is the speed limit of a directed segment; ok is false if none is known here.
func (m *Map) Limit(e road.Edge) (l state.Limit, ok bool) {
	if b, found := m.record(limits, e); found {
		v, err := state.DecodeLimit(b)
		return v, err == nil
	}
	return l, false
}

// Speed is the traffic on a directed segment now; ok is false if nothing is known here.
func (m *Map) Speed(e road.Edge) (s state.Speed, ok bool) {
	if b, found := m.record(speeds, e); found {
		v, err := state.DecodeSpeed(b)
		return v, err == nil
	}
	return s, false
}

func (m *Map) record(layer int, e road.Edge) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tiles[e.Tile()]
	if t == nil {
		return nil, false
	}
	b, ok := t.records[layer][state.EdgeKey(e)]
	return b, ok
}

// Hazards are the active hazards around, by id: as the stream tells them, and as deltas do while it
// is out of reach.
func (m *Map) Hazards() []Hazard {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Hazard
	if !m.lost || !m.standIn {
		for _, h := range m.streamed {
			all = append(all, h)
		}
	} else {
		for _, id := range m.wanted {
			t := m.tiles[id]
			if t == nil {
				continue
			}
			for key, b := range t.records[hazards] {
				if h, err := state.DecodeHazard(id, b); err == nil {
					all = append(all, Hazard{key, h})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Hazard) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Roads is the tile of roads: an MVT; nil for one without roads or not held. It must not be
// changed.
func (m *Map) Roads(id geo.Tile) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tiles[id]; t != nil {
		return t.mvt
	}
	return nil
}

// Traffic is what the map has cost up to now.
func (m *Map) Traffic() Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.traffic
}
