package fleetsim

import (
	"context"
	"slices"

	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// The classes of vehicles, which are learned from separately: evidence adds up.
const (
	soundClass = iota
	badClass
	classes
)

// worker matches and collects what a share of the vehicles report, as the pipeline's does.
type worker struct {
	graph   *road.Graph
	windows int
	matcher *match.Matcher
	results []match.Result
	on      []road.Edge // what speeds count for
	limits  learn.Collector
	errors  learn.Collector
	hazards learn.Collector

	sets   [classes]learn.EvidenceSet // limits and errors of the map
	tick   [classes]learn.EvidenceSet // hazards, of this tick
	passes [classes][]pass            // of this tick
	days   [classes]map[edgeDay]*dayPass
	speeds [classes][]speedSum         // by edge of the map × windows
	bins   [classes][]*learn.SpeedBins // by edge of the map
	err    error
}

// pass is a vehicle on an edge in a minute.
type pass struct {
	edge     road.Edge
	minuteMS int64
	vehicles learn.Vehicles
}

type edgeDay struct {
	edge  road.Edge
	dayMS int64
}

// dayPass is who drove on an edge on a day.
type dayPass struct {
	N        int64 // samples
	Vehicles learn.Vehicles
}

func newWorker(g *ground, windows int) *worker {
	w := &worker{
		graph: g.graph, windows: windows, matcher: match.New(g.roads), results: make([]match.Result, 256),
		limits: limit.New(g.roads), errors: maperror.NewFollowing(g.roads, 1), hazards: hazard.New(g.roads),
	}
	for class := range classes {
		w.days[class] = map[edgeDay]*dayPass{}
		w.speeds[class] = make([]speedSum, g.graph.NumIndexes()*windows)
		w.bins[class] = make([]*learn.SpeedBins, g.graph.NumIndexes())
	}
	return w
}

// learn learns from those of the items that are the worker's: all of a vehicle are.
// startMS is the session's, window its first one.
func (w *worker) learn(ctx context.Context, items []*item, place, workers int, startMS int64, window int) {
	for _, it := range items {
		if it.vehicle%workers != place || w.err != nil {
			continue
		}
		if err := w.one(ctx, it, startMS, window); err != nil {
			w.fail(err, it)
		}
	}
}

// pseudonym stands for a vehicle on a day.
func pseudonym(vehicle int, dayMS int64) uint64 {
	z := uint64(vehicle+1)*0x9e3779b97f4a7c15 ^ uint64(dayMS)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	return z ^ z>>31
}

func (w *worker) one(ctx context.Context, it *item, startMS int64, window int) error {
	b := &it.batch
	if len(w.results) < len(b.Samples) {
		w.results = make([]match.Result, 2*len(b.Samples))
	}
	if err := w.matcher.Match(ctx, b.Samples, w.results); err != nil {
		return err
	}
	first := b.Samples[b.LeadIn].T
	d := learn.Drive{
		DayMS: first - first%learn.DayMS, Kind: b.Vehicle, LeadIn: b.LeadIn,
		Samples: b.Samples, Matches: w.results[:len(b.Samples)], Path: w.matcher.Path(), Events: b.Events,
	}
	d.Vehicle = pseudonym(it.vehicle, d.DayMS)
	class := soundClass
	if it.bad {
		class = badClass
	}
	for _, c := range [...]learn.Collector{w.limits, w.errors} {
		if err := c.Collect(ctx, &d, &w.sets[class]); err != nil {
			return err
		}
	}
	if err := w.hazards.Collect(ctx, &d, &w.tick[class]); err != nil {
		return err
	}
	if learn.Trust(&d) >= learn.TrustEnough { // as workers do with speeds
		w.speed(&d, class, startMS, window)
	}
	return nil
}

// speed adds up speeds and passes.
func (w *worker) speed(d *learn.Drive, class int, startMS int64, window int) {
	w.on = slices.Grow(w.on[:0], len(d.Samples))[:len(d.Samples)]
	learn.Approaches(d, w.on)
	for i := d.LeadIn; i < len(d.Samples); i++ {
		o, m, on := &d.Samples[i], &d.Matches[i], w.on[i]
		if !m.OK || m.WrongWay || o.Has&telemetry.HasSpeed == 0 {
			continue
		}
		minute := learn.MinuteStart(o.T)
		list := w.passes[class]
		if n := len(list); n == 0 || list[n-1].edge != on || list[n-1].minuteMS != minute {
			list = append(list, pass{edge: on, minuteMS: minute})
		}
		list[len(list)-1].vehicles.Add(d.Vehicle)
		w.passes[class] = list
		k := edgeDay{on, d.DayMS}
		day := w.days[class][k]
		if day == nil {
			day = &dayPass{}
			w.days[class][k] = day
		}
		day.N++
		day.Vehicles.Add(d.Vehicle)
		at, ok := w.graph.Find(on)
		if !ok {
			continue
		}
		if w.bins[class][at] == nil {
			w.bins[class][at] = &learn.SpeedBins{}
		}
		w.bins[class][at].Add(o.SpeedCMPS)
		n := int64(w.windows)
		if k := (o.T - startMS) / windowMS; o.T >= startMS && int64(window)+k < n {
			s := &w.speeds[class][int64(at)*n+int64(window)+k]
			s.n++
			s.sumCMPS += int64(o.SpeedCMPS)
		}
	}
}
