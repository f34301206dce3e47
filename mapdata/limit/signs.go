package limit

import (
	"context"
	"slices"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// signs is whether one stands where an edge starts.
type signs struct {
	silent float64 // cameras that read none there, by estimate; 0: one may well stand there
	unless doubt   // and
	missed bool    // enough vehicles reported that the map's limit is not posted there
}

// doubt is a sign that may stand on a short edge or on the next one.
type doubt struct {
	any bool
	kmh uint8 // what it says; NoLimitKnown: several say different things, or nothing of a limit
}

// and is both doubts.
func (d doubt) and(o doubt) doubt {
	if !d.any {
		return o
	}
	if o.any && o.kmh != d.kmh {
		d.kmh = road.NoLimitKnown
	}
	return d
}

// allows tells whether a limit holds, whichever of the two edges the sign stands on.
func (d doubt) allows(kmh uint8) bool { return !d.any || d.kmh == kmh }

// On an edge shorter than shortM a sign can't be told from one on the next, but by how many read it, of those
// who read one on the other: if more than mostHere, it stands here, if fewer than leastHere, it
// does not, and in between it can't be told.
const (
	shortM    = 25.0
	mostHere  = 0.67
	leastHere = 0.2
)

// readSigns fills in an edge's signs. Those read on a short edge that stand elsewhere, or may, are left
// out of its evidence.
func (c *Chain) readSigns(ctx context.Context, j *judged) error {
	evidence := j.known.Evidence
	j.signs.missed = fullest(evidence, func(code Code) bool {
		return code.Reading == Missing && !code.Carried && code.KMH == j.edge.part.LimitKMH(j.edge.index)
	}) >= c.cfg.K
	here := readers(evidence)
	if here > 0 && j.edge.lengthM() < shortM {
		beside, err := c.readersBeside(ctx, j.edge)
		if err != nil {
			return err
		}
		if here < mostHere*beside {
			j.signs.unless = doubt{here > leastHere*beside, mostRead(evidence)}
			j.known.Evidence, here = withoutSigns(evidence), 0
		}
	}
	if passed := learn.EstimateVehicles(j.known.Passes); j.known.Passes >= c.cfg.K && here < signShare*c.cfg.Cameras*passed {
		j.signs.silent = (passed - here) * c.cfg.Cameras
	}
	return nil
}

// readersBeside is how many vehicles read a sign on the edge where most did, of those that touch e.
func (c *Chain) readersBeside(ctx context.Context, e edge) (most float64, err error) {
	for _, list := range [2]func(context.Context, edge) ([]road.Edge, error){c.net.into, c.net.outOf} {
		edges, err := list(ctx, e)
		if err != nil {
			return 0, err
		}
		for _, other := range edges {
			k, err := c.known(ctx, other)
			if err != nil {
				return 0, err
			}
			most = max(most, readers(k.Evidence))
		}
	}
	return most, nil
}

// direct tells whether something is said of a sign that was read on the edge itself.
func direct(c Code) bool { return !c.Carried && c.Reading != Missing }

// readers is how many distinct vehicles read a sign on the edge itself, by estimate, on the day with
// the most.
func readers(evidence []learn.Evidence) float64 {
	return learn.EstimateVehicles(fullest(evidence, direct))
}

// fullest is how many distinct vehicles said something that counts, a lower bound, on the day with the most.
func fullest(evidence []learn.Evidence, counts func(Code) bool) (most int) {
	days := map[int64]learn.Vehicles{}
	for i := range evidence {
		day := days[evidence[i].BucketMS]
		for k := range evidence[i].Votes {
			v := &evidence[i].Votes[k]
			if code, ok := DecodeCode(v.Code); ok && counts(code) {
				day.Merge(v.Vehicles)
			}
		}
		days[evidence[i].BucketMS] = day
		most = max(most, day.AtLeast())
	}
	return most
}

// mostRead is the limit that was read most on the edge itself; NoLimitKnown if none was.
func mostRead(evidence []learn.Evidence) (kmh uint8) {
	read := map[uint8]int{}
	for i := range evidence {
		for k := range evidence[i].Votes {
			v := &evidence[i].Votes[k]
			if code, ok := DecodeCode(v.Code); ok && direct(code) && code.Reading == Posted {
				read[code.KMH] += v.Vehicles.AtLeast()
			}
		}
	}
	for v, n := range read {
		if n > read[kmh] || n == read[kmh] && v < kmh {
			kmh = v
		}
	}
	return kmh
}

// withoutSigns is evidence without the signs that were read on the edge itself.
func withoutSigns(evidence []learn.Evidence) []learn.Evidence {
	out := slices.Clone(evidence)
	for i := range out {
		out[i].Votes = slices.DeleteFunc(slices.Clone(out[i].Votes), func(v learn.Vote) bool {
			code, ok := DecodeCode(v.Code)
			return ok && direct(code)
		})
	}
	return out
}
