package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/carasso/carasso/telemetry"
)

// errRefused is the reference decoder's only error.
var errRefused = errors.New("refused")

// referenceJSON decodes the JSON form the slow and plain way, through encoding/json and
// rational numbers: the oracle of DecodeJSON. It panics with errRefused inside.
func referenceJSON(data []byte) (b *telemetry.Batch, err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errRefused { //nolint:errorlint // a sentinel that was panicked with
				panic(r)
			}
			b, err = nil, errRefused
		}
	}()
	if !utf8.Valid(data) || hasLoneSurrogate(data) {
		return nil, errRefused
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	body := refValue(dec)
	if _, err := dec.Token(); err != io.EOF {
		return nil, errRefused
	}
	return refBatch(refObject(body)), nil
}

func refuse() { panic(errRefused) }

// refMembers is an object whose duplicate names are still to be seen.
type refMembers struct {
	value map[string]any
	count map[string]int
}

// refValue reads a value token by token, so that duplicates are not lost.
func refValue(dec *json.Decoder) any {
	tok, err := dec.Token()
	if err != nil {
		refuse()
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok
	}
	if delim == '[' {
		list := []any{}
		for dec.More() {
			list = append(list, refValue(dec))
		}
		if _, err := dec.Token(); err != nil {
			refuse()
		}
		return list
	}
	m := refMembers{map[string]any{}, map[string]int{}}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			refuse()
		}
		m.value[name.(string)] = refValue(dec)
		m.count[name.(string)]++
	}
	if _, err := dec.Token(); err != nil {
		refuse()
	}
	return m
}

func refObject(v any) refMembers {
	m, ok := v.(refMembers)
	if !ok {
		refuse()
	}
	return m
}

// get is a known member; nil if it is absent or null.
func (m refMembers) get(name string) any {
	if m.count[name] > 1 {
		refuse()
	}
	return m.value[name]
}

func (m refMembers) text(name string, limit int) string {
	v := m.get(name)
	if v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok || len(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		refuse()
	}
	return s
}

func (m refMembers) boolean(name string) (v, ok bool) {
	switch v := m.get(name).(type) {
	case nil:
		return false, false
	case bool:
		return v, true
	}
	refuse()
	return false, false
}

// fixed rounds half away from zero.
func (m refMembers) fixed(name string, scale, lo, hi int64, integral bool) (int64, bool) {
	v := m.get(name)
	if v == nil {
		return 0, false
	}
	n, ok := v.(json.Number)
	if !ok {
		refuse()
	}
	if mantissa, exp, found := strings.Cut(strings.ToLower(n.String()), "e"); found {
		if strings.Trim(mantissa, "-0.") == "" {
			return 0, true
		}
		if e, ok := new(big.Int).SetString(exp, 10); !ok || e.CmpAbs(big.NewInt(400)) > 0 {
			if ok && e.Sign() < 0 && len(mantissa) < 200 && !integral && lo <= 0 && hi >= 0 {
				return 0, true
			}
			refuse() // or a mantissa that fuzzing does not write
		}
	}
	r, ok := new(big.Rat).SetString(n.String())
	if !ok || integral && !r.IsInt() {
		refuse()
	}
	r.Mul(r, big.NewRat(scale, 1))
	half := big.NewRat(int64(r.Sign()), 2)
	r.Add(r, half)
	q := new(big.Int).Quo(r.Num(), r.Denom()) // truncates
	if !q.IsInt64() || q.Int64() < lo || q.Int64() > hi {
		refuse()
	}
	return q.Int64(), true
}

func (m refMembers) list(name string) []any {
	v := m.get(name)
	if v == nil {
		return nil
	}
	l, ok := v.([]any)
	if !ok {
		refuse()
	}
	return l
}

func (m refMembers) object(name string) refMembers {
	if v := m.get(name); v != nil {
		return refObject(v)
	}
	return refMembers{}
}

func refBatch(m refMembers) *telemetry.Batch {
	var (
		b   telemetry.Batch
		err error
	)
	id, _ := m.get("batch_id").(string)
	if b.ID, err = telemetry.ParseBatchID(id); err != nil {
		refuse()
	}
	b.VehicleID = m.text("vehicle_id", 128)
	trip, vehicle := m.object("trip"), m.object("vehicle")
	b.Trip.ID = trip.text("id", 128)
	elapsed, _ := trip.fixed("elapsed_s", 1, 0, 1<<32-1, false)
	b.Trip.ElapsedS = uint32(elapsed)
	b.Trip.Final, _ = trip.boolean("final")
	b.Vehicle = telemetry.Vehicle{Model: vehicle.text("model", 64), Software: vehicle.text("software", 64)}
	leadIn, _ := m.fixed("lead_in", 1, 0, 3599, true)
	b.LeadIn = int(leadIn)
	for _, s := range m.list("samples") {
		b.Samples = append(b.Samples, refSample(refObject(s)))
	}
	for _, e := range m.list("events") {
		b.Events = append(b.Events, refEvent(refObject(e)))
	}
	if len(b.Samples) == 0 || len(b.Samples) > 3600 || len(b.Events) > 3600 || b.LeadIn >= len(b.Samples) {
		refuse()
	}
	for i := 1; i < len(b.Samples); i++ {
		if b.Samples[i].T < b.Samples[i-1].T {
			refuse()
		}
	}
	return &b
}

func refSample(m refMembers) (s telemetry.Sample) {
	required := func(name string, scale, lo, hi int64) int64 {
		v, ok := m.fixed(name, scale, lo, hi, false)
		if !ok {
			refuse()
		}
		return v
	}
	s.T = required("t", 1, 0, 1<<48-1)
	s.LatE7 = int32(required("lat", 1e7, -90e7, 90e7))
	s.LonE7 = int32(required("lon", 1e7, -180e7, 180e7))
	optional := func(m refMembers, name string, scale, lo, hi int64, has telemetry.Field) int64 {
		v, ok := m.fixed(name, scale, lo, hi, false)
		if ok {
			s.Has |= has
		}
		return v
	}
	s.AltitudeDM = int32(optional(m, "alt_m", 10, -10_000, 100_000, telemetry.HasAltitude))
	s.SpeedCMPS = uint16(optional(m, "speed_mps", 100, 0, 15_000, telemetry.HasSpeed))
	s.HeadingCDeg = uint16(optional(m, "heading_deg", 100, 0, 36_000, telemetry.HasHeading) % 36_000)
	s.AccuracyCM = uint32(optional(m, "accuracy_m", 100, 0, 1_000_000, telemetry.HasAccuracy))
	g := m.object("signals")
	s.BrakeCMPS2 = int16(optional(g, "brake_mps2", 100, -2000, 2000, telemetry.HasBrake))
	s.OutsideTempDC = int16(optional(g, "outside_temp_c", 10, -800, 800, telemetry.HasOutsideTemp))
	s.RainPercent = uint8(optional(g, "rain_pct", 1, 0, 100, telemetry.HasRain))
	s.FrictionPercent = uint8(optional(g, "friction_pct", 1, 0, 100, telemetry.HasFriction))
	for _, f := range []struct {
		name string
		has  telemetry.Field
		on   telemetry.Flag
	}{
		{"abs_active", telemetry.HasABS, telemetry.ABSActive},
		{"esc_active", telemetry.HasESC, telemetry.ESCActive},
		{"tcs_active", telemetry.HasTCS, telemetry.TCSActive},
		{"fog_light_rear", telemetry.HasFogLightRear, telemetry.FogLightRear},
		{"hazard_light", telemetry.HasHazardLight, telemetry.HazardLight},
	} {
		on, ok := g.boolean(f.name)
		if ok {
			s.Has |= f.has
		}
		if on {
			s.On |= f.on
		}
	}
	if v := g.get("wiper"); v != nil {
		word, _ := v.(string)
		w, ok := telemetry.ParseWiper(word)
		if !ok {
			refuse()
		}
		s.Wiper, s.Has = w, s.Has|telemetry.HasWiper
	}
	return s
}

func refEvent(m refMembers) (e telemetry.Event) {
	var ok bool
	if e.T, ok = m.fixed("t", 1, 0, 1<<48-1, false); !ok {
		refuse()
	}
	word := func(name string) string {
		v := m.get(name)
		if v == nil {
			return ""
		}
		w, ok := v.(string)
		if !ok || w == "" || w == "unknown" {
			refuse()
		}
		return w
	}
	e.Type = telemetry.ParseEventType(word("type"))
	sign, hazard := word("sign"), word("hazard")
	e.Sign, e.Hazard = telemetry.ParseSign(sign), telemetry.ParseHazard(hazard)
	value, _ := m.fixed("value_kmh", 1, 0, 300, false)
	e.ValueKMH = uint16(value)
	e.ConfidencePermille = 1000
	if c, ok := m.fixed("confidence", 1000, 0, 1000, false); ok {
		e.ConfidencePermille = uint16(c)
	}
	switch e.Type {
	case telemetry.SignSeen, telemetry.SignMissing:
		if e.Sign == 0 || hazard != "" {
			refuse()
		}
	case telemetry.HazardSeen:
		if e.Hazard == 0 || sign != "" || e.ValueKMH != 0 {
			refuse()
		}
	default:
		refuse()
	}
	return e
}

// hasLoneSurrogate looks for \ud800…\udfff outside of a pair. Backslashes before it are
// counted: after an even number it is an escape.
func hasLoneSurrogate(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		high, ok := surrogateAt(data, i)
		i++
		if !ok {
			continue
		}
		low, ok := surrogateAt(data, i+5)
		if high >= 0xdc00 || !ok || low < 0xdc00 {
			return true
		}
		i += 6
	}
	return false
}

func surrogateAt(data []byte, i int) (rune, bool) {
	if i+6 > len(data) || data[i] != '\\' || data[i+1] != 'u' {
		return 0, false
	}
	var s string
	if json.Unmarshal([]byte(`"\u`+string(data[i+2:i+6])+`"`), &s) != nil || s != "\ufffd" {
		return 0, false
	}
	v, ok := new(big.Int).SetString(string(data[i+2:i+6]), 16)
	return rune(v.Int64()), ok && v.Int64() != 0xfffd
}

// depth is how deeply JSON nests; encoding/json allows more than DecodeJSON.
func depth(data []byte) (deepest int) {
	n, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			n++
			deepest = max(deepest, n)
		case c == '}' || c == ']':
			n--
		}
	}
	return deepest
}

// agree fails unless DecodeJSON and the reference accept the same and read the same.
func agree(t *testing.T, data []byte) {
	t.Helper()
	if depth(data) > 64 {
		return
	}
	var got telemetry.Batch
	err := telemetry.DecodeJSON(data, &got, telemetry.DefaultLimits())
	want, refErr := referenceJSON(data)
	switch {
	case err == nil && refErr != nil:
		t.Fatalf("accepted what encoding/json or the contract refuses:\n%s", data)
	case err != nil && refErr == nil:
		t.Fatalf("refused what encoding/json and the contract accept: %v\n%s", err, data)
	case err == nil:
		if diff := same(want, &got); diff != "" {
			t.Fatalf("read differently (-reference +got):\n%s\n%s", diff, data)
		}
	default:
		var invalid *telemetry.Invalid
		if !errors.As(err, &invalid) || invalid.Code == "" || invalid.Expected == "" {
			t.Fatalf("error without code or expectation: %#v", err)
		}
	}
}
