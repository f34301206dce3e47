package fleet

import (
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// weatherSeed finds a seed of which the first minute has the weather.
func weatherSeed(t *testing.T, n *Network, cfg Config, is func(conditions) bool) Config {
	t.Helper()
	for seed := uint64(1); seed < 1000; seed++ {
		cfg.Seed = seed
		if is(newWorld(n, &cfg).conditions(fixtureStart.UnixMilli(), 60_000)) {
			return cfg
		}
	}
	t.Fatal("no seed has this weather")
	return cfg
}

// Fog and downpours are where the truth says they are, on some roads and not on others.
func TestWeatherIsLocal(t *testing.T) {
	n := fixtureNetwork(t)
	base := fixtureConfig()
	base.GPSSigmaM = 0.1
	for name, tt := range map[string]struct {
		is    func(conditions) bool
		feels func(*telemetry.Sample) (can, does bool)
		there func(heavy, fog bool) bool
	}{
		"fog": {
			func(c conditions) bool { return c.fog > 0.3 && c.rain == 0 },
			func(o *telemetry.Sample) (bool, bool) {
				return o.Has&telemetry.HasFogLightRear != 0, o.On&telemetry.FogLightRear != 0
			},
			func(_, fog bool) bool { return fog },
		},
		"heavy rain": {
			func(c conditions) bool { return c.rain > 80 && c.fog == 0 },
			func(o *telemetry.Sample) (bool, bool) { return true, o.Wiper == telemetry.WiperFast },
			func(heavy, _ bool) bool { return heavy },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := weatherSeed(t, n, base, tt.is)
			sim, err := NewSimulation(cfg, n, fixtureStart)
			if err != nil {
				t.Fatal(err)
			}
			var in, out, wrong int
			err = Generate(cfg, n, fixtureStart, 20_000, func(u *Upload) error {
				for i := range u.Batch.Samples {
					o := &u.Batch.Samples[i]
					if u.Truth[i].Arc < 0 || sim.world.zoneOf[u.Truth[i].Arc] != noZone {
						continue // a zone's hazard is another thing
					}
					can, does := tt.feels(o)
					if !can {
						continue
					}
					at := []geo.Point{{LatE7: o.LatE7, LonE7: o.LonE7}}
					ms := fixtureStart.Add(time.Minute).UnixMilli()
					near := tt.there(sim.Weather(ms).Near(at, 300))
					switch {
					case does && !near:
						wrong++
					case does:
						in++
					default:
						out++
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("seed %d: %d samples feel it, %d do not", cfg.Seed, in, out)
			if in == 0 || out == 0 || wrong != 0 {
				t.Errorf("%d samples feel it where it is, %d where it is not, %d do not", in, wrong, out)
			}
		})
	}
}
