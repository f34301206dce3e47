package worker

import (
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// A successor renews only tiles that its layer has: one that it can't build would be owed for ever.
func TestListedTilesAreTheLayersOwn(t *testing.T) {
	q := geo.TileAt(geo.At(42.5063, 1.5218), road.Zoom).Quadkey()
	zooms := map[uint8]bool{}
	for _, id := range withListed(nil, map[uint32]bool{q: true}, tile.MinSpeedsZoom) {
		zooms[id.Z] = true
	}
	if !zooms[tile.MinSpeedsZoom] || !zooms[road.Zoom] || zooms[tile.MinSpeedsZoom-1] {
		t.Errorf("zooms %v, want %d to %d", zooms, tile.MinSpeedsZoom, road.Zoom)
	}
}
