package limit

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

const day0 = 20_000 * learn.DayMS

// edgeAt is an edge at a longitude.
func edgeAt(lon float64) road.Edge {
	return road.SegmentID(uint64(geo.TileAt(geo.At(48, lon), road.Zoom).Quadkey())<<24 | 5).Edge(false)
}

// said gathers votes as Collect would.
type said struct{ set learn.EvidenceSet }

func (s *said) add(day int, vehicle uint64, c Code) {
	v := learn.Vote{Code: c.Encode(), N: 1}
	v.Vehicles.Add(vehicle*1000 + uint64(day))
	s.set.Add(learn.EvidenceKey{Kind: learn.LimitEvidence, BucketMS: day0 + int64(day)*learn.DayMS, Key: 1}, v)
}

// cars adds n readings by different vehicles on a day.
func (s *said) cars(day, from, n int, c Code) {
	for i := range n {
		s.add(day, uint64(from+i), c)
	}
}

func (s *said) judge(prior Prior, days int) Limit {
	return Judge(edgeAt(0), s.set.Rows(), nil, prior, time.UnixMilli(day0+int64(days)*learn.DayMS), Config{})
}

func probability(l *Limit, kmh uint8) float32 {
	for _, c := range l.Candidates {
		if c.KMH == kmh {
			return c.Probability
		}
	}
	return 0
}

func posted(kmh uint8) Code { return Code{KMH: kmh, HourUTC: 12} }

func TestJudge(t *testing.T) {
	street := Prior{MapKMH: 50, Class: road.Residential}
	for name, tt := range map[string]struct {
		say   func(*said)
		prior Prior
		days  int // from the first day to now; 1 if 0
		want  uint8
	}{
		"nothing said":         {say: func(*said) {}, prior: street},
		"nothing known":        {say: func(*said) {}},
		"two cars are too few": {say: func(s *said) { s.cars(0, 1, 2, posted(50)) }, prior: street},
		"two cars, often":      {say: func(s *said) { s.cars(0, 1, 2, posted(50)); s.cars(0, 1, 2, Code{KMH: 50, HourUTC: 13}) }, prior: street},
		"two cars a day on many days": {say: func(s *said) {
			for d := range 9 {
				s.cars(d, 10*d, 2, posted(50))
			}
		}, prior: street, days: 9},
		"three cars agree with the map": {say: func(s *said) { s.cars(0, 1, 3, posted(50)) }, prior: street, want: 50},
		"five cars against the map":     {say: func(s *said) { s.cars(0, 1, 5, posted(30)) }, prior: street, want: 30},
		"three cars, no map":            {say: func(s *said) { s.cars(0, 1, 3, posted(30)) }, prior: Prior{Class: road.Residential}, want: 30},
		"they don't agree":              {say: func(s *said) { s.cars(0, 1, 4, posted(30)); s.cars(0, 11, 4, posted(40)) }, prior: Prior{Class: road.Residential}},
		"miles":                         {say: func(s *said) { s.cars(0, 1, 5, posted(89)) }, prior: Prior{MapKMH: 72, Class: road.Primary}, want: 89},
		"the sign was changed": {say: func(s *said) {
			for d := range 60 {
				s.cars(d, 1, 90, posted(50))
			}
			s.cars(60, 1, 6, posted(30))
			s.cars(61, 20, 6, posted(30))
		}, prior: street, days: 62, want: 30},
		"and changed back": {say: func(s *said) {
			s.cars(0, 1, 50, posted(50))
			s.cars(9, 1, 50, posted(30))
			s.cars(12, 20, 6, posted(50))
		}, prior: street, days: 13, want: 50},
		"one odd day proves little": {say: func(s *said) {
			for d := range 20 {
				s.cars(d, 1, 9, posted(50))
			}
			s.cars(20, 1, 2, posted(30))
			s.cars(21, 1, 3, posted(50))
		}, prior: street, days: 22, want: 50},
		"old news":                             {say: func(s *said) { s.cars(0, 1, 9, posted(30)) }, prior: street, days: 300},
		"not so old":                           {say: func(s *said) { s.cars(0, 1, 9, posted(30)) }, prior: street, days: 30, want: 30},
		"the sign is gone":                     {say: func(s *said) { s.cars(0, 1, 9, Code{Reading: Missing, KMH: 50}) }, prior: street},
		"gone, and the one before holds":       {say: func(s *said) { s.cars(0, 1, 9, Code{Reading: Missing, KMH: 50}) }, prior: Prior{MapKMH: 50, Class: road.Primary, UpstreamKMH: 70}, want: 70},
		"gone, and the one before is the same": {say: func(s *said) { s.cars(0, 1, 9, Code{Reading: Missing, KMH: 50}) }, prior: Prior{MapKMH: 50, Class: road.Primary, UpstreamKMH: 50, UpstreamPosterior: 0.99, Silent: 9, Passes: 20}, want: 50},
		"removed after long": {say: func(s *said) {
			for d := range 30 {
				s.cars(d, 1, 50, posted(50))
			}
			s.cars(30, 1, 12, Code{Reading: Missing, KMH: 50})
		}, prior: street, days: 31},
		"one car that misses it":          {say: func(s *said) { s.cars(0, 1, 9, posted(50)); s.cars(0, 20, 1, Code{Reading: Missing, KMH: 50}) }, prior: street, want: 50},
		"end of a limit, law known":       {say: func(s *said) { s.cars(0, 1, 6, Code{Reading: End, KMH: 80}) }, prior: Prior{Class: road.Motorway, GeneralKMH: road.Unlimited}, want: road.Unlimited},
		"end of a limit, law not known":   {say: func(s *said) { s.cars(0, 1, 6, Code{Reading: End, KMH: 80}) }, prior: Prior{Class: road.Motorway}},
		"end of a limit confirms the map": {say: func(s *said) { s.cars(0, 1, 6, Code{Reading: End, KMH: 80}) }, prior: Prior{Class: road.Motorway, MapKMH: 130, GeneralKMH: 130}, want: 130},
		"a town begins":                   {say: func(s *said) { s.cars(0, 1, 8, Code{Reading: Town}) }, prior: Prior{Class: road.Primary, MapKMH: 90}, want: 50},
		"a town ends":                     {say: func(s *said) { s.cars(0, 1, 8, Code{Reading: TownEnd}) }, prior: Prior{Class: road.Primary, MapKMH: 50, GeneralKMH: 80}, want: 80},
		"brought along by many":           {say: func(s *said) { s.cars(0, 1, 9, Code{KMH: 70, Carried: true}) }, prior: Prior{Class: road.Primary, MapKMH: 50}, want: 70},
		"brought along by three":          {say: func(s *said) { s.cars(0, 1, 3, Code{KMH: 70, Carried: true}) }, prior: Prior{Class: road.Primary, MapKMH: 50}},
		"lorries' limit on a motorway":    {say: func(s *said) { s.cars(0, 1, 9, posted(120)); s.cars(0, 20, 5, posted(30)) }, prior: Prior{Class: road.Motorway, MapKMH: 120}, want: 120},
		"of another day than the pseudonym": {say: func(s *said) {
			for range 9 {
				s.set.Add(learn.EvidenceKey{Kind: learn.LimitEvidence, BucketMS: day0}, learn.Vote{Code: posted(30).Encode(), N: 1})
			}
		}, prior: street},
		"from the future": {say: func(s *said) { s.cars(5, 1, 9, posted(30)) }, prior: street},
		"codes that mean nothing": {say: func(s *said) {
			for i := range 30 {
				s.cars(0, i*10, 9, Code{Reading: 7, KMH: uint8(i), HourUTC: 31})
			}
		}, prior: street},
		"every value there is": {say: func(s *said) {
			for v := range 256 {
				s.cars(0, v*10, 3, posted(uint8(v)))
			}
		}, prior: street},
	} {
		t.Run(name, func(t *testing.T) {
			var s said
			tt.say(&s)
			got := s.judge(tt.prior, max(tt.days, 1))
			if got.KMH != tt.want || got.MapKMH != tt.prior.MapKMH || len(got.Variants) > 0 {
				t.Errorf("%+v, want %d", got, tt.want)
			}
			if got.Published() && (got.Vehicles < 3 || got.Posterior <= 0.95 || got.Candidates[0].KMH != got.KMH || got.Readings < 3) {
				t.Errorf("%+v", got)
			}
			sum := float32(0)
			for i, c := range got.Candidates {
				sum += c.Probability
				if i > 0 && c.Probability > got.Candidates[i-1].Probability || math.IsNaN(float64(c.Probability)) {
					t.Errorf("candidates %+v", got.Candidates)
				}
			}
			if sum > 1.0001 || len(got.Candidates) == 0 || len(got.Candidates) > 5 {
				t.Errorf("candidates %+v", got.Candidates)
			}
		})
	}
}

func TestRemovedSignIsDoubted(t *testing.T) {
	var s said
	for d := range 30 {
		s.cars(d, 1, 50, posted(50))
	}
	s.cars(30, 1, 12, Code{Reading: Missing, KMH: 50})
	if got := s.judge(Prior{MapKMH: 50, Class: road.Residential}, 31); probability(&got, 50) > 0.05 {
		t.Errorf("%+v", got)
	}
}

// Vehicles of two days must never be united: three cars that were each alone on their day
// are no three distinct cars.
func TestDaysAreNotUnited(t *testing.T) {
	var s said
	for d := range 40 {
		s.add(d, uint64(d), posted(50))
		s.add(d, uint64(100+d), posted(50))
	}
	got := s.judge(Prior{MapKMH: 50}, 40)
	if got.Published() || got.Vehicles != 2 || got.Readings != 80 || got.SinceMS != day0 || got.Posterior < 0.99 {
		t.Errorf("%+v", got)
	}
}

func TestVariants(t *testing.T) {
	night := func(h uint8) bool { return h >= 22 || h < 6 }
	prior := Prior{MapKMH: 80, Class: road.Primary}
	for name, tt := range map[string]struct {
		lon   float64
		prior Prior
		at    func(hourLocal uint8, wet bool) uint8
		want  []Variant
		base  uint8
	}{
		"none":            {prior: prior, at: func(uint8, bool) uint8 { return 80 }, base: 80},
		"night":           {prior: prior, at: func(h uint8, _ bool) uint8 { return pick(night(h), 60, 80) }, base: 80, want: []Variant{{KMH: 60, FromHour: 22, ToHour: 6}}},
		"night, far east": {lon: 121, prior: prior, at: func(h uint8, _ bool) uint8 { return pick(night(h), 60, 80) }, base: 80, want: []Variant{{KMH: 60, FromHour: 22, ToHour: 6}}},
		"night, far west": {lon: -118, prior: prior, at: func(h uint8, _ bool) uint8 { return pick(night(h), 60, 80) }, base: 80, want: []Variant{{KMH: 60, FromHour: 22, ToHour: 6}}},
		"school":          {prior: Prior{MapKMH: 50, Class: road.Residential}, at: func(h uint8, _ bool) uint8 { return pick(h >= 7 && h < 14, 30, 50) }, base: 50, want: []Variant{{KMH: 30, FromHour: 7, ToHour: 14}}},
		"wet":             {prior: Prior{MapKMH: 130, Class: road.Motorway}, at: func(_ uint8, wet bool) uint8 { return pick(wet, 110, 130) }, base: 130, want: []Variant{{KMH: 110, Wet: true}}},
		"wet, and at night": {prior: Prior{MapKMH: 130, Class: road.Motorway}, at: func(h uint8, wet bool) uint8 {
			return pick(wet, 80, pick(night(h), 110, 130))
		}, base: 130, want: []Variant{{KMH: 80, Wet: true}, {KMH: 110, FromHour: 22, ToHour: 6}}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				var s said
				r := rand.New(rand.NewPCG(seed, 3))
				shift := int(math.Round(tt.lon / 15))
				for d := range 7 {
					for car := range 96 {
						h, wet := uint8(car%24), r.IntN(4) == 0
						v := tt.at(h, wet)
						switch u := r.Float64(); {
						case u < 0.05:
							continue
						case u < 0.08:
							v += 10
						}
						s.add(d, uint64(car), Code{KMH: v, Wet: wet, HourUTC: uint8((int(h) - shift + 24) % 24)})
					}
				}
				got := Judge(edgeAt(tt.lon), s.set.Rows(), nil, tt.prior, time.UnixMilli(day0+7*learn.DayMS), Config{})
				for i := range got.Variants {
					v := &got.Variants[i]
					if v.Posterior < 0.95 || v.Vehicles < 3 {
						t.Errorf("%+v", *v)
					}
					v.Posterior, v.Vehicles = 0, 0
				}
				if diff := cmp.Diff(tt.want, got.Variants); got.KMH != tt.base || diff != "" {
					t.Fatalf("seed %d: %+v\n%s", seed, got, diff)
				}
			}
		})
	}
}

func pick(yes bool, a, b uint8) uint8 {
	if yes {
		return a
	}
	return b
}

// A change of the sign must not look like a limit that holds at some hours.
func TestChangeIsNoVariant(t *testing.T) {
	for seed := range uint64(40) {
		var s said
		r := rand.New(rand.NewPCG(seed, 9))
		for d := range 14 {
			for car := range 30 { // who drove by day before the change drives by night afterwards
				s.add(d, uint64(car), Code{KMH: pick(d < 7, 80, 60), HourUTC: uint8(r.IntN(14) + int(pick(d < 7, 0, 10)))})
			}
		}
		got := s.judge(Prior{MapKMH: 80, Class: road.Primary}, 14)
		if got.KMH != 60 || len(got.Variants) > 0 {
			t.Fatalf("seed %d: %+v", seed, got)
		}
	}
}

// Neither the order of the evidence nor how it is grouped into rows may matter, to the bit.
func TestOrderAndGroupingDoNotMatter(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 60 {
		var whole said
		var parts [4]said
		for range 300 {
			d, car := r.IntN(9), r.Uint64N(40)
			c := Code{
				Reading: Reading(r.IntN(3)), KMH: uint8(30 + 10*r.IntN(3)), HourUTC: uint8(r.IntN(24)),
				Wet: r.IntN(3) == 0, Carried: r.IntN(4) == 0,
			}
			whole.add(d, car, c)
			parts[r.IntN(len(parts))].add(d, car, c)
			if r.IntN(10) == 0 { // delivered twice
				parts[r.IntN(len(parts))].add(d, car, c)
			}
		}
		var rows []learn.Evidence
		for i := range parts {
			rows = append(rows, parts[i].set.Rows()...)
		}
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		before := make([]learn.Votes, len(rows))
		for i := range rows {
			before[i] = slices.Clone(rows[i].Votes)
		}
		prior, now := Prior{MapKMH: 50, UpstreamKMH: 60}, time.UnixMilli(day0+9*learn.DayMS)
		want := Judge(edgeAt(9), whole.set.Rows(), nil, prior, now, Config{})
		got := Judge(edgeAt(9), rows, nil, prior, now, Config{})
		got.Readings = want.Readings // counts what is delivered twice
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for i := range rows {
			if diff := cmp.Diff(before[i], rows[i].Votes); diff != "" {
				t.Fatalf("the evidence was changed: %s", diff)
			}
		}
	}
}

func TestSpeedsDoNotOutvoteSigns(t *testing.T) {
	var driven learn.SpeedBins
	for range 100_000 {
		driven.Add(1900) // 68 km/h
	}
	var s said
	s.cars(0, 1, 4, posted(50))
	got := Judge(edgeAt(0), s.set.Rows(), &driven, Prior{MapKMH: 50, Class: road.Primary}, time.UnixMilli(day0+learn.DayMS), Config{})
	if got.KMH != 50 {
		t.Errorf("%+v", got)
	}
	got = Judge(edgeAt(0), nil, &driven, Prior{Class: road.Primary}, time.UnixMilli(day0), Config{})
	if got.Published() || got.Candidates[0].KMH != 70 && got.Candidates[0].KMH != 60 {
		t.Errorf("%+v", got)
	}
}

func TestConfigValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg Config
		ok  bool
	}{
		"zero": {Config{}, true}, "default": {DefaultConfig(), true}, "k": {Config{K: -1}, false}, "sure": {Config{Posterior: 1}, false},
		"unsure": {Config{Posterior: 0.2}, false}, "restless": {Config{Change: time.Hour}, false}, "few cars": {Config{MaxCars: 2}, false}, "cameras": {Config{Cameras: 2}, false},
		"holds what it doubts": {Config{Hold: 0.4}, false}, "holds less than it publishes": {Config{Hold: 0.97}, false}, "less sure than the default hold": {Config{Posterior: 0.7}, true},
	} {
		if err := tt.cfg.Validate(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is published stays so with less evidence than it took, so that it doesn't come and go where evidence is about enough; another
// limit has no such advantage, and never with fewer than K vehicles.
func TestPublishedLimitsHold(t *testing.T) {
	residential := Prior{Class: road.Residential}
	for name, tt := range map[string]struct {
		say       func(*said)
		prior     Prior
		published uint8
		cfg       Config
		before    uint8 // with nothing published
		after     uint8 // with published
	}{
		"likely enough to stay": {
			say: func(s *said) { s.cars(0, 1, 7, posted(30)); s.cars(0, 11, 4, posted(40)) }, prior: residential, published: 30, cfg: Config{Posterior: 0.999999, Hold: 0.6}, after: 30,
		},
		"another is not": {
			say: func(s *said) { s.cars(0, 1, 7, posted(30)); s.cars(0, 11, 4, posted(40)) }, prior: residential, published: 40, cfg: Config{Posterior: 0.999999, Hold: 0.6},
		},
		"few of many said so": {say: func(s *said) { s.cars(0, 1, 4, posted(30)) }, prior: Prior{Class: road.Residential, Passes: 45, MapKMH: 30}, published: 30, after: 30},
		"fewer":               {say: func(s *said) { s.cars(0, 1, 4, posted(30)) }, prior: Prior{Class: road.Residential, Passes: 600, MapKMH: 30}, published: 30},
		"two cars are too few": {
			say: func(s *said) { s.cars(0, 1, 2, posted(30)) }, prior: Prior{Class: road.Residential, MapKMH: 30}, published: 30, cfg: Config{Hold: 0.5},
		},
		"read nowhere around": {say: func(*said) {}, prior: Prior{Class: road.Residential, Passes: 20, MapKMH: 30, Unsaid: true}, published: 30, after: 30},
		"and too few cars":    {say: func(*said) {}, prior: Prior{Class: road.Residential, Passes: 2, MapKMH: 30, Unsaid: true}, published: 30},
		"and unlikely":        {say: func(*said) {}, prior: Prior{Class: road.Residential, Passes: 20, Unsaid: true}, published: 30},
		"half disagree":       {say: func(s *said) { s.cars(0, 1, 4, posted(30)); s.cars(0, 11, 4, posted(40)) }, prior: residential, published: 30},
		"the sign is new":     {say: func(s *said) { s.cars(0, 1, 9, posted(50)); s.cars(9, 20, 25, posted(30)) }, prior: residential, published: 50, before: 30, after: 30},
	} {
		t.Run(name, func(t *testing.T) {
			var s said
			tt.say(&s)
			for published, want := range map[uint8]uint8{road.NoLimitKnown: tt.before, tt.published: tt.after} {
				prior := tt.prior
				prior.PublishedKMH = published
				if got := Judge(edgeAt(0), s.set.Rows(), nil, prior, time.UnixMilli(day0+10*learn.DayMS), tt.cfg); got.KMH != want {
					t.Errorf("published %d: %d, want %d (%+v)", published, got.KMH, want, got)
				}
			}
		})
	}
}
