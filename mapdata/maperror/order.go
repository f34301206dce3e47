package maperror

import (
	"cmp"
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
)

// sortedRoads are the roads, the longest first.
func sortedRoads(roads []missingRoad) []missingRoad {
	slices.SortStableFunc(roads, func(a, b missingRoad) int {
		return cmp.Or(-cmp.Compare(lengthM(a.line), lengthM(b.line)), comparePoints(a.line, b.line))
	})
	return roads
}

// sortedGaps are the gaps, those with the most votes first.
func sortedGaps(gaps []gap) []gap {
	slices.SortStableFunc(gaps, func(a, b gap) int {
		return cmp.Or(-cmp.Compare(a.tally.n, b.tally.n), byEdge(a.edges[0], b.edges[0]), byEdge(a.edges[1], b.edges[1]))
	})
	return gaps
}

func comparePoints(a, b []geo.Point) int {
	return slices.CompareFunc(a, b, func(p, q geo.Point) int {
		return cmp.Or(cmp.Compare(p.LatE7, q.LatE7), cmp.Compare(p.LonE7, q.LonE7))
	})
}
