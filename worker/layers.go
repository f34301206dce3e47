package worker

import (
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/tile"
)

// The layers that flushes make dirty and Projectors keep up to date.
const (
	speedsLayer = iota
	hazardsLayer
	limitsLayer
	errorsLayer
	numLayers
)

// LayerSpeeds to LayerErrors name the layers, in the outbox, in the records of freshness and, but
// for errors, as layers of tiles.
const (
	LayerSpeeds  = tile.SpeedLayer
	LayerHazards = tile.HazardLayer
	LayerLimits  = tile.LimitLayer
	LayerErrors  = "errors"
)

func layerName(i int) string {
	return [numLayers]string{LayerSpeeds, LayerHazards, LayerLimits, LayerErrors}[i]
}

// layerOf is the layer that a kind of evidence makes dirty; -1 if none: trails, which
// vehicles leave everywhere, are judged when their tile is looked at anyway.
func layerOf(k learn.Kind) int {
	switch k {
	case learn.HazardEvidence, learn.HazardCellEvidence:
		return hazardsLayer
	case learn.LimitEvidence:
		return limitsLayer
	case learn.OffRoadEvidence, learn.EdgeFaultEvidence, learn.TurnEvidence:
		return errorsLayer
	}
	return -1
}

// dirtyTiles gathers the tiles of a layer that a flush makes dirty. The zero value is empty.
type dirtyTiles struct {
	list []learn.DirtyTile
	at   map[uint32]int32
	last int32 // where the tile of the last call is; calls for a tile come in a row
}

// add marks a tile: what was accepted at acceptedMS and happened at eventMS is behind it.
func (d *dirtyTiles) add(tile uint32, acceptedMS, eventMS int64) {
	if int(d.last) >= len(d.list) || d.list[d.last].Tile != tile {
		i, ok := d.at[tile]
		if !ok {
			if d.at == nil {
				d.at = map[uint32]int32{}
			}
			i = int32(len(d.list))
			d.list = append(d.list, learn.DirtyTile{Tile: tile, AcceptedMS: acceptedMS, EventMS: eventMS})
			d.at[tile] = i
		}
		d.last = i
	}
	t := &d.list[d.last]
	t.EventMS = max(t.EventMS, eventMS)
	t.AcceptedMS = min(t.AcceptedMS, acceptedMS)
}

func (d *dirtyTiles) reset() {
	d.list, d.last = d.list[:0], 0
	clear(d.at)
}
