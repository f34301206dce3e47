package limit

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

func BenchmarkJudge(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, bm := range []struct {
		name       string
		days, cars int
		night      bool
	}{{"one day of 10 cars", 1, 10, false}, {"7 days of 30", 7, 30, false}, {"30 days of 100", 30, 100, false}, {"7 days of 30 with a night limit", 7, 30, true}} {
		var s said
		var driven learn.SpeedBins
		for d := range bm.days {
			for car := range bm.cars {
				c := Code{KMH: 80, HourUTC: uint8(r.IntN(24)), Carried: r.IntN(3) == 0}
				if bm.night && c.HourUTC < 6 {
					c.KMH = 60
				}
				if r.IntN(30) == 0 {
					c.KMH += 10
				}
				s.add(d, uint64(car), c)
				driven.Add(uint16(1500 + r.IntN(800)))
			}
		}
		rows := s.set.Rows()
		now := time.UnixMilli(day0 + int64(bm.days)*learn.DayMS)
		prior := Prior{MapKMH: 80, Class: road.Primary}
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := Judge(42, rows, &driven, prior, now, Config{}); got.KMH != 80 {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}
