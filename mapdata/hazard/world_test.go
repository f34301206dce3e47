package hazard

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// noon is when tests begin, unless midnight matters.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixMilli()

// street is a straight one-way motorway eastward of three edges: to the zone, the zone, away.
type street struct {
	part              *road.Partition
	before, zone, off road.Edge
}

func newStreet(t testing.TB) street {
	t.Helper()
	ways := make([]road.Way, 3)
	for i := range ways {
		from, to := geo.At(42.5, 1.5+float64(i)*0.001), geo.At(42.5, 1.5+float64(i+1)*0.001)
		ways[i] = road.Way{ID: int64(i + 1), Nodes: []int64{int64(i + 1), int64(i + 2)}, Points: []geo.Point{from, to}, Attributes: road.Attributes{Class: road.Motorway, Flags: road.Forward}}
	}
	segs, _ := road.Build(ways)
	p, err := road.NewPartition(segs[0].ID.Quadkey(), segs)
	if err != nil {
		t.Fatal(err)
	}
	s := street{part: p}
	for _, seg := range segs {
		switch e := seg.ID.Edge(false); seg.From {
		case 1:
			s.before = e
		case 2:
			s.zone = e
		case 3:
			s.off = e
		}
	}
	if s.before == 0 || s.zone == 0 || s.off == 0 {
		t.Fatal("the street is not whole")
	}
	return s
}

func (s street) Partition(context.Context, uint32) (*road.Partition, error) { return s.part, nil }

// The models of the simulated fleet, by the sensors that matter.
var models = [...]telemetry.Field{
	telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasBrake | telemetry.HasOutsideTemp | telemetry.HasFriction,
	telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasOutsideTemp,
	telemetry.HasFogLightRear | telemetry.HasOutsideTemp,
	telemetry.HasRain | telemetry.HasFogLightRear | telemetry.HasBrake | telemetry.HasOutsideTemp | telemetry.HasFriction,
	telemetry.HasRain | telemetry.HasOutsideTemp,
	telemetry.HasOutsideTemp,
}

// traffic drives cars down the street that feel and report as the simulated fleet does.
type traffic struct {
	street    street
	r         *rand.Rand
	collector *Collector
	set       learn.EvidenceSet
	passes    map[int64]*learn.Vehicles // of the zone, by minute
	all       []learn.Evidence          // a copy of each row, as deltas are stored
	reports   float64                   // share of cars that report what they feel
	reads     float64                   // share of cars that read the sign before road works
	cars      uint64                    // pseudonyms given
}

func newTraffic(t testing.TB, seed uint64) *traffic {
	s := newStreet(t)
	return &traffic{street: s, r: rand.New(rand.NewPCG(seed, 1)), collector: New(s), passes: map[int64]*learn.Vehicles{}, reports: 0.7, reads: 0.92}
}

// pass drives a new car, which enters the zone at a time and feels h there, HazardUnknown for
// nothing. It may report an event falsely, HazardUnknown for none.
func (w *traffic) pass(t testing.TB, atMS int64, h, falsely telemetry.Hazard) {
	w.cars++
	w.drive(t, w.r.Uint64(), atMS, h, falsely)
}

func (w *traffic) drive(t testing.TB, vehicle uint64, atMS int64, h, falsely telemetry.Hazard) {
	t.Helper()
	const speed = 15.0
	has := telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy | telemetry.HasABS | telemetry.HasESC |
		telemetry.HasTCS | telemetry.HasWiper | telemetry.HasHazardLight | models[w.r.IntN(len(models))]
	zone, _ := w.street.part.Segment(w.street.zone.Segment())
	inZone := int(zone.LengthM/speed) + 1
	lag := w.r.Float64() // of the first sample in the zone behind its start
	d := &learn.Drive{Vehicle: vehicle, DayMS: atMS - atMS%learn.DayMS, LeadIn: 1}
	for i := -4; i < inZone+4; i++ {
		m := (float64(i) + lag) * speed
		jitter := 2 * w.r.NormFloat64()
		s := telemetry.Sample{
			T: atMS + int64((float64(i)+lag)*1000), SpeedCMPS: speed * 100, HeadingCDeg: 9000, AccuracyCM: 400, Has: has,
			LatE7: zone.Shape[0].LatE7, LonE7: zone.Shape[0].LonE7 + int32((m+jitter)/geo.Scale(zone.Shape[0].LatE7)),
		}
		feels := h
		if m < 0 || m >= zone.LengthM {
			feels = telemetry.HazardUnknown
		}
		w.feel(&s, feels)
		r := match.Result{Edge: w.street.zone, OK: true, OffsetM: float32(m)}
		switch { // where it seems to be
		case m+jitter < 0:
			r.Edge = w.street.before
		case m+jitter >= zone.LengthM:
			r.Edge = w.street.off
		}
		d.Samples, d.Matches = append(d.Samples, s), append(d.Matches, r)
		if r.Edge == w.street.zone && i > -4 && s.T/learn.DayMS == d.DayMS/learn.DayMS {
			v := w.passes[learn.MinuteStart(s.T)]
			if v == nil {
				v = &learn.Vehicles{}
				w.passes[learn.MinuteStart(s.T)] = v
			}
			v.Add(vehicle)
		}
		if i == 0 && h != telemetry.HazardUnknown && w.r.Float64() < w.reports {
			d.Events = append(d.Events, telemetry.Event{T: s.T, Type: telemetry.HazardSeen, Hazard: h, ConfidencePermille: 800})
		}
		if i == 0 && h == telemetry.RoadWorks && w.r.Float64() < w.reads {
			d.Events = append(d.Events, telemetry.Event{T: s.T, Type: telemetry.SignSeen, Sign: telemetry.RoadWorksSign, ConfidencePermille: 900})
		}
		if i == 1 && falsely != telemetry.HazardUnknown {
			d.Events = append(d.Events, telemetry.Event{T: s.T, Type: telemetry.HazardSeen, Hazard: falsely, ConfidencePermille: 600})
		}
	}
	if err := w.collector.Collect(t.Context(), d, &w.set); err != nil {
		t.Fatal(err)
	}
	for _, row := range w.set.Rows() {
		row.Votes = slices.Clone(row.Votes)
		w.all = append(w.all, row)
	}
	w.set.Reset()
}

// feel sets what a car senses, as internal/fleet's signals do, on a mild dry day.
func (w *traffic) feel(s *telemetry.Sample, h telemetry.Hazard) {
	temp, rain, friction := int16(120), uint8(0), uint8(85)
	switch h {
	case telemetry.SlipperyRoad:
		temp, friction = -5, 30
		switch w.r.IntN(8) {
		case 0:
			s.On |= telemetry.ABSActive
		case 1, 2:
			s.On |= telemetry.ESCActive
		case 3:
			s.On |= telemetry.TCSActive
		}
	case telemetry.ReducedVisibility:
		if s.Has&telemetry.HasFogLightRear != 0 {
			s.On |= telemetry.FogLightRear
		}
	case telemetry.ExceptionalWeather:
		rain, s.Wiper = 85, telemetry.WiperFast
	case telemetry.Obstacle, telemetry.Accident, telemetry.Blockage, telemetry.BrokenDownVehicle, telemetry.HardBraking:
		s.On |= telemetry.HazardLight
	}
	if s.Has&telemetry.HasOutsideTemp != 0 {
		s.OutsideTempDC = temp
	}
	if s.Has&telemetry.HasRain != 0 {
		s.RainPercent = rain
	}
	if s.Has&telemetry.HasFriction != 0 {
		s.FrictionPercent = friction
	}
}

// evidence is what is known about the edges of the street since a time.
func (w *traffic) evidence(sinceMS int64) []EdgeEvidence {
	out := []EdgeEvidence{{Edge: w.street.before}, {Edge: w.street.zone}, {Edge: w.street.off}}
	for _, row := range w.all {
		for i := range out {
			if uint64(out[i].Edge) == row.Key && row.BucketMS >= sinceMS {
				out[i].Minutes = append(out[i].Minutes, row)
			}
		}
	}
	for ms, v := range w.passes {
		if ms >= sinceMS {
			out[1].Passes = append(out[1].Passes, learn.Pass{MinuteMS: ms, Vehicles: *v})
		}
	}
	return out
}

// forget drops what no window reaches back to any more.
func (w *traffic) forget(beforeMS int64) {
	w.all = slices.DeleteFunc(w.all, func(r learn.Evidence) bool { return r.BucketMS < beforeMS })
	for ms := range w.passes {
		if ms < beforeMS {
			delete(w.passes, ms)
		}
	}
}

// published are the categories that are published on the zone's edge.
func (w *traffic) published(nowMS int64, cfg *Config) (out []telemetry.Hazard) {
	for _, f := range Fuse(w.evidence(nowMS-2*MaxWindow.Milliseconds()), nowMS, cfg) {
		if f.Published && f.Edge == w.street.zone {
			out = append(out, f.Category)
		}
	}
	return out
}

// gapMS is the time to the next car at a rate of cars an hour (Poisson).
func (w *traffic) gapMS(perHour float64) int64 { return int64(w.r.ExpFloat64() * 3.6e6 / perHour) }

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
