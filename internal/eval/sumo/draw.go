package sumo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/eval/picture"
	"github.com/carasso/carasso/mapdata/geo"
)

// draw draws the cars with the most wrong samples.
func draw(cfg *Config, s *set, o *outcome) ([]string, error) {
	if cfg.Pictures == "" || cfg.Draw <= 0 {
		return nil, nil
	}
	if err := os.MkdirAll(cfg.Pictures, 0o750); err != nil {
		return nil, fmt.Errorf("draw: %w", err)
	}
	var files []string
	for n, i := range worstOrder(o, cfg.Draw) {
		path := filepath.Join(cfg.Pictures, fmt.Sprintf("%02d-car-%s.svg", n+1, filepath.Base(s.Cars[i].ID)))
		if err := s.draw(path, cfg, i, &o.cars[i]); err != nil {
			return nil, err
		}
		files = append(files, path)
	}
	return files, nil
}

func (s *set) draw(path string, cfg *Config, place int, c *carOutcome) error {
	car := &s.Cars[place]
	samples := cfg.Noise.Samples(car, nil)
	wrong := make([]bool, len(samples))
	whole := geo.EmptyBox()
	for k := range samples {
		whole = whole.Extend(car.Rows[k].At)
		name := s.name[car.Rows[k].Edge]
		if name == "" || len(s.mapping.Of(name)) == 0 {
			continue
		}
		i, ok := s.graph.Find(c.matched[k])
		wrong[k] = c.matched[k] == 0 || !ok || !s.mapping.Right(name, car.Rows[k].At, i)
	}
	from, to := longest(wrong)
	near := geo.EmptyBox()
	for k := max(from-8, 0); k < min(to+8, len(samples)); k++ {
		near = near.Extend(car.Rows[k].At)
	}
	panels := []*picture.Panel{picture.NewPanel("whole drive", whole), picture.NewPanel("longest run of wrong samples", near)}
	for _, p := range panels {
		for n := range s.graph.NumSegments() {
			p.Line(picture.Road, s.graph.SegmentAt(n).Shape...)
		}
		var way []geo.Point
		for k := range samples {
			way = append(way, car.Rows[k].At)
		}
		p.Line(picture.Truth, way...)
		for k := range samples {
			at := geo.Point{LatE7: samples[k].LatE7, LonE7: samples[k].LonE7}
			p.Dot(picture.Fix, at)
			if i, ok := s.graph.Find(c.matched[k]); ok && c.matched[k] != 0 && (k == 0 || c.matched[k] != c.matched[k-1]) {
				p.Line(picture.Matched, s.graph.Shape(i)...)
			}
			if wrong[k] {
				p.Dot(picture.Wrong, at)
			}
		}
	}
	title := fmt.Sprintf("sumo car %s: %.1f %% of %d samples right, %d reversed, %d unmatched", car.ID, eval.Share(c.onEdge.right, c.onEdge.all), c.onEdge.all, c.onEdge.reversed, c.onEdge.unmatched)
	text := fmt.Sprintf("right panel: %d samples in a row, from t = %d s, truth %s", to-from, car.Rows[min(from, len(samples)-1)].T/1000, s.Edges[car.Rows[min(from, len(samples)-1)].Edge])
	f, err := os.Create(path) // #nosec G304 -- below the folder that the operator names
	if err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return errors.Join(picture.Write(f, title, text, panels...), f.Close())
}

// longest is the longest run of true values.
func longest(v []bool) (from, to int) {
	start := 0
	for i := 0; i <= len(v); i++ {
		if i < len(v) && v[i] {
			continue
		}
		if i-start > to-from {
			from, to = start, i
		}
		start = i + 1
	}
	return from, to
}
