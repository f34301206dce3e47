package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval/picture"
	"github.com/carasso/carasso/mapdata/geo"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGolden(t *testing.T) {
	at := func(x, y int32) geo.Point { return geo.Point{LatE7: 496000000 + 9000*y, LonE7: 61000000 + 13900*x} }
	p := picture.NewPanel("crossing <1>", geo.BoxOf([]geo.Point{at(0, 0), at(4, 3)}))
	p.Line(picture.Road, at(0, 0), at(2, 1), at(4, 1))
	p.Line(picture.Truth, at(0, 0), at(2, 1))
	p.Line(picture.Matched, at(2, 1), at(4, 1))
	p.Line(picture.Road, at(100, 100), at(101, 101)) // outside
	p.Dot(picture.Fix, at(1, 1))
	p.Dot(picture.Wrong, at(2, 2))
	p.Dot(picture.Break, at(3, 1))
	p.Dot(picture.Fix, at(-50, 0)) // outside
	q := picture.NewPanel("a point", geo.BoxOf([]geo.Point{at(1, 1)}))
	var b bytes.Buffer
	if err := picture.Write(&b, "test & title", "12 % of 3 km", p, q); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	path := filepath.Join("testdata", "crossing.svg")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, b.Bytes()) {
		t.Errorf("the picture differs from %s (-update writes it anew):\n%s", path, b.String())
	}
	for _, label := range []string{">100 m<", ">20 m<"} {
		if !strings.Contains(b.String(), label) {
			t.Errorf("no scale bar of %s", label)
		}
	}
}
