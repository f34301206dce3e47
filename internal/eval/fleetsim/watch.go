package fleetsim

import (
	"slices"

	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// watch follows what is published about hazards, from what an arm's vehicles report.
type watch struct {
	cfg       *hazard.Config
	places    map[placeKey]*place
	active    map[*place]struct{} // with something published
	touched   map[*place]struct{} // reported about in this tick, or active and passed
	published []*publication
	hours     map[edgeHour]struct{} // in which an edge was driven
}

type edgeHour struct {
	edge road.Edge
	ms   int64
}

// placeKey is an edge, or a cell away from roads.
type placeKey struct {
	kind learn.Kind
	key  uint64
}

// place is what is known of an edge or a cell in the last hour.
type place struct {
	evidence hazard.EdgeEvidence
	shown    map[telemetry.Hazard]*publication
}

// publication is a hazard as it was published.
type publication struct {
	category     telemetry.Hazard
	edge         road.Edge
	cell         uint64
	fromMS, toMS int64
	vehicles     int
}

func newWatch(cfg *hazard.Config) *watch {
	return &watch{cfg: cfg, places: map[placeKey]*place{}, active: map[*place]struct{}{}, touched: map[*place]struct{}{}, hours: map[edgeHour]struct{}{}}
}

func (v *watch) place(k placeKey) *place {
	p := v.places[k]
	if p == nil {
		p = &place{shown: map[telemetry.Hazard]*publication{}}
		if k.kind == learn.HazardCellEvidence {
			p.evidence.Cell = k.key
		} else {
			p.evidence.Edge = road.Edge(k.key)
		}
		v.places[k] = p
	}
	return p
}

// add takes in what was reported in a tick, and who passed.
func (v *watch) add(reports *learn.EvidenceSet, passes []pass) {
	for _, e := range reports.Rows() {
		if e.Kind != learn.HazardEvidence && e.Kind != learn.HazardCellEvidence {
			continue
		}
		p := v.place(placeKey{e.Kind, e.Key})
		list := p.evidence.Minutes
		at := slices.IndexFunc(list, func(o learn.Evidence) bool { return o.BucketMS == e.BucketMS })
		if at < 0 {
			list = append(prune(list, e.BucketMS, func(o learn.Evidence) int64 { return o.BucketMS }), learn.Evidence{EvidenceKey: e.EvidenceKey})
			at = len(list) - 1
		}
		list[at].Votes.Merge(e.Votes)
		p.evidence.Minutes = list
		v.touched[p] = struct{}{}
	}
	for _, s := range passes {
		p := v.place(placeKey{learn.HazardEvidence, uint64(s.edge)})
		v.hours[edgeHour{s.edge, s.minuteMS - s.minuteMS%(60*learn.MinuteMS)}] = struct{}{}
		list := p.evidence.Passes
		at := slices.IndexFunc(list, func(o learn.Pass) bool { return o.MinuteMS == s.minuteMS })
		if at < 0 {
			list = append(prune(list, s.minuteMS, func(o learn.Pass) int64 { return o.MinuteMS }), learn.Pass{MinuteMS: s.minuteMS})
			at = len(list) - 1
		}
		list[at].Vehicles.Merge(s.vehicles)
		p.evidence.Passes = list
		if _, ok := v.active[p]; ok {
			v.touched[p] = struct{}{}
		}
	}
}

// prune drops what is older than any window.
func prune[T any](list []T, nowMS int64, at func(T) int64) []T {
	const keepMS = 90 * learn.MinuteMS
	if len(list) == 0 || at(list[0]) >= nowMS-keepMS {
		return list
	}
	return slices.DeleteFunc(list, func(o T) bool { return at(o) < nowMS-keepMS })
}

// fadeEveryMS is how often published hazards are looked at even if nobody passes.
const fadeEveryMS = 10_000

// judge looks at what changed, and notes what is published and what no longer is.
func (v *watch) judge(nowMS int64) {
	if nowMS%fadeEveryMS < tickMS {
		for p := range v.active {
			v.touched[p] = struct{}{}
		}
	}
	for p := range v.touched {
		v.look(p, nowMS)
	}
	clear(v.touched)
}

func (v *watch) look(p *place, nowMS int64) {
	found := hazard.Fuse([]hazard.EdgeEvidence{p.evidence}, nowMS, v.cfg)
	now := map[telemetry.Hazard]bool{}
	for _, f := range found {
		if !f.Published {
			continue
		}
		now[f.Category] = true
		if p.shown[f.Category] == nil {
			o := &publication{category: f.Category, edge: f.Edge, cell: f.Cell, fromMS: nowMS, vehicles: f.Vehicles}
			p.shown[f.Category] = o
			v.published = append(v.published, o)
		}
	}
	for h, o := range p.shown {
		if !now[h] {
			o.toMS = nowMS
			delete(p.shown, h)
		}
	}
	if len(p.shown) > 0 {
		v.active[p] = struct{}{}
	} else {
		delete(v.active, p)
	}
}

// clear forgets everything at the end of a session: the next one is on another day.
func (v *watch) clear(nowMS int64) {
	for p := range v.active {
		for _, o := range p.shown {
			o.toMS = nowMS
		}
	}
	clear(v.active)
	clear(v.touched)
	clear(v.places)
}
