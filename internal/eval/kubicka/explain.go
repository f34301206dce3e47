package kubicka

import (
	"fmt"
	"math"
	"strings"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/road"
)

// explainFrom is the mismatch above which a track's row says why.
const explainFrom = 0.10

// explain says where the difference is, and what of the data may have caused it.
func (n *Network) explain(r *Result) string {
	var parts []string
	for _, i := range worstRuns(r.Score.Runs, 2) {
		parts = append(parts, n.explainRun(r, &r.Score.Runs[i]))
	}
	if r.Unmatched > 0 {
		parts = append(parts, fmt.Sprintf("%.0f %% of samples unmatched", 100*float64(r.Unmatched)/float64(r.Samples)))
	}
	if r.Breaks > 0 {
		parts = append(parts, fmt.Sprintf("%d breaks", r.Breaks))
	}
	if n.c.Breaks > 0 {
		parts = append(parts, fmt.Sprintf("the true route has %d breaks", n.c.Breaks))
	}
	return strings.Join(parts, "; ")
}

// worstRuns are the places of the longest runs, longest first, of those that matter.
func worstRuns(runs []Stretch, most int) []int {
	var worst []int
	for range most {
		best := -1
		for i := range runs {
			taken := false
			for _, w := range worst {
				taken = taken || w == i
			}
			if !taken && (best < 0 || runs[i].total() > runs[best].total()) {
				best = i
			}
		}
		if best < 0 || len(worst) > 0 && runs[best].total() < 0.3*runs[worst[0]].total() {
			break
		}
		worst = append(worst, best)
	}
	return worst
}

func (r *Stretch) total() float64 { return r.MissingM + r.ExtraM }

func (n *Network) explainRun(r *Result, run *Stretch) string {
	total := r.Score.TrueM
	kind := "detour"
	switch {
	case run.AtM < 1:
		kind = "start"
	case run.AtM+run.MissingM > total-1:
		kind = "end"
	case len(run.Extra) == 0:
		kind = "gap"
	case len(run.Missing) == 0:
		kind = "there and back"
	}
	text := fmt.Sprintf("%s at km %.1f: %.0f m missing, %.0f m too much", kind, run.AtM/1000, run.MissingM, run.ExtraM)
	if len(run.Missing) > 0 {
		far, gap := n.support(run.Missing)
		if gap > 15 {
			text += fmt.Sprintf(", within a gap of %.0f s in the track", gap)
		}
		if far > 0.5 {
			text += fmt.Sprintf(", the truth there is > %d m from any fix for %.0f %%", farM, 100*far)
		} else if run.reversed(n) {
			text += ", same roads in the other direction"
		}
	}
	if beside := n.beside(run); beside != "" {
		text += beside
	}
	if run.ExtraM > 2*run.MissingM {
		if far, _ := n.support(run.Extra); far < 0.3 {
			text += ", fixes do lie there: the truth leaves it out, or it is driven there and back"
		}
	}
	return text
}

// beside says how far the fixes along a stretch are from the true and from the matched roads.
func (n *Network) beside(run *Stretch) string {
	if len(run.Missing) == 0 || len(run.Extra) == 0 {
		return ""
	}
	box := geo.EmptyBox()
	for _, a := range run.Missing {
		p, q := n.Shape(a)
		box = box.Extend(p).Extend(q)
	}
	var truth, matched []float64
	for i := range n.c.Track {
		p := geo.Point{LatE7: n.c.Track[i].LatE7, LonE7: n.c.Track[i].LonE7}
		if box.Contains(p) {
			truth, matched = append(truth, n.distance(run.Missing, p)), append(matched, n.distance(run.Extra, p))
		}
	}
	if len(truth) < 3 {
		return ""
	}
	return fmt.Sprintf("; fixes there are %.0f m from the true roads (90th percentile %.0f m), %.0f m from the matched ones (%.0f m)",
		eval.Median(truth), eval.Percentile(truth, 0.9), eval.Median(matched), eval.Percentile(matched, 0.9))
}

// distance is that of a place from the nearest of some arcs, metres.
func (n *Network) distance(arcs []int32, at geo.Point) float64 {
	best := math.Inf(1)
	scale := geo.Scale(at.LatE7)
	for _, a := range arcs {
		p, q := n.Shape(a)
		d, _ := road.Foot(at, p, q, scale)
		best = min(best, d)
	}
	return math.Sqrt(best)
}

// reversed tells whether most of what is missing was matched in the other direction.
func (r *Stretch) reversed(n *Network) bool {
	extra := map[[2]int32]bool{}
	for _, a := range r.Extra {
		arc := n.c.Arcs[a]
		extra[[2]int32{n.joint[arc.From], n.joint[arc.To]}] = true
	}
	var back float64
	for _, a := range r.Missing {
		arc := n.c.Arcs[a]
		if extra[[2]int32{n.joint[arc.To], n.joint[arc.From]}] {
			back += n.length[a]
		}
	}
	return back > r.MissingM/2
}

// farM is how far from a road a fix does not support it any more.
const farM = 50

// support is which share of some arcs' length has no fix of the full track near, and the
// longest gap in time between two fixes on either side of them.
func (n *Network) support(arcs []int32) (far, gapS float64) {
	box := geo.EmptyBox()
	for _, a := range arcs {
		p, q := n.Shape(a)
		box = box.Extend(p).Extend(q)
	}
	box = box.Expand(200)
	var near []geo.Point
	track := n.c.Track
	for i := range track {
		p := geo.Point{LatE7: track[i].LatE7, LonE7: track[i].LonE7}
		in := box.Contains(p)
		if in {
			near = append(near, p)
		}
		if i > 0 {
			q := geo.Point{LatE7: track[i-1].LatE7, LonE7: track[i-1].LonE7}
			if in || box.Contains(q) {
				gapS = max(gapS, float64(track[i].T-track[i-1].T)/1000)
			}
		}
	}
	var all, lonely float64
	const stepM = 25
	for _, a := range arcs {
		p, q := n.Shape(a)
		steps := max(int(math.Ceil(n.length[a]/stepM)), 1)
		for k := range steps {
			at := geo.Between(p, q, (float64(k)+0.5)/float64(steps))
			found := false
			for _, fix := range near {
				if geo.DistanceM(at, fix) <= farM {
					found = true
					break
				}
			}
			all += n.length[a] / float64(steps)
			if !found {
				lonely += n.length[a] / float64(steps)
			}
		}
	}
	if all > 0 {
		far = lonely / all
	}
	return far, gapS
}
