package hazard

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

const basic = telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy

// along is a drive of n samples at 1 Hz and 15 m/s along the street; the first 5 are before
// the zone, the next 6 in it.
func along(s street, n int) *learn.Drive {
	d := &learn.Drive{Vehicle: 11, DayMS: noon - noon%learn.DayMS}
	start := geo.At(42.5, 1.501)
	for i := range n {
		m := float64(i-5)*15 + 1
		d.Samples = append(d.Samples, telemetry.Sample{
			T: noon + int64(i)*1000, LatE7: start.LatE7, LonE7: start.LonE7 + int32(m/geo.Scale(start.LatE7)),
			SpeedCMPS: 1500, HeadingCDeg: 9000, AccuracyCM: 400, Has: basic,
		})
		r := match.Result{Edge: s.zone, OK: true}
		switch {
		case i < 5:
			r.Edge = s.before
		case i > 10:
			r.Edge = s.off
		}
		d.Matches = append(d.Matches, r)
	}
	return d
}

type said struct {
	h    telemetry.Hazard
	s    Strength
	edge road.Edge // 0: a cell
}

func collect(t *testing.T, s street, d *learn.Drive) (out []said, rows []learn.Evidence) {
	t.Helper()
	var set learn.EvidenceSet
	if err := New(s).Collect(t.Context(), d, &set); err != nil {
		t.Fatal(err)
	}
	for _, row := range set.Rows() {
		for _, v := range row.Votes {
			h, strong, ok := ParseCode(v.Code)
			if !ok || v.Vehicles.AtLeast() != 1 {
				t.Errorf("vote %+v has no code, or not one vehicle", v)
			}
			x := said{h: h, s: strong}
			if row.Kind == learn.HazardEvidence {
				x.edge = road.Edge(row.Key)
			}
			out = append(out, x)
		}
	}
	return out, set.Rows()
}

func event(d *learn.Drive, i int, h telemetry.Hazard, confidence uint16) {
	d.Events = append(d.Events, telemetry.Event{T: d.Samples[i].T, Type: telemetry.HazardSeen, Hazard: h, ConfidencePermille: confidence})
}

func TestCollect(t *testing.T) {
	s := newStreet(t)
	flag := func(f telemetry.Flag, has telemetry.Field, at ...int) func(*learn.Drive) {
		return func(d *learn.Drive) {
			for i := range d.Samples {
				d.Samples[i].Has |= has
				if slices.Contains(at, i) {
					d.Samples[i].On |= f
				}
			}
		}
	}
	each := func(change func(o *telemetry.Sample)) func(*learn.Drive) {
		return func(d *learn.Drive) {
			for i := 6; i < 10; i++ {
				change(&d.Samples[i])
			}
		}
	}
	with := func(changes ...func(*learn.Drive)) func(*learn.Drive) {
		return func(d *learn.Drive) {
			for _, c := range changes {
				c(d)
			}
		}
	}
	seen := func(i int, h telemetry.Hazard) func(*learn.Drive) {
		return func(d *learn.Drive) { event(d, i, h, 900) }
	}
	stand := func(light telemetry.Flag) func(*learn.Drive) {
		return func(d *learn.Drive) { // in the zone, for 12 s
			d.Samples, d.Matches = d.Samples[:7], d.Matches[:7]
			last := d.Samples[6]
			for i := range 13 {
				o := last
				o.T, o.SpeedCMPS, o.On = last.T+int64(i+3)*1000, 0, light // from 7 m/s in 3 s
				o.Has = basic | telemetry.HasHazardLight
				d.Samples, d.Matches = append(d.Samples, o), append(d.Matches, d.Matches[6])
			}
			for i := range 7 {
				d.Samples[i].SpeedCMPS = 700
				d.Samples[i].LonE7 = last.LonE7 - int32(float64(6-i)*7/geo.Scale(last.LatE7))
			}
		}
	}
	abs := telemetry.ABSActive
	frost := each(func(o *telemetry.Sample) { o.Has |= telemetry.HasOutsideTemp; o.OutsideTempDC = -20 })
	for _, tt := range []struct {
		name   string
		change func(*learn.Drive)
		want   []said
	}{
		{"nothing", func(*learn.Drive) {}, nil},
		{"event alone", seen(7, telemetry.SlipperyRoad), []said{{telemetry.SlipperyRoad, EventAlone, s.zone}}},
		{"event of little confidence", func(d *learn.Drive) { event(d, 7, telemetry.SlipperyRoad, 300) }, nil},
		{"event of little confidence borne out", with(func(d *learn.Drive) { event(d, 7, telemetry.SlipperyRoad, 300) }, flag(abs, telemetry.HasABS, 8)), []said{{telemetry.SlipperyRoad, Strong, s.zone}}},
		{"event of a newer vocabulary", seen(7, 99), nil},
		{"ABS alone", flag(abs, telemetry.HasABS, 7), []said{{telemetry.SlipperyRoad, SignalAlone, s.zone}}},
		{"ABS in frost", with(flag(abs, telemetry.HasABS, 7), frost), []said{{telemetry.SlipperyRoad, Strong, s.zone}}},
		{"frost alone", frost, nil},
		{"ABS stuck", flag(abs, telemetry.HasABS, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), nil},
		{"ABS in a stop that shows grip", with(flag(abs, telemetry.HasABS, 7), each(func(o *telemetry.Sample) { o.Has |= telemetry.HasBrake; o.BrakeCMPS2 = 550 })), []said{{telemetry.HardBraking, Strong, s.zone}}},
		{"event, ABS and friction", with(seen(6, telemetry.SlipperyRoad), flag(abs, telemetry.HasABS, 7), each(func(o *telemetry.Sample) { o.Has |= telemetry.HasFriction; o.FrictionPercent = 20 })), []said{{telemetry.SlipperyRoad, Strong, s.zone}}},
		{"fog light", flag(telemetry.FogLightRear, telemetry.HasFogLightRear, 5, 6, 7, 8, 9, 10), []said{{telemetry.ReducedVisibility, SignalAlone, s.zone}}},
		{"fog light and event", with(seen(7, telemetry.ReducedVisibility), flag(telemetry.FogLightRear, telemetry.HasFogLightRear, 5, 6, 7)), []said{{telemetry.ReducedVisibility, Strong, s.zone}}},
		{"wiper fast", each(func(o *telemetry.Sample) { o.Has |= telemetry.HasWiper; o.Wiper = telemetry.WiperFast }), []said{{telemetry.ExceptionalWeather, SignalAlone, s.zone}}},
		{"wiper fast and rain", each(func(o *telemetry.Sample) {
			o.Has |= telemetry.HasWiper | telemetry.HasRain
			o.Wiper, o.RainPercent = telemetry.WiperFast, 90
		}), []said{{telemetry.ExceptionalWeather, Strong, s.zone}}},
		{"hazard lights, moving", flag(telemetry.HazardLight, telemetry.HasHazardLight, 6, 7), []said{{warningLights, SignalAlone, s.zone}}},
		{"hazard lights and accident", with(seen(6, telemetry.Accident), flag(telemetry.HazardLight, telemetry.HasHazardLight, 6, 7)), []said{{telemetry.Accident, Strong, s.zone}}},
		{"hazard lights at standstill on a motorway", stand(telemetry.HazardLight), []said{{telemetry.BrokenDownVehicle, Strong, s.zone}}},
		{"standstill", stand(0), nil},
		{"emergency stop", each(func(o *telemetry.Sample) { o.Has |= telemetry.HasBrake; o.BrakeCMPS2 = 650 }), []said{{telemetry.HardBraking, SignalAlone, s.zone}}},
		{"hard braking", each(func(o *telemetry.Sample) { o.Has |= telemetry.HasBrake; o.BrakeCMPS2 = 420 }), nil},
		{"hard braking and lights", with(flag(telemetry.HazardLight, telemetry.HasHazardLight, 8, 9), each(func(o *telemetry.Sample) { o.Has |= telemetry.HasBrake; o.BrakeCMPS2 = 420 })), []said{{warningLights, SignalAlone, s.zone}, {telemetry.HardBraking, Strong, s.zone}}},
		{"road works sign and event", with(seen(7, telemetry.RoadWorks), func(d *learn.Drive) {
			d.Events = append(d.Events, telemetry.Event{T: d.Samples[6].T, Type: telemetry.SignSeen, Sign: telemetry.RoadWorksSign})
		}), []said{{telemetry.RoadWorks, Strong, s.zone}}},
		{"away from roads", with(seen(7, telemetry.Obstacle), func(d *learn.Drive) { d.Matches[7] = match.Result{} }), []said{{telemetry.Obstacle, EventAlone, 0}}},
		{"begins in the last sample before the zone", with(seen(4, telemetry.SlipperyRoad), flag(abs, telemetry.HasABS, 5, 6)), []said{{telemetry.SlipperyRoad, Strong, s.zone}}},
		{"goes on into the next edge for a moment", flag(telemetry.FogLightRear, telemetry.HasFogLightRear, 8, 9, 10, 11), []said{{telemetry.ReducedVisibility, SignalAlone, s.zone}}},
		{"goes on all along the next edge", flag(telemetry.FogLightRear, telemetry.HasFogLightRear, 8, 9, 10, 11, 12, 13), []said{{telemetry.ReducedVisibility, SignalAlone, s.zone}, {telemetry.ReducedVisibility, SignalAlone, s.off}}},
		{"lead-in only", with(flag(abs, telemetry.HasABS, 6), func(d *learn.Drive) { d.LeadIn = 8 }), nil},
		{"begun in the lead-in", with(flag(abs, telemetry.HasABS, 7, 8), func(d *learn.Drive) { d.LeadIn = 8 }), []said{{telemetry.SlipperyRoad, SignalAlone, s.zone}}},
		{"begun before the lead-in", with(flag(abs, telemetry.HasABS, 0, 1), func(d *learn.Drive) { d.LeadIn = 1 }), nil},
		{"on another day", with(seen(7, telemetry.SlipperyRoad), func(d *learn.Drive) { d.DayMS -= learn.DayMS }), nil},
		{"untrustworthy", with(seen(7, telemetry.SlipperyRoad), func(d *learn.Drive) {
			for i := range d.Samples {
				d.Samples[i].LonE7 = d.Samples[0].LonE7
			}
		}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := along(s, 14)
			tt.change(d)
			got, _ := collect(t, s, d)
			sortSaid(got)
			sortSaid(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("said %v, want %v", got, tt.want)
			}
		})
	}
}

func sortSaid(x []said) {
	slices.SortFunc(x, func(a, b said) int {
		return 100*(int(a.h)-int(b.h)) + 10*(int(a.s)-int(b.s)) + map[bool]int{true: 1, false: -1}[a.edge > b.edge]
	})
}

func TestCollectWrongWay(t *testing.T) {
	s := newStreet(t)
	path := func(d *learn.Drive) {
		d.Path = []match.Step{
			{Edge: s.off.Reverse(), FromM: 60, ToM: 82, EnterMS: d.Samples[0].T, LeaveMS: d.Samples[2].T, First: 0, Last: 2, WrongWay: true},
			{Edge: s.zone.Reverse(), FromM: 0, ToM: 82, EnterMS: d.Samples[2].T, LeaveMS: d.Samples[7].T, First: 2, Last: 7, WrongWay: true},
			{Edge: s.before.Reverse(), FromM: 0, ToM: 10, EnterMS: d.Samples[7].T, LeaveMS: d.Samples[8].T, First: 7, Last: 8, WrongWay: true},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*learn.Drive)
		want   int
	}{
		{"a drive", func(*learn.Drive) {}, 2},
		{"right way", func(d *learn.Drive) {
			for i := range d.Path {
				d.Path[i].WrongWay = false
			}
		}, 0},
		{"a manoeuvre", func(d *learn.Drive) { d.Path = d.Path[2:] }, 0},
		{"without samples", func(d *learn.Drive) {
			for i := range d.Path {
				d.Path[i].First = d.Path[i].Last
			}
		}, 0},
		{"in the lead-in", func(d *learn.Drive) { d.LeadIn = 10 }, 0},
		{"half in the lead-in", func(d *learn.Drive) { d.LeadIn = 5 }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := along(s, 14)
			path(d)
			tt.change(d)
			got, _ := collect(t, s, d)
			if len(got) != tt.want {
				t.Fatalf("said %v, want %d votes", got, tt.want)
			}
			for _, x := range got {
				if x.h != telemetry.WrongWayDriver || x.s != Strong || x.edge.Against() {
					t.Errorf("said %v, want a strong vote on the right direction of a motorway", x)
				}
			}
		})
	}
}

// A resent batch, or one that repeats the last one's end, adds no vehicle.
func TestCollectTwice(t *testing.T) {
	s := newStreet(t)
	d := along(s, 14)
	event(d, 7, telemetry.SlipperyRoad, 900)
	var set learn.EvidenceSet
	c := New(s)
	for range 3 {
		if err := c.Collect(t.Context(), d, &set); err != nil {
			t.Fatal(err)
		}
	}
	rows := set.Rows()
	if len(rows) != 1 || len(rows[0].Votes) != 1 || rows[0].Votes[0].Vehicles.AtLeast() != 1 || rows[0].Votes[0].N != 3 || rows[0].Votes[0].Sum[0] != 3*7000 {
		t.Errorf("three times the same drive: %+v", rows)
	}
}

type broken struct{}

func (broken) Partition(context.Context, uint32) (*road.Partition, error) {
	return nil, errors.New("no map")
}

func TestCollectWithoutMap(t *testing.T) {
	s := newStreet(t)
	d := along(s, 14)
	event(d, 7, telemetry.Accident, 900)
	for i := range d.Samples {
		d.Samples[i].SpeedCMPS = 900
		d.Samples[i].LonE7 = d.Samples[0].LonE7 + int32(float64(i)*9/geo.Scale(d.Samples[0].LatE7))
	}
	var set learn.EvidenceSet
	if err := New(broken{}).Collect(t.Context(), d, &set); err == nil || len(set.Rows()) != 0 {
		t.Errorf("without a map: error %v, %d rows; want an error and none", err, len(set.Rows()))
	}
}

func TestCode(t *testing.T) {
	for h := telemetry.HazardUnknown; h <= telemetry.HardBraking; h++ {
		for s := EventAlone; s <= Strong; s++ {
			gotH, gotS, ok := ParseCode(Code(h, s))
			if gotH != h || gotS != s || !ok {
				t.Errorf("ParseCode(Code(%s, %d)) = %s, %d, %t", h, s, gotH, gotS, ok)
			}
		}
	}
	if Code(telemetry.SlipperyRoad, Strong) != 7 || Code(telemetry.HardBraking, EventAlone) != 41 { // stored
		t.Error("codes have changed")
	}
	for _, code := range []uint64{0, 4, 45, 1 << 40} {
		if _, _, ok := ParseCode(code); ok {
			t.Errorf("ParseCode(%d) is one", code)
		}
	}
}

func FuzzCollect(f *testing.F) {
	f.Add(uint64(1), uint8(14), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, n, lead uint8) {
		s := newStreet(t)
		d := along(s, int(n%40))
		d.LeadIn = int(lead) % (len(d.Samples) + 1)
		r := newRand(seed)
		for i := range d.Samples {
			o := &d.Samples[i]
			o.Has, o.On, o.Wiper = telemetry.Field(r.Uint32()), telemetry.Flag(r.Uint32()), telemetry.Wiper(r.IntN(4))
			o.T += int64(r.IntN(4000)) - 1000
			o.BrakeCMPS2, o.RainPercent, o.FrictionPercent = int16(r.IntN(4000)-2000), uint8(r.IntN(101)), uint8(r.IntN(101))
			d.Matches[i].OK, d.Matches[i].Break = r.IntN(5) > 0, r.IntN(9) == 0
			if r.IntN(3) == 0 {
				event(d, i, telemetry.Hazard(r.IntN(12)), uint16(r.IntN(1001)))
			}
		}
		got, _ := collect(t, s, d)
		if len(got) > 3*categories*(len(d.Samples)+1) {
			t.Errorf("%d votes of %d samples", len(got), len(d.Samples))
		}
	})
}
