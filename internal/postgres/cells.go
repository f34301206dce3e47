package postgres

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
)

// mostCells bounds the memory of a query of cells: about 200 bytes each.
const mostCells = 500_000

// What a row is, told by its time: those of five minutes and of deltas start whole minutes.
const (
	wholeDayMS  = 1 // after a day's start: the day's sum
	partOfDayMS = 2 // after a bucket's: it is in the sum of its day, too, but belongs to another group than most of that
	minuteMS    = 60_000
)

// cellSums sums rows of speeds up by segment and group of time. PostgreSQL would do it through its disk, and
// can't add histograms.
type cellSums struct {
	clock *learn.Clock
	parts map[int64]learn.DayPart // of days that are read whole, by their start
	keys  map[int64]int32         // ordinals of the groups of time
	last  struct {                // rows come about in order of time
		key int64
		at  int32
	}
	segments map[uint64]int32
	at       [][]int32 // by segment and key: 1 + place in sums, or 0. Far fewer misses of the cache than a map of both.
	sums     []cellSum
}

type cellSum struct {
	edge    uint64
	key     int64
	n       int64
	sumCMPS int64
	days    []dayVehicles
	bins    []byte // encoded histograms, one after the other
	less    []byte // those that bins has too much
}

// dayVehicles are the vehicles of a UTC day: bitmaps of several days must not be united. Hidden are those that drove in another
// group of the day: who else did is a lower bound.
type dayVehicles struct {
	day              int64
	vehicles, hidden learn.Vehicles
}

func (d *dayVehicles) atLeast() int {
	v := d.vehicles
	for i := range v {
		v[i] &^= d.hidden[i]
	}
	return v.AtLeast()
}

func newCellSums(g *learn.Grouping) *cellSums {
	c := &cellSums{clock: learn.NewClock(g)}
	c.clear()
	return c
}

func (c *cellSums) clear() {
	c.keys, c.segments, c.at, c.sums = map[int64]int32{}, map[uint64]int32{}, c.at[:0], c.sums[:0]
	c.last.at = -1
}

// mostBins is from when on a cell's histograms are added up, bytes.
const mostBins = 512

// of is the cell of a segment and a key.
func (c *cellSums) of(edge uint64, key int64) (*cellSum, error) {
	if c.last.at < 0 || c.last.key != key {
		n, ok := c.keys[key]
		if !ok {
			n = int32(len(c.keys))
			c.keys[key] = n
		}
		c.last.key, c.last.at = key, n
	}
	seg, ok := c.segments[edge]
	if !ok {
		seg = int32(len(c.at))
		c.segments[edge] = seg
		c.at = append(c.at, nil)
	}
	k := int(c.last.at)
	if places := c.at[seg]; k < len(places) && places[k] > 0 {
		return &c.sums[places[k]-1], nil
	}
	if len(c.sums) >= mostCells {
		return nil, fmt.Errorf("%w: more than %d segments and times", learn.ErrTooMuch, mostCells)
	}
	if need := k + 1 - len(c.at[seg]); need > 0 {
		c.at[seg] = append(c.at[seg], make([]int32, need)...)
	}
	c.sums = append(c.sums, cellSum{edge: edge, key: key})
	c.at[seg][k] = int32(len(c.sums))
	return &c.sums[len(c.sums)-1], nil
}

func (c *cellSums) add(r *rawSpeed) error {
	mark := r.key.bucketMS % minuteMS
	at := r.key.bucketMS - mark
	day := at / learn.DayMS
	var key int64
	if mark == wholeDayMS {
		key = c.parts[at].Key
	} else {
		key = c.clock.Key(at)
	}
	s, err := c.of(r.key.edge, key)
	if err != nil {
		return err
	}
	s.n += int64(r.n)
	s.sumCMPS += r.sumCMPS
	s.on(day).vehicles.Merge(r.vehicles)
	if s.bins, err = appendBins(s.bins, r.bins); err != nil {
		return fmt.Errorf("segment %d: %w", r.key.edge, err)
	}
	if mark != partOfDayMS {
		return nil
	}
	if s, err = c.of(r.key.edge, c.parts[day*learn.DayMS].Key); err != nil {
		return err
	}
	s.n -= int64(r.n)
	s.sumCMPS -= r.sumCMPS
	s.on(day).hidden.Merge(r.vehicles)
	if s.less, err = appendBins(s.less, r.bins); err != nil {
		return fmt.Errorf("segment %d: %w", r.key.edge, err)
	}
	return nil
}

// appendBins appends a histogram, and adds them up rather than growing beyond mostBins.
func appendBins(dst, bins []byte) ([]byte, error) {
	if dst = append(dst, bins...); len(dst) <= mostBins || len(dst) < cap(dst) {
		return dst, nil
	}
	var all learn.SpeedBins
	err := all.MergeConcatenated(dst)
	return all.AppendEncoded(dst[:0]), err
}

// segmentwise adds rows that come by segment, and gives each segment's sums out when the next one begins; the last remain. Its
// errors are add's and f's.
func (c *cellSums) segmentwise(f func(*learn.SpeedCell) error) func(*rawSpeed) error {
	return func(r *rawSpeed) error {
		if len(c.sums) > 0 && c.sums[0].edge != r.key.edge {
			if err := c.each(true, f); err != nil {
				return err
			}
			c.clear()
		}
		return c.add(r)
	}
}

// on is who drove on a day.
func (s *cellSum) on(day int64) *dayVehicles {
	for i := range slices.Backward(s.days) { // rows come about in order: it is the last
		if s.days[i].day == day {
			return &s.days[i]
		}
	}
	s.days = append(s.days, dayVehicles{day: day})
	return &s.days[len(s.days)-1]
}

// each gives the sums out, by segment and key if sorted. Of a day's sum that lacks what came late for a part of it, nothing may be left.
func (c *cellSums) each(sorted bool, f func(*learn.SpeedCell) error) error {
	if sorted {
		slices.SortFunc(c.sums, func(a, b cellSum) int { return cmp.Or(cmp.Compare(a.edge, b.edge), cmp.Compare(a.key, b.key)) })
	}
	var out learn.SpeedCell
	for i := range c.sums {
		s := &c.sums[i]
		if s.n <= 0 {
			continue
		}
		out = learn.SpeedCell{Edge: s.edge, Key: s.key}
		out.Sum.N, out.Sum.SumCMPS = uint32(min(s.n, 1<<32-1)), max(s.sumCMPS, 0)
		for j := range s.days {
			out.AtLeast = max(out.AtLeast, s.days[j].atLeast())
		}
		err := out.Sum.Bins.MergeConcatenated(s.bins)
		if err == nil {
			err = out.Sum.Bins.TakeConcatenated(s.less)
		}
		if err != nil {
			return fmt.Errorf("segment %d: %w", s.edge, err)
		}
		if err := f(&out); err != nil {
			return err
		}
	}
	return nil
}
