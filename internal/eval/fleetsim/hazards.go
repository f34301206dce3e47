package fleetsim

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// spellKey names one time that a zone was on.
type spellKey struct {
	session, zone int
	sinceMS       int64
}

// spell is one time that a hazard was really there, with all who passed then and after,
// until it was there again.
type spell struct {
	category        telemetry.Hazard
	edge            road.Edge
	fromMS, untilMS int64
	during, after   []entry
}

// entry is a car that came upon the place of a hazard.
type entry struct {
	vehicle   int
	bad       bool
	ms        int64 // when
	arrivedMS int64 // when its batch arrived
	alarm     bool  // the batch reports a hazard
}

// pass notes who passed a zone.
func (r *run) pass(session, zone int, edge road.Edge, e entry, h telemetry.Hazard, since, until int64) {
	if h == telemetry.HazardUnknown {
		if s := r.last[zone]; s != nil {
			s.after = append(s.after, e)
		}
		return
	}
	k := spellKey{session, zone, since}
	s := r.spells[k]
	if s == nil {
		s = &spell{category: h, edge: edge, fromMS: since, untilMS: until}
		r.spells[k] = s
	}
	r.last[zone] = s
	s.during = append(s.during, e)
}

// enoughCars is how many cars must have passed for a hazard to be expected to be published,
// and clean for it to be expected gone.
const enoughCars = 3

// explainedMS is how long after a hazard's end its late reports may still arrive.
const explainedMS = 5 * 60_000

// hazardScore is how one arm did.
type hazardScore struct {
	due, prompt, published int // spells with enough passes
	cars, seconds          []float64
	dueGone, gone          int // published spells with enough clean passes after
	lingered               []float64
	places                 int // publications in all
	beside                 int // of a hazard on a road that touches
	weather                int // of weather that is so there
	other                  int // of another category than is there
	falsely                int
	wrongWay, wrongWayTrue int
	byCategory             map[telemetry.Hazard]*byCategory
	examples               []string // of false ones
}

// byCategory is how one category did.
type byCategory struct{ due, published, prompt, falsely int }

func (s *hazardScore) of(h telemetry.Hazard) *byCategory {
	if s.byCategory[h] == nil {
		s.byCategory[h] = &byCategory{}
	}
	return s.byCategory[h]
}

func (r *run) scoreHazards(_ context.Context, report *eval.Report) error {
	var scores [arms]*hazardScore
	for a := range arms {
		scores[a] = r.scoreWatch(a)
	}
	t := eval.NewTable("Hazards", "", all.String(), sound.String())
	row := func(what string, f func(*hazardScore) string) { t.Row(what, f(scores[all]), f(scores[sound])) }
	row("times that one was there, passed by ≥ 3 cars", func(s *hazardScore) string { return strconv.Itoa(s.due) })
	row("  published, %", func(s *hazardScore) string { return percent(s.published, s.due) })
	row("  published within 3 passing cars, %", func(s *hazardScore) string { return percent(s.prompt, s.due) })
	row("  cars that had passed then: median, p90", func(s *hazardScore) string { return quantiles(s.cars, 0) })
	row("  seconds since the first came upon it: median, p90", func(s *hazardScore) string { return quantiles(s.seconds, 0) })
	row("published ones passed clean by ≥ 3 cars after their end", func(s *hazardScore) string { return strconv.Itoa(s.dueGone) })
	row("  gone within 60 s of the third, %", func(s *hazardScore) string { return percent(s.gone, s.dueGone) })
	row("  seconds from the third to the end: median, p90", func(s *hazardScore) string { return quantiles(s.lingered, 0) })
	row("publications, by road and category", func(s *hazardScore) string { return strconv.Itoa(s.places) })
	row("  of fog or heavy rain, which is there then", func(s *hazardScore) string { return strconv.Itoa(s.weather) })
	row("  of another category than is there", func(s *hazardScore) string { return strconv.Itoa(s.other) })
	row("  on a road that touches its road, or comes within 30 m", func(s *hazardScore) string { return strconv.Itoa(s.beside) })
	row("  where nothing is", func(s *hazardScore) string { return strconv.Itoa(s.falsely) })
	row("road-hours driven (cell-hours)", func(s *hazardScore) string { return strconv.Itoa(len(r.hazards[all].hours)) })
	row("  false publications per 1,000", func(s *hazardScore) string { return fmt.Sprintf("%.3f", r.perThousand(s)) })
	drives := 0
	for _, times := range r.wrong {
		drives += len(times)
	}
	row("wrong-way drivers on any class of road", func(*hazardScore) string { return strconv.Itoa(drives) })
	row("  warnings of them, of those true", func(s *hazardScore) string { return fmt.Sprintf("%d, %d", s.wrongWay, s.wrongWayTrue) })
	report.Tables = append(report.Tables, t)
	if s := scores[all]; len(s.byCategory) > 0 {
		f := eval.NewTable("Hazards by category, all cars", "", "THERE", "PUBLISHED %", "WITHIN 3 CARS %", "FALSE")
		kinds := make([]telemetry.Hazard, 0, len(s.byCategory))
		for h := range s.byCategory {
			kinds = append(kinds, h)
		}
		slices.Sort(kinds)
		for _, h := range kinds {
			c := s.byCategory[h]
			f.Row(h.String(), c.due, percent(c.published, c.due), percent(c.prompt, c.due), c.falsely)
		}
		report.Tables = append(report.Tables, f)
	}
	s := scores[all]
	for _, e := range s.examples[:min(len(s.examples), maxListed)] {
		r.cfg.Logf("false hazard: %s", e)
	}
	report.Aims = append(report.Aims,
		eval.Aim{Name: "hazards published within 3 passing cars", Want: 90, Got: share(s.prompt, s.due), Unit: "%", Places: 1, Least: true, Note: fmt.Sprintf("median %s cars", quantiles(s.cars, 0))},
		eval.Aim{Name: "hazards gone within 60 s of 3 clean passes", Want: 95, Got: share(s.gone, s.dueGone), Unit: "%", Places: 1, Least: true},
		eval.Aim{Name: "false hazards per 1,000 road-hours", Want: 0, Got: r.perThousand(s), Places: 3, Note: fmt.Sprintf("%d in all", s.falsely)},
	)
	return nil
}

func (r *run) perThousand(s *hazardScore) float64 {
	return 1000 * float64(s.falsely) / float64(max(len(r.hazards[all].hours), 1))
}

func (r *run) scoreWatch(a arm) *hazardScore {
	s := &hazardScore{byCategory: map[telemetry.Hazard]*byCategory{}}
	on := map[road.Edge][]*publication{}
	for _, p := range r.hazards[a].published {
		on[p.edge] = append(on[p.edge], p)
		r.explain(p, s)
	}
	for _, x := range r.sorted() {
		r.scoreSpell(a, x, on[x.edge], s)
	}
	return s
}

// sorted are all spells, in order.
func (r *run) sorted() []*spell {
	var list []*spell
	for _, x := range r.spells {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *spell) int { return cmp.Or(cmp.Compare(a.fromMS, b.fromMS), cmp.Compare(a.edge, b.edge)) })
	return list
}

// scoreSpell compares a hazard that was there with what was published about its road.
func (r *run) scoreSpell(a arm, x *spell, on []*publication, s *hazardScore) {
	if i, ok := r.ground.arcOf[x.edge]; !ok || r.ground.onMap[i] == road.NoIndex {
		return // the map lacks or cuts the road: it can't be shown there
	}
	passed := arrivals(x.during, a, false)
	var p *publication
	for _, o := range on {
		if o.category == x.category && o.fromMS <= x.untilMS+explainedMS && (o.toMS == 0 || o.toMS > x.fromMS) {
			p = o
			break
		}
	}
	if len(passed) < enoughCars && p == nil {
		return
	}
	s.due++
	of := s.of(x.category)
	of.due++
	if p == nil {
		return
	}
	s.published++
	of.published++
	before, _ := slices.BinarySearch(passed, p.fromMS+1)
	s.cars = append(s.cars, float64(before))
	s.seconds = append(s.seconds, math.Max(0, float64(p.fromMS-x.during[0].ms)/1000))
	if before <= enoughCars {
		s.prompt++
		of.prompt++
	}
	clean := arrivals(x.after, a, true)
	if len(clean) < enoughCars || p.fromMS > x.untilMS {
		return
	}
	third := clean[enoughCars-1]
	if r.foul(x.category, x.edge, 0, third) {
		return // it is not over: the weather has become so
	}
	s.dueGone++
	last := p
	for _, o := range on { // it may have gone and come back
		if o.category == x.category && o.fromMS > p.fromMS && o.fromMS <= third {
			last = o
		}
	}
	if last.toMS != 0 {
		s.lingered = append(s.lingered, math.Max(0, float64(last.toMS-third)/1000))
		if last.toMS <= third+60_000 {
			s.gone++
		}
	}
}

// arrivals are when the reports of an arm's cars arrived, ascending.
func arrivals(list []entry, a arm, clean bool) []int64 {
	var out []int64
	for _, e := range list {
		if e.bad && a == sound || clean && (e.alarm || e.bad) {
			continue
		}
		out = append(out, e.arrivedMS)
	}
	slices.Sort(out)
	return out
}

// explain tells whether something was there that a publication may come from.
func (r *run) explain(p *publication, s *hazardScore) {
	if p.category == telemetry.WrongWayDriver {
		s.wrongWay++
		for e, times := range r.wrong {
			if e == p.edge || r.ground.near(e, p.edge) {
				if slices.ContainsFunc(times, func(ms int64) bool { return ms <= p.fromMS && ms > p.fromMS-explainedMS }) {
					s.wrongWayTrue++
					return
				}
			}
		}
		return
	}
	s.places++
	if r.foul(p.category, p.edge, p.cell, p.fromMS) {
		s.weather++
		return
	}
	same, beside := false, false
	for _, x := range r.spells {
		if x.fromMS > p.fromMS || x.untilMS < p.fromMS-explainedMS {
			continue
		}
		switch {
		case x.edge == p.edge && x.category == p.category:
			return
		case x.edge == p.edge:
			same = true
		case p.edge != 0 && (r.ground.near(x.edge, p.edge) || r.besideM(x.edge, p.edge) <= besideM), p.cell != 0 && r.nearCell(x.edge, p.cell):
			beside = true
		}
	}
	switch {
	case same:
		s.other++
	case beside:
		s.beside++
	default:
		s.falsely++
		s.of(p.category).falsely++
		s.examples = append(s.examples, r.describe(p))
	}
}

// describe tells of a false publication, and how far the nearest hazard was.
func (r *run) describe(p *publication) string {
	i, ok := r.ground.graph.Find(p.edge)
	if !ok {
		return fmt.Sprintf("%s in cell %d by %d vehicles", p.category, p.cell, p.vehicles)
	}
	nearest, what := math.Inf(1), telemetry.HazardUnknown
	for _, x := range r.spells {
		if k, ok := r.ground.truth.Find(x.edge); ok && x.fromMS <= p.fromMS && x.untilMS >= p.fromMS-explainedMS {
			if d := apartM(r.ground.truth.Shape(k), r.ground.graph.Shape(i)); d < nearest {
				nearest, what = d, x.category
			}
		}
	}
	w := r.weather[weatherTime(p.fromMS)]
	return fmt.Sprintf("%s on edge %d (%s, %.0f m) by %d vehicles at %s, rain %d %%; nearest hazard: %s in %.0f m", p.category, p.edge, r.ground.graph.Class(i),
		r.ground.graph.LengthM(i), p.vehicles, time.UnixMilli(p.fromMS).UTC().Format("Jan 2 15:04:05"), w.Rain(), what, nearest)
}

// foul reports whether the weather has lately been what a category warns of at an edge, or at a cell: not whether it is about to be.
func (r *run) foul(h telemetry.Hazard, e road.Edge, cell uint64, atMS int64) bool {
	if h != telemetry.ReducedVisibility && h != telemetry.ExceptionalWeather {
		return false
	}
	var where []geo.Point
	if i, ok := r.ground.truth.Find(e); ok {
		where = along(r.ground.truth.Shape(i))
	} else if i, ok := r.ground.graph.Find(e); ok {
		where = along(r.ground.graph.Shape(i))
	} else if cell != 0 {
		box, _ := learn.CellBox(cell)
		where = []geo.Point{{LatE7: box.South, LonE7: box.West}, {LatE7: box.North, LonE7: box.East}}
	}
	for ms := weatherTime(atMS - explainedMS); ms <= atMS; ms += weatherMS {
		heavy, fog := r.weather[ms].Near(where, fleet.WeatherMarginM)
		if h == telemetry.ReducedVisibility && fog || h == telemetry.ExceptionalWeather && heavy {
			return true
		}
	}
	return false
}

// besideM is how near a hazard's road another one may be that the matcher takes for it.
const besideM = 30

// besideM is how near an edge of the map comes to one of the truth.
func (r *run) besideM(truth, onMap road.Edge) float64 {
	i, ok1 := r.ground.truth.Find(truth)
	k, ok2 := r.ground.graph.Find(onMap)
	if !ok1 || !ok2 {
		return math.Inf(1)
	}
	return apartM(r.ground.truth.Shape(i), r.ground.graph.Shape(k))
}

// apartM is how far apart two lines are, to stepM.
func apartM(a, b []geo.Point) float64 {
	best := math.Inf(1)
	for _, p := range along(b) {
		best = min(best, distanceM(a, p))
	}
	return best
}

// nearCell reports whether a cell is within 100 m of a road of the truth.
func (r *run) nearCell(e road.Edge, cell uint64) bool {
	i, ok := r.ground.truth.Find(e)
	if !ok {
		return false
	}
	box, _ := learn.CellBox(cell)
	return geo.BoxOf(r.ground.truth.Shape(i)).Expand(100).Intersects(box)
}

func share(part, whole int) float64 { return eval.Share(int64(part), int64(whole)) }

func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", share(part, whole))
}

func quantiles(v []float64, places int) string {
	if len(v) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f, %.*f", places, eval.Percentile(v, 0.5), places, eval.Percentile(v, 0.9))
}
