package road

import (
	"context"
	"errors"

	"github.com/carasso/carasso/mapdata/geo"
)

// StoreConfig bounds a Store.
type StoreConfig struct {
	// CacheBytes bounds the memory of cached partitions; default 128 MiB. Partitions in
	// use by a caller stay alive beyond it.
	CacheBytes int64
}

// Store reads one version of the map from the object store, partition by partition,
// and keeps what was used last within a byte budget. Safe for concurrent use; several
// callers that miss the same partition cause one read.
type Store struct {
	manifest Manifest
}

// OpenStore opens the map's current version. Its error is fs.ErrNotExist if no map was
// imported.
func OpenStore(ctx context.Context, objects Objects, cfg StoreConfig) (*Store, error) {
	return nil, errors.New("road: not built yet")
}

// Manifest describes the version that the store reads.
func (s *Store) Manifest() Manifest { return s.manifest }

// Version is the version that the store reads.
func (s *Store) Version() string { return s.manifest.Version }

// Partition is the partition of a z14 tile; one without segments where the map has no
// roads.
func (s *Store) Partition(ctx context.Context, quadkey uint32) (*Partition, error) {
	return nil, errors.New("road: not built yet")
}

// Segment looks a segment up by its id; ok is false if this version does not have it.
func (s *Store) Segment(ctx context.Context, id SegmentID) (seg Segment, ok bool, err error) {
	return Segment{}, false, errors.New("road: not built yet")
}

// InBox calls each for every segment whose extent intersects the box, once, ascending
// by id within a tile; an error from each ends it and is returned.
func (s *Store) InBox(ctx context.Context, b geo.Box, each func(Segment) error) error {
	return errors.New("road: not built yet")
}

// LoadGraph reads the whole current map into one Graph, for simulators and searches on
// small maps.
func LoadGraph(ctx context.Context, objects Objects) (*Graph, Manifest, error) {
	return nil, Manifest{}, errors.New("road: not built yet")
}
