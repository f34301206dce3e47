package export

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a row with a value of every kind; of every third the nullable ones are null.
func sample(r *Record, i int) {
	r.Reset()
	at := time.Date(2026, 11, 23, 17, 0, i, 0, time.UTC)
	n, kmh, shape := 40+i, 43.25+float64(i), []Geometry{
		{LineString, [][2]float64{{1.5, 42.49}, {1.51, 42.5}}},
		{Point, [][2]float64{{1.5211234567, 42.5}}},
		{Polygon, [][2]float64{{1.5, 42.5}, {1.5, 42.6}, {1.6, 42.6}, {1.6, 42.5}, {1.5, 42.5}}}, // clockwise
	}
	r.Put("time", at)
	r.Put("name", []string{"Carrer \"Major\", 1", "=HYPERLINK(\"http://evil\")", "-2+3"}[i%3])
	r.Put("differs", i%2 == 0)
	r.Put("edge", uint64(3471364971298838))
	if i%3 == 2 {
		r.Put("samples", (*int)(nil))
		r.Put("mean_kmh", (*float64)(nil))
		r.Put("ended", (*time.Time)(nil))
	} else {
		r.Put("samples", &n)
		r.Put("mean_kmh", &kmh)
		r.Put("ended", &at)
	}
	if i == 3 {
		r.Place(nil)
		return
	}
	g := shape[i%3]
	r.Place(&g)
}

func write(tb testing.TB, to io.Writer, f Format, rows int) {
	tb.Helper()
	var r Record
	sample(&r, 0)
	w, err := NewWriter(f, to, &r)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range rows {
		sample(&r, i)
		if err := w.Write(&r); err != nil {
			tb.Fatal(err)
		}
	}
	from := time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC)
	if err := w.Close(Summary{Title: "speeds", From: &from, K: 3, Rows: rows, Suppressed: 2}); err != nil {
		tb.Fatal(err)
	}
}

func TestGolden(t *testing.T) {
	for _, f := range []Format{CSV, GeoJSON} {
		var got bytes.Buffer
		write(t, &got, f, 4)
		name := filepath.Join("testdata", "rows."+string(f))
		if *update {
			if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: %s", f, got.Bytes())
		}
	}
}

// No text of a vehicle or a map is a formula, and what was written is read again.
func TestCSVIsNoSpreadsheetProgram(t *testing.T) {
	var out bytes.Buffer
	write(t, &out, CSV, 200)
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		if name := row[1]; strings.ContainsAny(name[:1], "=+-@\t\r\n") {
			t.Fatalf("a cell begins like a formula: %q", name)
		}
	}
	for _, s := range []string{"=1", "+1", "-1", "@a", "\tx", "\rx", "\nx"} {
		if plain(s) != "'"+s {
			t.Errorf("%q stays", s)
		}
	}
}

// RFC 7946: closed rings, outer ones counterclockwise; a null geometry is a member.
func TestGeoJSONIsValid(t *testing.T) {
	var out bytes.Buffer
	write(t, &out, GeoJSON, 4)
	var doc struct {
		Type     string
		Features []struct {
			Type     string
			Geometry *struct {
				Type        string
				Coordinates json.RawMessage
			}
			Properties map[string]any
		}
		Carasso Summary
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Type != "FeatureCollection" || len(doc.Features) != 4 || doc.Carasso.Rows != 4 || doc.Carasso.Suppressed != 2 || doc.Features[3].Geometry != nil {
		t.Fatalf("%s", out.Bytes())
	}
	var rings [][][2]float64
	if err := json.Unmarshal(doc.Features[2].Geometry.Coordinates, &rings); err != nil {
		t.Fatal(err)
	}
	var area float64
	for i := 1; i < len(rings[0]); i++ {
		area += rings[0][i-1][0]*rings[0][i][1] - rings[0][i][0]*rings[0][i-1][1]
	}
	if area <= 0 || rings[0][0] != rings[0][len(rings[0])-1] {
		t.Errorf("ring %v has area %v", rings[0], area)
	}
}

func TestParquetIsReadBack(t *testing.T) {
	const rows = groupRows + 7 // two row groups
	var out bytes.Buffer
	write(t, &out, Parquet, rows)
	f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if f.NumRows() != rows || len(f.RowGroups()) != 2 {
		t.Fatalf("%d rows in %d groups", f.NumRows(), len(f.RowGroups()))
	}
	about, _ := f.Lookup("carasso")
	geo, _ := f.Lookup("geo")
	var s Summary
	if err := json.Unmarshal([]byte(about), &s); err != nil || s.Rows != rows || s.Suppressed != 2 {
		t.Errorf("about %s: %v", about, err)
	}
	if want := `{"version":"1.1.0","primary_column":"geometry","columns":{"geometry":{"encoding":"WKB","geometry_types":["LineString","Point","Polygon"],"orientation":"counterclockwise"}}}`; geo != want {
		t.Errorf("geo %s", geo)
	}
	type line struct {
		Time     time.Time `parquet:"time,timestamp(millisecond),optional"`
		Name     string    `parquet:"name,optional"`
		Differs  bool      `parquet:"differs,optional"`
		Edge     int64     `parquet:"edge,optional"`
		Samples  *int64    `parquet:"samples,optional"`
		MeanKMH  *float64  `parquet:"mean_kmh,optional"`
		Ended    *int64    `parquet:"ended,optional"`
		Geometry []byte    `parquet:"geometry,optional"`
	}
	got, err := parquet.Read[line](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 2, 3, 4, groupRows - 1, groupRows, rows - 1} {
		var want Record
		sample(&want, i)
		g := got[i]
		if g.Time.UnixMilli() != want.values[0].i || g.Name != want.values[1].s || g.Differs != (i%2 == 0) || g.Edge != 3471364971298838 || (g.Samples == nil) != (i%3 == 2) {
			t.Errorf("row %d: %+v", i, g)
		}
		if g.Samples != nil && (*g.Samples != int64(40+i) || *g.MeanKMH != 43.25+float64(i) || *g.Ended != g.Time.UnixMilli()) {
			t.Errorf("row %d: %+v", i, g)
		}
		if !bytes.Equal(g.Geometry, want.place.wkb()) {
			t.Errorf("row %d lies at %x", i, g.Geometry)
		}
	}
	point := (&Geometry{Point, [][2]float64{{1.5, 42.5}}}).wkb()
	if len(point) != 21 || point[0] != 1 || binary.LittleEndian.Uint32(point[1:]) != 1 || math.Float64frombits(binary.LittleEndian.Uint64(point[5:])) != 1.5 {
		t.Errorf("WKB %x", point)
	}
}

// Rows unlike the first are refused, and a value of no known type too.
func TestRowsAreAlike(t *testing.T) {
	for _, f := range []Format{CSV, GeoJSON, Parquet} {
		var first, other, wrong Record
		first.Put("a", 1)
		other.Put("b", 1)
		wrong.Put("a", []int{1})
		w, err := NewWriter(f, io.Discard, &first)
		if err != nil {
			t.Fatal(err)
		}
		if w.Write(&other) == nil || w.Write(&wrong) == nil {
			t.Errorf("%s takes any row", f)
		}
		if _, err := NewWriter(f, io.Discard, &wrong); err == nil {
			t.Errorf("%s takes any column", f)
		}
	}
	if _, err := NewWriter("xlsx", io.Discard, &Record{}); err == nil {
		t.Error("no error for a format that does not exist")
	}
}

// peak measures the live heap while it counts bytes.
type peak struct {
	bytes  int
	writes int
	most   uint64
}

func (p *peak) Write(b []byte) (int, error) {
	if p.writes++; p.writes%200 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	p.bytes += len(b)
	return len(b), nil
}

func TestMemoryIsBounded(t *testing.T) {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, f := range []Format{CSV, GeoJSON, Parquet} {
		p := &peak{}
		write(t, p, f, 200_000)
		t.Logf("%s: %d MB, %.1f MB of heap", f, p.bytes>>20, float64(p.most-min(p.most, before.HeapAlloc))/1e6)
		if p.most > before.HeapAlloc+48<<20 {
			t.Errorf("%s holds %d MB", f, (p.most-before.HeapAlloc)>>20)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, f := range []Format{CSV, GeoJSON, Parquet} {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				write(b, io.Discard, f, 10_000)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/row")
		})
	}
}
