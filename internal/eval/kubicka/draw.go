package kubicka

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/carasso/carasso/internal/eval/picture"
	"github.com/carasso/carasso/mapdata/geo"
)

// draw draws the worst results: each track once, at the sampling where it is worst
// compared with the others' order.
func draw(cfg *Config, all [][]*Result) ([]string, error) {
	if cfg.Pictures == "" || cfg.Draw <= 0 {
		return nil, nil
	}
	var worst []*Result
	for _, rs := range all {
		if len(rs) > 0 { // at the finest sampling: what goes wrong there has no excuse
			worst = append(worst, rs[0])
		}
	}
	slices.SortStableFunc(worst, func(a, b *Result) int { return cmp.Compare(b.Score.Mismatch(), a.Score.Mismatch()) })
	if err := os.MkdirAll(cfg.Pictures, 0o750); err != nil {
		return nil, fmt.Errorf("draw: %w", err)
	}
	var files []string
	for i, r := range worst[:min(cfg.Draw, len(worst))] {
		path := filepath.Join(cfg.Pictures, fmt.Sprintf("%02d-%s-%ds.svg", i+1, r.Name, r.SamplingS))
		if err := r.draw(path); err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}

func (r *Result) draw(path string) error {
	n := r.network
	whole := geo.EmptyBox()
	for i := range r.track {
		whole = whole.Extend(geo.Point{LatE7: r.track[i].LatE7, LonE7: r.track[i].LonE7})
	}
	for _, a := range n.c.Route {
		p, q := n.Shape(a)
		whole = whole.Extend(p).Extend(q)
	}
	panels := []*picture.Panel{picture.NewPanel("whole track", whole)}
	text := "no difference"
	if order := worstRuns(r.Score.Runs, 1); len(order) > 0 {
		run := &r.Score.Runs[order[0]]
		box := geo.EmptyBox()
		for _, a := range slices.Concat(run.Missing, run.Extra) {
			p, q := n.Shape(a)
			box = box.Extend(p).Extend(q)
		}
		text = n.explainRun(r, run)
		panels = append(panels, picture.NewPanel("longest difference", box))
	}
	for _, p := range panels {
		r.fill(p)
	}
	title := fmt.Sprintf("kubicka %s at %d s: mismatch %.1f %% (%.0f m missing + %.0f m too much of %.1f km), %d of %d fixes unmatched, %d breaks",
		r.Name, r.SamplingS, 100*r.Score.Mismatch(), r.Score.MissingM, r.Score.ExtraM, r.Score.TrueM/1000, r.Unmatched, r.Samples, r.Breaks)
	f, err := os.Create(path) // #nosec G304 -- below the folder that the operator names
	if err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return errors.Join(picture.Write(f, title, text, panels...), f.Close())
}

func (r *Result) fill(p *picture.Panel) {
	n := r.network
	for i := range n.Segments {
		p.Line(picture.Road, n.Segments[i].Shape...)
	}
	for _, course := range n.courses(n.c.Route) {
		p.Line(picture.Truth, course...)
	}
	for _, course := range n.courses(r.route) {
		p.Line(picture.Matched, course...)
	}
	for i := range r.track {
		at := geo.Point{LatE7: r.track[i].LatE7, LonE7: r.track[i].LonE7}
		p.Dot(picture.Fix, at)
		if i > 0 && r.results[i].Break {
			p.Dot(picture.Break, at)
		}
	}
}

// courses are a route's connected pieces.
func (n *Network) courses(route []int32) [][]geo.Point {
	var all [][]geo.Point
	for i, a := range route {
		p, q := n.Shape(a)
		if k := len(all); i > 0 && n.c.Arcs[route[i-1]].To == n.c.Arcs[a].From {
			all[k-1] = append(all[k-1], q)
		} else {
			all = append(all, []geo.Point{p, q})
		}
	}
	return all
}
