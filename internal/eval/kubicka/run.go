package kubicka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/match"
	"github.com/carasso/carasso/telemetry"
)

// Config says what is run.
type Config struct {
	eval.Options
	Sampling []int    // seconds between samples, each ≥ 1
	Only     []string // names of tracks; all if empty
	Draw     int      // how many of the worst to draw
}

// Result is one track at one sampling.
type Result struct {
	Name      string
	SamplingS int
	Score     Score
	Samples   int
	Unmatched int
	Breaks    int // chains that begin within the track
	Why       string
	route     []int32
	of        *Case
	network   *Network
	track     []telemetry.Sample
	results   []match.Result
}

// Run scores all tracks of a folder.
func Run(ctx context.Context, cfg Config) (*eval.Report, error) {
	dir, remove, err := eval.Unpacked(ctx, cfg.Dir, func(dir string) bool {
		found, err := eval.Find(dir, "*.route")
		return err == nil && len(found) > 0
	})
	if err != nil {
		return nil, err
	}
	defer remove()
	cases, err := eval.Find(dir, "*.route")
	if err != nil {
		return nil, err
	}
	cases = slices.DeleteFunc(cases, func(path string) bool { return !cfg.wants(path) })
	if len(cases) == 0 {
		return nil, fmt.Errorf("%w: no *.route in %s", eval.ErrNoData, cfg.Dir)
	}
	all := make([][]*Result, len(cases))
	problems := make([]error, len(cases))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(max(cfg.Workers, 1))
	for i, path := range cases {
		g.Go(func() error {
			all[i], problems[i] = runCase(gctx, &cfg, filepath.Dir(path))
			if problems[i] == nil {
				cfg.Logf("kubicka %s: %s", filepath.Base(filepath.Dir(path)), brief(all[i]))
			}
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return report(&cfg, all, problems)
}

func (c *Config) wants(route string) bool {
	name := filepath.Base(filepath.Dir(route))
	if name+".route" != filepath.Base(route) {
		return false
	}
	return len(c.Only) == 0 || slices.ContainsFunc(c.Only, func(only string) bool {
		a, errA := strconv.Atoi(only)
		b, errB := strconv.Atoi(name)
		return only == name || errA == nil && errB == nil && a == b
	})
}

func brief(rs []*Result) string {
	var b []byte
	for _, r := range rs {
		b = fmt.Appendf(b, "%d s %.1f %%  ", r.SamplingS, 100*r.Score.Mismatch())
	}
	return string(b)
}

// runCase matches one track at every sampling.
func runCase(ctx context.Context, cfg *Config, dir string) ([]*Result, error) {
	c, err := ReadCase(dir)
	if err != nil {
		return nil, err
	}
	n, err := NewNetwork(c)
	if err != nil {
		return nil, err
	}
	out := make([]*Result, 0, len(cfg.Sampling))
	for _, s := range cfg.Sampling {
		r, err := n.match(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%s at %d s: %w", c.Name, s, err)
		}
		if cfg.Out != "" {
			if err := r.write(cfg.Out); err != nil {
				return nil, err
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// match matches the track, thinned, in one call.
func (n *Network) match(ctx context.Context, samplingS int) (*Result, error) {
	r := &Result{Name: n.c.Name, SamplingS: samplingS, of: n.c, network: n, track: Thin(n.c.Track, samplingS)}
	m := match.New(n)
	r.results = make([]match.Result, len(r.track))
	if err := m.Match(ctx, r.track, r.results); err != nil {
		return nil, err
	}
	path := m.Path()
	if len(path) == 0 {
		path = Steps(r.results)
	}
	r.Samples = len(r.track)
	for i := range r.results {
		if !r.results[i].OK {
			r.Unmatched++
		}
	}
	for i := range path {
		if path[i].Break && i > 0 {
			r.Breaks++
		}
	}
	r.route = n.Route(path)
	r.Score = n.Compare(n.c.Route, r.route)
	if r.Score.Mismatch() > explainFrom {
		r.Why = n.explain(r)
	}
	return r, nil
}

// Thin keeps the first sample, those at least so many seconds after the last one kept,
// and the last one.
func Thin(track []telemetry.Sample, seconds int) []telemetry.Sample {
	var out []telemetry.Sample
	const slackMS = 5 // times are rounded
	for i := range track {
		if n := len(out); n == 0 || track[i].T-out[n-1].T >= int64(seconds)*1000-slackMS || i == len(track)-1 {
			out = append(out, track[i])
		}
	}
	return out
}

// Steps are the edges of the results alone, without what lies between: what is known of a
// way if the matcher does not tell.
func Steps(results []match.Result) []match.Step {
	var path []match.Step
	for i, r := range results {
		if !r.OK {
			continue
		}
		if n := len(path); n > 0 && path[n-1].Edge == r.Edge && path[n-1].ToM <= r.OffsetM {
			path[n-1].ToM, path[n-1].Last = r.OffsetM, int32(i+1)
			continue
		}
		path = append(path, match.Step{Edge: r.Edge, FromM: r.OffsetM, ToM: r.OffsetM, First: int32(i), Last: int32(i + 1), Break: r.Break})
	}
	return path
}

// write stores the matched route in the set's own form, in a folder of its sampling.
func (r *Result) write(out string) error {
	dir := filepath.Join(out, strconv.Itoa(r.SamplingS)+"s")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("write route: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, r.Name+".route")) // #nosec G304 -- below the folder that the operator names
	if err != nil {
		return fmt.Errorf("write route: %w", err)
	}
	return errors.Join(WriteRoute(f, r.route), f.Close())
}
