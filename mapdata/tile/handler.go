package tile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/road"
)

// HandlerConfig is what a Handler serves and how much of it. The zero value of each limit stands for its
// default.
type HandlerConfig struct {
	Objects  Objects
	Live     Live
	Manifest func() (road.Manifest, bool) // the map now in use; false: none yet
	Hazards  HazardSource                 // of the stream of hazards; nil: there is no stream
	Logger   *slog.Logger

	// PointerTTL is for how long it is remembered what a tile's current version is, for
	// deltas. Default 500 ms; below 0: not at all.
	PointerTTL time.Duration
	// StateBytes bounds the memory of the records that deltas are made from. Default 64 MiB.
	StateBytes int
	// MaxStreams bounds the clients of the stream of hazards. Default 1,024.
	MaxStreams int
	// MaxStreamsPerClient bounds those of one client, as ClientOf names it. Default 16; below 0: not at all.
	MaxStreamsPerClient int
	// ClientOf names the client of a request. Default ConnectionOf; behind a proxy, ForwardedOf.
	ClientOf func(*http.Request) string
	// MaxDeltas bounds the deltas that are made at once. Default 4 for each CPU that may be used.
	MaxDeltas int
	// DeltaWait is how long one more waits for its turn, before it is refused. Default 1 s.
	DeltaWait time.Duration
	// HazardsEvery is the pace at which Hazards is asked while there are clients. Default 250 ms.
	HazardsEvery time.Duration
	// Heartbeat is the pace of comments that keep idle streams open. Default 15 s.
	Heartbeat time.Duration
}

// Handler answers requests for tiles, deltas and hazards. Safe for concurrent use.
type Handler struct {
	cfg      HandlerConfig
	routes   http.Handler
	zip      zipPool
	states   *stateCache
	pointers *pointerCache
	same     memo          // whether two versions of a tile's roads are equal
	maps     memo          // versions that the map had, and some that it had not
	deltas   chan struct{} // one for each delta that is made
	hazards  *hazardHub
}

// NewHandler serves, for any origin:
//
//   - GET /v1/tiles.json: TileJSON 3.0 of one layer (?layer=, default roads).
//   - GET /v1/tiles/{layer}/{z}/{x}/{y}.mvt: 200 with ETag, gzip'd for clients that take it;
//     304 if they have it; 204 for a tile of the map without content; 404 outside of the
//     map, its zooms and its layers.
//   - POST /v1/tiles:delta: what changed since the versions that a client holds, of up to
//     MaxDeltaTiles tiles of zoom 14, in JSON or protobuf (tilepb.DeltaRequest), by Content-Type and Accept.
//     A tile is named 14/x/y or by its quadkey; a layer is asked for by naming its version ("" or 0: nothing
//     held), a tile without layers for all. Only what changed is answered; a full layer if the version is older
//     than the layer's Horizon, or unknown. Of roads only the version is told, and whether the tile's roads are
//     still the same; otherwise they are to be fetched as a tile. 400 with a pointer for what can't be
//     understood; a tile outside of the map has an error of its own; 503 with Retry-After when too many are made.
//   - GET /v1/hazards/stream: hazards as server-sent events; see stream.
//
// Drain ends the streams.
func NewHandler(cfg HandlerConfig) *Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.PointerTTL = cmp.Or(cfg.PointerTTL, 500*time.Millisecond)
	cfg.StateBytes = cmp.Or(cfg.StateBytes, 64<<20)
	cfg.MaxStreams = cmp.Or(cfg.MaxStreams, 1024)
	cfg.MaxStreamsPerClient = cmp.Or(cfg.MaxStreamsPerClient, 16)
	if cfg.ClientOf == nil {
		cfg.ClientOf = ConnectionOf
	}
	cfg.MaxDeltas = cmp.Or(cfg.MaxDeltas, 4*runtime.GOMAXPROCS(0))
	cfg.DeltaWait = cmp.Or(cfg.DeltaWait, time.Second)
	cfg.HazardsEvery = cmp.Or(cfg.HazardsEvery, 250*time.Millisecond)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 15*time.Second)
	h := &Handler{
		cfg: cfg, states: newStateCache(cfg.StateBytes), pointers: &pointerCache{ttl: cfg.PointerTTL},
		maps: memo{most: maxMapVersions}, deltas: make(chan struct{}, max(cfg.MaxDeltas, 1)),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/tiles.json", h.tileJSON)
	mux.HandleFunc("GET /v1/tiles/{layer}/{z}/{x}/{file}", h.tile)
	mux.HandleFunc("POST /v1/tiles:delta", h.delta)
	mux.HandleFunc("GET /v1/hazards/stream", h.stream)
	if cfg.Hazards != nil {
		h.hazards = newHazardHub(cfg.Hazards, cfg.HazardsEvery, cfg.Logger)
	}
	for _, path := range []string{"/v1/tiles.json", "/v1/tiles/{layer}/{z}/{x}/{file}", "/v1/tiles:delta", "/v1/hazards/stream"} {
		mux.HandleFunc("OPTIONS "+path, preflight)
	}
	h.routes = mux
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "ETag, Last-Modified, Retry-After")
	h.routes.ServeHTTP(w, r)
}

// Drain ends the streams of hazards, so that a shutdown need not wait for their clients,
// and waits for what serves them. All else is still answered.
func (h *Handler) Drain(ctx context.Context) error {
	if h.hazards == nil {
		return nil
	}
	return h.hazards.drain(ctx)
}

func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "If-None-Match, Authorization, Content-Type, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) tile(w http.ResponseWriter, r *http.Request) {
	m, ok := h.cfg.Manifest()
	if !ok {
		problem.Write(w, problem.New(problem.ServiceUnavailable, "No map has been imported yet."))
		return
	}
	l, ok := findLayer(r.PathValue("layer"))
	if !ok {
		problem.Write(w, problem.New(problem.NotFound, "There is no such layer; /v1/tiles.json lists them."))
		return
	}
	id, ok := parseID(r)
	if !ok || id.Z < l.minZoom || id.Z > l.maxZoom || !id.Box().Intersects(m.Box()) {
		problem.Write(w, problem.New(problem.NotFound, "The tile is outside of the map or its zooms; see /v1/tiles.json."))
		return
	}
	etag, key, err := h.locate(r, l, id, m.Version)
	if err != nil {
		h.fail(w, r, id, err)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", l.cache)
	header.Set("Vary", "Accept-Encoding")
	if key == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if header.Set("ETag", etag); matches(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := h.cfg.Objects.Get(r.Context(), key)
	switch {
	case errors.Is(err, fs.ErrNotExist) && l.live:
		// Two newer versions came between pointer and object.
		header.Del("ETag")
		h.fail(w, r, id, fmt.Errorf("read %s: %w", key, err))
		return
	case errors.Is(err, fs.ErrNotExist):
		header.Del("ETag")
		w.WriteHeader(http.StatusNoContent)
		return
	case err != nil:
		header.Del("ETag")
		h.fail(w, r, id, fmt.Errorf("read %s: %w", key, err))
		return
	}
	h.send(w, r, id, body)
}

// locate is the ETag and the object of a tile's current version; key is "" for one
// without content.
func (h *Handler) locate(r *http.Request, l layer, id ID, mapVersion string) (etag, key string, err error) {
	if !l.live {
		return `W/"` + mapVersion + `"`, ObjectKey(l.name, id, mapVersion), nil
	}
	ptr, _, err := readPointer(r.Context(), h.cfg.Live, LiveKey(l.name, id))
	if err != nil || ptr == nil || ptr.Key == "" {
		return "", "", err
	}
	return `W/"` + ptr.ETag + `"`, ptr.Key, nil
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, id ID, err error) {
	if r.Context().Err() != nil {
		return // the client is gone
	}
	h.cfg.Logger.ErrorContext(r.Context(), "tile not served", "layer", r.PathValue("layer"), "tile", id.String(), "error", err)
	w.Header().Del("Cache-Control")
	problem.Write(w, problem.New(problem.ServiceUnavailable, "The tile can not be read now."))
}

// parseID reads z, x and "y.mvt" of the path.
func parseID(r *http.Request) (ID, bool) {
	y, ok := strings.CutSuffix(r.PathValue("file"), ".mvt")
	if !ok {
		return ID{}, false
	}
	return idOf(r.PathValue("z"), r.PathValue("x"), y)
}

// matches is RFC 9110's weak comparison of If-None-Match.
func matches(header, etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
