package limit

import "testing"

// The stored form must not change.
func TestCodeGolden(t *testing.T) {
	for want, c := range map[uint64]Code{
		0:                                  {},
		50<<6 | 23<<1 | 1:                  {KMH: 50, HourUTC: 23, Wet: true},
		1<<17 | 1<<14 | 255<<6:             {Reading: Missing, KMH: 255, Carried: true},
		4<<14 | 12<<1:                      {Reading: TownEnd, HourUTC: 12},
		1<<17 | 4<<14 | 255<<6 | 23<<1 | 1: {Reading: TownEnd, KMH: 255, HourUTC: 23, Wet: true, Carried: true},
	} {
		if got := c.Encode(); got != want {
			t.Errorf("%+v: %d, want %d", c, got, want)
		}
		if got, ok := DecodeCode(want); !ok || got != c {
			t.Errorf("%d: %+v, %v; want %+v", want, got, ok, c)
		}
	}
}

func FuzzDecodeCode(f *testing.F) {
	f.Add(uint64(50<<6 | 23<<1 | 1))
	f.Add(uint64(1) << 18)
	f.Fuzz(func(t *testing.T, v uint64) {
		if c, ok := DecodeCode(v); ok && (c.Encode() != v || c.HourUTC > 23 || c.Reading > TownEnd) {
			t.Errorf("%d: %+v, encoded again %d", v, c, c.Encode())
		}
	})
}

func TestCanonical(t *testing.T) {
	for kmh, want := range map[uint16]uint8{
		0: 0, 1: 0, 4: 0, 5: 5, 7: 8, 8: 8, 10: 10, 15: 15, 50: 50, 51: 0, 53: 0, 55: 55, 88: 89, 89: 89, 97: 97, 98: 97, 104: 105, 113: 113,
		130: 130, 160: 160, 161: 161, 162: 0, 165: 0, 255: 0, 300: 0, 65535: 0,
	} {
		if got, ok := Canonical(kmh); got != want || ok != (want != 0) {
			t.Errorf("%d: %d, %v; want %d", kmh, got, ok, want)
		}
	}
}
