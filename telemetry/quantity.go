package telemetry

import (
	"strconv"
	"strings"
)

// maxUnixMilli is the largest event time: what the 48 bits of a UUIDv7 hold.
const maxUnixMilli = 1<<48 - 1

// maxValueKMH is the largest limit that a sign event may carry.
const maxValueKMH = 300

// quantity is a number that each sample may carry, in both public forms.
type quantity struct {
	name   string // the member's name in the JSON form
	places int    // the fixed-point value is the JSON number times 10^places
	lo, hi int64  // bounds of the fixed-point value
	has    Field  // 0 for the required ones
	get    func(*Sample) int64
	set    func(*Sample, int64)
}

// Indexes into quantities.
const (
	qT = iota
	qLat
	qLon
	qAltitude
	qSpeed
	qHeading
	qAccuracy
	qBrake
	qOutsideTemp
	qRain
	qFriction
	qWiper
	numQuantities
)

// quantities is in the order of the fields of the protobuf message Samples, whose
// numbers are the index plus one.
var quantities = [numQuantities]quantity{
	qT: {
		"t", 0, 0, maxUnixMilli, 0,
		func(s *Sample) int64 { return s.T }, func(s *Sample, v int64) { s.T = v },
	},
	qLat: {
		"lat", 7, -90e7, 90e7, 0,
		func(s *Sample) int64 { return int64(s.LatE7) }, func(s *Sample, v int64) { s.LatE7 = int32(v) },
	},
	qLon: {
		"lon", 7, -180e7, 180e7, 0,
		func(s *Sample) int64 { return int64(s.LonE7) }, func(s *Sample, v int64) { s.LonE7 = int32(v) },
	},
	qAltitude: {
		"alt_m", 1, -1000_0, 10_000_0, HasAltitude,
		func(s *Sample) int64 { return int64(s.AltitudeDM) }, func(s *Sample, v int64) { s.AltitudeDM = int32(v) },
	},
	qSpeed: {
		"speed_mps", 2, 0, 150_00, HasSpeed,
		func(s *Sample) int64 { return int64(s.SpeedCMPS) }, func(s *Sample, v int64) { s.SpeedCMPS = uint16(v) },
	},
	qHeading: {
		"heading_deg", 2, 0, 360_00, HasHeading,
		func(s *Sample) int64 { return int64(s.HeadingCDeg) },
		func(s *Sample, v int64) { s.HeadingCDeg = uint16(v % 360_00) },
	},
	qAccuracy: {
		"accuracy_m", 2, 0, 10_000_00, HasAccuracy,
		func(s *Sample) int64 { return int64(s.AccuracyCM) }, func(s *Sample, v int64) { s.AccuracyCM = uint32(v) },
	},
	qBrake: {
		"brake_mps2", 2, -20_00, 20_00, HasBrake,
		func(s *Sample) int64 { return int64(s.BrakeCMPS2) }, func(s *Sample, v int64) { s.BrakeCMPS2 = int16(v) },
	},
	qOutsideTemp: {
		"outside_temp_c", 1, -80_0, 80_0, HasOutsideTemp,
		func(s *Sample) int64 { return int64(s.OutsideTempDC) }, func(s *Sample, v int64) { s.OutsideTempDC = int16(v) },
	},
	qRain: {
		"rain_pct", 0, 0, 100, HasRain,
		func(s *Sample) int64 { return int64(s.RainPercent) }, func(s *Sample, v int64) { s.RainPercent = uint8(v) },
	},
	qFriction: {
		"friction_pct", 0, 0, 100, HasFriction,
		func(s *Sample) int64 { return int64(s.FrictionPercent) },
		func(s *Sample, v int64) { s.FrictionPercent = uint8(v) },
	},
	qWiper: {
		"wiper", 0, 0, int64(WiperFast), HasWiper,
		func(s *Sample) int64 { return int64(s.Wiper) }, func(s *Sample, v int64) { s.Wiper = Wiper(v) },
	},
}

// signal is a yes-or-no value that each sample may carry.
type signal struct {
	name string // the member's name in the JSON form
	has  Field
	on   Flag
}

// signals is in the order of the fields of the protobuf message Samples, after those of
// quantities.
var signals = [...]signal{
	{"abs_active", HasABS, ABSActive},
	{"esc_active", HasESC, ESCActive},
	{"tcs_active", HasTCS, TCSActive},
	{"fog_light_rear", HasFogLightRear, FogLightRear},
	{"hazard_light", HasHazardLight, HazardLight},
}

// pointer is where the quantity of sample i stands in the JSON form.
func (q *quantity) pointer(i int) string {
	p := "/samples/" + strconv.Itoa(i)
	if q.has&inSignals != 0 {
		p += "/signals"
	}
	return p + "/" + q.name
}

// inSignals are the optional values that the JSON form nests in "signals".
const inSignals = ^(HasAltitude | HasSpeed | HasHeading | HasAccuracy)

// expected describes the quantity's range in the unit of the JSON form.
func (q *quantity) expected() string { return numberRange(q.lo, q.hi, q.places) }

// outOfRange is the fault of sample i whose fixed-point value is v.
func (q *quantity) outOfRange(i int, v int64) *Invalid {
	if q.has == HasWiper {
		return malformed(CodeVocabulary, q.pointer(i), oneOf(wiperNames[:]), strconv.FormatInt(v, 10))
	}
	return malformed(CodeRange, q.pointer(i), q.expected(), string(appendFixed(nil, v, q.places)))
}

func numberRange(lo, hi int64, places int) string {
	b := append([]byte(nil), "a number from "...)
	b = appendFixed(b, lo, places)
	b = append(b, " to "...)
	return string(appendFixed(b, hi, places))
}

// oneOf lists the words of a vocabulary for people.
func oneOf(names []string) string {
	if names[0] == "unknown" {
		names = names[1:]
	}
	return "one of " + strings.Join(names, ", ")
}

// appendFixed appends v / 10^places in the shortest decimal form.
func appendFixed(dst []byte, v int64, places int) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	for places > 0 && u%10 == 0 {
		u /= 10
		places--
	}
	if places == 0 {
		return strconv.AppendUint(dst, u, 10)
	}
	dst = strconv.AppendUint(dst, u/pow10[places], 10)
	dst = append(dst, '.')
	frac := u % pow10[places]
	for p := places - 1; p > 0 && frac < pow10[p]; p-- {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, frac, 10)
}

// pow10 are the powers of ten that fit 64 bits.
var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}
