package eval_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

func TestReportIsAligned(t *testing.T) {
	table := eval.NewTable("Lengths", "NAME", "metres", "note")
	table.Text(2)
	table.Row("ä", 1.5, "short")
	table.Row("long name", 1234, "long")
	r := eval.Report{
		Title: "test", Notes: []string{"how"}, Tables: []*eval.Table{table},
		Aims: []eval.Aim{
			{Name: "error", Want: 1, Got: 0.5, Unit: "m", Places: 1},
			{Name: "right", Want: 97, Got: 96.99, Unit: "%", Places: 2, Least: true, Note: "of all"},
			{Name: "none", Want: 1, Got: math.NaN(), Unit: "m"},
		},
		Files: []string{"a.svg"},
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `== test ==
how

Lengths
  NAME       metres  note
  ä            1.50  short
  long name    1234  long

  AIM       WANTED   RESULT     MET
  error    ≤ 1.0 m    0.5 m     met
  right  ≥ 97.00 %  96.99 %  MISSED  of all
  none       ≤ 1 m    NaN m  MISSED

written:
  a.svg
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if r.Met() {
		t.Error("an aim is missed, but the report says that all are met")
	}
}

func TestStats(t *testing.T) {
	v := []float64{4, 1, 3, 2}
	for name, got := range map[string][2]float64{
		"median":     {eval.Median(v), 2.5},
		"mean":       {eval.Mean(v), 2.5},
		"percentile": {eval.Percentile(v, 0.9), 3.7},
		"last":       {eval.Percentile(v, 1), 4},
		"share":      {eval.Share(1, 4), 25},
	} {
		if math.Abs(got[0]-got[1]) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got[0], got[1])
		}
	}
	if !math.IsNaN(eval.Median(nil)) || !math.IsNaN(eval.Share(0, 0)) {
		t.Error("nothing has a median or a share")
	}
	if got := eval.Counts(map[string]int{"b": 2, "a": 1, "c": 0}); got != "1 a, 2 b" {
		t.Errorf("counts: %q", got)
	}
}

func TestUnpacked(t *testing.T) {
	for _, tool := range [...]string{"tar", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: install it", tool)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "in", "x.txt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	packed := t.TempDir()
	if out, err := exec.Command("tar", "-cJf", filepath.Join(packed, "a.tar.xz"), "-C", dir, "in").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	has := func(dir string) bool {
		found, err := eval.Find(dir, "*.txt")
		return err == nil && len(found) == 1
	}
	for name, tt := range map[string]struct{ dir string }{"unpacked": {dir}, "packed": {packed}} {
		t.Run(name, func(t *testing.T) {
			got, remove, err := eval.Unpacked(t.Context(), tt.dir, has)
			if err != nil {
				t.Fatal(err)
			}
			if !has(got) {
				t.Error("the file is not there")
			}
			remove()
			if _, err := os.Stat(got); name == "packed" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the temporary folder is still there: %v", err)
			}
			if _, err := os.Stat(tt.dir); err != nil {
				t.Errorf("the set's own folder is gone: %v", err)
			}
		})
	}
	if _, _, err := eval.Unpacked(t.Context(), filepath.Join(dir, "none"), has); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("no folder: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, _, err := eval.Unpacked(t.Context(), packed, has); err == nil || !strings.Contains(err.Error(), `"tar"`) {
		t.Errorf("without tar: %v", err)
	}
}

func TestColumns(t *testing.T) {
	c, err := eval.NewColumns(strings.NewReader("\ufeffa,b\r\n1, x \r\n\nNA\n"), "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if !c.Next() || c.Text("b") != "x" || c.Line() != 2 {
		t.Errorf("first row: %q, line %d", c.Text("b"), c.Line())
	}
	if v, ok := c.Number("a"); v != 1 || !ok {
		t.Errorf("number: %v %v", v, ok)
	}
	if !c.Next() || c.Text("b") != "" {
		t.Error("a short row has empty values")
	}
	if _, ok := c.Number("a"); ok {
		t.Error("NA is no number")
	}
	if c.Next() || c.Err() != nil {
		t.Errorf("end: %v", c.Err())
	}
	if _, err := eval.NewColumns(strings.NewReader("a\n"), "b"); !errors.Is(err, eval.ErrFormat) {
		t.Errorf("missing column: %v", err)
	}
	if _, err := eval.NewColumns(strings.NewReader("")); !errors.Is(err, eval.ErrFormat) {
		t.Errorf("empty: %v", err)
	}
}

func TestRoadsGiveAllAround(t *testing.T) {
	at := func(lon int32) geo.Point { return geo.Point{LatE7: 425000000, LonE7: lon} }
	segs, _ := road.Build([]road.Way{
		{Nodes: []int64{1, 2}, Points: []geo.Point{at(15000000), at(15400000)}, Attributes: road.Attributes{Flags: road.Forward}},
		{Nodes: []int64{3, 4}, Points: []geo.Point{at(17000000), at(17400000)}, Attributes: road.Attributes{Flags: road.Forward}},
	})
	roads := eval.NewRoads(segs)
	for _, s := range segs {
		for _, p := range s.Shape {
			part, err := roads.Partition(context.Background(), geo.TileAt(p, road.Zoom).Quadkey())
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := part.Segment(s.ID); !ok {
				t.Errorf("segment %d is not in the partition around %v", s.ID, p)
			}
		}
	}
	part, err := roads.Partition(context.Background(), 0)
	if err != nil || part.NumSegments() != 0 {
		t.Errorf("away from roads: %d segments, %v", part.NumSegments(), err)
	}
}

func TestHazardVotes(t *testing.T) {
	var samples []telemetry.Sample
	for i := range 30 {
		s := telemetry.Sample{T: 1_600_000_000_000 + int64(i)*1000, LatE7: 496000000, LonE7: 61000000 + int32(i)*2700, SpeedCMPS: 2000, HeadingCDeg: 9000, Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasBrake}
		if i == 15 {
			s.BrakeCMPS2 = 700
		}
		samples = append(samples, s)
	}
	votes := map[string]int{}
	if err := eval.HazardVotes(t.Context(), 1, samples, nil, votes); err != nil {
		t.Fatal(err)
	}
	found := false
	for name := range votes {
		found = found || strings.HasPrefix(name, "hard_braking")
	}
	if !found {
		t.Errorf("a braking at 7 m/s² is no vote: %v", votes)
	}
}
