package fleetsim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// session is an uninterrupted run of the simulation within one UTC day.
type session struct {
	number int
	start  time.Time
	length time.Duration
}

// windowMS is the width of the windows that speeds are compared in.
const windowMS = 15 * 60 * 1000

// run is everything that is gathered while driving.
type run struct {
	cfg     *Config
	ground  *ground
	plan    []session
	windows int // of all sessions
	wet     time.Duration
	badCars int
	samples int64

	workers []*worker
	limits  []fleet.Limit // by arc
	zones   map[int32]int // place of a zone's arc among the zones
	entered []int32       // by arc: how often sound cars entered it
	driven  []speedSum    // by arc × windows: the truth
	visits  []int32       // the same: cars that entered
	spells  map[spellKey]*spell
	last    []*spell // by zone: the newest one of the session
	wrong   map[road.Edge][]int64
	weather map[int64]fleet.Weather // by second, every weatherMS
	hazards [arms]*watch
	shown   [arms]published
}

type speedSum struct {
	n, sumCMPS int64
}

// closedFrom is the number of the session from which on roads are closed: after enough days
// on which they were driven, with two left on which they are not.
const closedFrom = 3

// plan lays sessions over successive days, in the morning, at noon and by night, from a day
// on that brings both dry and wet ones.
func plan(driving time.Duration, seed uint64) (list []session, wet time.Duration) {
	const longest = 90 * time.Minute
	n := max(closedFrom+2, int((driving+longest-1)/longest))
	length := (driving / time.Duration(n)).Truncate(time.Minute)
	of := [3]time.Duration{7 * time.Hour, 12*time.Hour + 30*time.Minute, 22*time.Hour + 15*time.Minute}
	first := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for day := range 365 {
		list, wet = nil, 0
		for i := range n {
			s := session{number: i, start: first.AddDate(0, 0, day+i).Add(of[i%3]), length: length}
			for t := time.Duration(0); t < length; t += time.Minute {
				if fleet.WetAt(seed, s.start.Add(t)) {
					wet += time.Minute
				}
			}
			list = append(list, s)
		}
		if share := float64(wet) / float64(driving); share > 0.25 && share < 0.6 {
			break
		}
	}
	return list, wet
}

// weatherMS is how often the weather is noted: the simulated cars sense it anew each second.
const weatherMS = 1000

func newRun(cfg *Config, g *ground) (*run, error) {
	r := &run{
		cfg: cfg, ground: g, zones: map[int32]int{}, spells: map[spellKey]*spell{}, wrong: map[road.Edge][]int64{}, weather: map[int64]fleet.Weather{},
		entered: make([]int32, g.network.Arcs()),
	}
	r.plan, r.wet = plan(cfg.Driving, cfg.Seed)
	perSession := int((r.plan[0].length.Milliseconds() + windowMS - 1) / windowMS)
	r.windows = perSession * len(r.plan)
	r.driven = make([]speedSum, g.network.Arcs()*r.windows)
	r.visits = make([]int32, g.network.Arcs()*r.windows)
	fusion := hazard.DefaultConfig()
	for a := range r.hazards {
		r.hazards[a] = newWatch(&fusion)
		r.shown[a] = newPublished()
	}
	for range cfg.Workers {
		r.workers = append(r.workers, newWorker(g, r.windows))
	}
	return r, nil
}

// starts lists the sessions' beginnings.
func (r *run) starts() string {
	var out []string
	for _, s := range r.plan {
		out = append(out, s.start.Format("Jan 2 15:04"))
	}
	return strings.Join(out, ", ")
}

func (r *run) sessions(ctx context.Context) error {
	for _, s := range r.plan {
		if err := r.drive(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// simulate makes the session's simulation: the same truth, other drives.
func (r *run) simulate(s session) (*fleet.Simulation, error) {
	c := fleet.DefaultConfig()
	c.Vehicles, c.Seed, c.World = r.cfg.Cars, r.cfg.Seed+uint64(s.number)*1_000_003, r.cfg.Seed
	c.LeadIn, c.DayStart = r.cfg.LeadIn, -1
	c.WrongLimits, c.FalseAlarms, c.BadCars = r.cfg.WrongLimits, r.cfg.FalseAlarms, r.cfg.BadCars
	c.WrongWays = 1e-4
	c.OfflineShare, c.DuplicateShare, c.BurstShare = 0, 0, 0
	if s.number >= closedFrom {
		c.Closed = r.ground.closedEdges
	}
	return fleet.NewSimulation(c, r.ground.network, s.start)
}

// item is a batch on its way to a worker.
type item struct {
	vehicle int
	bad     bool
	dueMS   int64
	batch   telemetry.Batch
	samples []telemetry.Sample // the batch's
	events  []telemetry.Event
	truth   []fleet.Truth
}

// What a car was on before its first sample of a trip.
const (
	placed   = -1 // nothing: it was put somewhere on its road
	departed = -2 // the end of its last trip: it enters what it is on now
)

// tickMS is how much simulated time is learned from at once; what is published is looked at
// after each.
const tickMS = 1000

// drive runs a session tick by tick: while the workers learn from one, the next is simulated.
func (r *run) drive(ctx context.Context, s session) error {
	sim, err := r.simulate(s)
	if err != nil {
		return err
	}
	r.enter(sim, s)
	last := make([]int32, r.cfg.Cars) // the arc that each car was on
	for i := range last {
		last[i] = placed
	}
	var ready, next []*item
	var free []*item
	startMS := s.start.UnixMilli()
	shown := time.Now()
	for tick := int64(0); tick <= s.length.Milliseconds()/tickMS; tick++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var wg sync.WaitGroup
		for k, w := range r.workers {
			wg.Go(func() { w.learn(ctx, ready, k, len(r.workers), startMS, s.number*r.windows/len(r.plan)) })
		}
		next = next[:0]
		for sim.NextDue() < time.Duration((tick+1)*tickMS)*time.Millisecond {
			it := &item{}
			if n := len(free); n > 0 {
				it, free = free[n-1], free[:n-1]
			}
			if r.take(sim, s, last, it) {
				next = append(next, it)
			} else {
				free = append(free, it)
			}
		}
		wg.Wait()
		if err := r.settle(startMS + tick*tickMS); err != nil {
			return err
		}
		if at := time.Duration(tick) * tickMS * time.Millisecond; at > 0 && at%judgedEvery == 0 {
			if err := r.publish(ctx, s.start.Add(at)); err != nil {
				return err
			}
		}
		free = append(free, ready...)
		ready, next = next, ready
		if time.Since(shown) > 2*time.Second {
			shown = time.Now()
			r.cfg.Logf("session %d of %d: %s of %s driven, %d samples", s.number+1, len(r.plan),
				(time.Duration(tick) * tickMS * time.Millisecond).Round(time.Second), s.length, r.samples)
		}
	}
	r.end(startMS + s.length.Milliseconds())
	return nil
}

// weatherTime is the last time up to ms that the weather is noted for.
func weatherTime(ms int64) int64 { return ms - ms%weatherMS }

// enter notes what is true in a session.
func (r *run) enter(sim *fleet.Simulation, s session) {
	for ms := weatherTime(s.start.UnixMilli()); ms <= s.start.Add(s.length).UnixMilli(); ms += weatherMS {
		r.weather[ms] = sim.Weather(ms)
	}
	zones := sim.Zones()
	r.last = make([]*spell, len(zones))
	r.badCars = 0
	for i := range r.cfg.Cars {
		if sim.Fault(i) != fleet.Sound {
			r.badCars++
		}
	}
	if r.limits != nil {
		return
	}
	for i, z := range zones {
		r.zones[z.Arc] = i
	}
	for i := range int32(r.ground.network.Arcs()) {
		r.limits = append(r.limits, sim.Limit(i))
	}
}

// take takes the simulation's next turn and notes the truth about it.
func (r *run) take(sim *fleet.Simulation, s session, last []int32, it *item) bool {
	var u fleet.Upload
	if !sim.Next(&u) {
		return false
	}
	it.vehicle, it.dueMS = u.Vehicle, u.DueMS
	it.bad = sim.Fault(u.Vehicle) != fleet.Sound
	it.samples = append(it.samples[:0], u.Batch.Samples...) // the simulation reuses its own
	it.events = append(it.events[:0], u.Batch.Events...)
	it.batch = *u.Batch
	it.batch.Samples, it.batch.Events = it.samples, it.events
	it.truth = append(it.truth[:0], u.Truth...)
	r.samples += int64(len(u.Truth))

	alarm := slices.ContainsFunc(u.Batch.Events, func(e telemetry.Event) bool { return e.Type == telemetry.HazardSeen })
	startMS := s.start.UnixMilli()
	day := vehicleDay{u.Vehicle, startMS - startMS%learn.DayMS}
	base := s.number * r.windows / len(r.plan)
	for _, t := range u.Truth {
		real := t.TimeMS
		if sim.Fault(u.Vehicle) == fleet.SkewedClock {
			real = min(max(u.DueMS, startMS), startMS+s.length.Milliseconds()-1)
		}
		w := base + int(min(max(real-startMS, 0), s.length.Milliseconds()-1)/windowMS)
		driven := &r.driven[int(t.On)*r.windows+w]
		driven.n++
		driven.sumCMPS += int64(t.SpeedCMPS)
		was := last[u.Vehicle]
		if was == t.Arc {
			continue
		}
		last[u.Vehicle] = t.Arc
		r.visits[int(t.Arc)*r.windows+w]++
		edge := road.Edge(r.ground.network.Edge(t.Arc))
		if r.ground.network.WrongWay(t.Arc) {
			r.wrong[edge] = append(r.wrong[edge], real)
		}
		if was != placed {
			if z, ok := r.zones[t.Arc]; ok {
				h, since, until := sim.HazardAt(t.Arc, real)
				r.pass(s.number, z, edge, entry{vehicle: u.Vehicle, bad: it.bad, ms: real, arrivedMS: u.DueMS, alarm: alarm}, h, since, until)
			}
		}
		if it.bad {
			continue
		}
		if was >= 0 {
			r.ground.noteTurn(day, road.Edge(r.ground.network.Edge(was)), edge, real)
		}
		r.entered[t.Arc]++
		if b := r.ground.error[edge.Segment()]; b != nil {
			b.cars[edge.Segment()][day] = struct{}{}
		}
	}
	if u.Batch.Trip.Final {
		last[u.Vehicle] = departed
	}
	return true
}

// settle merges what the workers learned of hazards, and looks at what is published.
func (r *run) settle(nowMS int64) error {
	for _, w := range r.workers {
		if w.err != nil {
			return w.err
		}
	}
	for a := range r.hazards {
		v := r.hazards[a]
		for _, w := range r.workers {
			for class := range w.tick {
				if a == int(sound) && class == badClass {
					continue
				}
				v.add(&w.tick[class], w.passes[class])
			}
		}
		v.judge(nowMS)
	}
	for _, w := range r.workers {
		for class := range w.tick {
			w.tick[class].Reset()
			w.passes[class] = w.passes[class][:0]
		}
	}
	return nil
}

// end closes what is still published, at the end of a session.
func (r *run) end(nowMS int64) {
	for _, v := range r.hazards {
		v.clear(nowMS)
	}
}

// evidence is what an arm's vehicles said, of one kind.
func (r *run) evidence(a arm, kind learn.Kind) []learn.Evidence {
	var merged learn.EvidenceSet
	for _, w := range r.workers {
		for class := range w.sets {
			if a == sound && class == badClass {
				continue
			}
			for _, e := range w.sets[class].Rows() {
				if e.Kind != kind {
					continue
				}
				for _, v := range e.Votes {
					merged.Add(e.EvidenceKey, v)
				}
			}
		}
	}
	return merged.Rows()
}

// passesOf is who drove on each edge by day, of an arm's vehicles.
func (r *run) passesOf(a arm) map[road.Edge][]maperror.DayPasses {
	out := map[road.Edge][]maperror.DayPasses{}
	for _, w := range r.workers {
		for class := range w.days {
			if a == sound && class == badClass {
				continue
			}
			for k, p := range w.days[class] {
				list := out[k.edge]
				at := slices.IndexFunc(list, func(d maperror.DayPasses) bool { return d.DayMS == k.dayMS })
				if at < 0 {
					out[k.edge] = append(list, maperror.DayPasses{DayMS: k.dayMS, N: p.N, Vehicles: p.Vehicles})
					continue
				}
				list[at].N += p.N
				list[at].Vehicles.Merge(p.Vehicles)
			}
		}
	}
	return out
}

func (w *worker) fail(err error, it *item) {
	if w.err == nil {
		w.err = fmt.Errorf("batch of vehicle %d at %d: %w", it.vehicle, it.dueMS, err)
	}
}
