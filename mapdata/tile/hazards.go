package tile

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/mvt"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/telemetry"
)

const (
	// MinHazardsZoom is the lowest zoom of the hazards layer.
	MinHazardsZoom = 8
	// HazardLines is the name, within tiles of the hazards layer, of the stretches of road
	// that hazards cover.
	HazardLines = "hazard_lines"
	// MaxHazards is how many hazards a tile shows: the most probable.
	MaxHazards = 1000

	minHazardLinesZoom = 12
	maxHazardEdges     = 64 // drawn of one hazard
	clusterCells       = 32 // across a tile, below minHazardLinesZoom
	farM               = 10_000
)

// Hazards builds the tiles of the hazards layer, from zoom 8. Safe for concurrent use.
type Hazards struct {
	roads *road.Store
	enc   sync.Pool // of *mvt.Encoder
}

// NewHazards builds over a road graph.
func NewHazards(roads *road.Store) *Hazards {
	return &Hazards{roads: roads, enc: sync.Pool{New: func() any { return mvt.NewEncoder() }}}
}

// Affected lists the tiles of zoom 8 to 14 that show one of the hazards: what to publish again when
// they started, changed or ended; of one that moved, give the old and the new. z14 tiles come first.
func (s *Hazards) Affected(ctx context.Context, changed []hazard.Hazard) ([]ID, error) {
	set := make(map[ID]struct{})
	for i := range changed {
		h := &changed[i]
		for z := uint8(MinHazardsZoom); z <= MaxZoom; z++ {
			near := geo.BoxOf([]geo.Point{h.At}).Expand(reachM * float64(uint32(1)<<(MaxZoom-z)))
			for id := range geo.TilesIn(near, z) {
				set[id] = struct{}{}
			}
		}
		err := s.lines(ctx, h, func(_ road.Edge, seg road.Segment) {
			road.TouchedTiles(seg.Shape, reachM, func(q uint32) {
				leaf := geo.FromQuadkey(road.Zoom, q)
				for z := uint8(minHazardLinesZoom); z <= MaxZoom; z++ {
					set[leaf.Ancestor(z)] = struct{}{}
				}
			})
		})
		if err != nil {
			return nil, fmt.Errorf("tiles affected by hazard %d: %w", h.ID, err)
		}
	}
	return ordered(set), nil
}

// lines visits the segments that a hazard covers; those that this map has not are passed over.
func (s *Hazards) lines(ctx context.Context, h *hazard.Hazard, visit func(road.Edge, road.Segment)) error {
	for _, e := range h.Edges[:min(len(h.Edges), maxHazardEdges)] {
		seg, ok, err := s.roads.Segment(ctx, e.Segment())
		if err != nil {
			return err
		}
		if ok {
			visit(e, seg)
		}
	}
	return nil
}

// Build encodes a tile of zoom 8 to 14 from hazards, among which those elsewhere and those that ended are
// passed over. It is nil when there is nothing to show.
//
// The MVT layer hazards holds a point for each. Its id is the hazard's. Properties: id (the same), category
// (telemetry.Hazard's name), probability (two decimals), n (distinct vehicles), started and
// updated (ms since the epoch), edge (where it begins) if any. Below zoom 12 hazards of
// one category close to each other are one point, the most probable one's, with their number as count.
//
// From zoom 12 the MVT layer hazard_lines holds the directed segments that they cover, with the
// properties id (the hazard's), category, probability and edge (also the feature's id).
func (s *Hazards) Build(ctx context.Context, id ID, all []hazard.Hazard) ([]byte, error) {
	if !id.Valid() || id.Z < MinHazardsZoom || id.Z > MaxZoom {
		return nil, fmt.Errorf("build hazards tile %s: zoom %d is not within %d to %d, or the tile does not exist", id, id.Z, MinHazardsZoom, MaxZoom)
	}
	shown, count := pickHazards(id, all)
	if len(shown) == 0 {
		return nil, nil
	}
	e, ok := s.enc.Get().(*mvt.Encoder)
	if !ok {
		e = mvt.NewEncoder()
	}
	defer s.enc.Put(e)
	e.Begin(id, tolerance(id))
	e.BeginLayer(HazardLayer)
	for _, h := range shown {
		if !e.Point(h.ID, h.At) {
			continue
		}
		addHazard(e, h)
		e.Uint("n", uint64(max(h.Vehicles, 0)))
		e.Uint("started", uint64(max(h.StartedMS, 0)))
		e.Uint("updated", uint64(max(h.UpdatedMS, 0)))
		if h.Edge != 0 {
			e.Uint("edge", uint64(h.Edge))
		}
		if n := count[h.ID]; n > 1 {
			e.Uint("count", uint64(n))
		}
	}
	features := e.EndLayer()
	if id.Z >= minHazardLinesZoom {
		e.BeginLayer(HazardLines)
		for _, h := range shown {
			err := s.lines(ctx, h, func(edge road.Edge, seg road.Segment) {
				if e.Line(uint64(edge), seg.Shape, edge.Against()) {
					addHazard(e, h)
					e.Uint("edge", uint64(edge))
				}
			})
			if err != nil {
				return nil, fmt.Errorf("build hazards tile %s: hazard %d: %w", id, h.ID, err)
			}
		}
		features += e.EndLayer()
	}
	if features == 0 {
		return nil, nil
	}
	return slices.Clone(e.Bytes()), nil
}

func addHazard(e *mvt.Encoder, h *hazard.Hazard) {
	e.Uint("id", h.ID)
	e.String("category", h.Category.String())
	e.Double("probability", float64(percent(h.Probability))/100)
}

// pickHazards are the active hazards in or near the tile, the most probable first, and
// below minHazardLinesZoom for how many each stands.
func pickHazards(id ID, all []hazard.Hazard) (shown []*hazard.Hazard, count map[uint64]int) {
	near := id.Box().Expand(farM)
	for i := range all {
		if h := &all[i]; h.Active() && near.Contains(h.At) {
			shown = append(shown, h)
		}
	}
	slices.SortFunc(shown, func(a, b *hazard.Hazard) int {
		return cmp.Or(cmp.Compare(b.Probability, a.Probability), cmp.Compare(b.UpdatedMS, a.UpdatedMS), cmp.Compare(a.ID, b.ID))
	})
	if id.Z < minHazardLinesZoom {
		shown, count = cluster(id, shown)
	}
	return shown[:min(len(shown), MaxHazards)], count
}

// cluster keeps of hazards of one category in one cell the first.
func cluster(id ID, all []*hazard.Hazard) (kept []*hazard.Hazard, count map[uint64]int) {
	type cell struct {
		category telemetry.Hazard
		x, y     int32
	}
	first := make(map[cell]uint64)
	count = make(map[uint64]int)
	n := float64(uint32(1)<<id.Z) * clusterCells
	for _, h := range all {
		x, y := geo.Mercator(h.At)
		c := cell{h.Category, int32(math.Floor(x * n)), int32(math.Floor(y * n))}
		if rep, ok := first[c]; ok {
			count[rep]++
			continue
		}
		first[c] = h.ID
		count[h.ID] = 1
		kept = append(kept, h)
	}
	return kept, count
}

// Records are what cars are told of a z14 tile, for Publisher.PublishLayer: the active hazards whose
// place is in the tile. Others among all are passed over.
func (s *Hazards) Records(id ID, all []hazard.Hazard) []Record {
	var told []Record
	for i := range all {
		h := &all[i]
		if !h.Active() || id.Z != MaxZoom || geo.TileAt(h.At, MaxZoom) != id {
			continue
		}
		v := toldHazard(h)
		told = append(told, Record{Key: h.ID, Value: state.AppendHazard(nil, id, &v)})
	}
	return state.Prepare(told)
}

// toldHazard is what is told of a hazard.
func toldHazard(h *hazard.Hazard) state.Hazard {
	return state.Hazard{
		Category: h.Category, At: h.At, Edge: h.Edge, Percent: percent(h.Probability),
		StartedMS: h.StartedMS, UpdatedMS: h.UpdatedMS,
	}
}

// percent is a probability in whole percents.
func percent(p float32) uint8 {
	if !(p > 0) {
		return 0
	}
	return uint8(min(100*p+0.5, 100))
}
