package maperror_test

import (
	"math/rand/v2"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
)

// BenchmarkCollect is the cost of a sample that drives as the map has it.
func BenchmarkCollect(b *testing.B) {
	ways := andorra(b)
	t := newTruth(b, ways)
	segs, _ := road.Build(ways)
	roads := cut(b, segs)
	r := rand.New(rand.NewPCG(1, 2))
	m := match.New(roads)
	var drives []*learn.Drive
	samples := 0
	for len(drives) < 500 {
		s := t.drive(r, 300, 1000, sound, func(int) {})
		for at := 3; at+10 <= len(s); at += 10 {
			d := &learn.Drive{
				Vehicle: r.Uint64(), DayMS: day0, LeadIn: 3,
				Samples: s[at-3 : at+10], Matches: make([]match.Result, 13),
			}
			if err := m.Match(b.Context(), d.Samples, d.Matches); err != nil {
				b.Fatal(err)
			}
			d.Path = append(d.Path, m.Path()...)
			drives = append(drives, d)
			samples += 10
		}
	}
	c := maperror.New(roads)
	var set learn.EvidenceSet
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		d := drives[n%len(drives)]
		if n++; n%len(drives) == 0 {
			set.Reset()
		}
		if err := c.Collect(b.Context(), d, &set); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/sample")
}

// BenchmarkArea is the cost of reading the roads around a busy tile.
func BenchmarkArea(b *testing.B) {
	segs, _ := road.Build(andorra(b))
	roads := cut(b, segs)
	q := geo.TileAt(geo.At(42.5063, 1.5218), road.Zoom).Quadkey()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := maperror.Area(b.Context(), roads, q); err != nil {
			b.Fatal(err)
		}
	}
}
