package fleetsim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/eval"
)

// town is a grid of 8 by 8 junctions, 250 m apart: every fourth row is a one-way street, the
// borders are main roads.
func town(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	const side = 8
	b.WriteString("<osm version=\"0.6\">\n")
	for y := range side {
		for x := range side {
			fmt.Fprintf(&b, "<node id=\"%d\" lat=\"%.6f\" lon=\"%.6f\"/>\n", 1+y*side+x, 42.5+float64(y)*0.00225, 1.5+float64(x)*0.00305)
		}
	}
	way := 1000
	street := func(nodes []int, tags string) {
		for i := 1; i < len(nodes); i++ {
			fmt.Fprintf(&b, "<way id=\"%d\"><nd ref=\"%d\"/><nd ref=\"%d\"/>%s</way>\n", way, nodes[i-1], nodes[i], tags)
			way++
		}
	}
	tag := func(k, v string) string { return fmt.Sprintf("<tag k=%q v=%q/>", k, v) }
	for n := range side {
		var row, column []int
		for k := range side {
			row, column = append(row, 1+n*side+k), append(column, 1+k*side+n)
		}
		kind := tag("highway", "secondary") + tag("maxspeed", "50") + tag("name", fmt.Sprintf("Street %d", n))
		if n == 0 || n == side-1 {
			kind = tag("highway", "primary") + tag("maxspeed", "80")
		}
		street(column, kind)
		if n%4 == 2 {
			kind += tag("oneway", "yes")
		}
		street(row, kind)
	}
	b.WriteString("</osm>\n")
	path := filepath.Join(tb.TempDir(), "town.osm")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func config(tb testing.TB, workers int) Config {
	tb.Helper()
	cfg := DefaultConfig()
	cfg.Options = eval.Options{Workers: workers}
	cfg.Map, cfg.Cars, cfg.Driving = town(tb), 150, 15*time.Minute
	cfg.Removed, cfg.Flipped = 0.03, 0.15
	return cfg
}

// TestFiguresAreReproducible: the same seed gives the same report, whatever the number of
// workers, and every aim has a figure.
func TestFiguresAreReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates a quarter of an hour, six times")
	}
	for seed := range uint64(3) {
		var reports [2]string
		for i := range reports {
			cfg := config(t, 1+2*i)
			cfg.Seed = seed + 1
			r, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			r.Notes = r.Notes[1:] // tells how long it took
			var b strings.Builder
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			reports[i] = b.String()
			if len(r.Aims) != 9 || len(r.Tables) < 5 {
				t.Errorf("%d aims, %d tables", len(r.Aims), len(r.Tables))
			}
			for _, a := range r.Aims {
				if strings.HasPrefix(a.Name, "15-minute") && !a.Met() {
					t.Errorf("seed %d: speeds: %+v", cfg.Seed, a)
				}
			}
		}
		if reports[0] != reports[1] {
			t.Errorf("seed %d: one worker:\n%s\nthree workers:\n%s", seed+1, reports[0], reports[1])
		}
	}
}

// TestTheMapIsBroken: what is removed is not on the map, what is flipped may be driven the
// other way only, and nothing else differs.
func TestTheMapIsBroken(t *testing.T) {
	cfg := config(t, 1)
	g, err := newGround(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.removed) == 0 || len(g.flipped) == 0 {
		t.Fatalf("%d removed, %d flipped", len(g.removed), len(g.flipped))
	}
	for _, b := range g.removed {
		for _, s := range b.segments {
			if _, ok := g.graph.Segment(s.ID); ok || len(b.segments) == 0 {
				t.Errorf("way %d is on the map", b.id)
			}
		}
	}
	for _, b := range g.flipped {
		for _, s := range b.segments {
			onMap, ok := g.graph.Segment(s.ID)
			if !ok || onMap.Allows(false) == s.Allows(false) || onMap.Allows(true) == s.Allows(true) {
				t.Errorf("way %d: flags %v on the map, %v in truth", b.id, onMap.Flags, s.Flags)
			}
		}
	}
	broken := len(g.removed)
	if n := g.truth.NumSegments() - g.graph.NumSegments(); n < broken {
		t.Errorf("the map has %d segments less, %d ways removed", n, broken)
	}
}

func TestSessionsBringAllConditions(t *testing.T) {
	for seed := range uint64(5) {
		list, wet := plan(2*time.Hour, seed+1)
		total, night := time.Duration(0), false
		for _, s := range list {
			total += s.length
			night = night || s.start.Hour() >= 22
			if s.start.Day() != s.start.Add(s.length).Day() {
				t.Errorf("seed %d: session from %s runs over midnight", seed, s.start)
			}
		}
		if total != 2*time.Hour || !night || wet < 20*time.Minute || wet > 90*time.Minute {
			t.Errorf("seed %d: %s in %d sessions, wet for %s, night %v", seed, total, len(list), wet, night)
		}
	}
	if list, _ := plan(6*time.Hour, 1); len(list) != 5 {
		t.Errorf("6 h in %d sessions", len(list))
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"map": func(c *Config) { c.Map = "" }, "cars": func(c *Config) { c.Cars = 1 }, "hours": func(c *Config) { c.Driving = time.Minute },
		"removed": func(c *Config) { c.Removed = 1 }, "flipped": func(c *Config) { c.Flipped = 1 }, "workers": func(c *Config) { c.Workers = 0 },
	} {
		cfg := config(t, 1)
		change(&cfg)
		if cfg.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
