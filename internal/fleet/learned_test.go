package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// teacher is a management API that has learned limits and hazards.
type teacher struct {
	limits  map[uint64]int
	hazards []learnedHazard
}

func (s *teacher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	features, next := []map[string]any{}, ""
	switch r.URL.Path {
	case "/v1/limits":
		for e, kmh := range s.limits {
			features = append(features, map[string]any{"id": e, "properties": map[string]any{"learned": kmh, "variants": []any{}}})
		}
	case "/v1/hazards":
		const most = 7 // of a page
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		to := min(from+most, len(s.hazards))
		for _, h := range s.hazards[from:to] {
			features = append(features, map[string]any{"properties": h})
		}
		if to < len(s.hazards) {
			next = strconv.Itoa(to)
		}
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"features": features, "next_cursor": next})
}

// TestLearnedIsComparedWithTheTruth: the limits and hazards that a management API tells must
// be those of the simulation, not those of the map.
func TestLearnedIsComparedWithTheTruth(t *testing.T) {
	n := mainRoads(t)
	cfg := fixtureConfig()
	cfg.WrongLimits = 0.3
	sim, err := NewSimulation(cfg, n, fixtureStart)
	if err != nil {
		t.Fatal(err)
	}
	posted, mapped := map[uint64]int{}, map[uint64]int{}
	for i := range n.proper {
		posted[n.Edge(i)], mapped[n.Edge(i)] = int(sim.Limit(i).KMH), n.MapKMH(i)
	}
	var there, elsewhere []learnedHazard
	for i := range sim.world.zones {
		z := &sim.world.zones[i]
		at := fixtureStart.Add(time.Duration(z.start+z.cycle) * time.Millisecond)
		h := learnedHazard{Category: z.hazard.String(), Edge: n.Edge(z.arc), Started: at.Add(time.Second), Updated: at.Add(time.Minute)}
		for range 10 {
			there = append(there, h)
		}
	}
	for i := range n.proper {
		at := fixtureStart.Add(time.Minute)
		if !sim.hazardNear(i, at.UnixMilli()) {
			elsewhere = append(elsewhere, learnedHazard{Category: telemetry.Obstacle.String(), Edge: n.Edge(i), Started: at, Updated: at})
		}
	}
	none := map[uint64]learnedLimit{}
	same := map[uint64]learnedLimit{}
	for e, kmh := range mapped {
		same[e] = learnedLimit{kmh: kmh}
	}
	for name, c := range map[string]struct {
		s              http.Handler
		before         map[uint64]learnedLimit
		limits, hazard bool
		note           string
	}{
		"truth":           {&teacher{posted, there}, none, true, true, ""},
		"the map's":       {&teacher{mapped, nil}, none, false, true, ""},
		"known before":    {&teacher{mapped, nil}, same, true, true, "too few"},
		"hazards nowhere": {&teacher{nil, elsewhere}, none, true, false, "too few"},
		"not offered":     {http.NotFoundHandler(), none, true, true, "NOTHING"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.s)
			defer server.Close()
			v := &verifier{cfg: cfg, net: n, client: newManagementClient(server.URL, ""), beforeLimits: c.before}
			defer v.client.close()
			checks, err := v.checkLearned(t.Context(), sim, fixtureStart)
			if err != nil || len(checks) != 2 {
				t.Fatalf("%d checks, %v", len(checks), err)
			}
			if checks[0].OK != c.limits || checks[1].OK != c.hazard || !strings.Contains(checks[0].Note, c.note) {
				t.Errorf("checks %+v", checks)
			}
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer server.Close()
	v := &verifier{cfg: cfg, net: n, client: newManagementClient(server.URL, "")}
	defer v.client.close()
	if _, err := v.checkLearned(t.Context(), sim, fixtureStart); err == nil {
		t.Error("a broken management API: no error")
	}
}

// TestRidersCost: vehicles that keep a map ask for it, and what that costs is told by the hour.
func TestRidersCost(t *testing.T) {
	b := newBackend(t)
	cfg := b.config()
	cfg.Riders, cfg.Verify = 3, false
	r, err := Run(t.Context(), cfg, b.deps())
	if err != nil {
		t.Fatal(err)
	}
	if r.Riding.Cars != 3 || r.Riding.Traffic.Requests < 3 { // the backend has no tiles: they are refused
		t.Errorf("riding %+v", r.Riding)
	}
	var g Riding
	g.Cars, g.After = 2, 30*time.Minute
	g.Loaded.Roads.Down, g.Traffic.Roads.Down, g.Traffic.Overhead.Up = 500_000, 700_000, 1000
	if down, up := g.PerCarHour(); down != 200_000 || up != 1000 {
		t.Errorf("%.0f down, %.0f up per car-hour", down, up)
	}
	var table strings.Builder
	r.Riding = g
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), fmt.Sprintf("then %d kB down", 200)) {
		t.Errorf("%v:\n%s", err, table.String())
	}
}
