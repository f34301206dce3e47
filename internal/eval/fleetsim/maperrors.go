package fleetsim

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

const (
	carsForError = 10   // that must have driven a way for its error to be expected to be found
	nearM        = 25.0 // a suggested course is right within this
	stepM        = 10.0 // between the places that are compared
	foundShare   = 0.5  // of what was driven of a removed way
	shortM       = 30.0 // a way shorter than this is within the noise
)

// errorScore is how one arm did.
type errorScore struct {
	removed, removedFound int
	short, shortFound     int // of the removed ones
	flipped, flippedFound int
	shifted, shiftedFound int
	closed, closedFound   int
	made, madeFound       int // turns that the map forbids
	avoided, avoidedFound int // turns that the map allows
	candidates, falsely   int
	byType                map[maperror.Type][2]int // candidates, false ones
	moved                 []float64                // how far suggested courses of removed ways are off, m
	missed, wrong         []string
}

func (r *run) scoreMapErrors(ctx context.Context, report *eval.Report) error {
	var scores [arms]*errorScore
	for a := range arms {
		found, err := r.judgeMap(ctx, a)
		if err != nil {
			return err
		}
		scores[a] = r.scoreErrors(found)
	}
	t := eval.NewTable("Errors of the map", "", all.String(), sound.String())
	row := func(what string, f func(*errorScore) string) { t.Row(what, f(scores[all]), f(scores[sound])) }
	row("ways that the map lacks, driven by ≥ 10 sound cars a day", func(s *errorScore) string { return strconv.Itoa(s.removed) })
	row("  found, %", func(s *errorScore) string { return percent(s.removedFound, s.removed) })
	row("  of those shorter than 30 m: found of", func(s *errorScore) string { return fmt.Sprintf("%d of %d", s.shortFound, s.short) })
	row("  suggested course off the true one, m: median, p90", func(s *errorScore) string { return quantiles(s.moved, 1) })
	row("one-way ways the wrong way round, driven by ≥ 10", func(s *errorScore) string { return strconv.Itoa(s.flipped) })
	row("  found, %", func(s *errorScore) string { return percent(s.flippedFound, s.flipped) })
	row("ways beside their place, driven by ≥ 10", func(s *errorScore) string { return strconv.Itoa(s.shifted) })
	row("  found, %", func(s *errorScore) string { return percent(s.shiftedFound, s.shifted) })
	row("ways closed since, driven by ≥ 10 on each day before", func(s *errorScore) string { return strconv.Itoa(s.closed) })
	row("  found, %", func(s *errorScore) string { return percent(s.closedFound, s.closed) })
	row("turns that the map forbids wrongly, made by ≥ 10", func(s *errorScore) string { return strconv.Itoa(s.made) })
	row("  found, %", func(s *errorScore) string { return percent(s.madeFound, s.made) })
	row("turns that the map allows wrongly, ≥ 10 made a detour", func(s *errorScore) string { return strconv.Itoa(s.avoided) })
	row("  found, %", func(s *errorScore) string { return percent(s.avoidedFound, s.avoided) })
	row("candidates", func(s *errorScore) string { return strconv.Itoa(s.candidates) })
	row("  false, %", func(s *errorScore) string { return percent(s.falsely, s.candidates) })
	for k := maperror.MissingRoad; k <= maperror.WrongTurn; k++ {
		row("  "+typeName(k)+": candidates, false", func(s *errorScore) string { return fmt.Sprintf("%d, %d", s.byType[k][0], s.byType[k][1]) })
	}
	report.Tables = append(report.Tables, t)
	s := scores[all]
	report.Aims = append(report.Aims,
		eval.Aim{
			Name: "errors of the map found where driven by ≥ 10 cars", Want: 90, Got: share(s.found(), s.expected()), Unit: "%", Places: 1, Least: true,
			Note: fmt.Sprintf("%d of %d", s.found(), s.expected()),
		},
		eval.Aim{Name: "false candidates of errors", Want: 5, Got: share(s.falsely, s.candidates), Unit: "%", Places: 1, Note: fmt.Sprintf("%d of %d", s.falsely, s.candidates)},
	)
	for _, m := range s.missed[:min(len(s.missed), maxListed)] {
		r.cfg.Logf("missed: %s", m)
	}
	for _, m := range s.wrong[:min(len(s.wrong), maxListed)] {
		r.cfg.Logf("false: %s", m)
	}
	return nil
}

func typeName(t maperror.Type) string {
	return [...]string{"unknown", "missing road", "wrong one-way", "moved geometry", "closed road", "missing turn", "wrong turn"}[t]
}

// judgeMap judges all tiles with evidence and their neighbours.
func (r *run) judgeMap(ctx context.Context, a arm) ([]maperror.Candidate, error) {
	byTile := map[uint32][]learn.Evidence{}
	for _, kind := range [...]learn.Kind{learn.OffRoadEvidence, learn.EdgeFaultEvidence, learn.TurnEvidence, learn.TrailEvidence} {
		for _, e := range r.evidence(a, kind) {
			byTile[uint32(e.Key>>25)] = append(byTile[uint32(e.Key>>25)], e)
		}
	}
	tiles := map[uint32]struct{}{}
	for q := range byTile {
		for _, n := range maperror.Neighbours(q) {
			tiles[n] = struct{}{}
		}
	}
	passes := r.passesOf(a)
	last := r.plan[len(r.plan)-1].start
	var found []maperror.Candidate
	for _, q := range slices.Sorted(maps.Keys(tiles)) {
		g, err := maperror.Area(ctx, r.ground.roads, q)
		if err != nil {
			return nil, err
		}
		in := maperror.Input{Tile: q, Map: g, Passes: map[road.Edge][]maperror.DayPasses{}, ThroughMS: last.UnixMilli() - last.UnixMilli()%learn.DayMS + learn.DayMS}
		for _, n := range maperror.Neighbours(q) {
			in.Evidence = append(in.Evidence, byTile[n]...)
		}
		for i := range road.Index(g.NumIndexes()) {
			if p := passes[g.Edge(i)]; p != nil {
				in.Passes[g.Edge(i)] = p
			}
		}
		found = append(found, maperror.Judge(in, maperror.Config{})...)
	}
	return found, nil
}

// daysDriven is on how many days enough cars drove a segment.
func (b *brokenWay) daysDriven(id road.SegmentID) (days int) {
	perDay := map[int64]int{}
	for v := range b.cars[id] {
		if perDay[v.dayMS]++; perDay[v.dayMS] == carsForError {
			days++
		}
	}
	return days
}

// drivenPart is the segments of a way that enough cars drove on one day.
func (b *brokenWay) drivenPart() (part []road.Segment, length float64) {
	for _, s := range b.segments {
		perDay := map[int64]int{}
		most := 0
		for v := range b.cars[s.ID] {
			perDay[v.dayMS]++
			most = max(most, perDay[v.dayMS])
		}
		if most >= carsForError {
			part, length = append(part, s), length+s.LengthM
		}
	}
	return part, length
}

func (r *run) scoreErrors(found []maperror.Candidate) *errorScore {
	s := &errorScore{byType: map[maperror.Type][2]int{}}
	g := r.ground
	for i := range g.removed {
		b := &g.removed[i]
		part, length := b.drivenPart()
		if len(part) == 0 {
			continue
		}
		s.removed++
		hit, off := covered(part, found)
		if length < shortM {
			s.short++
		}
		if hit < foundShare {
			s.missed = append(s.missed, fmt.Sprintf("way %d, removed: %d of %d segments driven, %.0f m, %.0f %% of it found, at %s", b.id, len(part), len(b.segments), length, 100*hit, at(part[0].Shape[0])))
			continue
		}
		s.removedFound++
		s.moved = append(s.moved, off...)
		if length < shortM {
			s.shortFound++
		}
	}
	for i := range g.flipped {
		b := &g.flipped[i]
		part, length := b.drivenPart()
		if len(part) == 0 {
			continue
		}
		s.flipped++
		if r.flipFound(b, found) {
			s.flippedFound++
		} else {
			s.missed = append(s.missed, fmt.Sprintf("way %d, flipped: %d segments driven, %.0f m, at %s", b.id, len(part), length, at(part[0].Shape[0])))
		}
	}
	for i := range g.moved {
		b := &g.moved[i]
		part, length := b.drivenPart()
		if len(part) == 0 {
			continue
		}
		s.shifted++
		if courseFound(part, found) >= foundShare {
			s.shiftedFound++
		} else {
			s.missed = append(s.missed, fmt.Sprintf("way %d, moved: %d segments driven, %.0f m, at %s", b.id, len(part), length, at(part[0].Shape[0])))
		}
	}
	for i := range g.closed {
		b := &g.closed[i]
		part, length := b.drivenPart()
		part = slices.DeleteFunc(part, func(s road.Segment) bool { return b.daysDriven(s.ID) < closedFrom })
		if len(part) == 0 {
			continue
		}
		s.closed++
		if slices.ContainsFunc(found, func(c maperror.Candidate) bool { return c.Type == maperror.ClosedRoad && contains(c.Geometry, part) }) {
			s.closedFound++
		} else {
			s.missed = append(s.missed, fmt.Sprintf("way %d, closed: %d segments driven, %.0f m, at %s", b.id, len(part), length, at(part[0].Shape[0])))
		}
	}
	for _, b := range g.turns {
		if !b.driven() {
			continue
		}
		all, hits, what := &s.made, &s.madeFound, "forbidden"
		if !b.made {
			all, hits, what = &s.avoided, &s.avoidedFound, "allowed"
		}
		*all++
		if slices.ContainsFunc(found, func(c maperror.Candidate) bool { return b.is(&c) }) {
			*hits++
		} else {
			s.missed = append(s.missed, fmt.Sprintf("turn from %d into %d, wrongly %s: %d cars", b.turn.From, b.turn.To, what, len(b.cars)))
		}
	}
	for i := range found {
		c := &found[i]
		n := s.byType[c.Type]
		n[0]++
		s.candidates++
		if !r.trueCandidate(c) {
			s.falsely++
			n[1]++
			s.wrong = append(s.wrong, fmt.Sprintf("%s at %s: edge %d to %d, %d vehicles for, %d against, score %.2f; %.0f m long; nearest error %s", typeName(c.Type), at(c.At), c.Edge, c.To, c.Vehicles, c.Against, c.Score, lengthOf(c.Geometry), r.nearestError(c.At)))
		}
		s.byType[c.Type] = n
	}
	return s
}

// nearestError says which way that was broken is nearest to a place, for whoever looks into a false candidate.
func (r *run) nearestError(p geo.Point) string {
	best, name := math.Inf(1), "none"
	for _, kind := range [...]struct {
		name string
		ways []brokenWay
	}{{"removed", r.ground.removed}, {"flipped", r.ground.flipped}, {"moved", r.ground.moved}, {"closed", r.ground.closed}} {
		for i := range kind.ways {
			for _, s := range kind.ways[i].segments {
				if d := distanceM(s.Shape, p); d < best {
					best, name = d, kind.name
				}
			}
		}
	}
	return fmt.Sprintf("%s, %.0f m", name, best)
}

func lengthOf(line []geo.Point) (m float64) {
	for i := 1; i < len(line); i++ {
		m += geo.DistanceM(line[i-1], line[i])
	}
	return m
}

func at(p geo.Point) string { return fmt.Sprintf("%.5f,%.5f", p.Lat(), p.Lon()) }

// covered is the share of the segments' length that lies along a suggested course, and how
// far off that is.
func covered(part []road.Segment, found []maperror.Candidate) (share float64, off []float64) {
	n := 0
	for _, s := range part {
		for _, p := range along(s.Shape) {
			n++
			best := math.Inf(1)
			for i := range found {
				if t := found[i].Type; t == maperror.MissingRoad || t == maperror.MissingTurn {
					best = min(best, distanceM(found[i].Geometry, p))
				}
			}
			if best <= nearM {
				off = append(off, best)
			}
		}
	}
	return float64(len(off)) / float64(max(n, 1)), off
}

// flipFound reports whether a candidate names a segment of a way; ids are those of the map,
// which may cut the way elsewhere.
func (r *run) flipFound(b *brokenWay, found []maperror.Candidate) bool {
	return slices.ContainsFunc(found, func(c maperror.Candidate) bool {
		return c.Type == maperror.WrongOneWay && r.isOf(c.Edge, b.segments)
	})
}

// isOf reports whether an edge of the map runs along some of the truth's segments.
func (r *run) isOf(e road.Edge, segments []road.Segment) bool {
	i, ok := r.ground.graph.Find(e)
	if !ok {
		return false
	}
	points := along(r.ground.graph.Shape(i))
	n := 0
	for _, p := range points {
		for _, s := range segments {
			if distanceM(s.Shape, p) < 1 {
				n++
				break
			}
		}
	}
	return 2*n > len(points)
}

// trueCandidate reports whether a candidate tells of something that was done to the map.
func (r *run) trueCandidate(c *maperror.Candidate) bool {
	switch c.Type {
	case maperror.WrongOneWay:
		for i := range r.ground.flipped {
			if r.isOf(c.Edge, r.ground.flipped[i].segments) {
				return true
			}
		}
		return false
	case maperror.MovedGeometry:
		for i := range r.ground.moved {
			if alongAny(c.Geometry, r.ground.moved[i].segments, nearM) {
				return true
			}
		}
		return false
	case maperror.ClosedRoad:
		for i := range r.ground.closed {
			if contains(c.Geometry, r.ground.closed[i].segments) {
				return true
			}
		}
		return false
	case maperror.WrongTurn:
		return r.isTurn(c)
	case maperror.MissingRoad, maperror.MissingTurn:
		if r.isTurn(c) {
			return true
		}
		points, n := along(c.Geometry), 0
		for _, p := range points {
			if r.nearRemoved(p) {
				n++
			}
		}
		return len(points) > 0 && 2*n > len(points)
	default:
		return false
	}
}

// contains reports whether most of any of some segments is on a stretch of road.
func contains(stretch []geo.Point, segments []road.Segment) bool {
	const onM = 1.0
	return slices.ContainsFunc(segments, func(s road.Segment) bool {
		points, n := along(s.Shape), 0
		for _, p := range points {
			if distanceM(stretch, p) <= onM {
				n++
			}
		}
		return 2*n > len(points)
	})
}

func (r *run) isTurn(c *maperror.Candidate) bool {
	return slices.ContainsFunc(r.ground.turns, func(b *brokenTurn) bool { return b.is(c) })
}

// expected is how many errors were driven by enough cars, found how many of those were found.
func (s *errorScore) expected() int {
	return s.removed + s.flipped + s.shifted + s.closed + s.made + s.avoided
}

func (s *errorScore) found() int {
	return s.removedFound + s.flippedFound + s.shiftedFound + s.closedFound + s.madeFound + s.avoidedFound
}

// alongAny reports whether most of a line is within reachM of segments.
func alongAny(line []geo.Point, segments []road.Segment, reachM float64) bool {
	points, n := along(line), 0
	for _, p := range points {
		if slices.ContainsFunc(segments, func(s road.Segment) bool { return distanceM(s.Shape, p) <= reachM }) {
			n++
		}
	}
	return len(points) > 0 && 2*n > len(points)
}

// courseM is how near to the truth the suggested course of a moved road must be: nearer than
// what it was moved by.
const courseM = 6.0

// courseFound is the share of the segments' length along which a moved road's right course
// is suggested.
func courseFound(part []road.Segment, found []maperror.Candidate) float64 {
	n, all := 0, 0
	for _, s := range part {
		for _, p := range along(s.Shape) {
			all++
			if slices.ContainsFunc(found, func(c maperror.Candidate) bool {
				return c.Type == maperror.MovedGeometry && distanceM(c.Geometry, p) <= courseM
			}) {
				n++
			}
		}
	}
	return float64(n) / float64(max(all, 1))
}

func (r *run) nearRemoved(p geo.Point) bool {
	for i := range r.ground.removed {
		for _, s := range r.ground.removed[i].segments {
			if distanceM(s.Shape, p) <= nearM {
				return true
			}
		}
	}
	return false
}

// along is a line's places every stepM.
func along(line []geo.Point) []geo.Point {
	if len(line) == 0 {
		return nil
	}
	out := []geo.Point{line[0]}
	for i := 1; i < len(line); i++ {
		d := geo.DistanceM(line[i-1], line[i])
		steps := max(int(math.Ceil(d/stepM)), 1)
		for k := 1; k <= steps; k++ {
			out = append(out, geo.Between(line[i-1], line[i], float64(k)/float64(steps)))
		}
	}
	return out
}

// distanceM is how far p is from a line; infinite without one.
func distanceM(line []geo.Point, p geo.Point) float64 {
	best := math.Inf(1)
	scale := geo.Scale(p.LatE7)
	for i := 1; i < len(line); i++ {
		d2, _ := road.Foot(p, line[i-1], line[i], scale)
		best = min(best, d2)
	}
	return math.Sqrt(best)
}
