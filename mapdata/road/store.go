package road

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/carasso/carasso/mapdata/geo"
)

// DefaultCacheBytes is the default of StoreConfig.CacheBytes.
const DefaultCacheBytes = 128 << 20

// StoreConfig bounds a Store.
type StoreConfig struct {
	// CacheBytes bounds the memory of cached partitions; default DefaultCacheBytes.
	// Partitions in use by a caller stay alive beyond it.
	CacheBytes int64
}

// Store reads one version of the map from the object store, partition by partition,
// and keeps what was used last within a byte budget. Safe for concurrent use; several
// callers that miss the same partition cause one read.
type Store struct {
	objects  Objects
	manifest Manifest
	budget   int64

	mu     sync.Mutex
	cached map[uint32]*list.Element // of *Partition
	recent *list.List               // front: used last
	bytes  int64
	loads  map[uint32]*load
}

// load is one read in progress; p and err are set when done is closed.
type load struct {
	done chan struct{}
	p    *Partition
	err  error
}

// OpenStore opens the map's current version. Its error is fs.ErrNotExist if no map was
// imported.
func OpenStore(ctx context.Context, objects Objects, cfg StoreConfig) (*Store, error) {
	version, err := ReadCurrent(ctx, objects)
	if err != nil {
		return nil, fmt.Errorf("open map: %w", err)
	}
	manifest, err := ReadManifest(ctx, objects, version)
	if err != nil {
		return nil, fmt.Errorf("open map: %w", err)
	}
	if manifest.Format != Format {
		return nil, fmt.Errorf("open map %s: format %d, expected %d: import the map again", version, manifest.Format, Format)
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	return &Store{
		objects: objects, manifest: manifest, budget: cfg.CacheBytes,
		cached: make(map[uint32]*list.Element), recent: list.New(), loads: make(map[uint32]*load),
	}, nil
}

// Manifest describes the version that the store reads.
func (s *Store) Manifest() Manifest { return s.manifest }

// Version is the version that the store reads.
func (s *Store) Version() string { return s.manifest.Version }

// Partition is the partition of a z14 tile; one without segments where the map has no
// roads.
func (s *Store) Partition(ctx context.Context, quadkey uint32) (*Partition, error) {
	if _, ok := slices.BinarySearch(s.manifest.Tiles, quadkey); !ok {
		return &Partition{Graph: &Graph{shapeStart: []uint32{0}, text: []string{""}, box: geo.EmptyBox()}, Quadkey: quadkey}, nil
	}
	for {
		s.mu.Lock()
		if e, ok := s.cached[quadkey]; ok {
			s.recent.MoveToFront(e)
			s.mu.Unlock()
			return e.Value.(*Partition), nil
		}
		l, ok := s.loads[quadkey]
		if !ok {
			l = &load{done: make(chan struct{})}
			s.loads[quadkey] = l
		}
		s.mu.Unlock()
		if !ok {
			s.load(ctx, quadkey, l)
			return l.p, l.err
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("read partition %d: %w", quadkey, ctx.Err())
		}
		// Another caller's read that was cancelled says nothing about ours.
		if l.err == nil || !errors.Is(l.err, context.Canceled) && !errors.Is(l.err, context.DeadlineExceeded) {
			return l.p, l.err
		}
	}
}

// load reads a partition, caches it, and tells those who wait for it.
func (s *Store) load(ctx context.Context, quadkey uint32, l *load) {
	l.err = fmt.Errorf("read partition %d: aborted", quadkey) // stands if Get panics
	defer func() {
		s.mu.Lock()
		delete(s.loads, quadkey)
		if l.err == nil {
			s.keep(l.p)
		}
		s.mu.Unlock()
		close(l.done)
	}()
	key := PartitionKey(s.manifest.Version, quadkey)
	b, err := s.objects.Get(ctx, key)
	if err != nil {
		l.err = fmt.Errorf("read %s: %w", key, err)
		return
	}
	p, err := DecodePartition(b)
	switch {
	case err != nil:
		l.err = fmt.Errorf("decode %s: %w", key, err)
	case p.Quadkey != quadkey:
		l.err = fmt.Errorf("decode %s: %w: it is of tile %d", key, ErrCorrupt, p.Quadkey)
	default:
		l.p, l.err = p, nil
	}
}

// keep caches a partition and drops what was used longest ago; mu must be held.
func (s *Store) keep(p *Partition) {
	s.cached[p.Quadkey] = s.recent.PushFront(p)
	s.bytes += p.MemoryBytes()
	for s.bytes > s.budget && s.recent.Len() > 1 {
		e := s.recent.Back()
		old := s.recent.Remove(e).(*Partition)
		delete(s.cached, old.Quadkey)
		s.bytes -= old.MemoryBytes()
	}
}

// Segment looks a segment up by its id; ok is false if this version does not have it.
func (s *Store) Segment(ctx context.Context, id SegmentID) (seg Segment, ok bool, err error) {
	p, err := s.Partition(ctx, id.Quadkey())
	if err != nil {
		return Segment{}, false, fmt.Errorf("look up segment %d: %w", id, err)
	}
	seg, ok = p.Segment(id)
	return seg, ok, nil
}

// LoadGraph reads the whole current map into one Graph, for simulators and searches on
// small maps.
func LoadGraph(ctx context.Context, objects Objects) (*Graph, Manifest, error) {
	s, err := OpenStore(ctx, objects, StoreConfig{})
	if err != nil {
		return nil, Manifest{}, err
	}
	segs := make([]Segment, 0, s.manifest.Segments)
	for _, q := range s.manifest.Tiles {
		key := PartitionKey(s.manifest.Version, q)
		b, err := objects.Get(ctx, key)
		if err != nil {
			return nil, Manifest{}, fmt.Errorf("read %s: %w", key, err)
		}
		p, err := decode(b)
		if err != nil {
			return nil, Manifest{}, fmt.Errorf("decode %s: %w", key, err)
		}
		for n := range p.segs {
			if p.segs[n].id.Quadkey() == q {
				seg := p.SegmentAt(n)
				seg.LengthM, seg.Flags = lengthM(seg.Shape), seg.Flags&^Own
				segs = append(segs, seg)
			}
		}
	}
	g, err := NewGraph(segs, geo.EmptyBox())
	if err != nil {
		return nil, Manifest{}, fmt.Errorf("load map %s: %w", s.manifest.Version, err)
	}
	return g, s.manifest, nil
}
