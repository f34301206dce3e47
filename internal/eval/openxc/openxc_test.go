package openxc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/telemetry"
)

func TestReadRecords(t *testing.T) {
	const one = `{"timestamp": 100.5, "name": "vehicle_speed", "value": 36}`
	tests := map[string]struct {
		text          string
		want, skipped int
	}{
		"array":              {"[" + one + "," + one + "]", 2, 0},
		"breaks off":         {"[" + one + `,{"timestamp": 1`, 1, 1},
		"ends in a comma":    {"[" + one + ",", 1, 0},
		"text after the end": {"[" + one + "] stray text", 1, 1},
		"text between":       {one + " oops " + one, 2, 1},
		"lines":              {one + "\n" + one + "\n", 2, 0},
		"text as value":      {`{"timestamp": 1, "name": "gear", "value": "first"}`, 0, 1},
		"no name":            {`{"timestamp": 1, "value": 1}`, 0, 1},
		"a brace too many":   {"{" + one, 1, 1},
		"empty":              {"", 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, skipped, err := ReadRecords(strings.NewReader(tt.text))
			if err != nil || len(got) != tt.want || skipped != tt.skipped {
				t.Errorf("%d records, %d skipped, %v; want %d and %d", len(got), skipped, err, tt.want, tt.skipped)
			}
			if len(got) > 0 && (got[0].T != 100_500 || got[0].Number != 36) {
				t.Errorf("%+v", got[0])
			}
		})
	}
}

func rec(t int64, name string, v float64) Record { return Record{T: t, Name: name, Number: v} }

func wiper(t int64, on bool) Record {
	return Record{T: t, Name: "windshield_wiper_status", On: on, IsBool: true}
}

func TestSamples(t *testing.T) {
	records := []Record{
		rec(1100, "longitude", -83.4), rec(1000, "latitude", 42.2), // out of order
		rec(500, "vehicle_speed", 36),
		wiper(0, true),
		rec(4000, "latitude", 42.2), rec(4001, "longitude", -83.4), // the speed is too old
		rec(5000, "latitude", 42.2), rec(5900, "longitude", -83.4), // no pair
		rec(6000, "latitude", 99), rec(6001, "longitude", -83.4), // nowhere
		rec(100_000, "latitude", 42.2), rec(100_001, "longitude", -83.4), // the wipers' state is too old
		rec(7000, "fuel_level", 1),
	}
	got, other := Samples(records)
	if len(got) != 3 || other["fuel_level"] != 1 {
		t.Fatalf("%+v, %v", got, other)
	}
	if s := got[0]; s.SpeedCMPS != 1000 || s.Wiper != telemetry.WiperSlow || s.T != 1100 {
		t.Errorf("%+v", s)
	}
	if s := got[1]; s.Has != telemetry.HasWiper {
		t.Errorf("%+v", s)
	}
	if s := got[2]; s.Has != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWet(t *testing.T) {
	var samples []telemetry.Sample
	for i, w := range []telemetry.Wiper{0, 2, 2, 1, 3, 0} {
		samples = append(samples, telemetry.Sample{T: int64(i), Has: telemetry.HasWiper, Wiper: w})
	}
	got := Wet(samples)
	if len(got) != 2 || got[0] != (Span{1, 2}) || got[1] != (Span{4, 4}) {
		t.Errorf("%+v", got)
	}
	on := Spans([]Record{wiper(1, true), wiper(2, true), wiper(3, false), wiper(9, true)}, "windshield_wiper_status")
	if len(on) != 2 || on[0] != (Span{1, 3}) || on[1] != (Span{9, 9}) {
		t.Errorf("%+v", on)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	text := `[{"timestamp": 1, "name": "latitude", "value": 42.2},{"timestamp": 1.1, "name": "longitude", "value": -83.4},{"timestamp": 1, "name": "windshield_wiper_status", "value": true}] x`
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), eval.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(rep.Title, "3 records of a real car, 1 samples") {
		t.Error(rep.Title)
	}
	if _, err := Run(t.Context(), eval.Options{Dir: t.TempDir()}); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzReadRecords(f *testing.F) {
	f.Add(`[{"timestamp": 100.5, "name": "latitude", "value": 36},{"timestamp": 1e300, "name": "longitude", "value": true}] {`)
	f.Fuzz(func(t *testing.T, text string) {
		records, _, err := ReadRecords(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		samples, _ := Samples(records)
		for i := range samples {
			if i > 0 && samples[i].T < samples[i-1].T {
				t.Error("samples out of order")
			}
		}
	})
}
