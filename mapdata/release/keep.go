package release

import (
	"context"
	"strings"
)

// Prefix is where all objects of releases are.
const Prefix = "release/"

// Named tells which objects the newest releases, so many of them, consist of: their own folders, and the tiles that
// their indexes name. What is stored for a release that is just being made is in neither yet.
func Named(ctx context.Context, o Objects, keep int) (func(key string) bool, error) {
	releases, err := List(ctx, o, keep)
	if err != nil {
		return nil, err
	}
	folders, tiles := map[string]bool{}, map[string]bool{}
	for _, m := range releases {
		folders[m.Version] = true
		for i := range m.Layers {
			entries, err := readIndex(ctx, o, &m.Layers[i])
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				tiles[tileKey(e.hash)] = true
			}
		}
	}
	return func(key string) bool {
		folder, _, nested := strings.Cut(strings.TrimPrefix(key, Prefix), "/")
		switch {
		case !nested: // the pointer to the newest
			return true
		case folder == "tiles":
			return tiles[key]
		default:
			return folders[folder]
		}
	}, nil
}

// ExportKey is where a release's PMTiles archive is kept.
func ExportKey(version string) string { return Prefix + version + "/map.pmtiles" }
