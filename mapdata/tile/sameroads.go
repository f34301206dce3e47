package tile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/carasso/carasso/mapdata/road"
)

const (
	// maxMapVersions bounds the versions of the map of which is remembered whether there ever were such.
	maxMapVersions = 4096
	// maxLookups bounds the versions of the map that one request may have looked up. Cars hold tiles of
	// two or three.
	maxLookups = 4
)

// knownMaps lists the versions of the map that clients may hold, of those that they say they hold: what they made up
// is not worth reading any tile. An error is that of finding out.
func (h *Handler) knownMaps(ctx context.Context, m *road.Manifest, asked []held) map[string]error {
	known := make(map[string]error)
	lookups := 0
	seen := map[string]bool{"": true, m.Version: true}
	for i := range asked {
		a := &asked[i]
		if a.roads == nil || seen[*a.roads] || !a.id.Box().Intersects(m.Box()) {
			continue
		}
		version := *a.roads
		seen[version] = true
		exists, remembered := h.maps.get(version)
		if !remembered {
			if lookups++; lookups > maxLookups {
				continue
			}
			var err error
			if exists, err = h.lookUpMap(ctx, version); err != nil {
				known[version] = err
				continue
			}
		}
		if exists {
			known[version] = nil
		}
	}
	return known
}

// lookUpMap finds out whether the map ever had a version, and remembers it.
func (h *Handler) lookUpMap(ctx context.Context, version string) (bool, error) {
	_, err := h.cfg.Objects.Get(ctx, road.ManifestKey(version))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look up version %s of the map: %w", version, err)
	}
	h.maps.put(version, err == nil)
	return err == nil, nil
}

// sameRoads reports whether a tile's roads are known to be the same in two versions of the map.
func (h *Handler) sameRoads(ctx context.Context, id ID, before, now string) (bool, error) {
	key := id.String() + " " + before + " " + now
	if same, ok := h.same.get(key); ok {
		return same, nil
	}
	var bodies [2][]byte
	for i, version := range [2]string{now, before} {
		body, err := h.cfg.Objects.Get(ctx, ObjectKey(Roads, id, version))
		switch {
		case errors.Is(err, fs.ErrNotExist): // no roads, or no such version
			h.same.put(key, false)
			return false, nil
		case err != nil:
			return false, fmt.Errorf("compare roads of versions %s and %s: %w", before, now, err)
		}
		bodies[i] = body
	}
	same := bytes.Equal(bodies[0], bodies[1])
	h.same.put(key, same)
	return same, nil
}
