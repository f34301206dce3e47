package fleetsim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/eval"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/road"
)

// enoughTraversals is how often a road must have been driven for its limit to be expected.
const enoughTraversals = 10

// tallied is how many roads have what.
type tallied struct {
	roads, published, right int
	publishedM, rightM      float64 // their length
}

func (t *tallied) add(published, right bool, lengthM float64) {
	t.roads++
	if published {
		t.published++
		t.publishedM += lengthM
	}
	if right {
		t.right++
		t.rightM += lengthM
	}
}

// limitScore is how one arm did.
type limitScore struct {
	all                tallied // roads with a limit, driven often enough
	mapRight, mapWrong tallied // of those, by what the map says
	mapSilent          tallied
	seldom             tallied // driven less often
	unposted           tallied // where no limit is posted
	disagree, rightly  int     // published limits that differ from the map's, and of those the right ones
	varying            tallied // with a variant of which both kinds of reading are in: published with the variant
	variants           int     // published, in all
	variantsRight      int
	byMain, byOther    tallied
	signed, unsigned   tallied
	short              tallied // shorter than 30 m: signs can't be told from their neighbours'
	wrongEdges         []string
}

func (r *run) scoreLimits(ctx context.Context, report *eval.Report) error {
	var scores [arms]limitScore
	for a := range arms {
		s, err := r.judgeLimits(ctx, a)
		if err != nil {
			return err
		}
		scores[a] = s
	}
	t := eval.NewTable(fmt.Sprintf("Speed limits, by directed road (driven ≥ %d times by sound cars)", enoughTraversals), "", all.String(), "PUBLISHED %", "RIGHT %", sound.String(), "PUBLISHED %", "RIGHT %")
	row := func(what string, of func(*limitScore) tallied) {
		a, b := of(&scores[all]), of(&scores[sound])
		t.Row(what, a.roads, percent(a.published, a.roads), percent(a.right, a.published), b.roads, percent(b.published, b.roads), percent(b.right, b.published))
	}
	row("with a limit posted", func(s *limitScore) tallied { return s.all })
	row("  main roads (a sign on most longer than 100 m)", func(s *limitScore) tallied { return s.byMain })
	row("  other roads", func(s *limitScore) tallied { return s.byOther })
	row("  with a sign at its start", func(s *limitScore) tallied { return s.signed })
	row("  without one, unless the limit changes there", func(s *limitScore) tallied { return s.unsigned })
	row("  shorter than 30 m", func(s *limitScore) tallied { return s.short })
	row("  the map is right", func(s *limitScore) tallied { return s.mapRight })
	row("  the map is wrong", func(s *limitScore) tallied { return s.mapWrong })
	row("  the map knows none", func(s *limitScore) tallied { return s.mapSilent })
	row("driven less often", func(s *limitScore) tallied { return s.seldom })
	row("without a limit posted (right: none is published)", func(s *limitScore) tallied {
		return tallied{roads: s.unposted.roads, published: s.unposted.published}
	})
	report.Tables = append(report.Tables, t)

	v := eval.NewTable("Wrong limits of the map, and limits that vary", "", all.String(), sound.String())
	both := func(what string, f func(*limitScore) string) { v.Row(what, f(&scores[all]), f(&scores[sound])) }
	both("published limits that differ from the map's", func(s *limitScore) string { return strconv.Itoa(s.disagree) })
	both("  of those right (precision), %", func(s *limitScore) string { return percent(s.rightly, s.disagree) })
	both("wrong limits of the map found (recall), %", func(s *limitScore) string { return percent(s.mapWrong.right, s.mapWrong.roads) })
	both("roads with a limit by night or when wet, driven ≥ 10 times under each", func(s *limitScore) string { return strconv.Itoa(s.varying.roads) })
	both("  found, %", func(s *limitScore) string { return percent(s.varying.right, s.varying.roads) })
	both("variants published, of those true, %", func(s *limitScore) string {
		return fmt.Sprintf("%d, %s", s.variants, percent(s.variantsRight, s.variants))
	})
	v.Row(fmt.Sprintf("roads with a limit published, judged every %s of driving", judgedEvery), strconv.Itoa(len(r.shown[all].changes)), strconv.Itoa(len(r.shown[sound].changes)))
	v.Row("  of those withdrawn or changed again, %", percent(r.shown[all].unsteady(), len(r.shown[all].changes)), percent(r.shown[sound].unsteady(), len(r.shown[sound].changes)))
	report.Tables = append(report.Tables, v)

	s := &scores[all]
	report.Aims = append(report.Aims,
		eval.Aim{Name: "limits right where published", Want: 99, Got: share(s.all.right, s.all.published), Unit: "%", Places: 2, Least: true, Note: fmt.Sprintf("%d of %d roads, %.2f %% of their length", s.all.right, s.all.published, 100*s.all.rightM/max(s.all.publishedM, 1))},
		eval.Aim{Name: fmt.Sprintf("limits published where driven ≥ %d times", enoughTraversals), Want: 90, Got: share(s.all.published, s.all.roads), Unit: "%", Places: 1, Least: true, Note: fmt.Sprintf("%d of %d roads", s.all.published, s.all.roads)},
		eval.Aim{Name: "wrong limits of the map found", Want: 90, Got: share(s.mapWrong.right, s.mapWrong.roads), Unit: "%", Places: 1, Least: true, Note: fmt.Sprintf("%d of %d roads", s.mapWrong.right, s.mapWrong.roads)},
	)
	for _, e := range s.wrongEdges[:min(len(s.wrongEdges), maxListed)] {
		r.cfg.Logf("wrong limit: %s", e)
	}
	return nil
}

// shortRoadM is the length below which a road is counted as short.
const shortRoadM = 30

// maxListed bounds what is listed of a kind on standard error.
const maxListed = 20

func (r *run) judgeLimits(ctx context.Context, a arm) (s limitScore, err error) {
	last := r.plan[len(r.plan)-1]
	chain := r.chain(a, last.start.Add(last.length))
	seen := r.conditions()
	for arc, at := range r.ground.onMap {
		edge, ok := r.judgeable(arc)
		if !ok {
			continue
		}
		truth := r.limits[arc]
		l, err := chain.Limit(ctx, edge)
		if err != nil {
			return s, err
		}
		s.count(r, int32(arc), at, &truth, &l, seen)
	}
	return s, nil
}

func (s *limitScore) count(r *run, arc int32, at road.Index, truth *fleet.Limit, l *limit.Limit, seen []underConditions) {
	g := r.ground
	length := g.graph.LengthM(at)
	published, right := l.Published(), l.Published() && l.KMH == truth.KMH
	for _, v := range l.Variants {
		s.variants++
		if truth.Varies && v.KMH == truth.OtherIs && v.Wet == truth.Wet {
			s.variantsRight++
		}
	}
	often := r.entered[arc] >= enoughTraversals
	switch {
	case truth.KMH == 0:
		if often {
			s.unposted.add(published, false, length)
		}
		return
	case !often:
		s.seldom.add(published, right, length)
		return
	}
	s.all.add(published, right, length)
	if g.graph.Class(at) <= road.SecondaryLink {
		s.byMain.add(published, right, length)
	} else {
		s.byOther.add(published, right, length)
	}
	if truth.Sign {
		s.signed.add(published, right, length)
	} else {
		s.unsigned.add(published, right, length)
	}
	if length < shortRoadM {
		s.short.add(published, right, length)
	}
	switch truth.MapKMH {
	case 0:
		s.mapSilent.add(published, right, length)
	case truth.KMH:
		s.mapRight.add(published, right, length)
	default:
		s.mapWrong.add(published, right, length)
	}
	if published && truth.MapKMH != 0 && l.KMH != truth.MapKMH {
		s.disagree++
		if right {
			s.rightly++
		}
	}
	if published && !right {
		s.wrongEdges = append(s.wrongEdges, fmt.Sprintf("edge %d (%s, %.0f m, driven %d times): %d posted (varies: %v to %d), map %d, published %d by %d vehicles, %d readings, posterior %.3f",
			l.Edge, g.graph.Class(at), g.graph.LengthM(at), r.entered[arc], truth.KMH, truth.Varies, truth.OtherIs, truth.MapKMH, l.KMH, l.Vehicles, l.Readings, l.Posterior))
	}
	if c := seen[arc]; truth.Varies && c.usual >= enoughTraversals && c.other >= enoughTraversals {
		found := slices.ContainsFunc(l.Variants, func(v limit.Variant) bool { return v.KMH == truth.OtherIs && v.Wet == truth.Wet })
		s.varying.add(published, published && found && right, length)
	}
}

// binsOf is the histogram of speeds of an arm's vehicles on an edge of the map; nil if none.
func (r *run) binsOf(a arm, at road.Index) *learn.SpeedBins {
	var out *learn.SpeedBins
	for _, w := range r.workers {
		for class := range w.bins {
			b := w.bins[class][at]
			if b == nil || a == sound && class == badClass {
				continue
			}
			if out == nil {
				out = &learn.SpeedBins{}
			}
			out.Merge(b)
		}
	}
	return out
}

// underConditions is how often a road was driven under which limit.
type underConditions struct{ usual, other int }

// conditions counts traversals by condition, by arc: by windows of a quarter of an hour that
// are night, or wet for the most part.
func (r *run) conditions() []underConditions {
	out := make([]underConditions, len(r.limits))
	perSession := r.windows / len(r.plan)
	for n, s := range r.plan {
		for w := range perSession {
			middle := s.start.Add(time.Duration(w)*windowMS*time.Millisecond + windowMS/2*time.Millisecond)
			night := middle.UTC().Hour() >= 22 || middle.UTC().Hour() < 6
			wet := fleet.WetAt(r.cfg.Seed, middle)
			for arc := range out {
				l := &r.limits[arc]
				if !l.Varies {
					continue
				}
				visits := int(r.visits[arc*r.windows+n*perSession+w])
				if l.Wet && wet || !l.Wet && night {
					out[arc].other += visits
				} else {
					out[arc].usual += visits
				}
			}
		}
	}
	return out
}
