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
	qT:           {"t", 0, 0, maxUnixMilli, 0},
	qLat:         {"lat", 7, -90e7, 90e7, 0},
	qLon:         {"lon", 7, -180e7, 180e7, 0},
	qAltitude:    {"alt_m", 1, -1000_0, 10_000_0, HasAltitude},
	qSpeed:       {"speed_mps", 2, 0, 150_00, HasSpeed},
	qHeading:     {"heading_deg", 2, 0, 360_00, HasHeading},
	qAccuracy:    {"accuracy_m", 2, 0, 10_000_00, HasAccuracy},
	qBrake:       {"brake_mps2", 2, -20_00, 20_00, HasBrake},
	qOutsideTemp: {"outside_temp_c", 1, -80_0, 80_0, HasOutsideTemp},
	qRain:        {"rain_pct", 0, 0, 100, HasRain},
	qFriction:    {"friction_pct", 0, 0, 100, HasFriction},
	qWiper:       {"wiper", 0, 0, int64(WiperFast), HasWiper},
}

// setQuantity stores values, which are in range, as quantities[i] of the samples, one
// each. It leaves Has alone. One switch for a whole column, and loops that need no call, halve
// the time of the protobuf decoder.
func setQuantity(i int, samples []Sample, values []int64) {
	values = values[:len(samples)]
	switch i {
	case qT:
		for j, v := range values {
			samples[j].T = v
		}
	case qLat:
		for j, v := range values {
			samples[j].LatE7 = int32(v)
		}
	case qLon:
		for j, v := range values {
			samples[j].LonE7 = int32(v)
		}
	case qAltitude:
		for j, v := range values {
			samples[j].AltitudeDM = int32(v)
		}
	case qSpeed:
		for j, v := range values {
			samples[j].SpeedCMPS = uint16(v)
		}
	case qHeading:
		for j, v := range values {
			if v == 360_00 {
				v = 0
			}
			samples[j].HeadingCDeg = uint16(v)
		}
	case qAccuracy:
		for j, v := range values {
			samples[j].AccuracyCM = uint32(v)
		}
	case qBrake:
		for j, v := range values {
			samples[j].BrakeCMPS2 = int16(v)
		}
	case qOutsideTemp:
		for j, v := range values {
			samples[j].OutsideTempDC = int16(v)
		}
	case qRain:
		for j, v := range values {
			samples[j].RainPercent = uint8(v)
		}
	case qFriction:
		for j, v := range values {
			samples[j].FrictionPercent = uint8(v)
		}
	case qWiper:
		for j, v := range values {
			samples[j].Wiper = Wiper(v)
		}
	}
}

// getQuantity is the inverse of setQuantity.
func getQuantity(i int, samples []Sample, values []int64) {
	values = values[:len(samples)]
	switch i {
	case qT:
		for j := range values {
			values[j] = samples[j].T
		}
	case qLat:
		for j := range values {
			values[j] = int64(samples[j].LatE7)
		}
	case qLon:
		for j := range values {
			values[j] = int64(samples[j].LonE7)
		}
	case qAltitude:
		for j := range values {
			values[j] = int64(samples[j].AltitudeDM)
		}
	case qSpeed:
		for j := range values {
			values[j] = int64(samples[j].SpeedCMPS)
		}
	case qHeading:
		for j := range values {
			values[j] = int64(samples[j].HeadingCDeg)
		}
	case qAccuracy:
		for j := range values {
			values[j] = int64(samples[j].AccuracyCM)
		}
	case qBrake:
		for j := range values {
			values[j] = int64(samples[j].BrakeCMPS2)
		}
	case qOutsideTemp:
		for j := range values {
			values[j] = int64(samples[j].OutsideTempDC)
		}
	case qRain:
		for j := range values {
			values[j] = int64(samples[j].RainPercent)
		}
	case qFriction:
		for j := range values {
			values[j] = int64(samples[j].FrictionPercent)
		}
	case qWiper:
		for j := range values {
			values[j] = int64(samples[j].Wiper)
		}
	}
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
