package telemetry_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// testNow is the receiver's clock in tests.
var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// generator makes valid batches, the same ones for the same seed.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 17))} }

// Read makes the generator a source for NewBatchID; it never fails.
func (g generator) Read(p []byte) (int, error) {
	for i := 0; i < len(p); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], g.Uint64())
		copy(p[i:], word[:])
	}
	return len(p), nil
}

func (g generator) id() telemetry.BatchID {
	id, err := telemetry.NewBatchID(testNow, g)
	if err != nil {
		panic(err)
	}
	return id
}

// between is uniform in [lo, hi], and often one of the ends.
func (g generator) between(lo, hi int64) int64 {
	switch g.IntN(12) {
	case 0:
		return lo
	case 1:
		return hi
	}
	return lo + g.Int64N(hi-lo+1)
}

func (g generator) text() string {
	words := []string{"", "G30", "23-07.1", "Żółw 🚗", `a "b" \ c/d`, "ünïcode", "x", "<&>\u2028"}
	return words[g.IntN(len(words))]
}

// drive is a realistic batch: n samples at 1 Hz with every value.
func (g generator) drive(n int) *telemetry.Batch {
	b := &telemetry.Batch{
		ID: g.id(), VehicleID: "vehicle-0123456", LeadIn: 3,
		Trip:    telemetry.Trip{ID: "0193b3a0-5c1e-7f00-8000-00000000abcd", Key: g.Uint64(), ElapsedS: 312},
		Vehicle: telemetry.Vehicle{Model: "G30", Software: "23-07.1"},
		Samples: make([]telemetry.Sample, n),
	}
	var (
		lat, lon       = 42.50631 + g.Float64()/10, 1.52183 + g.Float64()/10
		speed, heading = 13.4 + g.NormFloat64(), 360 * g.Float64()
		altitude       = 1023.5
	)
	for i := range b.Samples {
		speed = math.Abs(speed + g.NormFloat64()*0.5)
		heading = math.Mod(heading+g.NormFloat64()*3+360, 360)
		altitude += g.NormFloat64() * 0.3
		lat += speed * math.Cos(heading*math.Pi/180) / 111_320
		lon += speed * math.Sin(heading*math.Pi/180) / 82_000
		b.Samples[i] = telemetry.Sample{
			T:     testNow.UnixMilli() - int64(n-i)*1000 + g.Int64N(9) - 4,
			LatE7: int32(lat * 1e7), LonE7: int32(lon * 1e7),
			AltitudeDM: int32(altitude * 10), SpeedCMPS: uint16(speed * 100),
			HeadingCDeg: uint16(heading * 100), AccuracyCM: uint32(420 + g.IntN(40)),
			OutsideTempDC: 35, BrakeCMPS2: int16(g.NormFloat64() * 40),
			Has: 1<<14 - 1, Wiper: telemetry.WiperOff, FrictionPercent: uint8(60 + g.IntN(4)),
		}
	}
	return b
}

// tenSamples is the batch of the benchmarks: the wire contract's size and content.
func tenSamples() *telemetry.Batch { return newGenerator(1).drive(10) }

// batch is any valid batch: extreme values, missing ones, no events or many.
func (g generator) batch() *telemetry.Batch {
	b := &telemetry.Batch{
		ID: g.id(), VehicleID: g.text(),
		Vehicle: telemetry.Vehicle{Model: g.text(), Software: g.text()},
		Trip:    telemetry.Trip{ID: g.text(), Key: g.Uint64() >> g.IntN(64), ElapsedS: uint32(g.between(0, math.MaxUint32)), Final: g.IntN(2) == 0},
	}
	if g.IntN(4) == 0 {
		b.Trip, b.Vehicle = telemetry.Trip{}, telemetry.Vehicle{}
	}
	n := 1 + g.IntN(20)
	if g.IntN(10) == 0 {
		n = 1 + g.IntN(300)
	}
	b.LeadIn = g.IntN(n)
	t := testNow.UnixMilli() - g.between(6*3600*1000, 6*24*3600*1000)
	never := telemetry.Field(g.Uint32())
	always := telemetry.Field(g.Uint32())
	for range n {
		has := (telemetry.Field(g.Uint32())&^never | always) & (1<<14 - 1)
		b.Samples = append(b.Samples, g.sample(t, has))
		t += g.between(0, 60_000)
	}
	for range g.IntN(5) {
		b.Events = append(b.Events, g.event(t))
	}
	return b
}

func (g generator) sample(t int64, has telemetry.Field) telemetry.Sample {
	s := telemetry.Sample{T: t, LatE7: int32(g.between(-90e7, 90e7)), LonE7: int32(g.between(-180e7, 180e7)), Has: has}
	if has&telemetry.HasAltitude != 0 {
		s.AltitudeDM = int32(g.between(-10_000, 100_000))
	}
	if has&telemetry.HasSpeed != 0 {
		s.SpeedCMPS = uint16(g.between(0, 15_000))
	}
	if has&telemetry.HasHeading != 0 {
		s.HeadingCDeg = uint16(g.between(0, 35_999))
	}
	if has&telemetry.HasAccuracy != 0 {
		s.AccuracyCM = uint32(g.between(0, 1_000_000))
	}
	if has&telemetry.HasOutsideTemp != 0 {
		s.OutsideTempDC = int16(g.between(-800, 800))
	}
	if has&telemetry.HasBrake != 0 {
		s.BrakeCMPS2 = int16(g.between(-2000, 2000))
	}
	if has&telemetry.HasRain != 0 {
		s.RainPercent = uint8(g.between(0, 100))
	}
	if has&telemetry.HasFriction != 0 {
		s.FrictionPercent = uint8(g.between(0, 100))
	}
	if has&telemetry.HasWiper != 0 {
		s.Wiper = telemetry.Wiper(g.between(0, 3))
	}
	for has, on := range map[telemetry.Field]telemetry.Flag{
		telemetry.HasABS: telemetry.ABSActive, telemetry.HasESC: telemetry.ESCActive, telemetry.HasTCS: telemetry.TCSActive,
		telemetry.HasFogLightRear: telemetry.FogLightRear, telemetry.HasHazardLight: telemetry.HazardLight,
	} {
		if s.Has&has != 0 && s.T%3 == int64(on)%3 {
			s.On |= on
		}
	}
	return s
}

func (g generator) event(t int64) telemetry.Event {
	e := telemetry.Event{T: t - g.between(0, 100_000), ConfidencePermille: 1000, Type: telemetry.EventType(1 + g.IntN(3))}
	if g.IntN(2) == 0 {
		e.ConfidencePermille = uint16(g.between(0, 1000))
	}
	if e.Type == telemetry.HazardSeen {
		e.Hazard = telemetry.Hazard(1 + g.IntN(10))
	} else {
		e.Sign = telemetry.Sign(1 + g.IntN(11))
		e.ValueKMH = uint16(g.between(0, 300))
	}
	return e
}
