package kubicka

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// e7 is how many 1e-7 degrees of longitude are 100 m at the equator.
const e7 = 8993

// at is a node at x, y hundred metres from the origin on the equator.
func at(x, y int32) geo.Point { return geo.Point{LatE7: y * e7, LonE7: x * e7} }

// town is a two-way road from node 0 over 1, 2, 3 to 4, 100 m each, a one-way side road from
// 2 over 5 to 6, a bypass from 1 over 7 to 3, and node 8 at the place of node 4.
//
//	 7---+
//	/     \
//	0-1-2-3-4=8-9
//	    |
//	    5
//	    |
//	    6
func town() *Case {
	c := &Case{Name: "town", Nodes: []geo.Point{at(0, 0), at(1, 0), at(2, 0), at(3, 0), at(4, 0), at(2, -1), at(2, -2), at(2, 1), at(4, 0), at(5, 0)}}
	add := func(from, to int32) { c.Arcs = append(c.Arcs, Arc{from, to}) }
	for _, p := range [][2]int32{{0, 1}, {1, 2}, {2, 3}, {3, 4}} { // arcs 0 to 7
		add(p[0], p[1])
		add(p[1], p[0])
	}
	add(2, 5) // 8
	add(5, 6) // 9
	add(1, 7) // 10
	add(7, 3) // 11
	add(4, 8) // 12, without extent
	add(8, 9) // 13
	add(0, 1) // 14, the same as 0
	c.Route = []int32{0, 2, 4, 6, 12, 13}
	c.Track = []telemetry.Sample{{}, {T: 1000}}
	return c
}

func mustNetwork(t *testing.T, c *Case) *Network {
	t.Helper()
	n, err := NewNetwork(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stepsOf is the way along arcs, as a matcher would tell it.
func stepsOf(t *testing.T, n *Network, arcs ...int32) []match.Step {
	t.Helper()
	var path []match.Step
	for _, a := range arcs {
		found := false
		for _, s := range n.Segments {
			ch := n.chains[n.byID[s.ID]]
			start := 0.0
			for k, end := range ch.ends {
				if ch.forward[k] == a {
					path, found = append(path, match.Step{Edge: s.ID.Edge(false), FromM: float32(start), ToM: float32(end)}), true
				}
				if ch.backward[k] == a {
					total := ch.ends[len(ch.ends)-1]
					path, found = append(path, match.Step{Edge: s.ID.Edge(true), FromM: float32(total - end), ToM: float32(total - start)}), true
				}
				start = end
			}
		}
		if !found {
			t.Fatalf("arc %d is in no segment", a)
		}
	}
	return path
}

func TestNetwork(t *testing.T) {
	n := mustNetwork(t, town())
	// 0-1, 1-2, 2-3, 3-4=8, 8-9 (one-way), 2-5-6, 1-7-3
	if len(n.Segments) != 7 {
		t.Errorf("%d segments, want 7", len(n.Segments))
	}
	var oneWay, twoWay int
	for _, s := range n.Segments {
		switch s.Flags & (road.Forward | road.Backward) {
		case road.Forward | road.Backward:
			twoWay++
		default:
			oneWay++
		}
	}
	if twoWay != 4 || oneWay != 3 {
		t.Errorf("%d two-way and %d one-way segments, want 4 and 3", twoWay, oneWay)
	}
}

func TestNetworkOfARing(t *testing.T) {
	c := &Case{Nodes: []geo.Point{at(0, 0), at(1, 0), at(1, 1)}, Arcs: []Arc{{0, 1}, {1, 2}, {2, 0}}}
	n := mustNetwork(t, c)
	if len(n.Segments) != 1 || len(n.Segments[0].Shape) != 4 {
		t.Fatalf("%d segments: %+v", len(n.Segments), n.Segments)
	}
	if got := n.Route(stepsOf(t, n, 0, 1, 2)); !slices.Equal(got, []int32{0, 1, 2}) {
		t.Errorf("route %v", got)
	}
}

func TestRouteMapsBackToArcs(t *testing.T) {
	n := mustNetwork(t, town())
	tests := map[string]struct {
		path []match.Step
		want []int32
	}{
		"over an arc without extent": {stepsOf(t, n, 0, 2, 4, 6, 13), []int32{0, 2, 4, 6, 12, 13}},
		"against":                    {stepsOf(t, n, 7, 5, 3, 1), []int32{7, 5, 3, 1}},
		"chain":                      {stepsOf(t, n, 2, 8, 9), []int32{2, 8, 9}},
		"nothing":                    {nil, nil},
	}
	part := stepsOf(t, n, 8)
	part[0].FromM, part[0].ToM = 60, 140 // of the chain 8, 9: both in part
	tests["partial arcs count whole"] = struct {
		path []match.Step
		want []int32
	}{part, []int32{8, 9}}
	touch := append(stepsOf(t, n, 0, 2), stepsOf(t, n, 4)...)
	touch[2].ToM = 0.3 // the end of the drive is at the node
	tests["touching the next one does not count"] = struct {
		path []match.Step
		want []int32
	}{touch, []int32{0, 2}}
	split := stepsOf(t, n, 8, 8)
	split[0].ToM, split[1].FromM = 40, 40
	tests["one edge in two steps"] = struct {
		path []match.Step
		want []int32
	}{split, []int32{8}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := n.Route(tt.path); !slices.Equal(got, tt.want) {
				t.Errorf("route %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMismatchByHand(t *testing.T) {
	n := mustNetwork(t, town())
	side := 100 * math.Sqrt2 // of each arc of the bypass
	tests := map[string]struct {
		truth, matched []int32
		missing, extra float64 // metres
		runs           int
	}{
		"the same":                  {[]int32{0, 2, 4}, []int32{0, 2, 4}, 0, 0, 0},
		"an arc with the same ends": {[]int32{0, 2}, []int32{14, 2}, 0, 0, 0},
		"nothing matched":           {[]int32{0, 2}, nil, 200, 0, 1},
		"start missing":             {[]int32{0, 2, 4}, []int32{2, 4}, 100, 0, 1},
		"end too long":              {[]int32{0, 2}, []int32{0, 2, 4}, 0, 100, 1},
		"detour":                    {[]int32{0, 2, 4, 6}, []int32{0, 10, 11, 6}, 200, 2 * side, 1},
		"other direction":           {[]int32{0, 2}, []int32{3, 1}, 200, 200, 1},
		"there and back":            {[]int32{0, 2, 4}, []int32{0, 2, 3, 2, 4}, 0, 200, 1},
		"driven twice, found once":  {[]int32{0, 2, 3, 2, 4}, []int32{0, 2, 4}, 200, 0, 1},
		"two places":                {[]int32{0, 2, 4, 6}, []int32{2, 4}, 200, 0, 2},
		"wrong order":               {[]int32{0, 2}, []int32{2, 0}, 100, 100, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := n.Compare(tt.truth, tt.matched)
			if math.Abs(s.MissingM-tt.missing) > 0.1 || math.Abs(s.ExtraM-tt.extra) > 0.1 || len(s.Runs) != tt.runs {
				t.Errorf("missing %.1f, extra %.1f in %d runs; want %.1f, %.1f in %d", s.MissingM, s.ExtraM, len(s.Runs), tt.missing, tt.extra, tt.runs)
			}
			want := (tt.missing + tt.extra) / (100 * float64(len(tt.truth)))
			if math.Abs(s.Mismatch()-want) > 1e-3 {
				t.Errorf("mismatch %.4f, want %.4f", s.Mismatch(), want)
			}
		})
	}
}

func TestThin(t *testing.T) {
	var track []telemetry.Sample
	for _, s := range []int64{0, 1, 2, 5, 6, 7, 20, 21} {
		track = append(track, telemetry.Sample{T: s * 1000})
	}
	for seconds, want := range map[int][]int64{1: {0, 1, 2, 5, 6, 7, 20, 21}, 5: {0, 5, 20, 21}, 30: {0, 21}} {
		var got []int64
		for _, s := range Thin(track, seconds) {
			got = append(got, s.T/1000)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d s: %v, want %v", seconds, got, want)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	tests := map[string]func() error{
		"letters":           func() error { _, err := ReadNodes(strings.NewReader("a\tb\n")); return err },
		"one number":        func() error { _, err := ReadNodes(strings.NewReader("1\n")); return err },
		"no place":          func() error { _, err := ReadNodes(strings.NewReader("181 1\n")); return err },
		"not a number":      func() error { _, err := ReadNodes(strings.NewReader("NaN 1\n")); return err },
		"arc to nowhere":    func() error { _, err := ReadArcs(strings.NewReader("0 2\n"), 2); return err },
		"arc to a fraction": func() error { _, err := ReadArcs(strings.NewReader("0 0.5\n"), 2); return err },
		"route to nowhere":  func() error { _, err := ReadRoute(strings.NewReader("-1\n"), 2); return err },
		"time falls":        func() error { _, err := ReadTrack(strings.NewReader("1 1 2\n1 1 1\n")); return err },
		"infinite time":     func() error { _, err := ReadTrack(strings.NewReader("1 1 Inf\n")); return err },
	}
	for name, read := range tests {
		t.Run(name, func(t *testing.T) {
			if err := read(); !errors.Is(err, eval.ErrFormat) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRouteForm(t *testing.T) {
	var b bytes.Buffer
	if err := WriteRoute(&b, []int32{3, 0, 2}); err != nil {
		t.Fatal(err)
	}
	if b.String() != "3\n0\n2\n" {
		t.Errorf("%q", b.String())
	}
	got, err := ReadRoute(&b, 4)
	if err != nil || !slices.Equal(got, []int32{3, 0, 2}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestRun drives through the town, and has the folder scored, routes and pictures written.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, ext, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, name+ext), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const name = "00000007"
	write(name, ".nodes", "0.000000\t0.000000\n0.001000\t0.000000\n0.002000\t0.000000\n0.003000\t0.000000\n0.002000\t0.001000\n")
	write(name, ".arcs", "0\t1\n1\t0\n1\t2\n2\t1\n2\t3\n3\t2\n2\t4\n4\t2\n")
	write(name, ".route", "0\n2\n4\n")
	var track strings.Builder
	for i := range 30 {
		track.WriteString(strings.Join([]string{formatDeg(0.0001 + 0.0001*float64(i)*0.95), "0.000010", formatDeg(float64(i + 1))}, "\t") + "\n")
	}
	write(name, ".track", track.String())
	write("00000008", ".route", "broken\n")
	out, pictures := t.TempDir(), t.TempDir()
	rep, err := Run(t.Context(), Config{
		Options:  eval.Options{Dir: dir, Out: out, Pictures: pictures, Workers: 2},
		Sampling: []int{1, 5}, Draw: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"1s", "5s"} {
		b, err := os.ReadFile(filepath.Join(out, sub, name+".route"))
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != "0\n2\n4\n" {
			t.Errorf("%s: route %q", sub, b)
		}
	}
	var text bytes.Buffer
	if err := rep.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"00000007", "NOT SCORED", "median mismatch at 1 s", "met"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
	if found, err := filepath.Glob(filepath.Join(pictures, "*.svg")); err != nil || len(found) != 1 {
		t.Errorf("pictures: %v, %v", found, err)
	}
	if _, err := Run(t.Context(), Config{Options: eval.Options{Dir: t.TempDir()}}); !errors.Is(err, eval.ErrNoData) {
		t.Errorf("an empty folder: %v", err)
	}
}

func formatDeg(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }

func FuzzRead(f *testing.F) {
	f.Add("0\t0\t1\n0.001\t0\t2\n")
	f.Add("1e9 NaN -0\n\n\n5")
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := ReadNodes(strings.NewReader(text))
		for _, p := range nodes {
			if err == nil && !p.Valid() {
				t.Errorf("a node that is nowhere: %v", p)
			}
		}
		if arcs, err := ReadArcs(strings.NewReader(text), 3); err == nil {
			for _, a := range arcs {
				if a.From < 0 || a.From > 2 || a.To < 0 || a.To > 2 {
					t.Errorf("an arc to nowhere: %v", a)
				}
			}
			c := &Case{Nodes: []geo.Point{at(0, 0), at(0, 0), at(1, 0)}, Arcs: arcs}
			if n, err := NewNetwork(c); err == nil {
				for i := range arcs {
					n.Compare([]int32{int32(i)}, []int32{0})
				}
			}
		}
		_, _ = ReadTrack(strings.NewReader(text))
		_, _ = ReadRoute(strings.NewReader(text), 3)
	})
}
