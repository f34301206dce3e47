package osm

import (
	"testing"
	"unicode/utf8"

	"github.com/carasso/carasso/mapdata/road"
)

func TestParseMaxspeed(t *testing.T) {
	for value, want := range map[string]uint8{
		"": 0, "50": 50, " 50 ": 50, "50 km/h": 50, "50kmh": 50, "55 mph": 89, "55mph": 89, "30 MPH": 48, "10 knots": 19,
		"none": road.Unlimited, "walk": 7, "DE:walk": 7, "signals": 0, "variable": 0, "implicit": 0, "sign": 0,
		"50;70": 50, "70;50": 50, "none;80": 80, "100|80|none": 80, "50, 30": 30,
		"RO:urban": 50, "RO:rural": 90, "RO:trunk": 100, "RU:urban": 60, "de:urban": 50, "DE:motorway": road.Unlimited,
		"DE:zone:30": 30, "DE:zone30": 30, "zone:30": 30, "AT:zone:20": 20, "GB:nsl_single": 97, "GB:zone:20 mph": 32,
		"FR:30": 30, "AD:urban": 50, "XX:nowhere": 0, ":": 0, "DE:": 0, "zone:": 0,
		"50 @ (22:00-06:00)": 0, "100; 80 @ (wet)": 100,
		"60 @ (22:00-06:00)": 0, "60 @ (22:00-06:00); 80": 80, "100; 60 @ (Mo-Fr 22:00-06:00; Sa 20:00-06:00, 30)": 100,
		"80 @ (Mo-Fr 07:00-19:00, PH 30); 50 @ (wet)": 0, "none @ (19:00-07:00)": 0, "60 @": 0, "@ 60": 0, "60 (22:00)": 0, "50 @ (wet": 0, "50 @ (wet; 30": 0,
		"50 @ wet)": 0, ")50": 0, "((((;50": 0, ")); 50": 50, "22:30": 0, "22:00-06:00": 0,
		"  RO : urban ": 50, "RO:URBAN": 50, "\t30\n": 30, "zone :30": 30, "DE: zone:30": 30, "BE-VLG:rural": 70, "US-CA:55 mph": 89, "12:urban": 50,
		"55  mph": 89, "55 MPH;70 mph": 89, "none;none": road.Unlimited, ";;;": 0, "50;": 50, ";70": 70, "50;signals": 50, "50;x;walk": 7, "50 - 70": 0, "50-70": 0,
		"0": 0, "-50": 0, "1e9": 0, "999": 0, "250": 0, "200": 200, "201": 0, "130 mph": 0, "2": 0, "3": 3, "0.4": 0, "00050": 50, "48.28": 48,
		"NaN": 0, "Inf": 0, "+50": 0, "0x32": 0, "1_0": 0, "99999999999999999999999999999999": 0, "50\x00": 0, "50\xff": 0, ".": 0, "5.5.5": 0, "mph": 0, "50 furlongs": 0, "٥٠": 0,
	} {
		if got := parseMaxspeed(value); got != want {
			t.Errorf("%q: %d km/h, want %d", value, got, want)
		}
	}
}

func TestAttributes(t *testing.T) {
	both := road.Forward | road.Backward
	for name, tt := range map[string]struct {
		tags []tag
		want road.Attributes
		no   bool
	}{
		"plain":               {tags: []tag{{"highway", "residential"}}, want: road.Attributes{Class: road.Residential, Flags: both}},
		"motorway":            {tags: []tag{{"highway", "motorway"}}, want: road.Attributes{Class: road.Motorway, Flags: road.Forward}},
		"two-way motorway":    {tags: []tag{{"highway", "motorway"}, {"oneway", "no"}}, want: road.Attributes{Class: road.Motorway, Flags: both}},
		"roundabout":          {tags: []tag{{"highway", "primary"}, {"junction", "roundabout"}}, want: road.Attributes{Class: road.Primary, Flags: road.Forward | road.Roundabout}},
		"one-way":             {tags: []tag{{"highway", "primary"}, {"oneway", "1"}}, want: road.Attributes{Class: road.Primary, Flags: road.Forward}},
		"reverse":             {tags: []tag{{"highway", "primary"}, {"oneway", "-1"}}, want: road.Attributes{Class: road.Primary, Flags: road.Backward}},
		"reversible":          {tags: []tag{{"highway", "primary"}, {"oneway", "reversible"}}, want: road.Attributes{Class: road.Primary, Flags: both}},
		"bridge":              {tags: []tag{{"highway", "trunk"}, {"bridge", "viaduct"}, {"tunnel", "no"}, {"layer", "2"}}, want: road.Attributes{Class: road.Trunk, Flags: both | road.Bridge, Layer: 2}},
		"odd layer":           {tags: []tag{{"highway", "trunk"}, {"layer", "1000"}}, want: road.Attributes{Class: road.Trunk, Flags: both}},
		"limits by direction": {tags: []tag{{"highway", "trunk"}, {"maxspeed", "80"}, {"maxspeed:backward", "60"}}, want: road.Attributes{Class: road.Trunk, Flags: both, Limit: [2]uint8{80, 60}}},
		"limit by kind":       {tags: []tag{{"highway", "trunk"}, {"maxspeed:type", "RO:urban"}}, want: road.Attributes{Class: road.Trunk, Flags: both, Limit: [2]uint8{50, 50}}},
		"conditional only":    {tags: []tag{{"highway", "trunk"}, {"maxspeed:conditional", "60 @ (22:00-06:00)"}}, want: road.Attributes{Class: road.Trunk, Flags: both}},
		"signals":             {tags: []tag{{"highway", "trunk"}, {"maxspeed", "signals"}, {"maxspeed:variable", "yes"}}, want: road.Attributes{Class: road.Trunk, Flags: both}},
		"signs as source":     {tags: []tag{{"highway", "trunk"}, {"source:maxspeed", "sign"}}, want: road.Attributes{Class: road.Trunk, Flags: both}},
		"specific access":     {tags: []tag{{"highway", "service"}, {"access", "no"}, {"motor_vehicle", "yes"}}, want: road.Attributes{Class: road.Service, Flags: both}},
		"private":             {tags: []tag{{"highway", "service"}, {"access", "private"}}, no: true},
		"no cars":             {tags: []tag{{"highway", "residential"}, {"motorcar", "no"}, {"access", "yes"}}, no: true},
		"area":                {tags: []tag{{"highway", "service"}, {"area", "yes"}}, no: true},
		"footway":             {tags: []tag{{"highway", "footway"}}, no: true},
		"unknown":             {tags: []tag{{"highway", "unknown"}}, no: true},
		"no road":             {tags: nil, no: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := attributes(tt.tags)
			if ok == tt.no || ok && got != tt.want {
				t.Errorf("%v, %+v; want %+v", ok, got, tt.want)
			}
		})
	}
}

func FuzzParseMaxspeed(f *testing.F) {
	for _, v := range []string{"50;70", "DE:zone:30", "60 @ (22:00-06:00; wet)", "55 mph", "none", "((", ":;:"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := parseMaxspeed(value)
		if got != road.NoLimitKnown && got != road.Unlimited && (got < minLimitKMH || got > maxLimitKMH) {
			t.Errorf("%q: %d", value, got)
		}
	})
}

func FuzzTags(f *testing.F) {
	f.Add("maxspeed", "50;70 mph", "oneway", "-1")
	f.Add("maxspeed:forward", "DE:zone:30", "layer", "-5")
	f.Add("source:maxspeed", "RO:urban", "name", "\xff")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		a, ok := attributes([]tag{{"highway", "primary"}, {k1, v1}, {k2, v2}})
		if ok && a.Flags&(road.Forward|road.Backward) == 0 {
			t.Errorf("a road that may not be driven: %+v", a)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte("a &amp; b &#65; &#x110000; & &;"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := unescape(b); !utf8.ValidString(s) {
			t.Errorf("%q is not UTF-8", s)
		}
		_, _ = decimalE7(b)
		_, _ = integer(b)
	})
}

func TestDecimalE7(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "42.5": 425000000, "-1.5": -15000000, "1.00000005": 10000001, "179.9999999": 1799999999, "1e-3": 10000, "-.5": -5000000,
		"-0.00000001": 0,
	} {
		if got, ok := decimalE7([]byte(in)); !ok || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", ".", "x", "1.2.3", "NaN", "Inf", "1e99", "99999999999999999999", "1-2"} {
		if got, ok := decimalE7([]byte(in)); ok {
			t.Errorf("%q: %d", in, got)
		}
	}
}
