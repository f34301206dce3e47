package fleet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// What is learned is compared with the simulation's truth, as far as the management API
// tells it.

// errNotOffered is wrapped by the error about a question that the management API does not know.
var errNotOffered = errors.New("the management API does not offer this")

const (
	leastLearned = 20                     // limits or hazards, to be judged
	limitsRight  = 0.9                    // share of published limits that must be the posted ones: on roads that few cars drove yet, 91 % are
	hazardsRight = 0.8                    // share of hazards that must be where one is, or next to it
	hazardWindow = 5 * 60 * 1000          // ms: a hazard's end is told that much later at most
	notOffered   = "NOT OFFERED"          // by an older management API
	endedParam   = "2006-01-02T15:04:05Z" // of ended_since
)

// learnedLimit is a limit that the map has learned, with its variants' values.
type learnedLimit struct {
	kmh      int // 0: no limit
	variants []int
}

// limits asks for all limits learned in the network's extent.
func (m *managementClient) limits(ctx context.Context, n *Network) (map[uint64]learnedLimit, error) {
	out := make(map[uint64]learnedLimit)
	for _, box := range boxes(n) {
		q := url.Values{"bbox": {box}, "geometry": {"false"}, "limit": {strconv.Itoa(segmentPage)}}
		for {
			var page struct {
				Features []struct {
					ID         uint64 `json:"id"`
					Properties struct {
						Learned  any `json:"learned"` // km/h, or "none"
						Variants []struct {
							Limit any `json:"limit"`
						} `json:"variants"`
					} `json:"properties"`
				} `json:"features"`
				NextCursor string `json:"next_cursor"`
			}
			if err := m.ask(ctx, http.MethodGet, "/v1/limits?"+q.Encode(), nil, &page); err != nil {
				return nil, err
			}
			for i := range page.Features {
				p := &page.Features[i]
				l := learnedLimit{kmh: number(p.Properties.Learned)}
				for _, v := range p.Properties.Variants {
					l.variants = append(l.variants, number(v.Limit))
				}
				out[p.ID] = l
			}
			if page.NextCursor == "" || page.NextCursor == q.Get("cursor") {
				break
			}
			q.Set("cursor", page.NextCursor)
		}
	}
	return out, nil
}

// number is a JSON number; 0 for anything else.
func number(v any) int {
	f, _ := v.(float64)
	return int(f)
}

// learnedHazard is a hazard that the map has told of.
type learnedHazard struct {
	Category string    `json:"category"`
	Edge     uint64    `json:"edge"`
	Edges    []uint64  `json:"edges"`
	Started  time.Time `json:"started"`
	Updated  time.Time `json:"updated"`
}

// hazards asks for those that are active, or ended since a time.
func (m *managementClient) hazards(ctx context.Context, since time.Time) ([]learnedHazard, error) {
	q := url.Values{"ended_since": {since.UTC().Format(endedParam)}}
	var out []learnedHazard
	for {
		var page struct {
			Features []struct {
				Properties learnedHazard `json:"properties"`
			} `json:"features"`
			NextCursor string `json:"next_cursor"`
		}
		if err := m.ask(ctx, http.MethodGet, "/v1/hazards?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		for i := range page.Features {
			out = append(out, page.Features[i].Properties)
		}
		if page.NextCursor == "" || page.NextCursor == q.Get("cursor") {
			return out, nil
		}
		q.Set("cursor", page.NextCursor)
	}
}

// checkLearned compares limits and hazards with the truth of the run.
func (v *verifier) checkLearned(ctx context.Context, sim *Simulation, since time.Time) ([]Check, error) {
	limits, err := v.client.limits(ctx, v.net)
	var checks []Check
	switch {
	case errors.Is(err, errNotOffered):
		checks = append(checks, missingCheck("learned limits"))
	case err != nil:
		return nil, fmt.Errorf("fleet: verify limits: %w", err)
	default:
		checks = append(checks, sim.checkLimits(limits, v.beforeLimits))
	}
	hazards, err := v.client.hazards(ctx, since)
	switch {
	case errors.Is(err, errNotOffered):
		checks = append(checks, missingCheck("hazards"))
	case err != nil:
		return nil, fmt.Errorf("fleet: verify hazards: %w", err)
	default:
		checks = append(checks, sim.checkHazards(hazards, since))
	}
	return checks, nil
}

func missingCheck(what string) Check {
	return Check{What: what, Expected: "compared with the truth", Found: notOffered, OK: true, Note: "by this management API: NOTHING was compared"}
}

// checkLimits compares the limits that were published during the run with what is posted.
func (s *Simulation) checkLimits(found, before map[uint64]learnedLimit) Check {
	var told, right, differ, differRight int
	for i := range int32(s.net.Arcs()) {
		edge := s.net.Edge(i)
		l, ok := found[edge]
		if was, known := before[edge]; !ok || known && was.kmh == l.kmh {
			continue // perhaps learned from others, who drove in another truth
		}
		truth := s.Limit(i)
		good := l.kmh == int(truth.KMH) || truth.Varies && l.kmh == int(truth.OtherIs)
		told++
		if good {
			right++
		}
		if l.kmh != int(truth.MapKMH) && truth.MapKMH != 0 {
			differ++
			if good {
				differRight++
			}
		}
	}
	c := Check{
		What: "limits learned since the start: right", Expected: fmt.Sprintf("≥ %.0f %%", limitsRight*100), Found: fmt.Sprintf("%.2f %% of %d", ratio(int64(right), int64(told))*100, told),
		OK:   told < leastLearned || plausible(right, told, limitsRight),
		Note: fmt.Sprintf("of %d that differ from the map's, %d are right", differ, differRight),
	}
	if told < leastLearned {
		c.Note = fmt.Sprintf("too few to be judged; %d differ from the map's", differ)
	}
	return c
}

// plausible reports whether right of told may be a sample of a population of which the share is right:
// it lies at most two standard deviations of the binomial distribution below.
func plausible(right, told int, share float64) bool {
	n := float64(told)
	return float64(right) >= n*share-2*math.Sqrt(n*share*(1-share))
}

// checkHazards compares the hazards that began during the run with what was there.
func (s *Simulation) checkHazards(found []learnedHazard, since time.Time) Check {
	arcOf := make(map[uint64]int32, s.net.Arcs())
	for i := range int32(s.net.Arcs()) {
		arcOf[s.net.Edge(i)] = i
	}
	var told, right int
	for i := range found {
		h := &found[i]
		if h.Started.Before(since) {
			continue
		}
		told++
		if s.explains(h, arcOf) {
			right++
		}
	}
	c := Check{
		What: "hazards begun since the start: in place", Expected: fmt.Sprintf("≥ %.0f %%", hazardsRight*100), Found: fmt.Sprintf("%.1f %% of %d", ratio(int64(right), int64(told))*100, told),
		OK: told < leastLearned || plausible(right, told, hazardsRight), Note: "where one of any kind was, on the road or one that touches it, or the weather was so",
	}
	if told < leastLearned {
		c.Note = "too few to be judged"
	}
	return c
}

// WeatherMarginM is how far from its weather a road may be told of: positions are wrong by some metres, and fog lifts meanwhile.
const WeatherMarginM = 150

// explains reports whether the truth had something that a hazard may tell of.
func (s *Simulation) explains(h *learnedHazard, arcOf map[uint64]int32) bool {
	from, to := h.Started.UnixMilli()-hazardWindow, h.Updated.UnixMilli()
	for ms := from; ms <= to+60_000; ms += 30_000 {
		weather := s.Weather(ms)
		for _, e := range append([]uint64{h.Edge}, h.Edges...) {
			arc, ok := arcOf[e]
			if !ok {
				continue
			}
			if s.hazardNear(arc, ms) {
				return true
			}
			heavy, fog := weather.Near(s.net.shape(arc), WeatherMarginM)
			if h.Category == telemetry.ReducedVisibility.String() && fog || h.Category == telemetry.ExceptionalWeather.String() && heavy {
				return true
			}
		}
	}
	return false
}

// hazardNear reports whether something is wrong on an arc or one that touches it.
func (s *Simulation) hazardNear(arc int32, unixMS int64) bool {
	a := &s.net.arcs[arc]
	for i := range s.world.zones {
		z := &s.world.zones[i]
		b := &s.net.arcs[z.arc]
		aTo, bTo := s.net.junction(a.to), s.net.junction(b.to)
		if (a.from == b.from || a.from == bTo || aTo == b.from || aTo == bTo) && z.on(unixMS-s.startMS) {
			return true
		}
	}
	return false
}
