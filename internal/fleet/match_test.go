package fleet

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/osm"
	"github.com/carasso/carasso/mapdata/road"
)

// oneMap serves a small map as if it were one partition.
type oneMap struct{ part *road.Partition }

func (m oneMap) Partition(context.Context, uint32) (*road.Partition, error) { return m.part, nil }

// andorra is the demo map, from a dependency's test data: © OpenStreetMap contributors.
func andorra(tb testing.TB) *road.Graph {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/paulmach/osm").Output()
	if err != nil || len(dir) == 0 {
		tb.Fatalf("the demo map is missing: run 'go mod download github.com/paulmach/osm': %v", err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "andorra-latest.osm.bz2"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	extract, _, err := osm.Read(tb.Context(), f)
	if err != nil {
		tb.Fatal(err)
	}
	segments, _ := road.Build(extract.Ways, extract.Restrictions...)
	box := geo.EmptyBox()
	for _, s := range segments {
		for _, p := range s.Shape {
			box = box.Extend(p)
		}
	}
	g, err := road.NewGraph(segments, box.Expand(road.MarginM))
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// TestTolerancesHoldForTheMatcher drives over the demo map and matches what the
// vehicles report, as the pipeline does: the tolerances of verification leave room, and
// an error of 1.5 km/h does not.
func TestTolerancesHoldForTheMatcher(t *testing.T) {
	g := andorra(t)
	n, err := NewNetwork(g)
	if err != nil {
		t.Fatal(err)
	}
	arcOf := make(map[road.Edge]int32, n.Arcs())
	for i := range n.edges {
		arcOf[road.Edge(n.edges[i])] = int32(i)
	}
	cfg := DefaultConfig()
	cfg.Vehicles = 2000
	m := match.New(oneMap{&road.Partition{Graph: g}})
	truth, found := make([]speedSum, n.Arcs()), make([]speedSum, n.Arcs())
	var sent, counted int64
	results, on := make([]match.Result, cfg.BatchSize), make([]road.Edge, cfg.BatchSize)
	err = Generate(cfg, n, fixtureStart, 15_000, func(u *Upload) error {
		if err := m.Match(t.Context(), u.Batch.Samples, results); err != nil {
			return err
		}
		learn.Approaches(&learn.Drive{Matches: results[:len(u.Batch.Samples)], Path: m.Path()}, on)
		for i, tr := range u.Truth {
			sent++
			truth[tr.On].n++
			truth[tr.On].sumCMPS += int64(tr.SpeedCMPS)
			if !results[i].OK {
				continue
			}
			counted++
			if arc, ok := arcOf[on[i]]; ok {
				found[arc].n++
				found[arc].sumCMPS += int64(tr.SpeedCMPS)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		faster float64
		ok     bool
	}{{"exact", 0, true}, {"1.5 km/h too fast", 1.5, false}} {
		var all []speedError
		for i := range truth {
			if found[i].n == 0 {
				continue
			}
			mean := float64(found[i].sumCMPS)/float64(found[i].n)*0.036 + c.faster
			if e, ok := compare(truth[i], learned{samples: found[i].n, meanKMH: mean}); ok {
				all = append(all, e)
			}
		}
		r := Report{Checks: judge(all, tally{sent: sent, counted: counted})}
		for _, k := range r.Checks {
			t.Logf("%s: %+v", c.name, k)
		}
		if r.OK() != c.ok {
			t.Errorf("%s: passed: %v", c.name, r.OK())
		}
	}
}
