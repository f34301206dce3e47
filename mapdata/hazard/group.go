package hazard

import (
	"cmp"
	"math"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// groups are the findings of one category, joined to hazards: a forest of disjoint sets.
type groups struct {
	members []*Finding
	parent  []int
	size    []int
	known   map[int][]int // members of each known hazard, by its place among the known
}

// fillsArea reports whether a category is not bound to one direction of one road.
func fillsArea(h telemetry.Hazard) bool { return h == telemetry.SlipperyRoad }

func newGroups(h telemetry.Hazard, findings []Finding, known []Hazard, spots Spots) *groups {
	g := &groups{known: map[int][]int{}}
	owners := make([][]int, 0, len(findings)) // known hazards that each member belongs to
	for i := range findings {
		f := &findings[i]
		if f.Category != h {
			continue
		}
		var of []int
		for k := range known {
			if known[k].Category == h && known[k].Active() && holds(&known[k], f, spots) {
				of = append(of, k)
			}
		}
		if f.Published || len(of) > 0 {
			g.members, owners = append(g.members, f), append(owners, of)
		}
	}
	order := make([]int, len(g.members)) // by place, whatever the order of the findings
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := g.members[a], g.members[b]
		return cmp.Or(cmp.Compare(x.Edge, y.Edge), cmp.Compare(x.Cell, y.Cell))
	})
	members, of := make([]*Finding, len(order)), make([][]int, len(order))
	for i, o := range order {
		members[i], of[i] = g.members[o], owners[o]
	}
	g.members = members
	for i := range members {
		g.parent, g.size = append(g.parent, i), append(g.size, 1)
		for _, k := range of[i] {
			g.known[k] = append(g.known[k], i)
		}
	}
	for k := range known {
		for _, i := range g.known[k] {
			g.join(g.known[k][0], i, math.MaxInt)
		}
	}
	if isWeather(h) {
		g.joinTiles(spots)
		return g
	}
	g.joinAlong(spots)
	g.joinAround(fillsArea(h), spots)
	return g
}

// holds reports whether a finding is of a place that a known hazard has.
func holds(k *Hazard, f *Finding, spots Spots) bool {
	if isWeather(k.Category) {
		return tileOf(k) == tileOfFinding(f, spots)
	}
	if f.Edge != 0 {
		return slices.Contains(k.Edges, f.Edge)
	}
	return geo.DistanceM(k.At, place(f, spots)) <= areaM
}

// joinAlong joins edges of which one leads to the other.
func (g *groups) joinAlong(spots Spots) {
	from := map[int64][]int{}
	for i, f := range g.members {
		if s, ok := spots[f.Edge]; ok {
			from[s.From] = append(from[s.From], i)
		}
	}
	for i, f := range g.members {
		s, ok := spots[f.Edge]
		if !ok {
			continue
		}
		for _, j := range from[s.To] {
			if g.members[j].Edge.Segment() != f.Edge.Segment() {
				g.join(i, j, maxEdges)
			}
		}
	}
}

// joinAround joins what is near: everything of an area hazard, else cells only.
func (g *groups) joinAround(area bool, spots Spots) {
	type tile struct{ x, y int32 }
	side := int32(math.Ceil(areaM / geo.MetresPerE7)) // in 1e-7°, of latitude
	near := map[tile][]int{}
	for i, f := range g.members {
		if _, ok := spots[f.Edge]; !ok && f.Edge != 0 || f.Edge != 0 && !area {
			continue
		}
		p := place(f, spots)
		// Columns keep their number within a row of tiles: the scale is that of the row's border.
		row := floorDiv(p.LatE7, side)
		for y := row - 1; y <= row+1; y++ {
			wide := columns(y, side)
			column := floorDiv(p.LonE7, wide)
			for x := column - 1; x <= column+1; x++ {
				for _, j := range near[tile{x, y}] {
					if geo.DistanceM(p, place(g.members[j], spots)) <= areaM {
						g.join(i, j, maxEdges)
					}
				}
			}
		}
		t := tile{floorDiv(p.LonE7, columns(row, side)), row}
		near[t] = append(near[t], i)
	}
}

// columns is the width in 1e-7° of the tiles of a row: areaM or more.
func columns(row, side int32) int32 {
	lat := min(max(abs64(int64(row)*int64(side)), abs64(int64(row+1)*int64(side))), 890_000_000)
	return int32(areaM/geo.Scale(int32(lat))) + 1
}

func abs64(v int64) int64 { return max(v, -v) }

func floorDiv(a, b int32) int32 {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

func (g *groups) root(i int) int {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

// join makes two sets one, unless it would be too large.
func (g *groups) join(i, j, most int) {
	i, j = g.root(i), g.root(j)
	if i == j || g.size[i]+g.size[j] > most {
		return
	}
	if j < i {
		i, j = j, i
	}
	g.parent[j] = i
	g.size[i] += g.size[j]
}

// of is what known hazard k is now: the set of its members, unless an older hazard has
// claimed it.
func (g *groups) of(k int, claimed []bool) (members []*Finding) {
	if len(g.known[k]) == 0 {
		return nil
	}
	root := g.root(g.known[k][0])
	if claimed[root] {
		return nil
	}
	claimed[root] = true
	for i := range g.members {
		if g.root(i) == root {
			members = append(members, g.members[i])
		}
	}
	return members
}

// rest are the sets that no known hazard claimed, in the order of their first members.
func (g *groups) rest(claimed []bool) (sets [][]*Finding) {
	at := map[int]int{}
	for i := range g.members {
		root := g.root(i)
		if claimed[root] {
			continue
		}
		n, ok := at[root]
		if !ok {
			n = len(sets)
			at[root] = n
			sets = append(sets, nil)
		}
		sets[n] = append(sets[n], g.members[i])
	}
	return sets
}
