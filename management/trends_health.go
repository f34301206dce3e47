package management

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/management/trend"
	"github.com/carasso/carasso/mapdata/learn"
)

type healthDoc struct {
	trendHead
	withheld
	Groups     []healthGroup     `json:"groups"`
	Comparison *healthComparison `json:"comparison,omitempty"`
}

// healthGroup is what the vehicles of a model, a software version, or both report. Its values are null when
// suppressed.
type healthGroup struct {
	timeKey
	Model    string `json:"model,omitempty"`
	Software string `json:"software,omitempty"`
	healthValues
	Suppressed bool `json:"suppressed"`

	key int64
	sum *learn.Health
}

type healthValues struct {
	Vehicles          *int        `json:"vehicles_at_least"`
	Batches           *int64      `json:"batches"`
	Samples           *int64      `json:"samples"`
	KM                *float64    `json:"km"`
	GPSAccuracyM      *float64    `json:"gps_accuracy_m"`
	Disagreement      *shareDoc   `json:"sign_disagreement"`
	Unmatched         *shareDoc   `json:"unmatched"`
	MissingSpeed      *shareDoc   `json:"missing_speed"`
	MissingHeading    *shareDoc   `json:"missing_heading"`
	MissingAccuracy   *shareDoc   `json:"missing_accuracy"`
	MissingTemp       *shareDoc   `json:"missing_temperature"`
	Per1000KM         *healthRate `json:"per_1000_km"`
	Per100000Samples  *healthRate `json:"per_100000_samples"`
	SignsPer1000KM    *float64    `json:"signs_per_1000_km"`
	SignsMissingShare *shareDoc   `json:"signs_missing"`
}

// shareDoc is a share with its 95 % interval.
type shareDoc struct {
	Share *float64 `json:"share"`
	Low   float64  `json:"low"`
	High  float64  `json:"high"`
	Cases int64    `json:"cases"`
	Of    int64    `json:"of"`
}

// healthRate is how often something fires: the first four by samples in which it was on, reports by event.
type healthRate struct {
	ABS         *float64 `json:"abs"`
	ESC         *float64 `json:"esc"`
	TCS         *float64 `json:"tcs"`
	HazardLight *float64 `json:"hazard_light"`
	Hazards     *float64 `json:"hazard_reports"`
}

// healthComparison holds two software versions against each other.
type healthComparison struct {
	Baseline  string             `json:"baseline"`
	Candidate string             `json:"candidate"`
	Absent    []string           `json:"absent"` // of the two, versions that no model of k vehicles ran
	Measures  []healthDifference `json:"measures"`
}

type healthDifference struct {
	Measure    string   `json:"measure"`
	Baseline   shareDoc `json:"baseline"`
	Candidate  shareDoc `json:"candidate"`
	Difference *float64 `json:"difference"`
	Low        float64  `json:"low"`
	High       float64  `json:"high"`
	Verdict    string   `json:"verdict"`
}

// What can be said of a difference.
const (
	verdictHigher = "higher"
	verdictLower  = "lower"
	verdictNone   = "no evidence"
)

// healthMeasures are the shares that versions are compared by. Samples that follow each other are alike, so those of samples are
// less certain than their intervals say.
func healthMeasures(h *learn.Health) []struct {
	name  string
	share trend.Share
} {
	return []struct {
		name  string
		share trend.Share
	}{
		{"sign_disagreement", trend.Share{Cases: h.SignsDisagree, Trials: h.SignsCompared}},
		{"unmatched", trend.Share{Cases: h.Unmatched, Trials: h.Samples}},
		{"missing_speed", trend.Share{Cases: h.Samples - h.WithSpeed, Trials: h.Samples}},
		{"missing_heading", trend.Share{Cases: h.Samples - h.WithHeading, Trials: h.Samples}},
		{"missing_accuracy", trend.Share{Cases: h.Samples - h.WithAccuracy, Trials: h.Samples}},
		{"missing_temperature", trend.Share{Cases: h.Samples - h.WithTemperature, Trials: h.Samples}},
		{"signs_missing", trend.Share{Cases: h.SignsMissing, Trials: h.SignsSeen + h.SignsMissing}},
		{"abs", trend.Share{Cases: h.ABSActive, Trials: h.Samples}},
		{"esc", trend.Share{Cases: h.ESCActive, Trials: h.Samples}},
		{"tcs", trend.Share{Cases: h.TCSActive, Trials: h.Samples}},
		{"hazard_light", trend.Share{Cases: h.HazardLight, Trials: h.Samples}},
	}
}

func newShareDoc(s trend.Share) shareDoc {
	low, high := s.Wilson()
	d := shareDoc{Low: round(low, 6), High: round(high, 6), Cases: s.Cases, Of: s.Trials}
	if s.Trials > 0 {
		v := round(s.Value(), 6)
		d.Share = &v
	}
	return d
}

func newHealthValues(h *learn.Health, vehicles int) (v healthValues) {
	batches, samples, km := h.Batches, h.Samples, float64(h.DistanceM)/1000
	v.Vehicles, v.Batches, v.Samples, v.KM = &vehicles, &batches, &samples, &km
	v.GPSAccuracyM = ratio(float64(h.SumAccuracyCM)/100, float64(h.WithAccuracy))
	to := map[string]**shareDoc{
		"sign_disagreement": &v.Disagreement, "unmatched": &v.Unmatched, "missing_speed": &v.MissingSpeed, "missing_heading": &v.MissingHeading,
		"missing_accuracy": &v.MissingAccuracy, "missing_temperature": &v.MissingTemp, "signs_missing": &v.SignsMissingShare,
	}
	for _, m := range healthMeasures(h) {
		if field := to[m.name]; field != nil {
			d := newShareDoc(m.share)
			*field = &d
		}
	}
	v.Per1000KM, v.Per100000Samples = newHealthRate(h, km/1000), newHealthRate(h, float64(samples)/100_000)
	v.SignsPer1000KM = ratio(float64(h.SignsSeen), km/1000)
	return v
}

func newHealthRate(h *learn.Health, per float64) *healthRate {
	return &healthRate{
		ABS: ratio(float64(h.ABSActive), per), ESC: ratio(float64(h.ESCActive), per), TCS: ratio(float64(h.TCSActive), per),
		HazardLight: ratio(float64(h.HazardLight), per), Hazards: ratio(float64(h.HazardSeen), per),
	}
}

// ratio is rounded to 3 digits; nil without a denominator.
func ratio(a, b float64) *float64 {
	if b <= 0 {
		return nil
	}
	v := round(a/b, 3)
	return &v
}

// maxHealthCells bounds what one answer is made of.
const maxHealthCells = 50_000

func (s *Server) getSensorHealth(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "from", "to", "model", "software", "group_by", "resolution", "time_zone", "baseline", "candidate", "format")
	format := p.format()
	by, kinds, names := p.groupBy("model,software", 2, "model", "software")
	t := p.trendTime(s, by)
	baseline, candidate := p.values.Get("baseline"), p.values.Get("candidate")
	if (baseline == "") != (candidate == "") {
		p.fail("baseline", "and candidate belong together", "two software versions")
	}
	if baseline != "" && baseline == candidate {
		p.fail("candidate", "is the baseline too", "another software version")
	}
	q := learn.HealthQuery{Grouping: t.grouping(), Models: p.texts("model"), Softwares: p.texts("software"), Most: maxHealthCells}
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		return s.exportHealth(format, &t, &q, kinds, baseline, candidate), nil
	}
	cells, err := s.deps.Store.SensorHealth(r.Context(), q)
	if err != nil {
		return nil, tooMuch(err)
	}
	doc := healthDoc{trendHead: t.head(names), withheld: withheld{K: s.cfg.K}}
	doc.Groups, doc.Suppressed = s.healthGroups(cells, by, kinds)
	if baseline != "" {
		doc.Comparison = s.compareHealth(cells, baseline, candidate)
	}
	return doc, nil
}

// exportHealth is the groups as a file, or the measures of a comparison if one is asked for.
func (s *Server) exportHealth(format export.Format, t *trendTime, q *learn.HealthQuery, kinds []string, baseline, candidate string) *file {
	if baseline != "" {
		return t.file(s, format, "sensor-health-comparison", &healthDifference{}, func(ctx context.Context, put func(row) error) (int, error) {
			cells, err := s.deps.Store.SensorHealth(ctx, *q)
			if err != nil {
				return 0, err
			}
			return 0, putAll(s.compareHealth(cells, baseline, candidate).Measures, put)
		})
	}
	return t.file(s, format, "sensor-health", &healthGroup{timeKey: timeKey{by: t.by}}, func(ctx context.Context, put func(row) error) (int, error) {
		cells, err := s.deps.Store.SensorHealth(ctx, *q)
		if err != nil {
			return 0, err
		}
		groups, suppressed := s.healthGroups(cells, t.by, kinds)
		return suppressed, putAll(groups, put)
	})
}

// texts are values joined by commas.
func (p *params) texts(name string) []string {
	v, ok := p.get(name)
	if !ok {
		return nil
	}
	list := strings.Split(v, ",")
	if len(list) > 100 || len(v) > 4000 {
		p.fail(name, "has too many values", "at most 100, joined by commas")
	}
	return list
}

// healthGroups groups cells, and counts the groups that are suppressed. Cells of fewer than k vehicles are in no sum, else two
// answers that differ by one would tell it.
func (s *Server) healthGroups(cells []learn.HealthCell, by learn.TimeBy, names []string) (groups []healthGroup, suppressed int) {
	type id struct {
		key             int64
		model, software string
	}
	groups = []healthGroup{}
	at := map[id]int{}
	vehicles := []int{}
	for i := range cells {
		c := &cells[i]
		k := id{key: c.Key}
		if slices.Contains(names, "model") {
			k.model = c.Model
		}
		if slices.Contains(names, "software") {
			k.software = c.Software
		}
		n, ok := at[k]
		if !ok {
			n = len(groups)
			at[k] = n
			groups = append(groups, healthGroup{timeKey: newTimeKey(by, k.key), Model: k.model, Software: k.software, Suppressed: true, key: k.key})
			vehicles = append(vehicles, 0)
		}
		if c.AtLeast < s.cfg.K {
			continue
		}
		g := &groups[n]
		if g.sum == nil {
			g.sum, g.Suppressed = &learn.Health{}, false
		}
		g.sum.Merge(&c.Health)
		// Vehicles of other kinds are others.
		vehicles[n] += c.AtLeast
	}
	for i := range groups {
		if g := &groups[i]; g.Suppressed {
			suppressed++
		} else {
			g.healthValues = newHealthValues(g.sum, vehicles[i])
		}
	}
	slices.SortStableFunc(groups, func(a, b healthGroup) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Software, b.Software))
	})
	return groups, suppressed
}

// compareHealth compares two software versions over all that the cells hold; there are no measures if one has no cell of k vehicles.
func (s *Server) compareHealth(cells []learn.HealthCell, baseline, candidate string) *healthComparison {
	var sums [2]learn.Health
	for i := range cells {
		if c := &cells[i]; c.AtLeast >= s.cfg.K {
			switch c.Software {
			case baseline:
				sums[0].Merge(&c.Health)
			case candidate:
				sums[1].Merge(&c.Health)
			}
		}
	}
	out := &healthComparison{Baseline: baseline, Candidate: candidate, Absent: []string{}, Measures: []healthDifference{}}
	for i, version := range []string{baseline, candidate} {
		if sums[i].Samples == 0 {
			out.Absent = append(out.Absent, version)
		}
	}
	if len(out.Absent) > 0 {
		return out
	}
	theirs, ours := healthMeasures(&sums[0]), healthMeasures(&sums[1])
	for i := range ours {
		a, b := theirs[i].share, ours[i].share
		low, high := trend.Difference(a, b)
		d := healthDifference{
			Measure: ours[i].name, Baseline: newShareDoc(a), Candidate: newShareDoc(b), Low: round(low, 6), High: round(high, 6), Verdict: verdictNone,
		}
		if diff := b.Value() - a.Value(); !math.IsNaN(diff) {
			diff = round(diff, 6)
			d.Difference = &diff
		}
		switch {
		case low > 0:
			d.Verdict = verdictHigher
		case high < 0:
			d.Verdict = verdictLower
		}
		out.Measures = append(out.Measures, d)
	}
	return out
}
