package kubicka

import (
	"fmt"
	"slices"

	"github.com/carasso/carasso/internal/eval"
)

// report puts the tracks' results together.
func report(cfg *Config, all [][]*Result, problems []error) (*eval.Report, error) {
	rep := &eval.Report{Title: fmt.Sprintf("kubicka: %d real tracks with a true route", len(all)), Notes: []string{
		"Route mismatch (d⁻+d⁺)/d₀ after Newson & Krumm 2009: length missing plus length too much, over the true length. Routes consist",
		"of whole arcs, first and last included, aligned in order. Input: position and time only, each track in one call, thinned to the sampling.",
	}}
	head := []string{"TRACK", "km", "fixes"}
	for _, s := range cfg.Sampling {
		head = append(head, fmt.Sprintf("%d s %%", s))
	}
	head = append(head, "breaks", "unmatched")
	rows := eval.NewTable("Mismatch per track", head...)
	why := eval.NewTable("Why: tracks above 10 %", "TRACK", "SAMPLING", "MISMATCH %", "d- m", "d+ m", "REASON")
	why.Text(5)
	bySampling := make([][]float64, len(cfg.Sampling))
	for i, rs := range all {
		if problems[i] != nil {
			rep.Notes = append(rep.Notes, "NOT SCORED: "+problems[i].Error())
			continue
		}
		row := []any{rs[0].Name, fmt.Sprintf("%.1f", rs[0].Score.TrueM/1000), len(rs[0].of.Track)}
		for k, r := range rs {
			v := 100 * r.Score.Mismatch()
			bySampling[k] = append(bySampling[k], v)
			row = append(row, v)
			if r.Why != "" {
				why.Row(r.Name, fmt.Sprintf("%d s", r.SamplingS), v, fmt.Sprintf("%.0f", r.Score.MissingM), fmt.Sprintf("%.0f", r.Score.ExtraM), r.Why)
			}
		}
		rows.Row(append(row, rs[0].Breaks, rs[0].Unmatched)...)
	}
	sum := eval.NewTable("All tracks", "SAMPLING", "tracks", "median %", "mean %", "90th %", "worst %", "above 10 %")
	for k, s := range cfg.Sampling {
		v := bySampling[k]
		above := 0
		for _, x := range v {
			if x > 100*explainFrom {
				above++
			}
		}
		worst := 0.0
		if len(v) > 0 {
			worst = slices.Max(v)
		}
		sum.Row(fmt.Sprintf("%d s", s), len(v), eval.Median(v), eval.Mean(v), eval.Percentile(v, 0.9), worst, above)
		rep.Aims = append(rep.Aims, aims(s, v)...)
	}
	rep.Tables = append(rep.Tables, rows)
	if why.Len() > 0 {
		rep.Tables = append(rep.Tables, why)
	}
	rep.Tables = append(rep.Tables, sum)
	if cfg.Out != "" {
		rep.Files = append(rep.Files, cfg.Out+"/<sampling>/<track>.route")
	}
	files, err := draw(cfg, all)
	rep.Files = append(rep.Files, files...)
	return rep, err
}

func aims(samplingS int, v []float64) []eval.Aim {
	switch samplingS {
	case 1:
		return []eval.Aim{
			{Name: "median mismatch at 1 s", Want: 0.5, Got: eval.Median(v), Unit: "%", Places: 2, Note: "plain Newson-Krumm on 100 tracks: 0.7"},
			{Name: "mean mismatch at 1 s", Want: 2, Got: eval.Mean(v), Unit: "%", Places: 2, Note: "plain Newson-Krumm on 100 tracks: 5.2"},
		}
	case 30:
		return []eval.Aim{{Name: "mean mismatch at 30 s", Want: 3, Got: eval.Mean(v), Unit: "%", Places: 2, Note: "plain Newson-Krumm on 100 tracks: 4.5"}}
	default:
		return nil
	}
}
