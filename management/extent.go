package management

import (
	"context"
	"time"

	"github.com/carasso/carasso/mapdata/road"
)

// extent is how much there is of roads, each direction that may be driven by itself.
type extent struct {
	segments int
	lengthM  float64
}

// extents are what the map has of each class.
type extents map[road.Class]extent

func (e extents) add(seg *road.Segment) {
	n := 0
	for _, way := range []road.Flags{road.Forward, road.Backward} {
		if seg.Flags&way != 0 {
			n++
		}
	}
	x := e[seg.Class]
	e[seg.Class] = extent{x.segments + n, x.lengthM + float64(n)*seg.LengthM}
}

// of is the extent that a question's group of a class has: all classes' unless it groups by class.
func (e extents) of(q *speedTrend, c road.Class) (x extent) {
	if q.road == "class" {
		return e[c]
	}
	for _, o := range e {
		x.segments += o.segments
		x.lengthM += o.lengthM
	}
	return x
}

// extentEvery is how long the extents of a whole map are kept: they change with its version alone.
const extentEvery = 24 * time.Hour

// mapExtents are what the map has within an area; nothing without a map. Those of the whole map are kept.
func (s *Server) mapExtents(ctx context.Context, area *trendArea) (extents, error) {
	m, ok := s.deps.Roads.Manifest()
	switch {
	case !ok:
		return extents{}, nil
	case area.edges != nil:
		return s.edgeExtents(ctx, area)
	case !area.region.Everywhere():
		return s.tileExtents(ctx, area, quadkeys(area.region.Bounds()))
	}
	all, err := s.extents.of(m.Version).get(ctx, s.deps.Now, extentEvery, s.cfg.QueryTimeout, func(ctx context.Context) (extents, error) {
		return s.tileExtents(ctx, &trendArea{}, m.Tiles)
	})
	if err != nil {
		return nil, err
	}
	chosen := extents{}
	for c, x := range *all {
		if area.classes == nil || area.classes[c] {
			chosen[c] = x
		}
	}
	return chosen, nil
}

func (s *Server) tileExtents(ctx context.Context, area *trendArea, tiles []uint32) (extents, error) {
	sum := extents{}
	for _, q := range tiles {
		p, err := s.deps.Roads.Partition(ctx, q)
		if err != nil {
			return nil, err
		}
		for n := range p.NumSegments() {
			seg := p.SegmentAt(n)
			if seg.Flags&road.Own == 0 || area.classes != nil && !area.classes[seg.Class] {
				continue
			}
			if area.region.Everywhere() || area.region.Contains(midpoint(&seg)) {
				sum.add(&seg)
			}
		}
	}
	return sum, nil
}

// edgeExtents are those of the directed segments that are named.
func (s *Server) edgeExtents(ctx context.Context, area *trendArea) (extents, error) {
	sum := extents{}
	for e := range area.edges {
		seg, err := s.segment(ctx, e)
		if err != nil {
			return nil, err
		}
		if seg == nil || area.classes != nil && !area.classes[seg.Class] {
			continue
		}
		way := road.Forward
		if e.Against() {
			way = road.Backward
		}
		one := *seg
		one.Flags &= way
		sum.add(&one)
	}
	return sum, nil
}
