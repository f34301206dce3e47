package bsm

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/telemetry"
)

// message is a BSM of the ODE, with what part II holds.
func message(recorded, core, partII string) string {
	return `{"metadata":{"recordGeneratedAt":"` + recorded + `"},"payload":{"dataType":"us.dot.its.jpo.ode.plugin.j2735.J2735Bsm","data":{"coreData":{` + core + `},"partII":[` + partII + `]}}}`
}

const (
	recorded = "2018-05-01T15:55:55.494Z[UTC]"
	core     = `"id":"A1","secMark":54494,"position":{"latitude":40.5,"longitude":-105.25,"elevation":1489.0},"accelSet":{"accelLong":-4.5},"accuracy":{"semiMajor":9.30,"semiMinor":12.05},"speed":12.34,"heading":267.4,"brakes":{"traction":"engaged","abs":"on","scs":"unavailable"}`
)

func TestDecode(t *testing.T) {
	m, err := Decode([]byte(message(recorded, core,
		`{"id":"VehicleSafetyExtensions","value":{"events":{"eventHardBraking":true,"eventHazardLights":"true","eventWipersChanged":true,"eventFlatTire":false}}},`+
			`{"id":"SupplementalVehicleExtensions","value":{"weatherProbe":{"airTemp":-3,"rainRates":{"statusFront":"LOW"}},"weatherReport":{"friction":0.4}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2018, 5, 1, 15, 55, 54, 494e6, time.UTC).UnixMilli()
	want := telemetry.Sample{
		T: at, LatE7: 405000000, LonE7: -1052500000, AltitudeDM: 14890, SpeedCMPS: 1234, HeadingCDeg: 26740, AccuracyCM: 1205, BrakeCMPS2: 450,
		OutsideTempDC: -30, FrictionPercent: 40, Wiper: telemetry.WiperSlow,
		Has: telemetry.HasAltitude | telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy | telemetry.HasBrake | telemetry.HasABS | telemetry.HasTCS |
			telemetry.HasHazardLight | telemetry.HasOutsideTemp | telemetry.HasFriction | telemetry.HasWiper,
		On: telemetry.TCSActive | telemetry.HazardLight,
	}
	if m.Sample != want || m.Vehicle != "A1" {
		t.Errorf("got  %+v\nwant %+v", m.Sample, want)
	}
	if len(m.Events) != 1 || m.Events[0].Hazard != telemetry.HardBraking || m.Events[0].T != at || len(m.Flags) != 3 {
		t.Errorf("%+v, %v", m.Events, m.Flags)
	}
}

func TestDecodeLeavesOutWhatIsUnavailable(t *testing.T) {
	m, err := Decode([]byte(message(recorded, `"id":"A","secMark":65535,"position":{"latitude":1,"longitude":2,"elevation":-409.6},"accelSet":{"accelLong":20.01},"accuracy":{"semiMajor":12.75,"semiMinor":12.75},"speed":163.82,"heading":360.0,"brakes":{"abs":"unavailable"}`, `{"id":"VehicleSafetyExtensions","value":7}`)))
	if err != nil || m.Sample.Has != 0 || m.Sample.T != time.Date(2018, 5, 1, 15, 55, 55, 494e6, time.UTC).UnixMilli() {
		t.Errorf("%+v, %v", m.Sample, err)
	}
}

func TestEventTime(t *testing.T) {
	for name, tt := range map[string]struct {
		recorded string
		mark     float64
		want     string
	}{
		"same minute":  {"2018-05-01T15:55:10Z", 9_000, "15:55:09.000"},
		"minute ahead": {"2018-05-01T15:55:59.9Z", 100, "15:56:00.100"},
		"minute ago":   {"2018-05-01T15:55:00.1Z", 59_900, "15:54:59.900"},
	} {
		ms, ok := eventTime(tt.recorded, &tt.mark)
		if got := time.UnixMilli(ms).UTC().Format("15:04:05.000"); !ok || got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestReadCounts(t *testing.T) {
	lines := []string{
		message(recorded, core, ""), "",
		message("yesterday", core, ""),
		message(recorded, `"id":"A"`, ""),
		message(recorded, `"id":"A","position":{"latitude":91,"longitude":0}`, ""),
		message(recorded, `"speed":1`, ""),
		message(recorded, `"id":"A","speed":"fast"`, ""),
		`{"payload":{"dataType":"TravelerInformation","data":{}}}`, "{", "7",
	}
	ms, st, err := Read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil || len(ms) != 1 || st.Lines != 9 || st.Valid != 1 {
		t.Errorf("%d messages, %+v, %v", len(ms), st, err)
	}
	if got := eval.Counts(st.Invalid); got != "1 a value of the wrong type, 1 no id, 2 no position, 1 no time" {
		t.Error(got)
	}
	if got := eval.Counts(st.Other); got != "1 TravelerInformation, 1 no JSON object in one line, 1 other JSON" {
		t.Error(got)
	}
}

func TestTrips(t *testing.T) {
	at := func(vehicle string, s int64) Message {
		return Message{Vehicle: vehicle, Sample: telemetry.Sample{T: s * 1000}, Events: []telemetry.Event{{T: s * 1000}}}
	}
	trips, doubles := Trips([]Message{at("b", 5), at("a", 2), at("a", 1), at("a", 2), at("a", 200)})
	if len(trips) != 3 || doubles != 1 {
		t.Fatalf("%d trips, %d doubles", len(trips), doubles)
	}
	if tr := trips[0]; tr.Vehicle != "a" || tr.FromMS() != 1000 || tr.ToMS() != 2000 || len(tr.Events) != 2 {
		t.Errorf("%+v", tr)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(message(recorded, core, "")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), eval.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := rep.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "bsm: 1 Basic Safety Messages") {
		t.Error(b.String())
	}
	if _, err := Run(t.Context(), eval.Options{Dir: t.TempDir()}); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(message(recorded, core, `{"id":"VehicleSafetyExtensions","value":{"events":{"eventHardBraking":true}}}`)))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := Decode(line)
		if err != nil {
			return
		}
		// What is taken must survive the wire.
		b := telemetry.Batch{Samples: []telemetry.Sample{m.Sample}, Events: m.Events, ID: telemetry.BatchID{6: 0x70, 8: 0x80}}
		var back telemetry.Batch
		if err := telemetry.DecodeProto(telemetry.AppendProto(nil, &b), &back, telemetry.DefaultLimits()); err != nil {
			t.Fatalf("%v: %+v", err, m.Sample)
		}
		if back.Samples[0] != m.Sample || math.Abs(float64(m.Sample.LatE7)) > 9e8 {
			t.Errorf("got  %+v\nwant %+v", back.Samples[0], m.Sample)
		}
	})
}
