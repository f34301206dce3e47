package learn_test

import (
	"slices"
	"testing"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
)

// on is a match at metres from an edge's start.
func on(e road.Edge, m float32) match.Result { return match.Result{Edge: e, OffsetM: m, OK: true} }

func TestApproaches(t *testing.T) {
	const a, b, c road.Edge = 10, 20, 30
	for name, tc := range map[string]struct {
		matches []match.Result
		path    []match.Step
		want    []road.Edge
	}{
		"the junction counts for the road before": {
			[]match.Result{on(a, 90), on(b, 4), on(b, 12)},
			[]match.Step{{Edge: a, First: 0, Last: 1, Break: true}, {Edge: b, First: 1, Last: 3, JunctionM: 10}},
			[]road.Edge{a, a, b},
		},
		"where a road only goes on there is none": {
			[]match.Result{on(a, 90), on(b, 4)},
			[]match.Step{{Edge: a, First: 0, Last: 1, Break: true}, {Edge: b, First: 1, Last: 2}},
			[]road.Edge{a, b},
		},
		"the way before a break is not known": {
			[]match.Result{on(a, 90), on(b, 4)},
			[]match.Step{{Edge: a, First: 0, Last: 1, Break: true}, {Edge: b, First: 1, Last: 2, Break: true}},
			[]road.Edge{a, b},
		},
		"no speed for whoever drove against a one-way": {
			[]match.Result{on(a, 90), on(b, 4)},
			[]match.Step{{Edge: a, First: 0, Last: 1, Break: true, WrongWay: true}, {Edge: b, First: 1, Last: 2, JunctionM: 10}},
			[]road.Edge{a, b},
		},
		"the road before may have been passed between two samples, and samples may be off the road": {
			[]match.Result{on(a, 90), {}, on(c, 2), {}, on(c, 30)},
			[]match.Step{{Edge: a, First: 0, Last: 1, Break: true}, {Edge: b, JunctionM: 3}, {Edge: c, First: 2, Last: 5, JunctionM: 10}},
			[]road.Edge{a, 0, b, 0, c},
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			got := slices.Repeat([]road.Edge{99}, len(tc.matches))
			learn.Approaches(&learn.Drive{Matches: tc.matches, Path: tc.path}, got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
