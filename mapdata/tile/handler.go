package tile

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/road"
)

// HandlerConfig is what a Handler serves.
type HandlerConfig struct {
	Objects  Objects
	Live     Live
	Manifest func() (road.Manifest, bool) // the map now in use; false: none yet
	Logger   *slog.Logger
}

// handler answers requests for tiles.
type handler struct {
	HandlerConfig
}

// NewHandler serves GET /v1/tiles.json (TileJSON 3.0 of one layer: ?layer=, default roads) and
// GET /v1/tiles/{layer}/{z}/{x}/{y}.mvt: 200 with ETag, gzip'd for clients that take it;
// 304 if they have it; 204 for a tile of the map without content; 404 outside of the
// map, its zooms and its layers. Both may be read from any origin.
func NewHandler(cfg HandlerConfig) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/tiles.json", h.tileJSON)
	mux.HandleFunc("GET /v1/tiles/{layer}/{z}/{x}/{file}", h.tile)
	mux.HandleFunc("OPTIONS /v1/tiles.json", preflight)
	mux.HandleFunc("OPTIONS /v1/tiles/{layer}/{z}/{x}/{file}", preflight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Expose-Headers", "ETag, Last-Modified")
		mux.ServeHTTP(w, r)
	})
}

func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "If-None-Match, Authorization")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) tile(w http.ResponseWriter, r *http.Request) {
	m, ok := h.Manifest()
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
	body, err := h.Objects.Get(r.Context(), key)
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
func (h *handler) locate(r *http.Request, l layer, id ID, mapVersion string) (etag, key string, err error) {
	if !l.live {
		return `W/"` + mapVersion + `"`, ObjectKey(l.name, id, mapVersion), nil
	}
	ptr, _, err := readPointer(r.Context(), h.Live, LiveKey(l.name, id))
	if err != nil || ptr == nil || ptr.Key == "" {
		return "", "", err
	}
	return `W/"` + ptr.ETag + `"`, ptr.Key, nil
}

func (h *handler) fail(w http.ResponseWriter, r *http.Request, id ID, err error) {
	if r.Context().Err() != nil {
		return // the client is gone
	}
	h.Logger.ErrorContext(r.Context(), "tile not served", "layer", r.PathValue("layer"), "tile", id.String(), "error", err)
	w.Header().Del("Cache-Control")
	problem.Write(w, problem.New(problem.ServiceUnavailable, "The tile can not be read now."))
}

// parseID reads z, x and "y.mvt" of the path.
func parseID(r *http.Request) (ID, bool) {
	y, ok := strings.CutSuffix(r.PathValue("file"), ".mvt")
	if !ok {
		return ID{}, false
	}
	var n [3]uint64
	for i, s := range [3]string{r.PathValue("z"), r.PathValue("x"), y} {
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil || len(s) > 1 && s[0] == '0' || s[0] == '+' {
			return ID{}, false
		}
		n[i] = v
	}
	if n[0] > MaxZoom {
		return ID{}, false
	}
	id := ID{Z: uint8(n[0]), X: uint32(n[1]), Y: uint32(n[2])}
	return id, id.Valid()
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
