package fleet

import (
	"testing"
	"time"
)

// restricted is the fixture's town with every fifth turn forbidden.
func restricted(t *testing.T) (*Network, map[[2]uint64]bool) {
	t.Helper()
	const nodes = fixtureSide*fixtureSide + 1
	roads := fixtureRoadsOf()
	forbidden := map[[2]uint64]bool{}
	k := 0
	for i := range roads {
		for o := range roads {
			if roads[o].From != roads[i].To || roads[o].Edge == roads[i].Edge^1 {
				continue
			}
			if k++; k%5 == 0 {
				roads[i].NotTo = append(roads[i].NotTo, roads[o].Edge)
				forbidden[[2]uint64{roads[i].Edge, roads[o].Edge}] = true
			}
		}
	}
	n, err := Build(nodes, roads)
	if err != nil {
		t.Fatal(err)
	}
	if n.ForbiddenTurns() < len(forbidden)*9/10 {
		t.Fatalf("%d of %d turns are forbidden", n.ForbiddenTurns(), len(forbidden))
	}
	return n, forbidden
}

func fixtureRoadsOf() []RoadSpec {
	_, roads := fixtureRoads()
	return roads
}

func TestRoutesKeepToRestrictions(t *testing.T) {
	n, forbidden := restricted(t)
	r := newRoutes(n, 16, 7, nil)
	for d, destination := range r.destinations {
		for start := range n.proper {
			at, steps := start, 0
			for n.junction(n.arcs[at].to) != destination {
				next := r.leave(uint16(d), n.arcs[at].to)
				if next < 0 || n.arcs[next].from != n.junction(n.arcs[at].to) || steps > 4*len(n.arcs) {
					t.Fatalf("from arc %d to %d: stuck on arc %d after %d", start, destination, at, steps)
				}
				if forbidden[[2]uint64{n.edges[at], n.edges[next]}] {
					t.Fatalf("from arc %d to %d: turns from %d into %d", start, destination, at, next)
				}
				at = next
				steps++
			}
			if r.leave(uint16(d), n.arcs[at].to) != -1 {
				t.Fatalf("destination %d goes on", destination)
			}
		}
	}
}

func TestCarsKeepToRestrictions(t *testing.T) {
	n, forbidden := restricted(t)
	cfg := fixtureConfig()
	cfg.WrongWays = 0
	last := map[int]int32{}
	turns := 0
	err := Generate(cfg, n, time.Unix(1_764_000_000, 0), 20_000, func(u *Upload) error {
		for _, o := range u.Truth {
			was, ok := last[u.Vehicle]
			if ok && was != o.Arc && n.junction(n.arcs[was].to) == n.arcs[o.Arc].from {
				turns++
				if forbidden[[2]uint64{n.edges[was], n.edges[o.Arc]}] {
					t.Fatalf("vehicle %d turns from arc %d into %d", u.Vehicle, was, o.Arc)
				}
			}
			last[u.Vehicle] = o.Arc
		}
		if u.Batch.Trip.Final {
			delete(last, u.Vehicle)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if turns < 1000 {
		t.Errorf("only %d turns seen", turns)
	}
}

// Where all that is allowed leads nowhere, the restriction must be wrong.
func TestNoGateIsATrap(t *testing.T) {
	roads := fixtureRoadsOf()
	for o := range roads {
		if roads[o].From == roads[0].To {
			roads[0].NotTo = append(roads[0].NotTo, roads[o].Edge)
		}
	}
	n, err := Build(fixtureSide*fixtureSide+1, roads)
	if err != nil {
		t.Fatal(err)
	}
	if n.ForbiddenTurns() != 0 {
		t.Errorf("%d turns are forbidden", n.ForbiddenTurns())
	}
}

func TestNobodyDrivesClosedRoads(t *testing.T) {
	n := fixtureNetwork(t)
	cfg := fixtureConfig()
	cfg.WrongWays = 0
	cfg.Closed = []uint64{n.edges[100], n.edges[100] ^ 1, n.edges[31]}
	err := Generate(cfg, n, time.Unix(1_764_000_000, 0), 10_000, func(u *Upload) error {
		for _, o := range u.Truth {
			for _, e := range cfg.Closed {
				if n.edges[o.Arc] == e {
					t.Fatalf("vehicle %d is on edge %d", u.Vehicle, e)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
