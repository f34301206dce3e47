package management

import (
	"context"
	"math"
	"strconv"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

func errTooManyGroups() error {
	return &problem.Problem{
		Kind: problem.InvalidRequest, Detail: "The answer would have too many groups.", Expected: "a coarser resolution, a shorter range or fewer roads",
	}
}

// edgeTime is a directed segment in a group of time.
type edgeTime struct {
	edge uint64
	key  int64
}

// segmentGroups groups by directed segment, page by page: a page has whole segments, as many as fit the limit and one at
// least. With a comparison, segments that were driven in the other period alone are left out.
func (s *Server) segmentGroups(ctx context.Context, q *speedTrend, each func(*speedGroup) error) (next string, err error) {
	book := s.roadBook(&q.area)
	after, left := q.afterEdge, q.limit
	steps := q.keys()
	for {
		want := max(1, left/steps)
		page, last, edges, err := s.segmentPage(ctx, q, after, want, book)
		if err != nil {
			return "", err
		}
		if err := s.compareSegments(ctx, q, page, after, last); err != nil {
			return "", err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return "", err
			}
		}
		left -= len(page)
		after = last
		if edges < want {
			return "", nil
		}
		if left < steps {
			return strconv.FormatUint(last, 10), nil
		}
	}
}

func lengthKM(seg *road.Segment) *float64 {
	var km float64
	if seg != nil {
		km = math.Round(seg.LengthM) / 1000
	}
	return &km
}

// keys is how many groups of time there may be.
func (t *trendTime) keys() int {
	switch t.by {
	case learn.BySteps:
		return max(1, len(t.steps()))
	case learn.ByHour:
		return 24
	case learn.ByWeekday:
		return 7
	default:
		return 1
	}
}

// segmentPage reads the groups of up to want segments above after; edges is how many the database had.
func (s *Server) segmentPage(ctx context.Context, q *speedTrend, after uint64, want int, book *roadBook) (page []speedGroup, last uint64, edges int, err error) {
	cells := q.cells(q.area.ranges)
	cells.After, cells.Edges = after, want
	last = after
	err = s.deps.Store.SpeedCells(ctx, cells, func(c *learn.SpeedCell) error {
		if c.Edge != last {
			edges, last = edges+1, c.Edge
		}
		edge := road.Edge(c.Edge)
		info, err := book.of(ctx, edge)
		if err != nil || !info.in {
			return err
		}
		page = append(page, s.segmentGroup(q, c, info))
		return nil
	})
	return page, last, edges, err
}

func (s *Server) segmentGroup(q *speedTrend, c *learn.SpeedCell, info *roadInfo) speedGroup {
	var sum speedSum
	sum.add(c, info.lengthM(), s.cfg.K)
	props := newRoadProps(road.Edge(c.Edge), info.seg)
	return speedGroup{
		timeKey: newTimeKey(q.by, c.Key), roadProps: &props, Class: props.Class, speedValues: sum.values(), key: groupKey{time: c.Key}, seg: info.seg,
	}
}

// segmentBlock is how many groups of segments are held at a time, to be compared together.
const segmentBlock = 5000

// everySegment gives the groups of all segments, by segment. It reads them once, and the other period's by blocks.
func (s *Server) everySegment(ctx context.Context, q *speedTrend, each func(*speedGroup) error) error {
	book := s.roadBook(&q.area)
	cells := q.cells(q.area.ranges)
	cells.Sorted = true
	var block []speedGroup
	var after, last uint64
	flush := func() error {
		if err := s.compareSegments(ctx, q, block, after, last); err != nil {
			return err
		}
		for i := range block {
			if err := each(&block[i]); err != nil {
				return err
			}
		}
		block, after = block[:0], last
		return nil
	}
	err := s.deps.Store.SpeedCells(ctx, cells, func(c *learn.SpeedCell) error {
		if c.Edge != last && len(block) >= segmentBlock {
			if err := flush(); err != nil {
				return err
			}
			book.forget()
		}
		last = c.Edge
		info, err := book.of(ctx, road.Edge(c.Edge))
		if err == nil && info.in {
			block = append(block, s.segmentGroup(q, c, info))
		}
		return err
	})
	if err != nil {
		return err
	}
	return flush()
}

// compareSegments adds the other period to a page's segments, which are those above after up to last.
func (s *Server) compareSegments(ctx context.Context, q *speedTrend, page []speedGroup, after, last uint64) error {
	if q.compare == nil || len(page) == 0 {
		return nil
	}
	byKey := make(map[edgeTime]*speedGroup, len(page))
	for i := range page {
		byKey[edgeTime{page[i].Edge, page[i].key.time}] = &page[i]
	}
	var align map[int64]int64
	if q.by == learn.BySteps {
		align = q.alignment()
	}
	var ranges [][2]uint64
	for _, r := range q.area.ranges {
		if lo, hi := max(r[0], after+1), min(r[1], last+1); lo < hi {
			ranges = append(ranges, [2]uint64{lo, hi})
		}
	}
	err := s.deps.Store.SpeedCells(ctx, q.compare.cells(ranges), func(c *learn.SpeedCell) error {
		key := c.Key
		if align != nil {
			key = align[key]
		}
		if g := byKey[edgeTime{c.Edge, key}]; g != nil {
			var sum speedSum
			sum.add(c, 0, s.cfg.K)
			g.compareWith(sum.values())
		}
		return nil
	})
	for i := range page {
		if page[i].Compare == nil {
			page[i].compareWith((*speedSum)(nil).values())
		}
		if !page[i].Compare.Suppressed {
			page[i].Compare.LengthKM = lengthKM(page[i].seg)
		}
	}
	return err
}
