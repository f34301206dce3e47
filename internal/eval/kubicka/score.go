package kubicka

import (
	"slices"

	"github.com/carasso/carasso/mapdata/geo"
)

// Score compares a matched route with the true one, after Newson and Krumm, "Hidden Markov
// Map Matching Through Noise and Sparseness", 2009: the length of true route that is
// missing and the length of matched route that is too much, over the length of the true
// route. Arcs count whole, also the first and the last one, of which only a part is
// driven: both routes are made of whole arcs. The routes are aligned in their order (the
// common subsequence of the greatest length), so an arc that is driven twice must be
// matched twice.
type Score struct {
	TrueM    float64 // d₀
	MissingM float64 // d⁻
	ExtraM   float64 // d⁺
	Runs     []Stretch
}

// Mismatch is (d⁻+d⁺)/d₀, from 0; it may exceed 1.
func (s *Score) Mismatch() float64 { return (s.MissingM + s.ExtraM) / s.TrueM }

// Stretch is where the routes differ.
type Stretch struct {
	AtM      float64 // how far along the true route it begins, metres
	Missing  []int32 // true arcs that are not in the matched route
	Extra    []int32 // matched arcs that are not in the true one
	MissingM float64
	ExtraM   float64
}

// Compare scores a matched route.
func (n *Network) Compare(truth, matched []int32) Score {
	var s Score
	for _, a := range truth {
		s.TrueM += n.length[a]
	}
	// best[i][j] is the greatest common length of truth[i:] and matched[j:].
	w := len(matched) + 1
	best := make([]float32, (len(truth)+1)*w)
	for i, t := range slices.Backward(truth) {
		for j, m := range slices.Backward(matched) {
			b := max(best[(i+1)*w+j], best[i*w+j+1])
			if n.first[t] == n.first[m] {
				b = max(b, best[(i+1)*w+j+1]+float32(n.length[t]))
			}
			best[i*w+j] = b
		}
	}
	var run Stretch
	at := 0.0
	flush := func() {
		if len(run.Missing)+len(run.Extra) > 0 {
			s.Runs = append(s.Runs, run)
			s.MissingM += run.MissingM
			s.ExtraM += run.ExtraM
		}
		run = Stretch{AtM: at}
	}
	i, j := 0, 0
	for i < len(truth) || j < len(matched) {
		switch {
		case i < len(truth) && j < len(matched) && n.first[truth[i]] == n.first[matched[j]] &&
			best[i*w+j] <= best[(i+1)*w+j+1]+float32(n.length[truth[i]]):
			flush()
			at += n.length[truth[i]]
			run.AtM = at
			i, j = i+1, j+1
		case j == len(matched) || i < len(truth) && best[(i+1)*w+j] >= best[i*w+j+1]:
			run.Missing = append(run.Missing, truth[i])
			run.MissingM += n.length[truth[i]]
			at += n.length[truth[i]]
			i++
		default:
			run.Extra = append(run.Extra, matched[j])
			run.ExtraM += n.length[matched[j]]
			j++
		}
	}
	flush()
	return s
}

// Shape is a route's course.
func (n *Network) Shape(arc int32) (a, b geo.Point) {
	return n.c.Nodes[n.c.Arcs[arc].From], n.c.Nodes[n.c.Arcs[arc].To]
}
