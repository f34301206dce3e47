package nds

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

const head = "drive,time_utc,gps_long,gps_lat,gps_hdop,speed_mph,accel_x,accel_y,accel_event,accel_event_cat,gps_heading_raw\n"

func row(drive, s int, mph, x, y float64, event string) string {
	cat := "NA"
	if event != "NA" {
		cat = "med"
	}
	return fmt.Sprintf("%d,2019-05-23 20:54:%02d,-95.98,41.25,2.5,%g,%g,%g,%s,%s,270.8\n", drive, s, mph, x, y, event, cat)
}

func TestReadDrives(t *testing.T) {
	text := head + row(1, 10, 30, -0.1, 0, "NA") + row(1, 11, 25, -0.5, 0.1, "1") + row(1, 12, 20, -0.4, 0.1, "1") + row(1, 20, 20, 0.1, 0.4, "2") +
		"1,yesterday,-95.98,41.25,2.5,30,0,0,NA,NA,0\n" + "1,2019-05-23 20:54:21,NA,41.25,2.5,30,0,0,NA,NA,0\n" + row(2, 1, 10, 0.4, 0, "1")
	drives, skipped, err := ReadDrives(strings.NewReader(text))
	if err != nil || len(drives) != 2 || skipped != 2 {
		t.Fatalf("%d drives, %d skipped, %v", len(drives), skipped, err)
	}
	s := drives[0].Samples(true)[1]
	if s.SpeedCMPS != 1118 || s.BrakeCMPS2 != 490 || s.HeadingCDeg != 27080 || s.AccuracyCM != 1000 || s.Has&telemetry.HasBrake == 0 {
		t.Errorf("%+v", s)
	}
	if s := drives[0].Samples(false)[1]; s.Has&telemetry.HasBrake != 0 {
		t.Errorf("a brake signal although none is wanted: %+v", s)
	}
	events := drives[0].Events()
	if len(events) != 2 || events[0].Kind() != "braking" || events[0].ToMS-events[0].FromMS != 1000 || events[0].AlongG != -0.5 || events[1].Kind() != "cornering" {
		t.Errorf("%+v", events)
	}
	if k := drives[1].Events()[0].Kind(); k != "accelerating" {
		t.Errorf("%s", k)
	}
	if _, _, err := ReadDrives(strings.NewReader("a,b\n")); !errors.Is(err, eval.ErrFormat) {
		t.Errorf("%v", err)
	}
}

func TestCompare(t *testing.T) {
	all := func(*Event) bool { return true }
	events := []Event{{FromMS: 10_000, ToMS: 11_000, AlongG: -0.5}, {FromMS: 30_000, ToMS: 30_000, AlongG: -0.4}, {FromMS: 60_000, ToMS: 60_000, AcrossG: 0.5}}
	found := []hazard.Braking{{FromMS: 12_500, ToMS: 13_000}, {FromMS: 50_000, ToMS: 51_000}, {FromMS: 60_000, ToMS: 61_000}}
	if s := Compare(found, events, all); s != (Score{Found: 2, Missed: 1, False: 1}) {
		t.Errorf("%+v", s)
	}
	braking := func(e *Event) bool { return e.Kind() == "braking" }
	if s := Compare(found, events, braking); s != (Score{Found: 1, Missed: 1, False: 1}) {
		t.Errorf("braking while cornering counts neither way: %+v", s)
	}
	s := Score{Found: 3, Missed: 1, False: 1}
	if s.Precision() != 75 || s.Recall() != 75 {
		t.Errorf("precision %v, recall %v", s.Precision(), s.Recall())
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	text := head + row(1, 8, 50, 0, 0, "NA") + row(1, 9, 50, 0, 0, "NA") + row(1, 10, 50, -0.5, 0, "1") + row(1, 11, 50, 0, 0, "NA")
	if err := os.WriteFile(filepath.Join(dir, "x.csv"), []byte(text), 0o600); err != nil {
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
	if !strings.Contains(b.String(), "1 2 3") {
		t.Errorf("the accelerometer's braking is not found:\n%s", b.String())
	}
	if _, err := Run(t.Context(), eval.Options{Dir: t.TempDir()}); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzReadDrives(f *testing.F) {
	f.Add(head + row(1, 11, 25, -0.5, 0.1, "1"))
	f.Fuzz(func(t *testing.T, text string) {
		drives, _, err := ReadDrives(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, d := range drives {
			d.Events()
			hazard.Brakings(d.Samples(true))
		}
	})
}
