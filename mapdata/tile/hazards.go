package tile

import (
	"context"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
)

// MinHazardsZoom is the lowest zoom of the hazards layer.
const MinHazardsZoom = 8

// Hazards builds the tiles of the hazards layer, from zoom 8. Safe for concurrent use.
type Hazards struct {
	roads *road.Store
}

// NewHazards builds over a road graph.
func NewHazards(roads *road.Store) *Hazards { return &Hazards{roads: roads} }

// Affected lists the tiles of zoom 8 to 14 that show one of the hazards: what to publish again when
// they started, changed or ended. z14 tiles come first.
func (s *Hazards) Affected(ctx context.Context, changed []hazard.Hazard) ([]ID, error) {
	set := make(map[ID]struct{})
	for i := range changed {
		leaf := geo.TileAt(changed[i].At, MaxZoom)
		for z := uint8(MinHazardsZoom); z <= MaxZoom; z++ {
			set[leaf.Ancestor(z)] = struct{}{}
		}
	}
	return ordered(set), ctx.Err()
}

// Build encodes a tile.
func (s *Hazards) Build(ctx context.Context, id ID, all []hazard.Hazard) ([]byte, error) {
	return nil, ctx.Err()
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
		told = append(told, Record{Key: h.ID, Value: state.AppendHazard(nil, id, &state.Hazard{
			Category: h.Category, At: h.At, Edge: h.Edge, Percent: percent(h.Probability),
			StartedMS: h.StartedMS, UpdatedMS: h.UpdatedMS,
		})})
	}
	return state.Prepare(told)
}

// percent is a probability in whole percents.
func percent(p float32) uint8 {
	if !(p > 0) {
		return 0
	}
	return uint8(min(100*p+0.5, 100))
}
