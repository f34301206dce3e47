package tile

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Prefix is where all objects of tiles are.
const Prefix = "tiles/"

// Named tells which of some objects of tiles can still be read: those that their tile's pointer in the live store names, with
// the version before, which is kept for slow readers; and the roads of the given version of the map. Keys that are of no
// tile are told to be named: they are not this package's to judge.
func Named(ctx context.Context, live Live, mapVersion string, keys []string) (map[string]bool, error) {
	named := make(map[string]bool, len(keys))
	looked := map[string]bool{}
	for _, key := range keys {
		layer, id, file, ok := parseObjectKey(key)
		if !ok {
			named[key] = true
			continue
		}
		if layer == Roads {
			named[key] = named[key] || mapVersion == "" || file == mapVersion+".mvt.gz"
			continue
		}
		pointer := LiveKey(layer, id)
		if looked[pointer] {
			continue
		}
		looked[pointer] = true
		p, _, err := readPointer(ctx, live, pointer)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", pointer, err)
		}
		if p == nil {
			continue
		}
		for _, k := range []string{p.Key, p.Previous, p.Records, p.PreviousRecords} {
			named[k] = true
		}
	}
	return named, nil
}

// parseObjectKey takes apart what ObjectKey and recordsKey make.
func parseObjectKey(key string) (layer string, id ID, file string, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 6 || parts[0]+"/" != Prefix {
		return "", ID{}, "", false
	}
	var n [3]uint64
	for i := range n {
		v, err := strconv.ParseUint(parts[2+i], 10, 32)
		if err != nil {
			return "", ID{}, "", false
		}
		n[i] = v
	}
	if n[0] > 30 {
		return "", ID{}, "", false
	}
	return parts[1], ID{Z: uint8(n[0]), X: uint32(n[1]), Y: uint32(n[2])}, parts[5], true
}
