package match

import (
	"context"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// tiles are the partitions in use, stitched together: at most maxTiles.
type tiles struct {
	roads Partitions
	held  []tile
	last  int32 // the one that was opened last
}

type tile struct {
	quadkey uint32
	box     geo.Box
	part    *road.Partition
}

// node is a junction or an end: the place of its tile in tiles.held and its number in that
// tile's partition. The tile is the one that the node lies in, whose partition knows all
// its edges; so a node has one name, whatever partition it was met in.
type node int64

const noNode node = -1

func nodeOf(slot int32, n int) node { return node(slot)<<32 | node(n) }

func (n node) slot() int32 { return int32(n >> 32) }
func (n node) number() int { return int(uint32(n)) }

func (t *tiles) reset() {
	clear(t.held)
	t.held, t.last = t.held[:0], 0
}

// at is the place in held of the tile that p lies in.
func (t *tiles) at(ctx context.Context, p geo.Point) (slot int32, ok bool, err error) {
	if int(t.last) < len(t.held) && within(t.held[t.last].box, p) {
		return t.last, true, nil
	}
	slot, ok, err = t.open(ctx, geo.TileAt(p, road.Zoom).Quadkey())
	if ok {
		t.last = slot
	}
	return slot, ok, err
}

// open is the place in held of a tile; ok is false if no more may be held.
func (t *tiles) open(ctx context.Context, quadkey uint32) (slot int32, ok bool, err error) {
	for i := range t.held {
		if t.held[i].quadkey == quadkey {
			return int32(i), true, nil
		}
	}
	if len(t.held) == maxTiles {
		return 0, false, nil
	}
	part, err := t.roads.Partition(ctx, quadkey)
	if err != nil {
		return 0, false, err
	}
	t.held = append(t.held, tile{quadkey, geo.FromQuadkey(road.Zoom, quadkey).Box(), part})
	return int32(len(t.held) - 1), true, nil
}

// node names node n of a partition; noNode if its tile may not be opened.
func (t *tiles) node(ctx context.Context, slot int32, n int) (node, error) {
	at := &t.held[slot]
	p := at.part.Node(n)
	if within(at.box, p) {
		return nodeOf(slot, n), nil
	}
	home := geo.TileAt(p, road.Zoom).Quadkey()
	if home == at.quadkey {
		return nodeOf(slot, n), nil
	}
	id := at.part.NodeID(n)
	slot, ok, err := t.open(ctx, home)
	if err != nil || !ok {
		return noNode, err
	}
	n, ok = t.held[slot].part.FindNode(id)
	if !ok {
		return noNode, nil
	}
	return nodeOf(slot, n), nil
}

// within is Contains without the border, which two tiles share.
func within(b geo.Box, p geo.Point) bool {
	return p.LonE7 > b.West && p.LonE7 < b.East && p.LatE7 > b.South && p.LatE7 < b.North
}
