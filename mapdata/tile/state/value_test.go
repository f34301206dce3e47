package state_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile/state"
	"github.com/carasso/carasso/mapdata/tile/tilepb"
	"github.com/carasso/carasso/telemetry"
)

var place = geo.TileAt(geo.At(42.5, 1.5), 14)

func TestKeys(t *testing.T) {
	e := road.SegmentID(uint64(place.Quadkey())<<24 | 0xabcdef).Edge(true)
	if got := state.EdgeOf(e.Quadkey(), state.EdgeKey(e)); got != e {
		t.Errorf("%v became %v", e, got)
	}
}

func TestSpeedValue(t *testing.T) {
	for _, s := range []state.Speed{{}, {KMH: 53, Level: 1}, {KMH: 255}, {KMH: state.MaxKMH, Level: 3}} {
		if got, err := state.DecodeSpeed(state.AppendSpeed(nil, s)); err != nil || got != s {
			t.Errorf("%v became %v: %v", s, got, err)
		}
	}
	if got, err := state.DecodeSpeed(state.AppendSpeed(nil, state.Speed{KMH: 9999})); err != nil || got.KMH != state.MaxKMH {
		t.Errorf("%v %v", got, err)
	}
}

func TestLimitValue(t *testing.T) {
	for _, l := range []state.Limit{
		{KMH: 50},
		{KMH: road.Unlimited, Learned: true},
		{KMH: 100, Learned: true, Variants: []state.Variant{{KMH: 80, Wet: true}, {KMH: 30, FromHour: 22, ToHour: 6}}},
	} {
		got, err := state.DecodeLimit(state.AppendLimit(nil, l))
		if diff := cmp.Diff(l, got); diff != "" || err != nil {
			t.Errorf("%v: %s", err, diff)
		}
	}
	learned := limit.Limit{KMH: 30, MapKMH: 50, Variants: make([]limit.Variant, 20)}
	for i := range learned.Variants {
		learned.Variants[i].KMH = 10
	}
	if l, ok := state.LimitOf(&learned); !ok || !l.Learned || l.KMH != 30 || len(l.Variants) != state.MaxVariants {
		t.Errorf("%v %v", l, ok)
	}
	if l, ok := state.LimitOf(&limit.Limit{MapKMH: 50}); !ok || l.Learned || l.KMH != 50 {
		t.Errorf("%v %v", l, ok)
	}
	if _, ok := state.LimitOf(&limit.Limit{}); ok {
		t.Error("no limit is told")
	}
}

func TestHazardValue(t *testing.T) {
	for _, h := range []state.Hazard{
		{},
		{Category: telemetry.SlipperyRoad, At: geo.At(42.5001, 1.5002), Edge: road.MaxEdge, Percent: 93, StartedMS: 1_764_000_000_123, UpdatedMS: 1_764_000_060_000},
		{Category: telemetry.HardBraking, At: geo.At(42.4, 1.4), Percent: 100, StartedMS: 5, UpdatedMS: 3},
	} {
		got, err := state.DecodeHazard(place, state.AppendHazard(nil, place, &h))
		if err != nil || got != h {
			t.Errorf("%v became %v: %v", h, got, err)
		}
	}
}

func TestVariants(t *testing.T) {
	for text, want := range map[string][]state.Variant{
		"":                nil,
		"80w":             {{KMH: 80, Wet: true}},
		"30@22-6":         {{KMH: 30, FromHour: 22, ToHour: 6}},
		"80w,none@0-5,70": {{KMH: 80, Wet: true}, {KMH: 255, ToHour: 5}, {KMH: 70}},
		"100w@6-20,60w@20-6": {
			{KMH: 100, Wet: true, FromHour: 6, ToHour: 20},
			{KMH: 60, Wet: true, FromHour: 20, ToHour: 6},
		},
	} {
		got, err := state.ParseVariants(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", text, err, diff)
		}
		if again := state.FormatVariants(got); again != text {
			t.Errorf("%q became %q", text, again)
		}
	}
	for _, text := range []string{",", "0", "080", "256", "255", "80x", "80@", "80@1", "80@1-1", "80@24-1", "80@01-2", "@1-2", "w", "1,1,1,1,1,1,1,1,1"} {
		if v, err := state.ParseVariants(text); !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("%q: %v %v", text, v, err)
		}
	}
}

// TestMessages checks the way through protobuf and back.
func TestMessages(t *testing.T) {
	limits := state.Change{Changed: []state.Record{
		{Key: 0, Value: state.AppendLimit(nil, state.Limit{KMH: 50})},
		{Key: 9, Value: state.AppendLimit(nil, state.Limit{KMH: 255, Learned: true, Variants: []state.Variant{{KMH: 80, Wet: true}, {KMH: 70}}})},
		{Key: 1<<25 - 1, Value: state.AppendLimit(nil, state.Limit{KMH: 30, Variants: []state.Variant{{KMH: 20, FromHour: 7, ToHour: 17}}})},
	}, Removed: []uint64{3, 1<<25 - 2}}
	m, err := state.LimitsMessage(7, &limits)
	check(t, &limits, m, err, state.ReadLimits)
	speeds := state.Change{Full: true, Changed: []state.Record{
		{Key: 5, Value: state.AppendSpeed(nil, state.Speed{KMH: 33, Level: 2})},
		{Key: 6, Value: state.AppendSpeed(nil, state.Speed{KMH: 511})},
	}}
	s, err := state.SpeedsMessage(7, &speeds)
	check(t, &speeds, s, err, state.ReadSpeeds)
	hazards := state.Change{Changed: []state.Record{
		{Key: 5, Value: state.AppendHazard(nil, place, &state.Hazard{Category: 3, At: geo.At(42.5, 1.5), Edge: 77, Percent: 50, StartedMS: 10, UpdatedMS: 20})},
	}, Removed: []uint64{1, 1<<53 - 1}}
	h, err := state.HazardsMessage(place, 7, &hazards)
	check(t, &hazards, h, err, func(m *tilepb.Hazards) (state.Change, error) { return state.ReadHazards(place, m) })
}

// message is a generated one.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT(b []byte) error
}

func check[M message](t *testing.T, want *state.Change, m M, err error, read func(M) (state.Change, error)) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got, err := read(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func FuzzValues(f *testing.F) {
	f.Add(state.AppendSpeed(nil, state.Speed{KMH: 50, Level: 1}))
	f.Add(state.AppendLimit(nil, state.Limit{KMH: 50, Learned: true, Variants: []state.Variant{{KMH: 80, Wet: true}}}))
	f.Add(state.AppendHazard(nil, place, &state.Hazard{At: geo.At(42.5, 1.5), Percent: 3}))
	f.Add([]byte("80w,30@22-6"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := state.DecodeSpeed(b); err == nil {
			if got := state.AppendSpeed(nil, v); string(got) != string(b) {
				t.Errorf("speed %x became %x", b, got)
			}
		}
		if v, err := state.DecodeLimit(b); err == nil {
			if got := state.AppendLimit(nil, v); string(got) != string(b) {
				t.Errorf("limit %x became %x", b, got)
			}
		}
		if v, err := state.DecodeHazard(place, b); err == nil {
			if got := state.AppendHazard(nil, place, &v); string(got) != string(b) {
				t.Errorf("hazard %x became %x", b, got)
			}
		}
		if v, err := state.ParseVariants(string(b)); err == nil {
			if got := state.FormatVariants(v); got != string(b) {
				t.Errorf("variants %q became %q", b, got)
			}
		}
	})
}
