package eval

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/road"
)

// Roads is a road graph in memory, cut into partitions on demand as road.Store does.
// Safe for concurrent use.
type Roads struct {
	segs    []road.Segment
	touched map[uint32][]int32 // z14 quadkey → places in segs

	mu    sync.Mutex
	parts map[uint32]*road.Partition
}

// NewRoads is the graph of segments with distinct ids.
func NewRoads(segs []road.Segment) *Roads {
	r := &Roads{segs: segs, touched: map[uint32][]int32{}, parts: map[uint32]*road.Partition{}}
	for i, s := range segs {
		add := func(q uint32) {
			if in := r.touched[q]; len(in) == 0 || in[len(in)-1] != int32(i) {
				r.touched[q] = append(in, int32(i))
			}
		}
		road.TouchedTiles(s.Shape, road.MarginM, add)
		add(s.ID.Quadkey())
	}
	return r
}

// Partition is the partition of a z14 tile; one without segments where there are no roads.
func (r *Roads) Partition(_ context.Context, quadkey uint32) (*road.Partition, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.parts[quadkey]; ok {
		return p, nil
	}
	places := r.touched[quadkey]
	in := make([]road.Segment, 0, len(places))
	seen := make(map[int32]struct{}, len(places))
	for _, n := range places {
		if _, ok := seen[n]; !ok { // a road may leave a tile and come back
			seen[n] = struct{}{}
			in = append(in, r.segs[n])
		}
	}
	p, err := road.NewPartition(quadkey, in)
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", quadkey, err)
	}
	r.parts[quadkey] = p
	return p, nil
}

// Memory is an object store in memory, for maps. The zero value is empty. Safe for
// concurrent use.
type Memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

// Get is the object of a key; its error is fs.ErrNotExist if there is none.
func (o *Memory) Get(_ context.Context, key string) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b, ok := o.m[key]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
}

// Put stores an object.
func (o *Memory) Put(_ context.Context, key string, body []byte, _, _ string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.m == nil {
		o.m = map[string][]byte{}
	}
	o.m[key] = body
	return nil
}

// ImportMap reads an OSM extract into memory: whole as a graph, and in partitions.
func ImportMap(ctx context.Context, path string) (*road.Graph, *road.Store, error) {
	var objects Memory
	if _, err := mapdata.ImportFile(ctx, path, &objects, mapdata.ImportOptions{}); err != nil {
		return nil, nil, err
	}
	store, err := road.OpenStore(ctx, &objects, road.StoreConfig{})
	if err != nil {
		return nil, nil, err
	}
	graph, _, err := road.LoadGraph(ctx, &objects)
	return graph, store, err
}
