package postgres

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
)

// mostCells bounds the memory of a query of cells: about 200 bytes each.
const mostCells = 500_000

// cellSums sums rows of speeds up by segment and group of time. PostgreSQL would do it through its disk, and
// can't add histograms.
type cellSums struct {
	clock *learn.Clock
	at    map[cellKey]int32
	sums  []cellSum
}

type cellKey struct {
	edge uint64
	key  int64
}

type cellSum struct {
	cellKey
	n       uint64
	sumCMPS int64
	days    []dayVehicles
	bins    []byte // encoded histograms, one after the other
}

// dayVehicles are the vehicles of a UTC day: bitmaps of several days must not be united.
type dayVehicles struct {
	day      int64
	vehicles learn.Vehicles
}

func newCellSums(g *learn.Grouping) *cellSums {
	return &cellSums{clock: learn.NewClock(g), at: map[cellKey]int32{}}
}

// mostBins is from when on a cell's histograms are added up, bytes.
const mostBins = 512

func (c *cellSums) add(r *rawSpeed) error {
	k := cellKey{r.key.edge, c.clock.Key(r.key.bucketMS)}
	i, ok := c.at[k]
	if !ok {
		if len(c.sums) >= mostCells {
			return fmt.Errorf("%w: more than %d segments and times", learn.ErrTooMuch, mostCells)
		}
		i = int32(len(c.sums))
		c.at[k] = i
		c.sums = append(c.sums, cellSum{cellKey: k})
	}
	s := &c.sums[i]
	s.n += uint64(r.n)
	s.sumCMPS += r.sumCMPS
	s.seen(r.key.bucketMS/learn.DayMS, r.vehicles)
	if s.bins = append(s.bins, r.bins...); len(s.bins) > mostBins && len(s.bins) == cap(s.bins) {
		var all learn.SpeedBins
		if err := all.MergeConcatenated(s.bins); err != nil {
			return fmt.Errorf("segment %d: %w", k.edge, err)
		}
		s.bins = all.AppendEncoded(s.bins[:0])
	}
	return nil
}

// segmentwise adds rows that come by segment, and gives each segment's sums out when the next one begins; the last remain. Its
// errors are add's and f's.
func (c *cellSums) segmentwise(f func(*learn.SpeedCell) error) func(*rawSpeed) error {
	return func(r *rawSpeed) error {
		if len(c.sums) > 0 && c.sums[0].edge != r.key.edge {
			if err := c.each(true, f); err != nil {
				return err
			}
			c.sums = c.sums[:0]
			clear(c.at)
		}
		return c.add(r)
	}
}

func (s *cellSum) seen(day int64, v learn.Vehicles) {
	for i := range slices.Backward(s.days) { // rows come about in order: it is the last
		if s.days[i].day == day {
			s.days[i].vehicles.Merge(v)
			return
		}
	}
	s.days = append(s.days, dayVehicles{day, v})
}

// each gives the sums out, by segment and key if sorted.
func (c *cellSums) each(sorted bool, f func(*learn.SpeedCell) error) error {
	if sorted {
		slices.SortFunc(c.sums, func(a, b cellSum) int { return cmp.Or(cmp.Compare(a.edge, b.edge), cmp.Compare(a.key, b.key)) })
	}
	var out learn.SpeedCell
	for i := range c.sums {
		s := &c.sums[i]
		out = learn.SpeedCell{Edge: s.edge, Key: s.key}
		out.Sum.N, out.Sum.SumCMPS = uint32(min(s.n, 1<<32-1)), s.sumCMPS
		for j := range s.days {
			out.AtLeast = max(out.AtLeast, s.days[j].vehicles.AtLeast())
		}
		if err := out.Sum.Bins.MergeConcatenated(s.bins); err != nil {
			return fmt.Errorf("segment %d: %w", s.edge, err)
		}
		if err := f(&out); err != nil {
			return err
		}
	}
	return nil
}
