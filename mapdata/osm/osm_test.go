package osm

import (
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	upstream "github.com/paulmach/osm"
	"github.com/paulmach/osm/osmxml"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

func testdata(tb testing.TB, name string) []byte {
	tb.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/paulmach/osm").Output()
	if err != nil {
		tb.Fatalf("%v: run `go mod download github.com/paulmach/osm`", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name))
	if err != nil {
		tb.Fatalf("%v: run `go mod download github.com/paulmach/osm`", err)
	}
	return b
}

const small = `<?xml version='1.0' encoding="UTF-8"?>
<!-- a comment with <node id="9"> and > in it -->
<osm version="0.6" generator='x > "y"'>
 <bounds minlat="1" minlon="2" maxlat="3" maxlon="4"/>
 <node id="-1" lat="42.5" lon="1.5" user="a &gt; b"/>
 <node id="-2" lat="42.50000015" lon="1.5001"><tag k="highway" v="crossing"/></node>
 <node id="3" lat='-0.5' lon='1e-3'></node>
 <node id="4" visible="false"/>
 <way id="-7">
  <nd ref="-1"/><nd ref="-2"/><nd ref="99"/><nd ref="3"/><nd ref="-1"/>
  <tag k="highway" v="primary"/><tag k="name" v="R&#xfa;a &quot;A &amp; B&quot; &unknown; > x"/>
  <tag k="ref" v='N 1'/><tag k="maxspeed" v="50;70"/><tag k="oneway" v="-1"/><tag k="layer" v="-1"/><tag k="tunnel" v="yes"/>
 </way>
 <way id="8"><nd ref="-1"/><nd ref="98"/><tag k="highway" v="service"/></way>
 <way id="9"><nd ref="-1"/><nd ref="-2"/><tag k="highway" v="footway"/></way>
</osm>
`

func TestReadXML(t *testing.T) {
	attributes := road.Attributes{
		Name: `Rúa "A & B" &unknown; > x`, Ref: "N 1", Class: road.Primary,
		Flags: road.Backward | road.Tunnel, Layer: -1, Limit: [2]uint8{50, 50},
	}
	a, b, c := geo.Point{LatE7: 425000000, LonE7: 15000000}, geo.Point{LatE7: 425000002, LonE7: 15001000}, geo.Point{LatE7: -5000000, LonE7: 10000}
	want := []road.Way{
		{ID: -7, Nodes: []int64{-1, -2}, Points: []geo.Point{a, b}, Attributes: attributes},
		{ID: -7, Nodes: []int64{3, -1}, Points: []geo.Point{c, a}, Attributes: attributes},
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(small)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"plain": strings.NewReader(small), "gzip": &zipped, "with a byte order mark": strings.NewReader("\xef\xbb\xbf" + small),
		"byte by byte": iotest.OneByteReader(strings.NewReader(small)),
	} {
		t.Run(name, func(t *testing.T) {
			extract, stats, err := Read(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, extract.Ways); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(Stats{Nodes: 4, Ways: 3, Roads: 1, DanglingNodes: 2, InvalidNodes: 1, EmptyWays: 1}, stats); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	andorra, delaware := testdata(t, "andorra-latest.osm.bz2"), testdata(t, "delaware-latest.osm.pbf")
	damaged := bytes.Clone(delaware[:1<<20])
	copy(damaged[1<<19:], "damage damage damage")
	tests := map[string]struct {
		in   []byte
		want error
	}{
		"empty":             {nil, ErrTruncated},
		"text":              {[]byte("hello"), ErrFormat},
		"HTML":              {[]byte("<html><body>"), ErrFormat},
		"half a file":       {[]byte(small[:len(small)/2]), ErrTruncated},
		"no end":            {[]byte(strings.TrimSuffix(small, "</osm>\n")), ErrTruncated},
		"bad reference":     {[]byte(`<osm><way id="1"><nd ref="x"/></way></osm>`), ErrFormat},
		"way without id":    {[]byte(`<osm><way></way></osm>`), ErrFormat},
		"node without id":   {[]byte(`<osm><node lat="1" lon="1"/></osm>`), ErrFormat},
		"nameless":          {[]byte(`<osm><></osm>`), ErrFormat},
		"truncated bzip2":   {andorra[:len(andorra)/3], ErrTruncated},
		"truncated PBF":     {delaware[:len(delaware)-1000], ErrTruncated},
		"PBF, header only":  {delaware[:20], ErrTruncated},
		"damaged PBF":       {damaged, ErrFormat},
		"bzip2 of garbage":  {[]byte("BZh9" + strings.Repeat("garbage ", 100)), ErrFormat},
		"gzip of nothing":   {[]byte{0x1f, 0x8b, 8, 0}, ErrTruncated},
		"PBF, lying length": {[]byte{0, 0, 0, 13, 0x0a, 9, 'O', 'S', 'M', 'H', 'e', 'a', 'd', 'e', 'r', 0x18, 0x7f}, ErrTruncated},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Read(t.Context(), bytes.NewReader(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// Whatever single bytes are changed, the readers return.
func TestReadSurvivesDamage(t *testing.T) {
	pbf := testdata(t, "delaware-latest.osm.pbf")
	first := 0 // the end of the first data blob
	for range 2 {
		header := int(pbf[first+2])<<8 | int(pbf[first+3])
		var size uint64
		if err := fields(pbf[first+4:first+4+header], func(num protowire.Number, v uint64, _ []byte) error {
			if num == 3 {
				size = v
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		first += 4 + header + int(size)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for name, in := range map[string][]byte{"PBF": pbf[:first], "XML": []byte(small)} {
		for range 300 {
			b := bytes.Clone(in)
			for range 1 + r.IntN(3) {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			_, _, err := Read(t.Context(), bytes.NewReader(b))
			if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTruncated) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestReadEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"andorra-latest.osm.bz2", "delaware-latest.osm.pbf"} {
		if _, _, err := Read(ctx, bytes.NewReader(testdata(t, name))); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same file through the general XML reader of paulmach/osm.
func TestReadAgreesWithUpstream(t *testing.T) {
	b := testdata(t, "andorra-latest.osm.bz2")
	extract, stats, err := Read(t.Context(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ nodes, ways, drivable int }
	nodes := make(map[int64]geo.Point)
	type course struct {
		refs []int64
		name string
	}
	roads := make(map[int64]course)
	s := osmxml.New(t.Context(), bzip2.NewReader(bytes.NewReader(b)))
	defer s.Close()
	for s.Scan() {
		switch o := s.Object().(type) {
		case *upstream.Node:
			want.nodes++
			nodes[int64(o.ID)] = geo.At(o.Lat, o.Lon)
		case *upstream.Way:
			want.ways++
			if _, ok := road.ParseClass(o.Tags.Find("highway")); ok {
				want.drivable++
				c := course{name: o.Tags.Find("name")}
				for _, n := range o.Nodes {
					c.refs = append(c.refs, int64(n.ID))
				}
				roads[int64(o.ID)] = c
			}
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	drivable := stats.Roads + stats.EmptyWays + stats.Closed
	if want.drivable != 2180 || drivable != 2180 || stats.Nodes != want.nodes || stats.Ways != want.ways {
		t.Errorf("read %+v, want %+v", stats, want)
	}
	t.Logf("%+v", stats)
	for _, w := range extract.Ways {
		if !strings.Contains(fmt.Sprint(roads[w.ID].refs), strings.Trim(fmt.Sprint(w.Nodes), "[]")) || w.Name != roads[w.ID].name {
			t.Fatalf("way %d: %v %q, want part of %v %q", w.ID, w.Nodes, w.Name, roads[w.ID].refs, roads[w.ID].name)
		}
		for i, n := range w.Nodes {
			if w.Points[i] != nodes[n] {
				t.Fatalf("way %d: node %d is at %v, not %v", w.ID, n, w.Points[i], nodes[n])
			}
		}
	}
}

func TestReadDelaware(t *testing.T) {
	extract, stats, err := Read(t.Context(), bytes.NewReader(testdata(t, "delaware-latest.osm.pbf")))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", stats)
	if n := stats.Roads + stats.EmptyWays + stats.Closed; n != 46569 {
		t.Errorf("%d drivable ways, want 46,569", n)
	}
	if stats.Restrictions < 100 || len(extract.Restrictions) < stats.Restrictions {
		t.Errorf("%d turns of %d restrictions", len(extract.Restrictions), stats.Restrictions)
	}
	limits := 0
	box := geo.EmptyBox()
	for _, w := range extract.Ways {
		if w.Limit[0] != road.NoLimitKnown {
			limits++
		}
		box = box.Union(geo.BoxOf(w.Points))
	}
	if limits < 800 || box.Degrees()[0] < -76 || box.Degrees()[2] > -74.9 || box.Degrees()[1] < 38.3 || box.Degrees()[3] > 40 {
		t.Errorf("%d ways with a limit within %v", limits, box.Degrees())
	}
}

func BenchmarkReadAndorra(b *testing.B) {
	in := testdata(b, "andorra-latest.osm.bz2")
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, _, err := Read(b.Context(), bytes.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadDelaware(b *testing.B) {
	in := testdata(b, "delaware-latest.osm.pbf")
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, _, err := Read(b.Context(), bytes.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}
