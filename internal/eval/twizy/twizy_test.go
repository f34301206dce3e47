package twizy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
)

const head = "Date,Time,Soc,Speed,Mode,LAT,LON,Weather,SpeedLimit\n"

func TestReadTrip(t *testing.T) {
	trip, err := ReadTrip("x", strings.NewReader(head+strings.Join([]string{
		"03/29/2021,11:13:45,87,36.0,D,33.986225,-6.725523,Clouds,40.0",
		"03/29/2021,11:13:46,87,36.0,D,33.986225,-6.725523,Clouds,40.0", // the receiver repeats itself
		"03/29/2021,11:13:47,87,36.0,D,33.986225,-6.725523,Drizzle,40.0",
		"3/29/2021,11:13:49,87,72.0,D,33.987225,-6.725523,Clouds,60.0",   // no leading zero; a new position
		"03/29/2021,11:13:50,87,36.0,D,33.986225,-672.5523,Clouds,60.0",  // out of range
		"03/29/2021,11:13:51,87,36.0,D,0.0,-6.725523,Clouds,60.0",        // zero
		"03/29/2021,11:13:52,87,36.0,D,33.986225,66.725523,Clouds,60.0",  // far away
		"30/00/2001,11:13:53,87,36.0,D,33.986225,-6.725523,Clouds,60.0",  // no date
		"03/29/2021,11:13:40,87,36.0,D,33.986225,-6.725523,Clouds,60.0",  // time falls
		"03/29/2021,11:13:54,87,fast,D,33.986225,-6.725523,Clouds,60.0",  // no speed
		"03/29/2021,11:13:55,87,36.0,D,33.986225,-6.725523,Clouds,0.000", // no limit
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if len(trip.Rows) != 7 {
		t.Errorf("%d rows, want 7", len(trip.Rows))
	}
	for reason, n := range map[string]int{"position out of range": 1, "position zero": 1, "position far away": 1, "no time": 1, "time falls": 1, "no speed": 1, "no posted limit": 1} {
		if trip.Rejects[reason] != n {
			t.Errorf("%s: %d, want %d", reason, trip.Rejects[reason], n)
		}
	}
	samples := trip.Samples()
	if len(samples) != 2 || samples[0].SpeedCMPS != 1000 || samples[1].SpeedCMPS != 2000 || samples[1].T-samples[0].T != 4000 {
		t.Errorf("sent: %+v", samples)
	}
	every, posted := trip.Every()
	if len(every) != 3 || len(posted) != 3 || every[1].LatE7 <= every[0].LatE7 || every[2].LatE7 >= samples[1].LatE7 {
		t.Errorf("interpolated: %+v", every)
	}
	if !trip.Rows[2].Wet || trip.Rows[0].Wet {
		t.Error("drizzle is wet, clouds are not")
	}
	for name, text := range map[string]string{"empty": "", "no limit": "Date,Time\n", "no rows": head} {
		if _, err := ReadTrip("x", strings.NewReader(text)); !errors.Is(err, eval.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString(head)
	for s := range 600 {
		fmt.Fprintf(&b, "03/29/2021,11:%02d:%02d,87,52.0,D,33.98,%.6f,Clouds,50.0\n", s/60, s%60, -6.7+0.00015*float64(s/11*11))
	}
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := Run(t.Context(), Config{Options: eval.Options{Dir: dir}, UrbanKMH: 50, MinSpeed: 3})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := rep.Write(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "A new position comes every 11.0 s") || !strings.Contains(text.String(), "Estimated against posted") {
		t.Error(text.String())
	}
	if _, err := Run(t.Context(), Config{Options: eval.Options{Dir: t.TempDir()}}); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestMost(t *testing.T) {
	if got := most(map[int]int{60: 3, 40: 5, 80: 5}); got != 40 {
		t.Errorf("%d", got)
	}
}

func TestCellsTellDirections(t *testing.T) {
	trip := &Trip{Rows: []Row{
		{At: geo.At(34, -6.5), Fresh: true},
		{T: 1000, At: geo.At(34, -6.4999), Fresh: true},
		{T: 2000, At: geo.At(34, -6.5), Fresh: true},
		{T: 3000, At: geo.At(34, -6.5001), Fresh: true},
	}}
	keys, err := cells{}.keys(t.Context(), trip.Samples())
	if err != nil {
		t.Fatal(err)
	}
	if keys[0]&7 != 2 || keys[1]&7 != 6 || keys[2]&7 != 6 || keys[3]&7 != 6 {
		t.Errorf("octants %d %d %d %d: want east, then west", keys[0]&7, keys[1]&7, keys[2]&7, keys[3]&7)
	}
}

func FuzzReadTrip(f *testing.F) {
	f.Add(head + "03/29/2021,11:13:45,87,36.0,D,33.986225,-6.725523,Clouds,40.0\n")
	f.Fuzz(func(t *testing.T, text string) {
		trip, err := ReadTrip("x", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, s := range trip.Samples() {
			if s.LatE7 < -900000000 || s.LatE7 > 900000000 {
				t.Errorf("%+v", s)
			}
		}
		trip.Every()
	})
}
