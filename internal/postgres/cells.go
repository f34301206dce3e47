package postgres

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
)

// What bounds the memory of a query of cells.
const (
	mostCells = 500_000
	mostBytes = 256 << 20
	mostDays  = 4 // of a cell of which the vehicles are remembered: the fullest ones
)

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
	at       [][]place // by segment, in order of their keys. Far fewer misses of the cache than a map of both.
	sums     []cellSum
	bytes    int // about
}

// place tells where the sum of a key is.
type place struct{ key, sum int32 }

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
	c := &cellSums{clock: learn.NewClock(g), keys: map[int64]int32{}, segments: map[uint64]int32{}}
	c.clear()
	return c
}

func (c *cellSums) clear() {
	clear(c.keys)
	clear(c.segments)
	c.at, c.sums, c.bytes = c.at[:0], c.sums[:0], 0
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
		if c.at = slices.Grow(c.at, 1)[:seg+1]; c.at[seg] != nil { // of a segment before
			c.at[seg] = c.at[seg][:0]
		}
	}
	places, k := c.at[seg], c.last.at
	at := len(places)
	if at > 0 && places[at-1].key >= k { // mostly, they come in order
		var there bool
		if at, there = slices.BinarySearchFunc(places, k, func(p place, k int32) int { return cmp.Compare(p.key, k) }); there {
			return &c.sums[places[at].sum], nil
		}
	}
	if c.bytes += cellBytes; len(c.sums) >= mostCells || c.bytes > mostBytes {
		return nil, c.tooMuch()
	}
	c.at[seg] = slices.Insert(places, at, place{k, int32(len(c.sums))})
	c.sums = append(c.sums, cellSum{edge: edge, key: key})
	return &c.sums[len(c.sums)-1], nil
}

// What a cell and a day of it take, roughly: slices grow ahead.
const (
	cellBytes = 240
	dayBytes  = 64
)

func (c *cellSums) tooMuch() error {
	return fmt.Errorf("%w: %d segments and times, %d MB, are more than %d or %d MB", learn.ErrTooMuch, len(c.sums), c.bytes>>20, mostCells, mostBytes>>20)
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
	c.on(s, day).vehicles.Merge(r.vehicles)
	if s.bins, err = c.appendBins(s.bins, r.bins); err != nil {
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
	c.on(s, day).hidden.Merge(r.vehicles)
	if s.less, err = c.appendBins(s.less, r.bins); err != nil {
		return fmt.Errorf("segment %d: %w", r.key.edge, err)
	}
	return nil
}

// appendBins appends a histogram, and adds them up rather than growing beyond mostBins.
func (c *cellSums) appendBins(dst, bins []byte) ([]byte, error) {
	had := cap(dst)
	dst = append(dst, bins...)
	if c.bytes += cap(dst) - had; c.bytes > mostBytes {
		return dst, c.tooMuch()
	}
	if len(dst) <= mostBins || len(dst) < cap(dst) {
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

// on is who drove on a day. Beyond mostDays it forgets the one with the fewest: of what is told of that later only a part is known, which is
// a lower bound, too. Who is hidden is never forgotten.
func (c *cellSums) on(s *cellSum, day int64) *dayVehicles {
	for i := range slices.Backward(s.days) { // rows come about in order: it is the last
		if s.days[i].day == day {
			return &s.days[i]
		}
	}
	fewest := -1
	for i := range s.days {
		if d := &s.days[i]; len(s.days) >= mostDays && d.hidden == (learn.Vehicles{}) && (fewest < 0 || d.atLeast() < s.days[fewest].atLeast()) {
			fewest = i
		}
	}
	if fewest >= 0 {
		s.days = slices.Delete(s.days, fewest, fewest+1)
	} else {
		c.bytes += dayBytes
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
