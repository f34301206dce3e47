package sumo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// Config says what is run.
type Config struct {
	eval.Options
	Map    string // OSM extract; "": searched in the folder and its neighbours
	Noise  Noise
	Batch  int // samples a batch
	LeadIn int // samples of the batch before that are repeated
	Draw   int // how many of the worst cars to draw
}

// set is everything that is read.
type set struct {
	*Traffic
	mapping *Mapping
	graph   *road.Graph
	store   *road.Store
	mapFile string
	means   []Mean
	edges   int
	name    []string // by place in Traffic.Edges: "" for a junction's own
}

// Run scores a folder.
func Run(ctx context.Context, cfg Config) (*eval.Report, error) {
	s, err := load(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	modes := []mode{
		{name: fmt.Sprintf("%d samples, %d lead-in", cfg.Batch, cfg.LeadIn), batch: cfg.Batch, leadIn: cfg.LeadIn},
		{name: fmt.Sprintf("%d samples, no lead-in", cfg.Batch), batch: cfg.Batch},
		{name: "whole drive at once", batch: 1 << 30},
	}
	outcomes := make([]*outcome, len(modes))
	for i, m := range modes {
		if outcomes[i], err = s.match(ctx, &cfg, m); err != nil {
			return nil, err
		}
		cfg.Logf("sumo: %s: %.2f %% right, %.0f points/s a worker", m.name, eval.Share(outcomes[i].onEdge.right, outcomes[i].onEdge.all), outcomes[i].rate)
	}
	return report(&cfg, s, modes, outcomes)
}

func load(ctx context.Context, cfg *Config) (*set, error) {
	s := &set{}
	start := time.Now()
	if err := s.loadMap(ctx, cfg); err != nil {
		return nil, err
	}
	nodes, err := read(cfg.Dir, "*nodes*.nod.xml", ReadNodes)
	if err != nil {
		return nil, err
	}
	edges, err := read(cfg.Dir, "*edges*.edg.xml", func(r io.Reader) ([]SEdge, error) { return ReadEdges(r, nodes) })
	if err != nil {
		return nil, err
	}
	s.edges = len(edges)
	if s.means, err = read(cfg.Dir, "truth_edge_meanspeed*.xml", ReadMeans); err != nil {
		return nil, err
	}
	s.mapping = NewMapping(s.graph, edges)
	truth, err := eval.FindOne(cfg.Dir, "truth_lane*.csv")
	if err != nil {
		return nil, err
	}
	lanes, err := eval.Open(truth)
	if err != nil {
		return nil, fmt.Errorf("truth: %w", err)
	}
	defer lanes.Close()
	s.Traffic, err = read(cfg.Dir, "obs*.csv", func(obs io.Reader) (*Traffic, error) {
		return ReadTraffic(obs, lanes, func(rows int) { cfg.Logf("sumo: %d rows read", rows) })
	})
	if err != nil {
		return nil, err
	}
	s.name = make([]string, len(s.Edges))
	for i, e := range s.Edges {
		if !strings.HasPrefix(e, ":") {
			s.name[i] = e
		}
	}
	cfg.Logf("sumo: %d rows of %d cars read in %s", s.Rows, len(s.Cars), time.Since(start).Round(10*time.Millisecond))
	return s, nil
}

// loadMap imports the OSM extract into memory.
func (s *set) loadMap(ctx context.Context, cfg *Config) error {
	path, err := findMap(cfg)
	if err != nil {
		return err
	}
	s.mapFile = filepath.Base(path)
	s.graph, s.store, err = eval.ImportMap(ctx, path)
	return err
}

func findMap(cfg *Config) (string, error) {
	if cfg.Map != "" {
		return cfg.Map, nil
	}
	parent := filepath.Dir(filepath.Clean(cfg.Dir))
	for _, dir := range [...]string{cfg.Dir, filepath.Join(parent, "lust-osm"), parent} {
		for _, pattern := range [...]string{"*.osm", "*.osm.pbf"} {
			entries, err := filepath.Glob(filepath.Join(dir, pattern+"*"))
			if err != nil {
				return "", err
			}
			for _, path := range entries {
				if st, err := os.Stat(path); err == nil && st.Mode()&fs.ModeDir == 0 {
					return path, nil
				}
			}
		}
	}
	return "", fmt.Errorf("%w: no OSM extract (*.osm*) in %s or in lust-osm beside it: name one with --map", eval.ErrNoData, cfg.Dir)
}

// mode is how drives are cut into batches.
type mode struct {
	name   string
	batch  int
	leadIn int
}

// count counts samples by what became of them.
type count struct {
	all, right, reversed, unmatched int64
}

func (c *count) add(o count) {
	c.all += o.all
	c.right += o.right
	c.reversed += o.reversed
	c.unmatched += o.unmatched
}

// carOutcome is one car's part.
type carOutcome struct {
	onEdge, inJunction count
	unmapped           int64 // on SUMO's edges that are not in the graph
	breaks             int64
	atBatchStart       count // the first counted sample of each batch
	standing           count // in batches, lead-in included, in which the car never moves
	wrongFar           int64 // wrong, and more than nearM from the right edge's end
	matched            []road.Edge
}

// standCMPS is the speed below which a car stands: its positions do not tell a direction.
const standCMPS = 50

// nearM is how near to a junction a wrong sample counts as early or late at it.
const nearM = 20

type outcome struct {
	carOutcome
	cars  []carOutcome
	rate  float64 // points a second and worker, lead-in included
	speed *speeds // of all matched samples
	wrong map[confusion]int64
	plain *speeds // the same, each sample counted for the road that it was matched to,
	// and noJunction without those that are in a junction in truth.
	noJunction *speeds
}

// confusion is a wrong match: SUMO's edge (its place in Traffic.Edges) and the one found.
type confusion struct {
	edge  int32
	found road.Index // unmatched for none
}

// match matches all cars in a mode and scores them.
func (s *set) match(ctx context.Context, cfg *Config, m mode) (*outcome, error) {
	o := &outcome{cars: make([]carOutcome, len(s.Cars))}
	workers := max(cfg.Workers, 1)
	var next, points, nanos atomic.Int64
	wrong := make([]map[confusion]int64, workers)
	parts, plainParts, edgeParts := make([]*speeds, workers), make([]*speeds, workers), make([]*speeds, workers)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		parts[w], plainParts[w], edgeParts[w] = newSpeeds(), newSpeeds(), newSpeeds()
		wrong[w] = map[confusion]int64{}
		g.Go(func() error {
			d := driver{set: s, cfg: cfg, mode: m, matcher: match.New(s.store), speeds: parts[w], plain: plainParts[w], noJunction: edgeParts[w], wrong: wrong[w]}
			defer func() { points.Add(d.points); nanos.Add(int64(d.took)) }()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(s.Cars) {
					return nil
				}
				if err := d.drive(ctx, i, &o.cars[i]); err != nil {
					return fmt.Errorf("car %s: %w", s.Cars[i].ID, err)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	o.speed, o.plain, o.noJunction, o.wrong = newSpeeds(), newSpeeds(), newSpeeds(), map[confusion]int64{}
	for w := range parts {
		for k, n := range wrong[w] {
			o.wrong[k] += n
		}
		o.speed.merge(parts[w])
		o.plain.merge(plainParts[w])
		o.noJunction.merge(edgeParts[w])
	}
	for i := range o.cars {
		c := &o.cars[i]
		o.onEdge.add(c.onEdge)
		o.inJunction.add(c.inJunction)
		o.atBatchStart.add(c.atBatchStart)
		o.standing.add(c.standing)
		o.unmapped += c.unmapped
		o.breaks += c.breaks
		o.wrongFar += c.wrongFar
	}
	o.rate = float64(points.Load()) / (float64(nanos.Load()) / 1e9)
	return o, nil
}

// driver matches cars one after another; not safe for concurrent use.
type driver struct {
	*set
	cfg     *Config
	mode    mode
	matcher *match.Matcher
	speeds  *speeds
	samples []telemetry.Sample

	plain      *speeds
	noJunction *speeds
	out        []match.Result
	on         []road.Edge // what a sample's speed counts for
	points     int64
	took       time.Duration
	wrong      map[confusion]int64
}

func (d *driver) drive(ctx context.Context, place int, c *carOutcome) error {
	car := &d.Cars[place]
	d.samples = d.cfg.Noise.Samples(car, d.samples)
	if cap(d.out) < len(d.samples)+d.mode.leadIn {
		d.out = make([]match.Result, 2*len(d.samples)+d.mode.leadIn)
	}
	c.matched = make([]road.Edge, len(d.samples))
	for at := 0; at < len(d.samples); at += d.mode.batch {
		end := min(at+d.mode.batch, len(d.samples))
		from := max(at-d.mode.leadIn, 0)
		out := d.out[:end-from]
		start := time.Now()
		if err := d.matcher.Match(ctx, d.samples[from:end], out); err != nil {
			return err
		}
		d.took += time.Since(start)
		d.on = slices.Grow(d.on[:0], len(out))[:len(out)]
		learn.Approaches(&learn.Drive{Samples: d.samples[from:end], Matches: out, Path: d.matcher.Path()}, d.on)
		d.points += int64(end - from)
		for k := at; k < end; k++ {
			r := &out[k-from]
			if r.OK {
				c.matched[k] = r.Edge
				d.speeds.add(d.on[k-from], &d.samples[k], uint64(place)+1)
				d.plain.add(r.Edge, &d.samples[k], uint64(place)+1)
				if d.name[car.Rows[k].Edge] != "" {
					d.noJunction.add(r.Edge, &d.samples[k], uint64(place)+1)
				}
			}
			if r.Break && k > at {
				c.breaks++
			}
		}
		d.score(car, from, at, end, c)
	}
	return nil
}

// score compares the rows of one batch, whose lead-in starts at from, with the truth.
func (d *driver) score(car *Car, from, at, end int, c *carOutcome) {
	standing := true
	for _, row := range car.Rows[from:end] {
		standing = standing && row.SpeedCMPS < standCMPS
	}
	for k := at; k < end; k++ {
		row := &car.Rows[k]
		name := d.name[row.Edge]
		i := unmatched
		if e := c.matched[k]; e != 0 {
			if place, ok := d.graph.Find(e); ok {
				i = place
			}
		}
		if name == "" {
			before, after := d.around(car, k)
			d.tally(&c.inJunction, i, func(i road.Index) bool { return d.mapping.RightInJunction(before, after, i) })
			continue
		}
		if len(d.mapping.Of(name)) == 0 {
			c.unmapped++
			continue
		}
		is := func(i road.Index) bool { return d.mapping.Right(name, row.At, i) }
		right := d.tally(&c.onEdge, i, is)
		if k == at {
			d.tally(&c.atBatchStart, i, is)
		}
		if standing {
			d.tally(&c.standing, i, is)
		}
		if !right {
			d.wrong[confusion{row.Edge, i}]++
		}
		if !right && !d.nearJunction(name, row.At) {
			c.wrongFar++
		}
	}
}

func (d *driver) tally(c *count, i road.Index, right func(road.Index) bool) bool {
	c.all++
	switch {
	case i == unmatched:
		c.unmatched++
	case right(i):
		c.right++
		return true
	case right(i.Reverse()):
		c.reversed++
	}
	return false
}

// around are the edges before and after a place within a junction.
func (d *driver) around(car *Car, k int) (before, after string) {
	for i := k - 1; i >= 0 && before == ""; i-- {
		before = d.name[car.Rows[i].Edge]
	}
	for i := k + 1; i < len(car.Rows) && after == ""; i++ {
		after = d.name[car.Rows[i].Edge]
	}
	return before, after
}

// nearJunction reports whether a true place is near to an end of the edge it is on.
func (d *driver) nearJunction(name string, at geo.Point) bool {
	for _, i := range d.mapping.Of(name) {
		shape := d.graph.Shape(i)
		if geo.DistanceM(shape[0], at) < nearM || geo.DistanceM(shape[len(shape)-1], at) < nearM {
			return true
		}
	}
	return false
}

// read decodes the first file of a pattern.
func read[T any](dir, pattern string, decode func(io.Reader) (T, error)) (v T, err error) {
	path, err := eval.FindOne(dir, pattern)
	if err != nil {
		return v, err
	}
	f, err := eval.Open(path)
	if err != nil {
		return v, fmt.Errorf("open %s: %w", pattern, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if v, err = decode(f); err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return v, err
}
