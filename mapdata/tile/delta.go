package tile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
)

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"

	deltaParallel = 16  // tiles of one request that are read at once
	zipFrom       = 256 // bytes from which an answer is worth compressing
)

// delta answers POST /v1/tiles:delta; see NewHandler.
func (h *Handler) delta(w http.ResponseWriter, r *http.Request) {
	m, ok := h.cfg.Manifest()
	if !ok {
		problem.Write(w, problem.New(problem.ServiceUnavailable, "No map has been imported yet."))
		return
	}
	asked, binary, p := readDelta(w, r)
	if p != nil {
		problem.Write(w, p)
		return
	}
	body, p := h.makeDelta(w, r, &m, asked, binary)
	switch {
	case r.Context().Err() != nil: // the client is gone
	case p != nil:
		problem.Write(w, p)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.Copy(w, bytes.NewReader(body))
	}
}

// makeDelta makes the body of an answer and its headers, when fewer than MaxDeltas others are made. A client
// that is slow to send or to take them has no part in that.
func (h *Handler) makeDelta(w http.ResponseWriter, r *http.Request, m *road.Manifest, asked []held, binary bool) ([]byte, *problem.Problem) {
	if !h.turn(r.Context()) {
		return nil, &problem.Problem{Kind: problem.Overloaded, RetryAfter: 2 * time.Second, Detail: "Too many deltas are asked for; try again in a moment."}
	}
	defer func() { <-h.deltas }()
	answer, err := h.change(r.Context(), m, asked)
	if err != nil {
		if r.Context().Err() == nil {
			h.cfg.Logger.ErrorContext(r.Context(), "delta not answered", "error", err)
		}
		return nil, problem.New(problem.ServiceUnavailable, "The tiles can not be read now.")
	}
	var body []byte
	media := jsonType
	if binary {
		media = protobufType
		body, err = answer.MarshalVT()
	} else {
		body, err = deltaJSON(asked, answer)
	}
	if err != nil {
		h.cfg.Logger.ErrorContext(r.Context(), "delta not encoded", "error", err)
		return nil, problem.New(problem.Internal, "")
	}
	w.Header().Set("Content-Type", media)
	return h.zipDelta(w.Header(), r, body), nil
}

// turn waits up to DeltaWait for one of deltas, and tells whether it got it.
func (h *Handler) turn(ctx context.Context) bool {
	select {
	case h.deltas <- struct{}{}:
		return true
	default:
	}
	wait := time.NewTimer(h.cfg.DeltaWait)
	defer wait.Stop()
	select {
	case h.deltas <- struct{}{}:
		return true
	case <-wait.C:
	case <-ctx.Done():
	}
	return false
}

// readDelta reads a request, and whether the answer is to be protobuf.
func readDelta(w http.ResponseWriter, r *http.Request) (asked []held, binary bool, p *problem.Problem) {
	media := r.Header.Get("Content-Type")
	if media == "" {
		media = jsonType
	}
	media, _, err := mime.ParseMediaType(media)
	fromProto := media == protobufType || media == "application/protobuf"
	if coding := r.Header.Get("Content-Encoding"); err != nil || !fromProto && media != jsonType || coding != "" && coding != "identity" {
		return nil, false, problem.New(problem.UnsupportedMedia, "Send "+jsonType+" or "+protobufType+", without a content encoding.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxDeltaBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, false, problem.New(problem.TooLarge, fmt.Sprintf("The body may have %d bytes.", MaxDeltaBody))
	case err != nil:
		return nil, false, invalid("", "The body ended early.", "a complete body")
	}
	if fromProto {
		asked, p = parseDeltaProto(body)
	} else {
		asked, p = parseDeltaJSON(body)
	}
	return asked, prefersProto(r.Header.Values("Accept"), fromProto), p
}

// prefersProto reads Accept: the first of the two forms that is named, else that of the request.
func prefersProto(accept []string, fromProto bool) bool {
	for _, header := range accept {
		for part := range strings.SplitSeq(header, ",") {
			media, _, err := mime.ParseMediaType(part)
			switch {
			case err != nil:
			case media == protobufType || media == "application/protobuf":
				return true
			case media == jsonType:
				return false
			}
		}
	}
	return fromProto
}

// zipDelta compresses an answer if that is worth it and wanted, and says so in its header.
func (h *Handler) zipDelta(header http.Header, r *http.Request, body []byte) []byte {
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept, Accept-Encoding")
	if len(body) >= zipFrom && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		z := h.zip.get()
		zipped, err := Compress(z, body)
		h.zip.put(z)
		if err == nil && len(zipped) < len(body) {
			header.Set("Content-Encoding", "gzip")
			return zipped
		}
	}
	return body
}

// change is what brings a client up to date, tile by tile in the order asked; unchanged tiles are
// left out. One that can't be read is marked; the error is the request's end.
func (h *Handler) change(ctx context.Context, m *road.Manifest, asked []held) (*tilepb.DeltaResponse, error) {
	tiles := make([]*tilepb.Tile, len(asked))
	known := h.knownMaps(ctx, m, asked)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(deltaParallel)
	for i := range asked {
		g.Go(func() error {
			t, err := h.changeTile(gctx, m, known, &asked[i])
			if err != nil {
				if gctx.Err() != nil {
					return err
				}
				h.cfg.Logger.ErrorContext(gctx, "tile not in a delta", "tile", asked[i].id.String(), "error", err)
				t = &tilepb.Tile{Status: tilepb.Status_STATUS_UNAVAILABLE}
			}
			if t != nil {
				t.Quadkey = asked[i].id.Quadkey()
			}
			tiles[i] = t
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	answer := &tilepb.DeltaResponse{}
	for _, t := range tiles {
		if t != nil {
			answer.Tiles = append(answer.Tiles, t)
		}
	}
	return answer, nil
}

// changeTile is nil if nothing changed. known are the versions of the map that tiles may be compared with.
func (h *Handler) changeTile(ctx context.Context, m *road.Manifest, known map[string]error, a *held) (*tilepb.Tile, error) {
	if !a.id.Box().Intersects(m.Box()) {
		return &tilepb.Tile{Status: tilepb.Status_STATUS_OUTSIDE_MAP}, nil
	}
	t := &tilepb.Tile{}
	var err error
	if a.roads != nil && *a.roads != m.Version {
		t.Roads = &tilepb.Roads{Version: m.Version}
		if failed, ok := known[*a.roads]; failed != nil {
			return nil, failed
		} else if ok {
			if t.Roads.Same, err = h.sameRoads(ctx, a.id, *a.roads, m.Version); err != nil {
				return nil, err
			}
		}
	}
	if version, c, err := h.changeLayer(ctx, LimitLayer, a.id, a.limits); err != nil {
		return nil, err
	} else if c != nil {
		if t.Limits, err = state.LimitsMessage(version, c); err != nil {
			return nil, fmt.Errorf("layer %s: %w", LimitLayer, err)
		}
	}
	if version, c, err := h.changeLayer(ctx, SpeedLayer, a.id, a.speeds); err != nil {
		return nil, err
	} else if c != nil {
		if t.Speeds, err = state.SpeedsMessage(version, c); err != nil {
			return nil, fmt.Errorf("layer %s: %w", SpeedLayer, err)
		}
	}
	if version, c, err := h.changeLayer(ctx, HazardLayer, a.id, a.hazards); err != nil {
		return nil, err
	} else if c != nil {
		if t.Hazards, err = state.HazardsMessage(a.id, version, c); err != nil {
			return nil, fmt.Errorf("layer %s: %w", HazardLayer, err)
		}
	}
	if t.Roads == nil && t.Limits == nil && t.Speeds == nil && t.Hazards == nil {
		return nil, nil
	}
	return t, nil
}

// changeLayer is the current version of a live layer and what changed since the one held;
// nil if there is nothing to tell.
func (h *Handler) changeLayer(ctx context.Context, layer string, id ID, since *int64) (int64, *state.Change, error) {
	if since == nil {
		return 0, nil, nil
	}
	key := LiveKey(layer, id)
	ptr, old, err := h.pointers.get(ctx, h.cfg.Live, key)
	if err == nil && old && *since > 0 && (ptr == nil || *since > ptr.Version) {
		// Another instance told of a version that is newer than what is remembered here. To answer
		// from that would take the client back.
		ptr, err = h.pointers.renew(ctx, h.cfg.Live, key)
	}
	for range 2 {
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", key, err)
		}
		var version int64
		var c *state.Change
		if version, c, err = h.since(ctx, ptr, layer, *since); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return version, c, err
		}
		// Two newer versions came between pointer and object.
		var fresh error
		if ptr, fresh = h.pointers.renew(ctx, h.cfg.Live, key); fresh != nil {
			err = fresh
		}
	}
	return 0, nil, err
}

// since is changeLayer with the pointer at hand.
func (h *Handler) since(ctx context.Context, ptr *Pointer, layer string, since int64) (int64, *state.Change, error) {
	if ptr == nil { // nothing was ever published
		if since == 0 {
			return 0, nil, nil
		}
		return 0, &state.Change{Full: true}, nil
	}
	if ptr.Records == "" { // a publisher that keeps no records
		if since == ptr.Version {
			return 0, nil, nil
		}
		return ptr.Version, &state.Change{Full: true}, nil
	}
	if since >= ptr.Changed && since <= ptr.Version && since > 0 {
		// Unchanged. Its version is told before it gets too old to be answered a delta.
		if ptr.Version-since > Horizon(layer).Milliseconds()/4 {
			return ptr.Version, &state.Change{}, nil
		}
		return 0, nil, nil
	}
	s, err := h.states.get(ctx, h.cfg.Objects, ptr.Records)
	if err != nil {
		return 0, nil, err
	}
	c := s.Since(since, ptr.Version)
	if c.Empty() {
		return 0, nil, nil
	}
	return ptr.Version, &c, nil
}
