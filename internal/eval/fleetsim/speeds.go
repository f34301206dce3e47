package fleetsim

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/road"
)

// speedScore is how one arm did.
type speedScore struct {
	errors []float64 // km/h, absolute
	bias   float64   // sum, km/h
}

// scoreSpeeds compares the mean of a quarter of an hour by road with the truth.
func (r *run) scoreSpeeds(_ context.Context, report *eval.Report) error {
	var scores [arms]speedScore
	g := r.ground
	for arc, at := range g.onMap {
		if at == road.NoIndex || g.network.WrongWay(int32(arc)) || !g.graph.Allowed(at) {
			continue
		}
		for w := range r.windows {
			k := arc*r.windows + w
			if r.visits[k] < enoughTraversals || r.driven[k].n == 0 {
				continue
			}
			truth := float64(r.driven[k].sumCMPS) / float64(r.driven[k].n) * 0.036
			for a := range arms {
				if sum := r.learned(a, at, w); sum.n > 0 {
					off := float64(sum.sumCMPS)/float64(sum.n)*0.036 - truth
					scores[a].errors = append(scores[a].errors, math.Abs(off))
					scores[a].bias += off
				}
			}
		}
	}
	t := eval.NewTable("Mean speed of 15 minutes by directed road with ≥ 10 cars, against the truth of all cars", "", all.String(), sound.String())
	row := func(what string, f func(*speedScore) string) { t.Row(what, f(&scores[all]), f(&scores[sound])) }
	row("roads × quarters of an hour", func(s *speedScore) string { return strconv.Itoa(len(s.errors)) })
	row("median absolute error, km/h", func(s *speedScore) string { return fmt.Sprintf("%.2f", eval.Median(s.errors)) })
	row("90th percentile, km/h", func(s *speedScore) string { return fmt.Sprintf("%.2f", eval.Percentile(s.errors, 0.9)) })
	row("99th percentile, km/h", func(s *speedScore) string { return fmt.Sprintf("%.2f", eval.Percentile(s.errors, 0.99)) })
	row("mean error (bias), km/h", func(s *speedScore) string { return fmt.Sprintf("%+.2f", s.bias/float64(max(len(s.errors), 1))) })
	report.Tables = append(report.Tables, t)
	report.Aims = append(report.Aims, eval.Aim{Name: "15-minute mean speed, median error", Want: 1, Got: eval.Median(scores[all].errors), Unit: "km/h", Places: 2})
	return nil
}

// learned is what an arm's vehicles drove on an edge of the map in a window.
func (r *run) learned(a arm, at road.Index, window int) (sum speedSum) {
	for _, w := range r.workers {
		for class := range w.speeds {
			if a == sound && class == badClass {
				continue
			}
			s := w.speeds[class][int(at)*r.windows+window]
			sum.n, sum.sumCMPS = sum.n+s.n, sum.sumCMPS+s.sumCMPS
		}
	}
	return sum
}
