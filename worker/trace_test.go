package worker

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// car drives about at 1 Hz with what real receivers show: correlated GPS noise, smooth speed,
// quantised signals.
type car struct {
	r                        *rand.Rand
	id                       uint64
	lat, lon                 float64
	speed, heading           float64
	noiseLat, noiseLon       float64
	altitude, accuracy, temp float64
	t                        int64
	trip                     uint64
	elapsed                  uint32
}

func newCar(seed uint64, at time.Time) *car {
	r := rand.New(rand.NewPCG(seed, 99))
	return &car{
		r: r, id: r.Uint64(), trip: r.Uint64(), lat: 42.43 + 0.22*r.Float64(), lon: 1.41 + 0.37*r.Float64(),
		speed: 8 + 12*r.Float64(), heading: 360 * r.Float64(), altitude: 900 + 800*r.Float64(), accuracy: 3 + 2*r.Float64(),
		temp: 30 + 50*r.Float64(), t: at.UnixMilli() + r.Int64N(1000), elapsed: uint32(r.IntN(4000)),
	}
}

func (c *car) sample() telemetry.Sample {
	c.speed = min(max(c.speed+0.4*c.r.NormFloat64(), 0), 40)
	c.heading = math.Mod(c.heading+2*c.r.NormFloat64()+360, 360)
	const m = 1 / 111195.0
	c.lat += c.speed * math.Cos(c.heading*math.Pi/180) * m
	c.lon += c.speed * math.Sin(c.heading*math.Pi/180) * m / math.Cos(c.lat*math.Pi/180)
	c.noiseLat = 0.95*c.noiseLat + 0.5*c.r.NormFloat64()
	c.noiseLon = 0.95*c.noiseLon + 0.5*c.r.NormFloat64()
	c.altitude += 0.2 * c.r.NormFloat64()
	c.accuracy = max(1, c.accuracy+0.05*c.r.NormFloat64())
	c.t += 1000
	s := telemetry.Sample{
		T: c.t, LatE7: int32((c.lat + c.noiseLat*m) * 1e7), LonE7: int32((c.lon + c.noiseLon*m*1.35) * 1e7),
		AltitudeDM: int32(c.altitude * 10), SpeedCMPS: uint16(c.speed * 100), HeadingCDeg: uint16(c.heading*10) * 10 % 36000,
		AccuracyCM: uint32(c.accuracy*10) * 10, OutsideTempDC: int16(c.temp/5) * 5,
		Has: telemetry.HasAltitude | telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy | telemetry.HasABS |
			telemetry.HasESC | telemetry.HasTCS | telemetry.HasWiper | telemetry.HasOutsideTemp,
	}
	if c.r.IntN(500) == 0 {
		s.On |= telemetry.ABSActive
	}
	return s
}

// batch drives n samples.
func (c *car) batch(n int) (telemetry.ClaimID, telemetry.Batch) {
	b := telemetry.Batch{
		Trip:    telemetry.Trip{Key: c.trip, ElapsedS: c.elapsed},
		Vehicle: telemetry.Vehicle{Model: []string{"G30", "G31", "F40"}[c.id%3], Software: []string{"23-07.1", "24-03.2"}[c.id%2]},
	}
	for range n {
		b.Samples = append(b.Samples, c.sample())
	}
	c.elapsed += uint32(n)
	var id telemetry.ClaimID
	binary.BigEndian.PutUint64(id[:8], uint64(c.t)<<16|0x7000|uint64(c.r.IntN(1<<12)))
	binary.BigEndian.PutUint64(id[8:], c.r.Uint64())
	return id, b
}
