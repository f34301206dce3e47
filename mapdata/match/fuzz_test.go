package match_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// FuzzMatch matches anything over a small town: no panic, and whatever is found hangs
// together. Six bytes make a sample: moves in time and place, speed, heading, fields.
func FuzzMatch(f *testing.F) {
	ring := circle(xy{-100, -100}, 20, 12)
	w := build(f, append(grid(5, true),
		line{name: "two-way", at: []xy{{0, 0}, {-80, -100}}},
		line{name: "ring", at: ring, oneWay: true, flags: road.Roundabout},
		line{name: "far", at: []xy{{-80, -100}, {-3000, -2500}, {-6000, 0}}},
		line{name: "loop", at: []xy{{400, 400}, {450, 450}, {500, 400}, {450, 350}, {400, 400}}},
		line{name: "island", at: []xy{{1000, 1000}, {1000, 1300}}, oneWay: true},
	)...)
	f.Add([]byte{10, 0, 0, 0, 0, 0})
	f.Add([]byte{10, 10, 0, 10, 64, 7, 10, 10, 0, 10, 64, 7, 10, 246, 0, 10, 192, 7, 10, 246, 0, 10, 192, 7, 10, 0, 10, 10, 0, 7})
	f.Add([]byte{0, 128, 128, 0, 0, 0, 255, 127, 127, 255, 255, 255, 0, 0, 0, 0, 0, 7, 10, 0, 0, 10, 0, 7})
	var drive []byte
	for range 400 {
		drive = append(drive, 10, 10, 0, 10, 64, 7)
	}
	f.Add(drive)
	f.Fuzz(func(t *testing.T, b []byte) {
		var samples []telemetry.Sample
		at, ms := xy{}, int64(0)
		for ; len(b) >= 6 && len(samples) < 600; b = b[6:] {
			scale := 1.
			if b[5]&0x40 != 0 {
				scale = 40
			}
			ms += int64(b[0]) * 100 * int64(scale)
			at.x += scale * float64(int8(b[1]))
			at.y += scale * float64(int8(b[2]))
			s := sampleAt(at, ms, float64(b[4])*360/256, float64(b[3]), float64(b[5]>>2))
			s.Has = 0
			if b[5]&1 != 0 {
				s.Has |= telemetry.HasSpeed
			}
			if b[5]&2 != 0 {
				s.Has |= telemetry.HasHeading
			}
			if b[5]&4 != 0 {
				s.Has |= telemetry.HasAccuracy
			}
			if b[5] == 0x80 {
				s.LatE7, s.LonE7 = int32(binary.LittleEndian.Uint32(b)), math.MinInt32
			}
			samples = append(samples, s)
		}
		out := make([]match.Result, len(samples))
		m := match.New(w)
		if err := m.Match(t.Context(), samples, out); err != nil {
			t.Fatal(err)
		}
		checkInvariants(t, w.graph, samples, out, m.Path())
	})
}
