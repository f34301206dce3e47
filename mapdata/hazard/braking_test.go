package hazard

import (
	"testing"

	"github.com/carasso/carasso/telemetry"
)

func TestBrakings(t *testing.T) {
	speeds := func(has telemetry.Field, gapMS int64, mps ...float64) (out []telemetry.Sample) {
		for i, v := range mps {
			out = append(out, telemetry.Sample{T: noon + int64(i)*gapMS, SpeedCMPS: uint16(v * 100), Has: has})
		}
		return out
	}
	sensor := speeds(telemetry.HasSpeed|telemetry.HasBrake, 1000, 20, 20, 18, 13, 9, 9, 9)
	for i, b := range []int16{0, 0, 200, 480, 410, 0, 0} {
		sensor[i].BrakeCMPS2 = b
	}
	quiet := speeds(telemetry.HasSpeed|telemetry.HasBrake, 1000, 20, 14, 9)
	blind := speeds(telemetry.HasBrake, 1000, 0, 0)
	blind[1].BrakeCMPS2 = 500
	single := speeds(telemetry.HasBrake, 1000, 0)
	single[0].BrakeCMPS2 = 700
	for _, tt := range []struct {
		name    string
		samples []telemetry.Sample
		want    []Braking
	}{
		{"none", nil, nil},
		{"steady", speeds(telemetry.HasSpeed, 1000, 20, 20, 19, 18), nil},
		{"comfortable", speeds(telemetry.HasSpeed, 1000, 20, 17, 14, 11), nil},
		{"hard", speeds(telemetry.HasSpeed, 1000, 20, 18, 13, 9, 7, 7), []Braking{{First: 0, Last: 4, Hard: 2, FromMS: noon, ToMS: noon + 4000, FromMPS: 20, ToMPS: 7, PeakMPS2: 5}}},
		{"twice", speeds(telemetry.HasSpeed, 1000, 20, 16, 16, 20, 16, 16), []Braking{
			{First: 0, Last: 1, Hard: 1, FromMS: noon, ToMS: noon + 1000, FromMPS: 20, ToMPS: 16, PeakMPS2: 4},
			{First: 3, Last: 4, Hard: 4, FromMS: noon + 3000, ToMS: noon + 4000, FromMPS: 20, ToMPS: 16, PeakMPS2: 4},
		}},
		{"walking pace clamped to zero", speeds(telemetry.HasSpeed, 1000, 4.6, 4.6, 0, 0), nil},
		{"gently, then parked at once", speeds(telemetry.HasSpeed, 1000, 12, 9.5, 7, 4.5, 0, 0), nil},
		{"over a gap", speeds(telemetry.HasSpeed, 10_000, 30, 0), nil},
		{"doubled times", speeds(telemetry.HasSpeed, 0, 30, 0), nil},
		{"no speeds", speeds(0, 1000, 30, 0), nil},
		{"by the sensor", sensor, []Braking{{First: 1, Last: 4, Hard: 3, FromMS: noon + 1000, ToMS: noon + 4000, FromMPS: 20, ToMPS: 9, PeakMPS2: 4.8, Sensor: true}}},
		{"speeds that the sensor denies", quiet, nil},
		{"by the sensor, without speeds", blind, []Braking{{First: 0, Last: 1, Hard: 1, FromMS: noon, ToMS: noon + 1000, PeakMPS2: 5, Sensor: true}}},
		{"one sample", single, []Braking{{First: 0, Last: 0, FromMS: noon, ToMS: noon, PeakMPS2: 7, Sensor: true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Brakings(tt.samples)
			if len(got) != len(tt.want) {
				t.Fatalf("found %+v, want %+v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("found %+v, want %+v", got[i], tt.want[i])
				}
			}
		})
	}
}
