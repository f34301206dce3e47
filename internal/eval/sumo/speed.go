package sumo

import (
	"math"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// speeds are the aggregates that a worker would write: by edge and five minutes.
type speeds struct {
	by map[speedKey]*learn.Speed
}

type speedKey struct {
	edge road.Edge
	at   int64
}

func newSpeeds() *speeds { return &speeds{by: map[speedKey]*learn.Speed{}} }

func (s *speeds) add(e road.Edge, sample *telemetry.Sample, vehicle uint64) {
	key := speedKey{e, learn.BucketStart(sample.T)}
	v := s.by[key]
	if v == nil {
		v = &learn.Speed{}
		s.by[key] = v
	}
	v.Add(sample.SpeedCMPS, vehicle)
}

func (s *speeds) merge(o *speeds) {
	for k, v := range o.by {
		if have := s.by[k]; have != nil {
			have.Merge(v)
		} else {
			s.by[k] = v
		}
	}
}

// SpeedError is one road's mean speed in one interval against the truth.
type SpeedError struct {
	Edges    []string // SUMO's, of the group
	BeginS   float64
	Cars     int
	TrueKMH  float64
	FoundKMH float64 // not a number if nothing was matched there
}

// AbsKMH is the absolute error; infinite if nothing was matched there.
func (e *SpeedError) AbsKMH() float64 {
	if math.IsNaN(e.FoundKMH) {
		return math.Inf(1)
	}
	return math.Abs(e.FoundKMH - e.TrueKMH)
}

// speedErrors compares SUMO's means with the aggregates, for each group of edges that is
// one road and each of SUMO's intervals in which at least minCars entered one of its edges.
func (s *set) speedErrors(found *speeds, minCars int) []SpeedError {
	bySumo, byGraph, _ := s.mapping.Groups()
	type key struct {
		group int
		begin float64
	}
	type sums struct {
		SpeedError
		end, seconds, metres float64
		found                learn.Speed
	}
	at := map[key]*sums{}
	var order []*sums
	for i := range s.means {
		m := &s.means[i]
		g, ok := bySumo[m.Edge]
		if !ok || m.SampledS <= 0 {
			continue
		}
		k := key{g, m.BeginS}
		v := at[k]
		if v == nil {
			v = &sums{end: m.EndS}
			v.BeginS = m.BeginS
			at[k] = v
			order = append(order, v)
		}
		v.Edges = append(v.Edges, m.Edge)
		v.Cars = max(v.Cars, m.Cars)
		v.seconds += m.SampledS
		v.metres += m.SampledS * m.SpeedMPS
	}
	begins := map[float64]float64{}
	for _, m := range s.means {
		begins[m.BeginS] = m.EndS
	}
	for k, v := range found.by {
		i, ok := s.graph.Find(k.edge)
		if !ok {
			continue
		}
		g, ok := byGraph[i]
		if !ok {
			continue
		}
		sec := float64(k.at-epochMS) / 1000
		for begin, end := range begins {
			if sec >= begin && sec < end {
				if sum := at[key{g, begin}]; sum != nil {
					sum.found.Merge(v)
				}
			}
		}
	}
	var errs []SpeedError
	for _, v := range order {
		if v.Cars < minCars {
			continue
		}
		v.TrueKMH, v.FoundKMH = 3.6*v.metres/v.seconds, v.found.MeanKMH()
		errs = append(errs, v.SpeedError)
	}
	return errs
}

// truthSpeeds are the aggregates of samples without any noise that were all matched rightly.
func (s *set) truthSpeeds() *speeds {
	out := newSpeeds()
	for c := range s.Cars {
		for k := range s.Cars[c].Rows {
			row := &s.Cars[c].Rows[k]
			of := s.mapping.Of(s.name[row.Edge])
			if len(of) == 0 {
				continue
			}
			out.add(s.graph.Edge(of[0]), &telemetry.Sample{T: epochMS + row.T, SpeedCMPS: row.SpeedCMPS}, uint64(c)+1)
		}
	}
	return out
}
