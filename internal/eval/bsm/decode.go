// Package bsm converts Basic Safety Messages (SAE J2735) in the JSON form of the US DOT's
// Operational Data Environment, one message a line, into telemetry.
package bsm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// Message is one BSM as telemetry: a sample, and what the vehicle noticed.
type Message struct {
	Vehicle string // J2735's temporary id
	Sample  telemetry.Sample
	Events  []telemetry.Event
	Flags   []string // the event flags that were set, by their J2735 names
}

// Stats counts what a file holds.
type Stats struct {
	Lines   int
	Valid   int
	Other   map[string]int // lines that are no BSM, by what they are
	Invalid map[string]int // BSMs that can not be used, by reason
}

// maxLine bounds a line.
const maxLine = 4 << 20

// Read reads the messages of a file. What is none, or can not be used, is counted; the error is about
// reading alone.
func Read(r io.Reader) ([]Message, Stats, error) {
	st := Stats{Other: map[string]int{}, Invalid: map[string]int{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	var out []Message
	for sc.Scan() {
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		st.Lines++
		m, err := Decode(line)
		var other otherError
		var invalid invalidError
		switch {
		case err == nil:
			st.Valid++
			out = append(out, m)
		case errors.As(err, &other):
			st.Other[string(other)]++
		case errors.As(err, &invalid):
			st.Invalid[string(invalid)]++
		}
	}
	if err := sc.Err(); err != nil {
		return nil, st, fmt.Errorf("%w: %w", eval.ErrFormat, err)
	}
	return out, st, nil
}

// otherError says what a line is instead of a BSM, invalidError why a BSM can not be used.
type (
	otherError   string
	invalidError string
)

func (e otherError) Error() string   { return "not a BSM: " + string(e) }
func (e invalidError) Error() string { return "unusable BSM: " + string(e) }

// record is the part of the ODE's JSON that is read.
type record struct {
	Metadata struct {
		RecordGeneratedAt string `json:"recordGeneratedAt"`
	} `json:"metadata"`
	Payload struct {
		DataType string `json:"dataType"`
		Data     struct {
			CoreData *coreData `json:"coreData"`
			PartII   []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"partII"`
		} `json:"data"`
	} `json:"payload"`
}

type coreData struct {
	ID       string   `json:"id"`
	SecMark  *float64 `json:"secMark"`
	Position struct {
		Latitude  *float64 `json:"latitude"`
		Longitude *float64 `json:"longitude"`
		Elevation *float64 `json:"elevation"`
	} `json:"position"`
	AccelSet struct {
		AccelLong *float64 `json:"accelLong"`
	} `json:"accelSet"`
	Accuracy struct {
		SemiMajor *float64 `json:"semiMajor"`
		SemiMinor *float64 `json:"semiMinor"`
	} `json:"accuracy"`
	Speed   *float64 `json:"speed"`
	Heading *float64 `json:"heading"`
	Brakes  struct {
		Traction string `json:"traction"`
		ABS      string `json:"abs"`
		SCS      string `json:"scs"`
	} `json:"brakes"`
}

// Decode converts one line. The errors say that it is no BSM, or why it can not be used.
// Values that J2735 marks as unavailable are left out.
func Decode(line []byte) (Message, error) {
	var rec record
	if err := json.Unmarshal(line, &rec); err != nil {
		var wrongType *json.UnmarshalTypeError
		if !errors.As(err, &wrongType) {
			return Message{}, otherError("no JSON object in one line")
		}
		if !strings.HasSuffix(rec.Payload.DataType, "Bsm") {
			return Message{}, otherError(kind(rec.Payload.DataType))
		}
		return Message{}, invalidError("a value of the wrong type")
	}
	core := rec.Payload.Data.CoreData
	if core == nil {
		return Message{}, otherError(kind(rec.Payload.DataType))
	}
	m := Message{Vehicle: core.ID}
	if m.Vehicle == "" || len(m.Vehicle) > 64 {
		return Message{}, invalidError("no id")
	}
	at, ok := eventTime(rec.Metadata.RecordGeneratedAt, core.SecMark)
	if !ok {
		return Message{}, invalidError("no time")
	}
	lat, lon := core.Position.Latitude, core.Position.Longitude
	if lat == nil || lon == nil || !(math.Abs(*lat) <= 90 && math.Abs(*lon) <= 180) || *lat == 0 && *lon == 0 {
		return Message{}, invalidError("no position")
	}
	p := geo.At(*lat, *lon)
	m.Sample = telemetry.Sample{T: at, LatE7: p.LatE7, LonE7: p.LonE7}
	core.measures(&m.Sample)
	for _, part := range rec.Payload.Data.PartII {
		m.extend(part.ID, part.Value)
	}
	return m, nil
}

// kind is the last part of a Java class name.
func kind(dataType string) string {
	if i := strings.LastIndexByte(dataType, '.'); i >= 0 {
		dataType = dataType[i+1:]
	}
	if dataType == "" || len(dataType) > 40 {
		return "other JSON"
	}
	return dataType
}

// eventTime is the time of the message: its own second mark (ms within the minute), in the
// minute that is nearest to when it was recorded.
func eventTime(recorded string, secMark *float64) (ms int64, ok bool) {
	recorded, _, _ = strings.Cut(recorded, "[") // "…Z[UTC]"
	t, err := time.Parse(time.RFC3339Nano, recorded)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return 0, false
	}
	at := t.UnixMilli()
	if secMark == nil || !(*secMark >= 0 && *secMark < 60_000) {
		return at, true
	}
	const minute = 60_000
	ms = at - at%minute + int64(*secMark)
	switch {
	case ms-at > minute/2:
		ms -= minute
	case at-ms > minute/2:
		ms += minute
	}
	return ms, true
}

// measures fills in what is available; J2735 says by a value of its own what is not.
func (c *coreData) measures(s *telemetry.Sample) {
	if v, ok := within(c.Position.Elevation, -409.5, 6143.9); ok {
		s.AltitudeDM, s.Has = int32(math.Round(v*10)), s.Has|telemetry.HasAltitude
	}
	if v, ok := within(c.Speed, 0, 150); ok { // m/s; 163.82: unavailable
		s.SpeedCMPS, s.Has = uint16(math.Round(v*100)), s.Has|telemetry.HasSpeed
	}
	if v, ok := within(c.Heading, 0, 359.9999); ok { // 360: unavailable
		s.HeadingCDeg, s.Has = uint16(math.Round(v*100))%36000, s.Has|telemetry.HasHeading
	}
	if v, ok := within(c.AccelSet.AccelLong, -20, 20); ok { // 20.01: unavailable
		s.BrakeCMPS2, s.Has = int16(math.Round(-v*100)), s.Has|telemetry.HasBrake
	}
	major, ok1 := within(c.Accuracy.SemiMajor, 0, 12.70) // 12.75: unavailable
	minor, ok2 := within(c.Accuracy.SemiMinor, 0, 12.70)
	if ok1 && ok2 {
		s.AccuracyCM, s.Has = uint32(math.Round(math.Max(major, minor)*100)), s.Has|telemetry.HasAccuracy
	}
	for _, f := range [...]struct {
		status string
		has    telemetry.Field
		on     telemetry.Flag
	}{
		{c.Brakes.ABS, telemetry.HasABS, telemetry.ABSActive},
		{c.Brakes.SCS, telemetry.HasESC, telemetry.ESCActive},
		{c.Brakes.Traction, telemetry.HasTCS, telemetry.TCSActive},
	} {
		switch f.status {
		case "engaged":
			s.Has, s.On = s.Has|f.has, s.On|f.on
		case "on", "off": // ready, or switched off: not at work
			s.Has |= f.has
		}
	}
}

func within(v *float64, least, most float64) (float64, bool) {
	if v == nil || !(*v >= least && *v <= most) {
		return 0, false
	}
	return *v, true
}

// flags are J2735's event flags with what telemetry has for them: a signal of the sample,
// or a hazard. Those that are neither are counted only.
var flags = [...]struct {
	name   string
	has    telemetry.Field
	on     telemetry.Flag
	hazard telemetry.Hazard
}{
	{"eventHazardLights", telemetry.HasHazardLight, telemetry.HazardLight, 0},
	{"eventABSactivated", telemetry.HasABS, telemetry.ABSActive, 0},
	{"eventTractionControlLoss", telemetry.HasTCS, telemetry.TCSActive, 0},
	{"eventStabilityControlactivated", telemetry.HasESC, telemetry.ESCActive, 0},
	{"eventHardBraking", 0, 0, telemetry.HardBraking},
	{"eventDisabledVehicle", 0, 0, telemetry.BrokenDownVehicle},
	{"eventFlatTire", 0, 0, telemetry.BrokenDownVehicle},
	{"eventAirBagDeployment", 0, 0, telemetry.Accident},
	{"eventStopLineViolation", 0, 0, 0},
	{"eventHazardousMaterials", 0, 0, 0},
	{"eventLightsChanged", 0, 0, 0},
	{"eventWipersChanged", 0, 0, 0},
}

// extend adds what part II says. What is not of the expected form is left out.
func (m *Message) extend(id string, value json.RawMessage) {
	switch id {
	case "VehicleSafetyExtensions":
		var v struct {
			Events map[string]any  `json:"events"`
			Lights map[string]bool `json:"lights"`
		}
		_ = json.Unmarshal(value, &v) // what could be read stands
		m.setFlags(v.Events)
		if v.Lights["hazardSignalOn"] {
			m.Sample.Has, m.Sample.On = m.Sample.Has|telemetry.HasHazardLight, m.Sample.On|telemetry.HazardLight
		}
	case "SupplementalVehicleExtensions":
		var v struct {
			WeatherProbe struct {
				AirTemp   *float64 `json:"airTemp"`
				RainRates struct {
					StatusFront string `json:"statusFront"`
				} `json:"rainRates"`
			} `json:"weatherProbe"`
			WeatherReport struct {
				Friction *float64 `json:"friction"`
			} `json:"weatherReport"`
		}
		_ = json.Unmarshal(value, &v)
		if t, ok := within(v.WeatherProbe.AirTemp, -40, 80); ok {
			m.Sample.OutsideTempDC, m.Sample.Has = int16(math.Round(t*10)), m.Sample.Has|telemetry.HasOutsideTemp
		}
		if f, ok := within(v.WeatherReport.Friction, 0, 1); ok {
			m.Sample.FrictionPercent, m.Sample.Has = uint8(math.Round(f*100)), m.Sample.Has|telemetry.HasFriction
		}
		if w, ok := wipers(v.WeatherProbe.RainRates.StatusFront); ok {
			m.Sample.Wiper, m.Sample.Has = w, m.Sample.Has|telemetry.HasWiper
		}
	}
}

func wipers(status string) (telemetry.Wiper, bool) {
	switch strings.ToLower(status) {
	case "off":
		return telemetry.WiperOff, true
	case "intermittent", "automaticpresent":
		return telemetry.WiperInterval, true
	case "low":
		return telemetry.WiperSlow, true
	case "high":
		return telemetry.WiperFast, true
	default:
		return 0, false
	}
}

// setFlags takes over the event flags that are set: true, or "true" in some versions.
func (m *Message) setFlags(events map[string]any) {
	for _, f := range flags {
		if v := events[f.name]; v != true && v != "true" {
			continue
		}
		m.Flags = append(m.Flags, f.name)
		m.Sample.Has, m.Sample.On = m.Sample.Has|f.has, m.Sample.On|f.on
		if f.hazard != 0 {
			m.Events = append(m.Events, telemetry.Event{T: m.Sample.T, Type: telemetry.HazardSeen, Hazard: f.hazard, ConfidencePermille: 1000})
		}
	}
}
