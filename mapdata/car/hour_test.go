package car_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/car"
	"github.com/carasso/carasso/mapdata/tile"
	"github.com/carasso/carasso/mapdata/tile/state"
)

// TestCarHour measures what an hour costs a car that holds 3×3 tiles of 1,000 edges each, of which
// 53 change their speed every minute: parked, and driving to another tile every minute.
func TestCarHour(t *testing.T) {
	const edges, changes, minute, start = 1000, 53, 60_000, 1_764_000_000_000
	for name, step := range map[string]int32{"parked": 0, "driving": 220_000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.setBox([4]float64{1, 42, 4, 43})
			rng := rand.New(rand.NewPCG(1, 6))
			speeds := map[tile.ID]map[uint64][]byte{}
			m := w.car(func(c *car.Config) {
				c.NoRoads, c.NoStream, c.Limits, c.Hazards = true, true, time.Hour, time.Hour
			})
			at := home
			for n := range int64(61) { // the first is the beginning
				m.MoveTo(at)
				at.LonE7 += step
				for _, id := range m.Tiles() {
					held := speeds[id]
					if held == nil {
						held = map[uint64][]byte{}
						limits := map[uint64][]byte{}
						for len(held) < edges {
							k := rng.Uint64N(1 << 25)
							held[k] = speed(50)
							limits[k] = state.AppendLimit(nil, state.Limit{KMH: 50})
						}
						speeds[id] = held
						w.publish(tile.LimitLayer, id, start+n*minute, limits)
					}
					left := changes
					for k := range held {
						if left--; left < 0 {
							break
						}
						held[k] = speed(uint16(20 + rng.IntN(100)))
					}
					w.publish(tile.SpeedLayer, id, start+n*minute, held)
				}
				refresh(t, m)
			}
			traffic := m.Traffic()
			total := traffic.Total()
			t.Logf("%s: up %d B, down %d B in %d requests: speeds %+v, limits %+v, heads and the like %+v", name,
				total.Up, total.Down, traffic.Requests, traffic.Speeds, traffic.Limits, traffic.Overhead)
			if total.Up+total.Down > 2<<20 {
				t.Errorf("more than 2 MiB: %+v", total)
			}
			for _, id := range m.Tiles() {
				for k, v := range speeds[id] {
					if s, ok := m.Speed(edge(id, k)); !ok || string(state.AppendSpeed(nil, s)) != string(v) {
						t.Fatalf("tile %v, edge %d: %v %v", id, k, s, ok)
					}
				}
			}
		})
	}
}
