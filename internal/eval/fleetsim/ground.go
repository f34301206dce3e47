package fleetsim

import (
	"context"
	"fmt"
	"os"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/osm"
	"github.com/carasso/carasso/mapdata/road"
)

// ground is the truth that is driven on, and the map made wrong.
type ground struct {
	truth   *road.Graph
	network *fleet.Network
	roads   *eval.Roads // of the map
	graph   *road.Graph // the map in one piece
	segs    []road.Segment

	ways, oneWays int
	removed       []brokenWay
	flipped       []brokenWay
	moved         []brokenWay
	closed        []brokenWay
	turns         []*brokenTurn
	allTurns      int
	turnsFrom     map[road.Edge][]*brokenTurn
	turnsInto     map[road.Edge][]*brokenTurn
	spoiled       spoiled
	closedEdges   []uint64

	onMap []road.Index // by arc: the same edge on the map; NoIndex if the map cuts or lacks it
	arcOf map[road.Edge]int32
	error map[road.SegmentID]*brokenWay // of the truth
}

// brokenWay is a way that the map lacks, or has the other way round, or beside its place, or
// that is closed in truth.
type brokenWay struct {
	id       int64
	removed  bool
	within   func(road.Segment) bool                    // those of its segments that are concerned; nil: all
	segments []road.Segment                             // of the truth
	cars     map[road.SegmentID]map[vehicleDay]struct{} // who drove there, of the sound ones
}

// vehicleDay is a vehicle on a day: what learners can tell apart.
type vehicleDay struct {
	vehicle int
	dayMS   int64
}

// newGround reads the extract and breaks it.
func newGround(ctx context.Context, cfg *Config) (*ground, error) {
	f, err := os.Open(cfg.Map)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	extract, _, err := osm.Read(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", cfg.Map, err)
	}
	ways := extract.Ways
	g := &ground{
		ways: len(ways), error: map[road.SegmentID]*brokenWay{}, spoiled: spoiled{},
		turnsFrom: map[road.Edge][]*brokenTurn{}, turnsInto: map[road.Edge][]*brokenTurn{},
	}
	segs, _ := road.Build(ways, extract.Restrictions...)
	wrong := g.breakWays(ways, cfg)
	wrong = g.move(wrong, cfg)
	g.close(ways, segs, cfg)
	g.segs, _ = road.Build(wrong, extract.Restrictions...)
	g.breakTurns(segs, g.segs, cfg)
	g.truth, err = road.NewGraph(segs, geo.EmptyBox())
	if err != nil {
		return nil, fmt.Errorf("the true graph: %w", err)
	}
	if g.network, err = fleet.NewNetwork(g.truth); err != nil {
		return nil, fmt.Errorf("the true network: %w", err)
	}
	if g.graph, err = road.NewGraph(g.segs, geo.EmptyBox()); err != nil {
		return nil, fmt.Errorf("the map: %w", err)
	}
	g.roads = eval.NewRoads(g.segs)
	g.assign(segs, ways)
	g.index()
	return g, nil
}

// breakWays removes and flips ways by their share and the seed, the same ones in any order.
func (g *ground) breakWays(ways []road.Way, cfg *Config) []road.Way {
	const directions = road.Forward | road.Backward
	var out []road.Way
	for i := range ways {
		w := ways[i]
		oneWay := w.Flags&directions != directions
		if oneWay {
			g.oneWays++
		}
		u := lot(cfg.Seed, uint64(w.ID))
		switch {
		case u < cfg.Removed:
			g.removed = append(g.removed, brokenWay{id: w.ID, removed: true})
			g.spoiled.mark(w.Points)
			continue
		case oneWay && u > 1-cfg.Flipped:
			g.flipped = append(g.flipped, brokenWay{id: w.ID})
			g.spoiled.mark(w.Points)
			w.Flags ^= directions
		}
		out = append(out, w)
	}
	return out
}

// lot is a number in [0, 1) by seed and what it is for: SplitMix64's finaliser.
func lot(seed, which uint64) float64 {
	z := which*0x9e3779b97f4a7c15 + seed*0xd1342543de82ef95 + 0x632be59bd9b4e019
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// assign finds the true segments of the broken ways.
func (g *ground) assign(segs []road.Segment, ways []road.Way) {
	type piece struct {
		node int64
		a, b geo.Point
	}
	broken := map[int64]*brokenWay{}
	for _, list := range [][]brokenWay{g.removed, g.flipped, g.moved, g.closed} {
		for i := range list {
			list[i].cars = map[road.SegmentID]map[vehicleDay]struct{}{}
			broken[list[i].id] = &list[i]
		}
	}
	of := map[piece]*brokenWay{}
	for i := range ways {
		b := broken[ways[i].ID]
		if b == nil {
			continue
		}
		for k := 1; k < len(ways[i].Nodes); k++ {
			of[piece{ways[i].Nodes[k-1], ways[i].Points[k-1], ways[i].Points[k]}] = b
		}
	}
	for _, s := range segs {
		if b := of[piece{s.From, s.Shape[0], s.Shape[1]}]; b != nil {
			if b.within != nil && !b.within(s) {
				continue
			}
			b.segments = append(b.segments, s)
			b.cars[s.ID] = map[vehicleDay]struct{}{}
			g.error[s.ID] = b
		}
	}
}

// index relates the network's arcs to the map's edges.
func (g *ground) index() {
	g.onMap = make([]road.Index, g.network.Arcs())
	g.arcOf = make(map[road.Edge]int32, g.network.Arcs())
	for i := range g.onMap {
		e := road.Edge(g.network.Edge(int32(i)))
		g.arcOf[e] = int32(i)
		g.onMap[i] = road.NoIndex
		if at, ok := g.graph.Find(e); ok {
			g.onMap[i] = at
		}
	}
}

// near reports whether two of the truth's edges touch.
func (g *ground) near(a, b road.Edge) bool {
	i, ok1 := g.truth.Find(a)
	k, ok2 := g.truth.Find(b)
	if !ok1 || !ok2 {
		return false
	}
	for _, n := range [2]int{g.truth.Source(i), g.truth.Target(i)} {
		if n == g.truth.Source(k) || n == g.truth.Target(k) {
			return true
		}
	}
	return false
}
