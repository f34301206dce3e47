// Package osm reads the drivable roads out of OpenStreetMap extracts: PBF, or XML
// plain, gzip or bzip2, told apart by their content.
//
// The PBF and XML readers are its own: they keep only what a road needs, check every
// index and length that a file claims, and tell a truncated file from a complete one.
package osm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// ErrFormat is the error of a file that is neither PBF nor OSM XML, or breaks its format.
var ErrFormat = errors.New("not a valid OSM file")

// ErrTruncated is the error of a file that ends too early.
var ErrTruncated = errors.New("the OSM file is truncated")

// Stats counts what was read.
type Stats struct {
	Nodes, Ways   int // in the file
	Roads         int // drivable ways kept
	Closed        int // roads that are private, closed to cars, or areas
	DanglingNodes int // references of kept ways to nodes that the file does not have
	InvalidNodes  int // without a position on Earth
	EmptyWays     int // drivable ways without two usable nodes in a row

	Restrictions            int // turn restrictions kept
	ViaWayRestrictions      int // left out: over a way instead of a node
	ConditionalRestrictions int // left out: at times or under conditions
	BadRestrictions         int // left out: without the members that they need
}

// Extract is what a file says of roads for cars.
type Extract struct {
	Ways         []road.Way
	Restrictions []road.Restriction // some may refer to ways that are no roads
}

// Read reads the drivable roads and the turn restrictions. A way that refers to missing nodes, as at an extract's
// border, is cut there. Memory: 16 bytes for every node in the file, 8 for every
// reference of a road.
func Read(ctx context.Context, r io.Reader) (Extract, Stats, error) {
	c := &collector{sorted: true}
	if err := scan(ctx, r, c); err != nil {
		return Extract{}, c.stats, fmt.Errorf("read OSM: %w", err)
	}
	return Extract{c.roads(), c.restrictions}, c.stats, nil
}

// tag is one key and value.
type tag struct{ key, value string }

// collector keeps the nodes and the drivable ways that a scanner hands it.
type collector struct {
	ids    []int64
	points []geo.Point
	sorted bool // ids ascend
	ways   []collected
	refs   []int64
	stats  Stats

	restrictions []road.Restriction
}

type collected struct {
	id         int64
	first, end int // in refs
	attributes road.Attributes
}

// node takes a position at 1e-7 degrees.
func (c *collector) node(id, latE7, lonE7 int64) {
	c.stats.Nodes++
	p := geo.Point{LatE7: int32(latE7), LonE7: int32(lonE7)}
	if int64(p.LatE7) != latE7 || int64(p.LonE7) != lonE7 || !p.Valid() {
		c.stats.InvalidNodes++
		return
	}
	if n := len(c.ids); n > 0 && c.ids[n-1] >= id {
		c.sorted = false
	}
	c.ids = append(c.ids, id)
	c.points = append(c.points, p)
}

// way takes a way's references and its wanted tags; neither is kept.
func (c *collector) way(id int64, refs []int64, tags []tag) {
	c.stats.Ways++
	a, ok := attributes(tags)
	if !ok {
		if a.Class != road.UnknownClass {
			c.stats.Closed++
		}
		return
	}
	first := len(c.refs)
	c.refs = append(c.refs, refs...)
	c.ways = append(c.ways, collected{id, first, len(c.refs), a})
}

// roads resolves the references.
func (c *collector) roads() []road.Way {
	c.sort()
	points := make([]geo.Point, len(c.refs))
	ways := make([]road.Way, 0, len(c.ways))
	for _, w := range c.ways {
		kept, start := false, w.first
		end := func(i int) { // the run of usable nodes ends before i
			if i-start >= 2 {
				kept = true
				ways = append(ways, road.Way{
					ID: w.id, Nodes: c.refs[start:i:i], Points: points[start:i:i], Attributes: w.attributes,
				})
			}
			start = i + 1
		}
		for i := w.first; i < w.end; i++ {
			n, ok := slices.BinarySearch(c.ids, c.refs[i])
			if !ok {
				c.stats.DanglingNodes++
				end(i)
				continue
			}
			points[i] = c.points[n]
		}
		end(w.end)
		if kept {
			c.stats.Roads++
		} else {
			c.stats.EmptyWays++
		}
	}
	return ways
}

// sort brings the nodes into ascending order of id; of several with one id the last in
// the file stays.
func (c *collector) sort() {
	if c.sorted {
		return
	}
	order := make([]int, len(c.ids))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case c.ids[a] < c.ids[b]:
			return -1
		case c.ids[a] > c.ids[b]:
			return 1
		default:
			return 0
		}
	})
	ids, points := make([]int64, 0, len(order)), make([]geo.Point, 0, len(order))
	for _, i := range order {
		if n := len(ids); n > 0 && ids[n-1] == c.ids[i] {
			points[n-1] = c.points[i]
			continue
		}
		ids, points = append(ids, c.ids[i]), append(points, c.points[i])
	}
	c.ids, c.points, c.sorted = ids, points, true
}
