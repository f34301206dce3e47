package limit

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// street is a road of n edges of lengthM, one after another to the east, and its edges.
func street(tb testing.TB, n int, lengthM float64, limits map[int]uint8) (*town, []road.Edge) {
	tb.Helper()
	box := geo.TileAt(geo.At(48.1, 11.5), road.Zoom).Box()
	corner := geo.Point{LatE7: (box.South + box.North) / 2, LonE7: box.West}
	at := func(i int) geo.Point {
		return geo.Point{LatE7: corner.LatE7, LonE7: corner.LonE7 + int32((50+float64(i)*lengthM)/geo.Scale(corner.LatE7))}
	}
	var ways []road.Way
	for i := range n {
		limit := limits[i]
		ways = append(ways, road.Way{ID: int64(i), Nodes: []int64{int64(i), int64(i + 1)}, Points: []geo.Point{at(i), at(i + 1)}, Attributes: road.Attributes{
			Name: "Long Street", Class: road.Primary, Flags: road.Forward | road.Backward, Limit: [2]uint8{limit, limit},
		}})
	}
	segs, _ := road.Build(ways)
	part, err := road.NewPartition(geo.TileAt(at(0), road.Zoom).Quadkey(), segs)
	if err != nil {
		tb.Fatal(err)
	}
	edges := make([]road.Edge, n)
	for _, s := range segs {
		edges[s.From] = s.ID.Edge(false)
	}
	return &town{part: part}, edges
}

func TestChain(t *testing.T) {
	type at = map[int]func(*said)
	reads := func(kmh uint8, cars int) func(*said) { return func(s *said) { s.cars(0, 1, cars, posted(kmh)) } }
	gone := func(kmh uint8) func(*said) {
		return func(s *said) { s.cars(0, 1, 15, Code{Reading: Missing, KMH: kmh}) }
	}
	all := map[int]uint8{}
	for i := range 8 {
		all[i] = 50
	}
	for name, tt := range map[string]struct {
		say    at
		limits map[int]uint8
		passes int
		length float64
		want   []uint8
	}{
		"nothing said":                                {passes: 30, want: []uint8{0, 0, 0, 0, 0, 0, 0, 0}},
		"holds on where many pass":                    {say: at{2: reads(70, 20)}, passes: 30, want: []uint8{0, 0, 70, 70, 70, 70, 70, 70}},
		"not where few pass":                          {say: at{2: reads(70, 20)}, passes: 2, want: []uint8{0, 0, 70, 0, 0, 0, 0, 0}},
		"passes not known":                            {say: at{2: reads(70, 20)}, want: []uint8{0, 0, 70, 0, 0, 0, 0, 0}},
		"until the next sign":                         {say: at{0: reads(70, 20), 4: reads(50, 20)}, passes: 30, want: []uint8{70, 70, 70, 70, 50, 50, 50, 50}},
		"a few misread":                               {say: at{0: reads(70, 40), 4: reads(50, 3)}, passes: 60, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"undecided ends it":                           {say: at{0: reads(70, 40), 4: func(s *said) { s.cars(0, 1, 12, posted(50)); s.cars(0, 30, 12, posted(40)) }}, passes: 60, want: []uint8{70, 70, 70, 70, 0, 0, 0, 0}},
		"the map is wrong all along":                  {say: at{0: reads(70, 20)}, limits: all, passes: 30, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"the map has another from there":              {say: at{0: reads(70, 20)}, limits: map[int]uint8{0: 70, 1: 70, 2: 70, 3: 30, 4: 30}, passes: 12, want: []uint8{70, 70, 70, 0, 0, 0, 0, 0}},
		"but its sign is missing":                     {say: at{0: reads(70, 20), 3: gone(30)}, limits: map[int]uint8{0: 70, 1: 70, 2: 70, 3: 30, 4: 30}, passes: 30, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"the map is right again, and no sign says so": {say: at{0: reads(70, 20), 2: gone(50), 4: gone(70)}, limits: map[int]uint8{0: 70, 1: 70, 2: 50, 3: 50, 4: 70, 5: 70, 6: 70, 7: 70}, passes: 30, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"short edges before a sign":                   {say: at{0: reads(70, 20), 4: reads(50, 20)}, passes: 30, length: 15, want: []uint8{70, 70, 70, 70, 50, 50, 50, 50}},
		"some read it on the short edge":              {say: at{0: reads(70, 20), 3: reads(50, 3), 4: reads(50, 20)}, passes: 30, length: 15, want: []uint8{70, 70, 70, 70, 50, 50, 50, 50}},
		"many do, and it may stand there":             {say: at{0: reads(70, 20), 3: reads(50, 9), 4: reads(50, 20)}, passes: 30, length: 15, want: []uint8{70, 70, 70, 0, 50, 50, 50, 50}},
		"most do, and it stands there":                {say: at{0: reads(70, 20), 3: reads(50, 20), 4: reads(50, 9)}, passes: 30, length: 15, want: []uint8{70, 70, 70, 50, 50, 50, 50, 50}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.length == 0 {
				tt.length = 120
			}
			w, edges := street(t, 8, tt.length, tt.limits)
			look := func(_ context.Context, e road.Edge) (Known, error) {
				k := Known{Passes: tt.passes}
				if say := tt.say[slices.Index(edges, e)]; say != nil {
					var s said
					say(&s)
					k.Evidence = s.set.Rows()
				}
				return k, nil
			}
			r := rand.New(rand.NewPCG(1, 1))
			for range 5 { // in any order
				c := NewChain(w, look, time.UnixMilli(day0+learn.DayMS), Config{})
				got := make([]uint8, len(edges))
				for _, i := range r.Perm(len(edges)) {
					l, err := c.Limit(t.Context(), edges[i])
					if err != nil {
						t.Fatal(err)
					}
					if got[i] = l.KMH; l.Published() && (l.Edge != edges[i] || l.Vehicles < 3 || l.Posterior <= 0.95) {
						t.Errorf("%+v", l)
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

func TestChainEnds(t *testing.T) {
	w, edges := street(t, 3, 120, nil)
	boom := errors.New("boom")
	c := NewChain(w, func(context.Context, road.Edge) (Known, error) { return Known{}, boom }, time.UnixMilli(0), Config{})
	if _, err := c.Limit(t.Context(), edges[1]); !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
	c = NewChain(w, func(context.Context, road.Edge) (Known, error) { return Known{}, nil }, time.UnixMilli(0), Config{})
	if l, err := c.Limit(t.Context(), edges[1]+1<<10); err != nil || l.Published() {
		t.Errorf("an unknown edge: %+v, %v", l, err)
	}
}

// Every edge of a town ends somewhere, and a ring leads round for ever.
func TestChainOnARing(t *testing.T) {
	w := newTown(t)
	for name, e := range w.edges {
		for _, e := range []road.Edge{e, e.Reverse()} {
			c := NewChain(w, func(context.Context, road.Edge) (Known, error) { return Known{Passes: 50}, nil }, time.UnixMilli(0), Config{})
			if l, err := c.Limit(t.Context(), e); err != nil || l.Published() {
				t.Errorf("%s: %+v, %v", name, l, err)
			}
		}
	}
	center := geo.At(48.1, 11.5)
	ring := road.Way{Attributes: road.Attributes{Class: road.Primary, Name: "Ring", Flags: road.Forward}}
	var ways []road.Way
	corner := []geo.Point{center, {LatE7: center.LatE7 + 20000, LonE7: center.LonE7}, {LatE7: center.LatE7 + 20000, LonE7: center.LonE7 + 20000}, center}
	for i := range 3 {
		way := ring
		way.ID, way.Nodes, way.Points = int64(i), []int64{int64(i), int64((i + 1) % 3)}, []geo.Point{corner[i], corner[i+1]}
		ways = append(ways, way)
	}
	segs, _ := road.Build(ways)
	part, err := road.NewPartition(segs[0].ID.Quadkey(), segs)
	if err != nil {
		t.Fatal(err)
	}
	c := NewChain(&town{part: part}, func(context.Context, road.Edge) (Known, error) { return Known{Passes: 50}, nil }, time.UnixMilli(0), Config{})
	for _, s := range segs {
		if l, err := c.Limit(t.Context(), s.ID.Edge(false)); err != nil || l.Published() {
			t.Errorf("%+v, %v", l, err)
		}
	}
}

func TestFromSpeeds(t *testing.T) {
	if kmh, p := FromSpeeds(nil, road.Primary); kmh != road.NoLimitKnown || p != 0 {
		t.Errorf("nothing driven: %d, %v", kmh, p)
	}
	for _, limit := range []uint8{30, 50, 80, 100} {
		var b learn.SpeedBins
		r := rand.New(rand.NewPCG(uint64(limit), 1))
		for range 300 {
			b.Add(uint16(max(0, (float64(limit)-2+4*r.NormFloat64())/learn.CMPSToKMH)))
		}
		if kmh, p := FromSpeeds(&b, road.Tertiary); apart(kmh, limit) > 10 || p <= 0 || p > 1 {
			t.Errorf("limit %d: %d with %v", limit, kmh, p)
		}
	}
	var standing learn.SpeedBins
	standing[0] = 1000
	if kmh, _ := FromSpeeds(&standing, road.Primary); kmh != road.NoLimitKnown {
		t.Errorf("standing: %d", kmh)
	}
}

// A road that joins another one, where nobody reads a sign behind the junction, has the same limit, if
// vehicles come from it.
func TestChainAcrossJunctions(t *testing.T) {
	const before, behind, joining = 0, 1, 2
	for name, tt := range map[string]struct {
		joins  road.Class // the others are primary roads
		passes [3]int
		back   int // vehicles from behind and from the joining road that drove the first one backwards
		signs  int // vehicles that read a sign behind the junction
		want   uint8
	}{
		"the same":                          {road.Primary, [3]int{30, 60, 30}, 0, 0, 70},
		"a lesser road needs no sign":       {road.Residential, [3]int{30, 60, 30}, 0, 0, 0},
		"few pass":                          {road.Primary, [3]int{30, 60, 2}, 0, 0, 0},
		"a sign stands there":               {road.Primary, [3]int{30, 60, 30}, 0, 30, 0},
		"nobody need have turned that way":  {road.Primary, [3]int{60, 60, 30}, 60, 0, 0},
		"few came by the other road":        {road.Primary, [3]int{10, 60, 30}, 60, 0, 70},
		"the joining road is the main road": {road.Trunk, [3]int{30, 60, 30}, 0, 0, 70},
	} {
		t.Run(name, func(t *testing.T) {
			box := geo.TileAt(geo.At(48.1, 11.5), road.Zoom).Box()
			at := func(x, y float64) geo.Point {
				return geo.Point{LatE7: box.South + int32((800+y)/geo.MetresPerE7), LonE7: box.West + int32((800+x)/geo.Scale(box.South))}
			}
			var ways []road.Way
			for i, from := range []geo.Point{at(-200, 0), at(0, 0), at(0, -200)} {
				w := road.Way{ID: int64(i), Nodes: []int64{int64(10 + i), 1}, Points: []geo.Point{from, at(0, 0)}, Attributes: road.Attributes{Class: road.Primary, Flags: road.Forward | road.Backward}}
				switch i {
				case behind:
					w.Nodes, w.Points = []int64{1, 20}, []geo.Point{at(0, 0), at(200, 0)}
				case joining:
					w.Class = tt.joins
				}
				ways = append(ways, w)
			}
			segs, _ := road.Build(ways)
			part, err := road.NewPartition(geo.TileAt(at(0, 0), road.Zoom).Quadkey(), segs)
			if err != nil {
				t.Fatal(err)
			}
			var edges [3]road.Edge
			for _, s := range segs {
				edges[slices.Index([]int64{10, 1, 12}, s.From)] = s.ID.Edge(false)
			}
			var first, sign said
			first.cars(0, 1, 25, posted(70))
			sign.cars(0, 1, tt.signs, posted(70))
			look := func(_ context.Context, e road.Edge) (Known, error) {
				switch i := slices.Index(edges[:], e); i {
				case before:
					return Known{Passes: tt.passes[i], Evidence: first.set.Rows()}, nil
				case behind:
					return Known{Passes: tt.passes[i], Evidence: sign.set.Rows()}, nil
				case joining:
					return Known{Passes: tt.passes[i]}, nil
				}
				if e == edges[before]^1 {
					return Known{Passes: tt.back}, nil
				}
				return Known{}, nil
			}
			l, err := NewChain(&town{part: part}, look, time.UnixMilli(day0+learn.DayMS), Config{}).Limit(t.Context(), edges[joining])
			if err != nil || l.KMH != tt.want {
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
}
