package sumo

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// Noise is what a real receiver adds to the truth: position errors that are a first-order
// Gauss-Markov process in each coordinate, white errors of heading and speed.
type Noise struct {
	PositionM  float64 // 1 sigma of each coordinate
	TauS       float64 // after which the position's error is correlated by 1/e
	HeadingDeg float64 // 1 sigma
	SpeedMPS   float64 // 1 sigma
	Seed       uint64
}

// DefaultNoise is what the aims are measured with.
func DefaultNoise() Noise {
	return Noise{PositionM: 4, TauS: 10, HeadingDeg: 3, SpeedMPS: 0.2, Seed: 1}
}

// epochMS is the event time of the simulation's start: on the border of a quarter of an hour.
const epochMS = int64(1_800_000_000_000)

// Samples are a car's samples with noise. The same seed and car give the same noise.
func (n Noise) Samples(c *Car, out []telemetry.Sample) []telemetry.Sample {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.ID)) // never fails
	r := rand.New(rand.NewPCG(n.Seed, h.Sum64()))
	x, y := n.PositionM*r.NormFloat64(), n.PositionM*r.NormFloat64()
	out = out[:0]
	for i, row := range c.Rows {
		if i > 0 {
			rho := math.Exp(-float64(row.T-c.Rows[i-1].T) / 1000 / n.TauS)
			fresh := n.PositionM * math.Sqrt(1-rho*rho)
			x, y = rho*x+fresh*r.NormFloat64(), rho*y+fresh*r.NormFloat64()
		}
		heading := math.Mod(float64(row.HeadingCDeg)+100*n.HeadingDeg*r.NormFloat64()+72000, 36000)
		speed := max(float64(row.SpeedCMPS)+100*n.SpeedMPS*r.NormFloat64(), 0)
		if row.SpeedCMPS == 0 {
			speed = 0
		}
		out = append(out, telemetry.Sample{
			T:     epochMS + row.T,
			LatE7: row.At.LatE7 + int32(math.Round(y/geo.MetresPerE7)), LonE7: row.At.LonE7 + int32(math.Round(x/geo.Scale(row.At.LatE7))),
			SpeedCMPS: uint16(min(math.Round(speed), 15000)), HeadingCDeg: uint16(heading) % 36000,
			AccuracyCM: uint32(math.Round(100 * n.PositionM)),
			Has:        telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		})
	}
	return out
}
