package limit

import "math"

// Reading says what was read off the road. Numbers are stored: never reuse one.
type Reading uint8

// The readings.
const (
	Posted  Reading = iota // a sign with a limit
	Missing                // the map's limit of that value is not posted
	End                    // the end of a limit of that value; 0: of any
	Town                   // the beginning of a town
	TownEnd                // the end of a town
	readings
)

// Code is what one vote says. It is stored as 18 bits, from the lowest: 1 wet, 5 hour,
// 8 value, 3 reading, 1 carried. So the votes on the same value lie next to each other,
// and where there are too many the carried ones are lost first.
type Code struct {
	Reading Reading
	KMH     uint8 // its value; 0 where it has none
	HourUTC uint8 // hour of the day of the reading, 0 to 23
	Wet     bool  // the road was wet, or the wipers ran
	Carried bool  // read on an edge before, and taken along to this one
}

const (
	hourShift    = 1
	valueShift   = 6
	readingShift = 14
	carriedShift = 17
	codeBits     = 18
)

// Encode is the stored form.
func (c Code) Encode() uint64 {
	v := uint64(c.HourUTC&31)<<hourShift | uint64(c.KMH)<<valueShift | uint64(c.Reading&7)<<readingShift
	if c.Wet {
		v |= 1
	}
	if c.Carried {
		v |= 1 << carriedShift
	}
	return v
}

// DecodeCode is the inverse of Encode; ok is false for what it never makes.
func DecodeCode(v uint64) (c Code, ok bool) {
	c = Code{
		Reading: Reading(v >> readingShift & 7), KMH: uint8(v >> valueShift), HourUTC: uint8(v >> hourShift & 31),
		Wet: v&1 == 1, Carried: v>>carriedShift&1 == 1,
	}
	return c, v>>codeBits == 0 && c.HourUTC < 24 && c.Reading < readings
}

const (
	kmhPerMile = 1.609344
	maxKMH     = 160 // no sign in the world shows more
)

// Canonical is the limit that a value read in km/h stands for: the value itself if it is a
// multiple of 5 up to 160, or the nearest whole number to a multiple of 5 mph if it is
// within 1 km/h of that. ok is false for anything else, which no sign shows.
func Canonical(kmh uint16) (v uint8, ok bool) {
	if kmh < 5 || kmh > maxKMH+1 {
		return 0, false
	}
	if kmh%5 == 0 {
		return uint8(kmh), true
	}
	mph := 5 * math.Round(float64(kmh)/kmhPerMile/5)
	near := math.Round(mph * kmhPerMile)
	if mph >= 5 && math.Abs(near-float64(kmh)) <= 1 {
		return uint8(near), true
	}
	return 0, false
}
