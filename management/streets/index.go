package streets

import (
	"cmp"
	"slices"
	"strings"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// Street is roads of one name, or of one number, that lie together.
type Street struct {
	Name, Ref string     // a street found by its number has no name
	Class     road.Class // the most important of its roads'
	Box       geo.Box
	At        geo.Point   // on its longest road, in the middle
	Edges     []road.Edge // a few of its directed segments, from the longest
	LengthM   float64
}

// exampleEdges is how many edges a Street names.
const exampleEdges = 5

// cellZoom is that of the cells by which roads of one name are one street: those in the same or in neighbouring cells.
const cellZoom = 13

// Builder gathers segments. Not safe for concurrent use.
type Builder struct {
	most  int
	bytes int
	full  bool
	parts map[partKey]*part
}

type partKey struct {
	text string
	ref  bool
	cell uint32
}

// part is the roads of a name within a cell.
type part struct {
	Street
	longest float64
	done    bool
}

// NewBuilder makes a builder whose memory, about, stays below mostBytes.
func NewBuilder(mostBytes int) *Builder { return &Builder{most: mostBytes, parts: map[partKey]*part{}} }

// Add adds a segment under its name and under its number. Beyond the budget, new streets are left out.
func (b *Builder) Add(s *road.Segment) {
	mid := s.Shape[len(s.Shape)/2]
	cell := geo.TileAt(mid, cellZoom).Quadkey()
	if s.Name != "" {
		b.add(partKey{s.Name, false, cell}, s, mid)
	}
	if s.Ref != "" {
		b.add(partKey{s.Ref, true, cell}, s, mid)
	}
}

// partBytes is about what a part takes besides its text, with its share of the index.
const partBytes = 400

func (b *Builder) add(k partKey, s *road.Segment, mid geo.Point) {
	p := b.parts[k]
	if p == nil {
		if b.bytes += partBytes + 3*len(k.text); b.bytes > b.most {
			b.full = true
			return
		}
		p = &part{Street: Street{Box: geo.EmptyBox(), Class: s.Class, Ref: s.Ref, Name: s.Name}}
		if k.ref {
			p.Name = ""
		}
		b.parts[k] = p
	}
	for _, at := range s.Shape {
		p.Box = p.Box.Extend(at)
	}
	p.Class = min(p.Class, s.Class)
	p.LengthM += s.LengthM
	p.Ref = cmp.Or(p.Ref, s.Ref)
	if s.LengthM > p.longest {
		p.longest, p.At = s.LengthM, mid
	}
	for _, against := range []bool{false, true} {
		if s.Allows(against) && len(p.Edges) < exampleEdges {
			p.Edges = append(p.Edges, s.ID.Edge(against))
		}
	}
}

// Index is the streets of a map. Safe for concurrent use.
type Index struct {
	streets []Street
	words   []word // by text
	Full    bool   // the budget was reached: some streets are missing
}

type word struct {
	text   string
	street int32
}

// Build joins what lies together. The builder must not be used afterwards.
func (b *Builder) Build() *Index {
	x := &Index{Full: b.full}
	keys := make([]partKey, 0, len(b.parts))
	for k := range b.parts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, c partKey) int {
		return cmp.Or(strings.Compare(a.text, c.text), cmp.Compare(a.cell, c.cell))
	})
	for _, k := range keys {
		if p := b.parts[k]; !p.done {
			x.streets = append(x.streets, b.join(k))
		}
	}
	for i := range x.streets {
		s := &x.streets[i]
		for _, w := range append(words(s.Name), words(s.Ref)...) {
			x.words = append(x.words, word{w, int32(i)})
		}
	}
	slices.SortFunc(x.words, func(a, c word) int { return cmp.Or(strings.Compare(a.text, c.text), cmp.Compare(a.street, c.street)) })
	return x
}

// join is a part with all that can be reached from cell to neighbouring cell.
func (b *Builder) join(k partKey) Street {
	first := b.parts[k]
	first.done = true
	s, longest := first.Street, first.longest
	for open := []uint32{k.cell}; len(open) > 0; {
		t := geo.FromQuadkey(cellZoom, open[len(open)-1])
		open = open[:len(open)-1]
		for dx := -1; dx <= 1; dx++ {
			for dy := -1; dy <= 1; dy++ {
				n := geo.Tile{Z: cellZoom, X: t.X + uint32(dx), Y: t.Y + uint32(dy)}
				if !n.Valid() {
					continue
				}
				p := b.parts[partKey{k.text, k.ref, n.Quadkey()}]
				if p == nil || p.done {
					continue
				}
				p.done = true
				open = append(open, n.Quadkey())
				s.Box, s.Class, s.LengthM, s.Ref = s.Box.Union(p.Box), min(s.Class, p.Class), s.LengthM+p.LengthM, cmp.Or(s.Ref, p.Ref)
				if p.longest > longest {
					longest, s.At = p.longest, p.At
				}
				s.Edges = append(s.Edges, p.Edges[:min(len(p.Edges), exampleEdges-len(s.Edges))]...)
			}
		}
	}
	return s
}

// Search finds up to most streets that have, for each word of the query, a word that begins with it. First come those that are
// called exactly so, then those that begin so, then the more important and the longer ones.
func (x *Index) Search(query string, most int) []Street {
	asked := words(query)
	if len(asked) == 0 {
		return nil
	}
	// The longest word has the fewest matches.
	longest := slices.MaxFunc(asked, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	from, _ := slices.BinarySearchFunc(x.words, longest, func(w word, t string) int { return strings.Compare(w.text, t) })
	type hit struct {
		street int32
		rank   int
	}
	var hits []hit
	seen := map[int32]bool{}
	for _, w := range x.words[from:] {
		if !strings.HasPrefix(w.text, longest) {
			break
		}
		if seen[w.street] {
			continue
		}
		seen[w.street] = true
		if rank, ok := rank(&x.streets[w.street], asked); ok {
			hits = append(hits, hit{w.street, rank})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		s, t := &x.streets[a.street], &x.streets[b.street]
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(s.Class, t.Class), cmp.Compare(t.LengthM, s.LengthM), cmp.Compare(a.street, b.street))
	})
	out := make([]Street, 0, min(most, len(hits)))
	for _, h := range hits[:min(most, len(hits))] {
		out = append(out, x.streets[h.street])
	}
	return out
}

// rank is 0 for a street that is called as asked, 1 for one that begins so, 2 for one that has the words somewhere; ok is false
// without one of the words.
func rank(s *Street, asked []string) (rank int, ok bool) {
	name, ref := words(s.Name), words(s.Ref)
	if slices.Equal(name, asked) || slices.Equal(ref, asked) {
		return 0, true
	}
	begins := func(have []string) bool {
		return len(have) >= len(asked) && strings.HasPrefix(strings.Join(have, " "), strings.Join(asked, " "))
	}
	if begins(name) || begins(ref) {
		return 1, true
	}
	for _, a := range asked {
		has := func(w string) bool { return strings.HasPrefix(w, a) }
		if !slices.ContainsFunc(name, has) && !slices.ContainsFunc(ref, has) {
			return 0, false
		}
	}
	return 2, true
}
