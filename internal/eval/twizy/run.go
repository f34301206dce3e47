package twizy

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Config says what is run.
type Config struct {
	eval.Options
	Map      string // OSM extract to match to; "": places are cells of the ground
	UrbanKMH uint8  // the country's limit in towns; 0: not known to the learner
	MinSpeed int    // samples that a place must have to be judged
}

// knowledge is what the learner knows besides the speeds.
type knowledge struct {
	name     string
	urbanKMH uint8
	hasMap   bool
	offKMH   int // by how much the map's limit is wrong
	shown    bool
}

func knowledges(urbanKMH uint8) []knowledge {
	return []knowledge{
		{name: "nothing but speeds"},
		{name: fmt.Sprintf("the towns' limit, %d", urbanKMH), urbanKMH: urbanKMH, shown: true},
		{name: "a map with the right limits", urbanKMH: urbanKMH, hasMap: true},
		{name: "a map 20 km/h too high", urbanKMH: urbanKMH, hasMap: true, offKMH: 20},
		{name: "a map 20 km/h too low", urbanKMH: urbanKMH, hasMap: true, offKMH: -20},
	}
}

// cellZoom is the level of the cells that stand for roads without a map: some 500 m.
const cellZoom = 16

// place is one road, or one cell in one direction, with all that was driven there.
type place struct {
	bins   learn.SpeedBins
	posted map[int]int
	n      int
	trips  map[int]bool
	prior  limit.Prior
}

// placer says where a trip's samples were taken: a key of each, 0 if nowhere known.
type placer interface {
	keys(ctx context.Context, samples []telemetry.Sample) ([]uint64, error)
	prior(ctx context.Context, key uint64) (limit.Prior, error)
}

// Run scores a folder.
func Run(ctx context.Context, cfg Config) (*eval.Report, error) {
	trips, err := readTrips(ctx, cfg.Dir)
	if err != nil {
		return nil, err
	}
	var where placer = cells{}
	on := fmt.Sprintf("cells of zoom %d in eight directions", cellZoom)
	if cfg.Map != "" {
		graph, store, err := eval.ImportMap(ctx, cfg.Map)
		if err != nil {
			return nil, err
		}
		where, on = &edges{graph: graph, store: store}, "directed segments of "+filepath.Base(cfg.Map)
	}
	rep := &eval.Report{Title: fmt.Sprintf("twizy: %d trips of a real car with the posted limit", len(trips)), Notes: []string{
		"The limit is estimated from driven speeds alone (package limit, no sign, no map limit): what the learner knows before the first reading.",
		"Places: " + on + "; a place's truth is the limit of most of its seconds.",
	}}
	if cfg.Map == "" {
		rep.Notes = append(rep.Notes, "No OSM extract of the region is at hand (--map names one), so nothing is matched to roads; by the rules nothing would be published either: one car is fewer than three.")
	}
	sent, fixes := sentTable(trips)
	rep.Tables = append(rep.Tables, sent)
	sum := eval.NewTable("Estimated against posted", "SAMPLES", "LEARNER KNOWS", "places judged", "right %", "within 10 km/h %", "seconds right %", "always the usual one %")
	sum.Text(1)
	var confusion *eval.Table
	for _, every := range [...]bool{false, true} {
		places, err := gather(ctx, trips, where, every)
		if err != nil {
			return nil, err
		}
		name := "each new fix"
		if every {
			name = "every second, interpolated"
		}
		for _, k := range knowledges(cfg.UrbanKMH) {
			r := judge(places, k, cfg.MinSpeed)
			sum.Row(name, k.name, r.places, eval.Share(r.right, r.places), eval.Share(r.within10, r.places), eval.Share(r.secondsRight, r.seconds), eval.Share(r.usual, r.places))
			if k.shown {
				confusion = r.table(fmt.Sprintf("Places: posted (down) against estimated (across), %s, knowing %s", name, k.name))
			}
		}
	}
	rep.Notes = append(rep.Notes, fmt.Sprintf("A new position comes every %.1f s in the median; only those are sent.", fixes))
	rep.Tables = append(rep.Tables, sum, confusion)
	return rep, nil
}

func readTrips(ctx context.Context, dir string) ([]*Trip, error) {
	dir, remove, err := eval.Unpacked(ctx, dir, func(dir string) bool {
		found, err := eval.Find(dir, "*.csv")
		return err == nil && len(found) > 0
	})
	if err != nil {
		return nil, err
	}
	defer remove()
	files, err := eval.Find(dir, "*.csv")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no *.csv in %s", eval.ErrNoData, dir)
	}
	var trips []*Trip
	for _, f := range files {
		t, err := readTrip(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		trips = append(trips, t)
	}
	return trips, nil
}

func readTrip(path string) (*Trip, error) {
	f, err := eval.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadTrip(strings.TrimSuffix(filepath.Base(path), ".csv"), f)
}

// sentTable says what became of each trip's rows, and after how many seconds the position
// is a new one in the median.
func sentTable(trips []*Trip) (*eval.Table, float64) {
	t := eval.NewTable("Trips", "TRIP", "rows", "sent", "wet rows", "rejected")
	t.Text(4)
	var gaps []float64
	for _, trip := range trips {
		sent, wet := 0, 0
		last := int64(-1)
		for _, r := range trip.Rows {
			if r.Wet {
				wet++
			}
			if r.Fresh {
				if last >= 0 {
					gaps = append(gaps, float64(r.T-last)/1000)
				}
				last = r.T
				sent++
			}
		}
		t.Row(trip.Name, len(trip.Rows), sent, wet, eval.Counts(trip.Rejects))
	}
	return t, eval.Median(gaps)
}

// gather puts all trips' samples to their places.
func gather(ctx context.Context, trips []*Trip, where placer, every bool) (map[uint64]*place, error) {
	places := map[uint64]*place{}
	for n, t := range trips {
		var samples []telemetry.Sample
		var posted []int
		if every {
			samples, posted = t.Every()
		} else {
			samples = t.Samples()
			for _, r := range t.Rows {
				if r.Fresh {
					posted = append(posted, r.PostedKMH)
				}
			}
		}
		keys, err := where.keys(ctx, samples)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		for i, k := range keys {
			if k == 0 {
				continue
			}
			p := places[k]
			if p == nil {
				p = &place{posted: map[int]int{}, trips: map[int]bool{}}
				if p.prior, err = where.prior(ctx, k); err != nil {
					return nil, fmt.Errorf("%s: %w", t.Name, err)
				}
				places[k] = p
			}
			p.bins.Add(samples[i].SpeedCMPS)
			p.posted[posted[i]]++
			p.trips[n] = true
			p.n++
		}
	}
	return places, nil
}

type result struct {
	places, right, within10, usual int
	seconds, secondsRight          int
	confusion                      map[[2]int]int
}

// judge estimates every place's limit from its speeds.
func judge(places map[uint64]*place, k knowledge, minSamples int) result {
	r := result{confusion: map[[2]int]int{}}
	usual := map[int]int{}
	for key, p := range places {
		if p.n < minSamples {
			continue
		}
		truth := most(p.posted)
		usual[truth]++
		prior := p.prior
		prior.UrbanKMH, prior.GeneralKMH = k.urbanKMH, k.urbanKMH
		if k.hasMap {
			prior.MapKMH = uint8(min(max(truth+k.offKMH, 5), 130))
		}
		l := limit.Judge(road.Edge(key), nil, &p.bins, prior, time.UnixMilli(0), limit.Config{})
		guess := 0
		if len(l.Candidates) > 0 {
			guess = int(l.Candidates[0].KMH)
		}
		r.places++
		r.seconds += p.n
		if guess == truth {
			r.right++
		}
		r.secondsRight += p.posted[guess]
		if guess >= truth-10 && guess <= truth+10 {
			r.within10++
		}
		r.confusion[[2]int{truth, guess}]++
	}
	r.usual = usual[most(usual)]
	return r
}

// most is the value with the greatest count, the least of several.
func most(counts map[int]int) int {
	best, n := 0, -1
	for v, c := range counts {
		if c > n || c == n && v < best {
			best, n = v, c
		}
	}
	return best
}

func (r *result) table(title string) *eval.Table {
	var posted, guessed []int
	for k := range r.confusion {
		posted, guessed = append(posted, k[0]), append(guessed, k[1])
	}
	slices.SortFunc(posted, cmp.Compare)
	slices.SortFunc(guessed, cmp.Compare)
	posted, guessed = slices.Compact(posted), slices.Compact(guessed)
	head := []string{"POSTED"}
	for _, g := range guessed {
		name := strconv.Itoa(g)
		if g == int(road.Unlimited) {
			name = "none"
		}
		head = append(head, name)
	}
	t := eval.NewTable(title, head...)
	for _, p := range posted {
		row := []any{strconv.Itoa(p)}
		for _, g := range guessed {
			row = append(row, r.confusion[[2]int{p, g}])
		}
		t.Row(row...)
	}
	return t
}

// cells are places without a map: a tile and the octant of the way from fix to fix.
type cells struct{}

func (cells) keys(_ context.Context, samples []telemetry.Sample) ([]uint64, error) {
	keys := make([]uint64, len(samples))
	octant := uint64(0)
	for i := range samples {
		p := geo.Point{LatE7: samples[i].LatE7, LonE7: samples[i].LonE7}
		if i+1 < len(samples) {
			q := geo.Point{LatE7: samples[i+1].LatE7, LonE7: samples[i+1].LonE7}
			if geo.DistanceM(p, q) > 2 {
				octant = uint64(geo.BearingDeg(p, q)/45+0.5) % 8
			}
		}
		keys[i] = uint64(geo.TileAt(p, cellZoom).Quadkey())<<3 | octant
	}
	return keys, nil
}

func (cells) prior(context.Context, uint64) (limit.Prior, error) { return limit.Prior{}, nil }

// edges are places on a map; its limits are kept from the learner, its classes are not.
type edges struct {
	graph *road.Graph
	store *road.Store
}

func (e *edges) keys(ctx context.Context, samples []telemetry.Sample) ([]uint64, error) {
	out := make([]match.Result, len(samples))
	if err := match.New(e.store).Match(ctx, samples, out); err != nil {
		return nil, err
	}
	keys := make([]uint64, len(samples))
	for i := range out {
		keys[i] = uint64(out[i].Edge)
	}
	return keys, nil
}

func (e *edges) prior(_ context.Context, key uint64) (limit.Prior, error) {
	i, ok := e.graph.Find(road.Edge(key))
	if !ok {
		return limit.Prior{}, nil
	}
	return limit.Prior{Class: e.graph.Class(i)}, nil
}
