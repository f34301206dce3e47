package worker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// HazardStore is the database's side of the hazards layer. Safe for concurrent use.
type HazardStore interface {
	LiveTileStore
	// Evidence reads what vehicles said in z14 tiles in buckets that start from since to until.
	Evidence(ctx context.Context, kinds []learn.Kind, tiles []uint32, since, until time.Time, each func(learn.Evidence)) error
	// Passes tells who drove on directed segments in each minute that starts from since to until.
	Passes(ctx context.Context, edges []uint64, since, until time.Time, each func(edge uint64, p learn.Pass)) error
	// ActiveHazards lists those that are active or ended after endedSince.
	ActiveHazards(ctx context.Context, endedSince time.Time) ([]hazard.Hazard, int64, error)
	// StoreHazards stores hazards in their present state.
	StoreHazards(ctx context.Context, hs []hazard.Hazard) error
}

// HazardTiles renders the hazards layer: *tile.Hazards. Safe for concurrent use.
type HazardTiles interface {
	// Affected lists the tiles that show one of the hazards.
	Affected(ctx context.Context, changed []hazard.Hazard) ([]tile.ID, error)
	// Build encodes a tile; nil when there is nothing to show.
	Build(ctx context.Context, id tile.ID, all []hazard.Hazard) ([]byte, error)
	// Records are what cars are told of a z14 tile.
	Records(id tile.ID, all []hazard.Hazard) []tile.Record
}

// HazardsConfig tunes the hazards layer. The zero value of each field stands for its default.
type HazardsConfig struct {
	// Fusion says how evidence is judged. Default hazard.DefaultConfig.
	Fusion *hazard.Config
	// Recheck is how often an active hazard is looked at without anything new about it: passing
	// vehicles that notice nothing, and time, end it. Default 1 s.
	Recheck time.Duration
}

// hazards is the layer of hazards.
type hazards struct {
	fusion  hazard.Config
	recheck time.Duration
	store   HazardStore
	roads   learn.Roads
	tiles   HazardTiles
	out     publisher

	known  []hazard.Hazard // active, or ended within the window
	spots  hazard.Spots
	shown  map[uint32]bool // z14 tiles on the list of live tiles
	renew  bool            // whatever is known or on that list is to be published again
	looked time.Time
}

var hazardKinds = [...]learn.Kind{learn.HazardEvidence, learn.HazardCellEvidence}

// NewHazards is the layer of hazards.
func NewHazards(cfg HazardsConfig, store HazardStore, roads learn.Roads, tiles HazardTiles, to TilePublisher, m *ProjectorMetrics) Layer {
	fusion := hazard.DefaultConfig()
	if cfg.Fusion != nil {
		fusion = *cfg.Fusion
	}
	return &hazards{
		fusion: fusion, recheck: cmp.Or(cfg.Recheck, time.Second), store: store, roads: roads, tiles: tiles,
		out: publisher{layer: LayerHazards, to: to, m: m}, spots: hazard.Spots{},
	}
}

// Name implements Layer.
func (*hazards) Name() string { return LayerHazards }

// Begin implements Layer.
func (h *hazards) Begin(ctx context.Context) ([]uint32, error) {
	listed, err := h.store.LiveTiles(ctx, LayerHazards)
	if err != nil {
		return nil, err
	}
	// Event times are those of cars, whose clocks may be behind: the hazard's end is not.
	if h.known, _, err = h.store.ActiveHazards(ctx, time.Now().Add(-2*h.fusion.Window)); err != nil {
		return nil, err
	}
	h.shown, h.renew, h.spots, h.looked = map[uint32]bool{}, true, hazard.Spots{}, time.Time{}
	for _, q := range listed {
		h.shown[q] = true
	}
	region := map[uint32]bool{}
	for i := range h.known {
		addPlaces(region, &h.known[i])
	}
	for q := range h.shown {
		region[q] = true
	}
	return sortedKeys(region), nil
}

// Due implements Layer.
func (h *hazards) Due(_ context.Context, now time.Time) ([]uint32, error) {
	if now.Sub(h.looked) < h.recheck && !now.Before(h.looked) {
		return nil, nil
	}
	h.looked = now
	region := map[uint32]bool{}
	for i := range h.known {
		if h.known[i].Active() {
			addPlaces(region, &h.known[i])
		}
	}
	return sortedKeys(region), nil
}

// addPlaces adds the z14 tiles that a hazard is in.
func addPlaces(to map[uint32]bool, h *hazard.Hazard) {
	for _, e := range h.Edges {
		to[e.Quadkey()] = true
	}
	if len(h.Edges) == 0 {
		to[uint32(learn.CellKey(h.At, 0)>>25)] = true
	}
}

// Project implements Layer.
func (h *hazards) Project(ctx context.Context, quadkeys []uint32, now time.Time) (published int, err error) {
	region, known, others := h.region(quadkeys)
	changes, err := h.judge(ctx, region, known, now)
	if err != nil {
		return 0, err
	}
	if changes.Empty() && (!h.renew || len(h.known)+len(h.shown) == 0) && len(h.out.owed) == 0 {
		return 0, nil
	}
	changed := slices.Concat(changes.Started, changes.Updated, changes.Ended)
	if err := h.store.StoreHazards(ctx, changed); err != nil {
		return 0, err
	}
	touched := slices.Clone(changed) // as they were, too: they may have moved
	after := map[uint64]*hazard.Hazard{}
	for i := range changed {
		after[changed[i].ID] = &changed[i]
	}
	next := slices.Concat(others, changes.Started)
	forget := now.Add(-h.fusion.Window).UnixMilli()
	for i := range known {
		k := known[i]
		if c := after[k.ID]; c != nil {
			touched = append(touched, k)
			k = *c
		}
		next = append(next, k)
	}
	h.known = slices.DeleteFunc(next, func(x hazard.Hazard) bool { return !x.Active() && x.EndedMS < forget })
	return h.publish(ctx, touched, now)
}

// region extends tiles to all that must be judged with them: their neighbours, since a hazard may go
// on there, and where the hazards that touch any of these are.
func (h *hazards) region(quadkeys []uint32) (tiles map[uint32]bool, known, others []hazard.Hazard) {
	tiles = map[uint32]bool{}
	for _, q := range quadkeys {
		for _, n := range maperror.Neighbours(q) {
			tiles[n] = true
		}
	}
	others = slices.Clone(h.known)
	for grown := true; grown; {
		grown = false
		others = slices.DeleteFunc(others, func(x hazard.Hazard) bool {
			places := map[uint32]bool{}
			addPlaces(places, &x)
			touches := false
			for q := range places {
				touches = touches || tiles[q]
			}
			if !touches {
				return false
			}
			for q := range places {
				tiles[q] = true
			}
			known, grown = append(known, x), true
			return true
		})
	}
	return tiles, known, others
}

// maxSpots bounds the places remembered; they are looked up again.
const maxSpots = 200_000

// judge tells what changed of the known hazards of a region.
func (h *hazards) judge(ctx context.Context, region map[uint32]bool, known []hazard.Hazard, now time.Time) (hazard.Changes, error) {
	edges, err := h.evidence(ctx, sortedKeys(region), now)
	if err != nil {
		return hazard.Changes{}, err
	}
	findings := hazard.Fuse(edges, now.UnixMilli(), &h.fusion)
	if len(h.spots) > maxSpots {
		h.spots = hazard.Spots{}
	}
	for i := range findings {
		if err := h.spots.Survey(ctx, h.roads, findings[i].Edge); err != nil {
			return hazard.Changes{}, err
		}
	}
	for i := range known {
		if err := h.spots.Survey(ctx, h.roads, known[i].Edges...); err != nil {
			return hazard.Changes{}, err
		}
	}
	return hazard.Track(known, findings, h.spots, now.UnixMilli()), nil
}

// evidence reads what was said in the window in some tiles, and who passed there.
func (h *hazards) evidence(ctx context.Context, tiles []uint32, now time.Time) ([]hazard.EdgeEvidence, error) {
	since, until := now.Add(-h.fusion.Window).Truncate(time.Minute), now.Add(h.fusion.Ahead)
	var all []hazard.EdgeEvidence
	at := map[uint64]int{}
	var edges []uint64
	err := h.store.Evidence(ctx, hazardKinds[:], tiles, since, until, func(e learn.Evidence) {
		if n := len(all); n == 0 || all[n-1].Minutes[0].Kind != e.Kind || all[n-1].Minutes[0].Key != e.Key {
			x := hazard.EdgeEvidence{Cell: e.Key}
			if e.Kind == learn.HazardEvidence {
				x = hazard.EdgeEvidence{Edge: road.Edge(e.Key)}
				at[e.Key] = n
				edges = append(edges, e.Key)
			}
			all = append(all, x)
		}
		x := &all[len(all)-1]
		x.Minutes = append(x.Minutes, e)
	})
	if err != nil {
		return nil, err
	}
	return all, h.store.Passes(ctx, edges, since, until, func(edge uint64, p learn.Pass) {
		x := &all[at[edge]]
		x.Passes = append(x.Passes, p)
	})
}

// publish publishes the tiles that show one of the hazards, and keeps the list of live tiles.
func (h *hazards) publish(ctx context.Context, touched []hazard.Hazard, now time.Time) (published int, err error) {
	active := slices.DeleteFunc(slices.Clone(h.known), func(x hazard.Hazard) bool { return !x.Active() })
	if h.renew {
		touched = append(touched, h.known...)
	}
	ids, err := h.tiles.Affected(ctx, touched)
	if err != nil {
		return 0, fmt.Errorf("find tiles affected by %d hazards: %w", len(touched), err)
	}
	covered, err := h.tiles.Affected(ctx, active)
	if err != nil {
		return 0, fmt.Errorf("find tiles affected by %d hazards: %w", len(active), err)
	}
	live := map[uint32]bool{}
	var add, remove []uint32
	for _, id := range covered {
		if id.Z != road.Zoom {
			continue
		}
		q := id.Quadkey()
		live[q] = true
		if !h.shown[q] {
			add = append(add, q)
		}
	}
	for q := range h.shown {
		if !live[q] {
			remove = append(remove, q)
		}
	}
	if h.renew {
		ids = withListed(ids, h.shown, tile.MinHazardsZoom)
	}
	if err := h.store.SetLiveTiles(ctx, LayerHazards, add, nil); err != nil {
		return 0, err
	}
	published, err = h.out.publish(ctx, ids, now, func(ctx context.Context, id tile.ID) ([]byte, []tile.Record, error) {
		mvt, err := h.tiles.Build(ctx, id, active)
		return mvt, h.tiles.Records(id, active), err
	})
	failed := err // of some tiles, which are owed
	gone, owed := h.out.owed.settled(remove)
	for _, q := range owed {
		live[q] = true // off the list when its publication has won
	}
	h.shown, h.renew = live, false
	if err := h.store.SetLiveTiles(ctx, LayerHazards, nil, gone); err != nil {
		return published, err
	}
	return published, failed
}

// withListed adds z14 tiles that a predecessor may have published, and those above them, down to the layer's
// lowest zoom.
func withListed(ids []tile.ID, listed map[uint32]bool, lowest uint8) []tile.ID {
	have := map[tile.ID]bool{}
	for _, id := range ids {
		have[id] = true
	}
	for q := range listed {
		for _, n := range maperror.Neighbours(q) {
			leaf := geo.FromQuadkey(road.Zoom, n)
			for z := lowest; z <= road.Zoom; z++ {
				if id := leaf.Ancestor(z); !have[id] {
					have[id] = true
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

// sortedKeys are a set's quadkeys, ascending.
func sortedKeys(set map[uint32]bool) []uint32 { return slices.Sorted(maps.Keys(set)) }
