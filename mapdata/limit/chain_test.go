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
		"nothing said":                   {passes: 30, want: []uint8{0, 0, 0, 0, 0, 0, 0, 0}},
		"holds on where many pass":       {say: at{2: reads(70, 20)}, passes: 30, want: []uint8{0, 0, 70, 70, 70, 70, 70, 70}},
		"not where few pass":             {say: at{2: reads(70, 20)}, passes: 2, want: []uint8{0, 0, 70, 0, 0, 0, 0, 0}},
		"passes not known":               {say: at{2: reads(70, 20)}, want: []uint8{0, 0, 70, 0, 0, 0, 0, 0}},
		"until the next sign":            {say: at{0: reads(70, 20), 4: reads(50, 20)}, passes: 30, want: []uint8{70, 70, 70, 70, 50, 50, 50, 50}},
		"a few misread":                  {say: at{0: reads(70, 40), 4: reads(50, 3)}, passes: 60, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"undecided ends it":              {say: at{0: reads(70, 40), 4: func(s *said) { s.cars(0, 1, 12, posted(50)); s.cars(0, 30, 12, posted(40)) }}, passes: 60, want: []uint8{70, 70, 70, 70, 0, 0, 0, 0}},
		"the map is wrong all along":     {say: at{0: reads(70, 20)}, limits: all, passes: 30, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"the map has another from there": {say: at{0: reads(70, 20)}, limits: map[int]uint8{0: 70, 1: 70, 2: 70, 3: 30, 4: 30}, passes: 12, want: []uint8{70, 70, 70, 0, 0, 0, 0, 0}},
		"but its sign is missing":        {say: at{0: reads(70, 20), 3: gone(30)}, limits: map[int]uint8{0: 70, 1: 70, 2: 70, 3: 30, 4: 30}, passes: 30, want: []uint8{70, 70, 70, 70, 70, 70, 70, 70}},
		"short edges before a sign":      {say: at{0: reads(70, 20), 4: reads(50, 20)}, passes: 30, length: 15, want: []uint8{70, 70, 70, 0, 50, 50, 50, 50}},
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
