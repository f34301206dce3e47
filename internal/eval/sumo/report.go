package sumo

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/carasso/carasso/internal/eval"
)

// minCars is from how many cars a road's mean speed counts.
const minCars = 10

func report(cfg *Config, s *set, modes []mode, outcomes []*outcome) (*eval.Report, error) {
	n := cfg.Noise
	rep := &eval.Report{Title: fmt.Sprintf("sumo: %d simulated cars, %d samples at 1 Hz, on %s", len(s.Cars), s.Rows, s.mapFile), Notes: []string{
		fmt.Sprintf("Noise added: position first-order Gauss-Markov, %g m (1 sigma) each coordinate, correlation time %g s; heading %g°, speed %g m/s, white; seed %d.", n.PositionM, n.TauS, n.HeadingDeg, n.SpeedMPS, n.Seed),
		fmt.Sprintf("Truth: SUMO's edge of each sample, laid over the imported graph by course and direction (%d of %d edges; the others' samples count in neither figure).", len(s.mapping.of), s.edges),
		"On edges: the matched directed segment must be the one the car is on. In junctions (SUMO's edges \":…\"): right if it is the edge before or",
		fmt.Sprintf("after, or one of at most %g m within the junction that touches them. Batches count from the lead-in's end.", joiningM),
	}}
	acc := eval.NewTable("Directed segment", "BATCHES", "on edges", "right %", "reversed %", "wrong > 20 m from a junction %", "unmatched %", "first of batch right %", "standing batches %", "right there %", "in junctions", "right %", "all right %", "breaks", "not in the graph", "points/s")
	for i, o := range outcomes {
		acc.Row(modes[i].name, o.onEdge.all, share(o.onEdge.right, o.onEdge.all), share(o.onEdge.reversed, o.onEdge.all), share(o.wrongFar, o.onEdge.all), share(o.onEdge.unmatched, o.onEdge.all),
			share(o.atBatchStart.right, o.atBatchStart.all), share(o.standing.all, o.onEdge.all), share(o.standing.right, o.standing.all), o.inJunction.all, share(o.inJunction.right, o.inJunction.all),
			share(o.onEdge.right+o.inJunction.right, o.onEdge.all+o.inJunction.all), o.breaks, o.unmapped, fmt.Sprintf("%.0f", o.rate))
	}
	errs := s.speedErrors(outcomes[0].speed, minCars)
	floor := s.speedErrors(s.truthSpeeds(), minCars)
	edgesOnly := s.speedErrors(outcomes[0].noJunction, minCars)
	plain := s.speedErrors(outcomes[0].plain, minCars)
	sp := eval.NewTable(fmt.Sprintf("Mean speed of 15 minutes, roads with ≥ %d cars: absolute error in km/h", minCars), "SAMPLES", "roads × intervals", "median", "mean", "90th", "bias", "nothing matched")
	for _, row := range [...]struct {
		name string
		errs []SpeedError
	}{{"matched, " + modes[0].name, errs}, {"if each sample counted for the road it was matched to, in junctions too", plain}, {"… without samples in junctions (SUMO counts those for no edge)", edgesOnly}, {"… and all matched rightly, without noise", floor}} {
		abs, bias, none := split3(row.errs)
		sp.Row(row.name, len(row.errs), eval.Median(abs), eval.Mean(abs), eval.Percentile(abs, 0.9), eval.Mean(bias), none)
	}
	worst := worstSpeeds(errs, 8)
	rep.Tables = append(rep.Tables, acc, sp, worst, worstCars(s, outcomes[0], 8), wrongMost(s, outcomes[0], 12))
	rep.Aims = []eval.Aim{
		{Name: "directed segment right, with lead-in", Want: 97, Got: share(outcomes[0].onEdge.right, outcomes[0].onEdge.all), Unit: "%", Places: 2, Least: true, Note: "on edges"},
		{Name: "15-minute mean speed, median error", Want: 1, Got: medianKMH(errs), Unit: "km/h", Places: 2, Note: fmt.Sprintf("%.2f if junctions were not counted for their approach", medianKMH(plain))},
	}
	files, err := draw(cfg, s, outcomes[0])
	rep.Files = files
	return rep, err
}

// medianKMH is the median absolute error; where nothing was matched it is infinite.
func medianKMH(errs []SpeedError) float64 {
	all := make([]float64, 0, len(errs))
	for i := range errs {
		all = append(all, errs[i].AbsKMH())
	}
	return eval.Median(all)
}

func share(part, all int64) float64 { return eval.Share(part, all) }

func split3(errs []SpeedError) (abs, bias []float64, none int) {
	for i := range errs {
		if math.IsNaN(errs[i].FoundKMH) {
			none++
			continue
		}
		abs, bias = append(abs, errs[i].AbsKMH()), append(bias, errs[i].FoundKMH-errs[i].TrueKMH)
	}
	return abs, bias, none
}

func worstSpeeds(errs []SpeedError, most int) *eval.Table {
	t := eval.NewTable("Roads with the largest errors", "SUMO EDGES", "from s", "cars", "true km/h", "found km/h")
	sorted := slices.SortedStableFunc(slices.Values(errs), func(a, b SpeedError) int { return cmp.Compare(b.AbsKMH(), a.AbsKMH()) })
	for _, e := range sorted[:min(most, len(sorted))] {
		slices.Sort(e.Edges)
		names := strings.Join(e.Edges[:min(3, len(e.Edges))], " ")
		if len(e.Edges) > 3 {
			names += fmt.Sprintf(" and %d more", len(e.Edges)-3)
		}
		t.Row(names, fmt.Sprintf("%.0f", e.BeginS), e.Cars, e.TrueKMH, e.FoundKMH)
	}
	return t
}

func worstCars(s *set, o *outcome, most int) *eval.Table {
	t := eval.NewTable("Cars matched worst", "CAR", "on edges", "right %", "reversed", "unmatched", "breaks")
	for _, i := range worstOrder(o, most) {
		c := &o.cars[i]
		t.Row(s.Cars[i].ID, c.onEdge.all, share(c.onEdge.right, c.onEdge.all), c.onEdge.reversed, c.onEdge.unmatched, c.breaks)
	}
	return t
}

// wrongMost are the roads that were taken for another one most often.
func wrongMost(s *set, o *outcome, most int) *eval.Table {
	t := eval.NewTable("Taken for another road most often", "SUMO EDGE", "is segment", "class", "length m", "found", "class", "length m", "samples", "how")
	t.Text(8)
	keys := slices.SortedFunc(maps.Keys(o.wrong), func(a, b confusion) int {
		return cmp.Or(cmp.Compare(o.wrong[b], o.wrong[a]), cmp.Compare(a.edge, b.edge), cmp.Compare(a.found, b.found))
	})
	for _, k := range keys[:min(most, len(keys))] {
		of := s.mapping.Of(s.Edges[k.edge])
		is := of[0]
		if k.found == unmatched {
			t.Row(s.Edges[k.edge], s.graph.Edge(is).String(), s.graph.Class(is).String(), fmt.Sprintf("%.0f", s.graph.LengthM(is)), "none", "", "", o.wrong[k], "unmatched")
			continue
		}
		how := "elsewhere"
		switch {
		case k.found == is.Reverse():
			how = "reversed"
		case s.graph.Source(k.found) == s.graph.Target(is):
			how = "the next one"
		case s.graph.Target(k.found) == s.graph.Source(is):
			how = "the one before"
		case s.graph.Source(k.found) == s.graph.Source(is):
			how = "the other way out"
		case s.graph.Target(k.found) == s.graph.Target(is):
			how = "the other way in"
		}
		t.Row(s.Edges[k.edge], s.graph.Edge(is).String(), s.graph.Class(is).String(), fmt.Sprintf("%.0f", s.graph.LengthM(is)),
			s.graph.Edge(k.found).String(), s.graph.Class(k.found).String(), fmt.Sprintf("%.0f", s.graph.LengthM(k.found)), o.wrong[k], how)
	}
	return t
}

// worstOrder are the cars with the most wrong samples.
func worstOrder(o *outcome, most int) []int {
	order := make([]int, len(o.cars))
	for i := range order {
		order[i] = i
	}
	wrong := func(i int) int64 { return o.cars[i].onEdge.all - o.cars[i].onEdge.right }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wrong(b), wrong(a)) })
	return order[:min(most, len(order))]
}
