package management

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

type coverageDoc struct {
	trendHead
	withheld
	// SampleS is what a sample stands for in time, by which distances are told.
	SampleS    *float64        `json:"sample_s"`
	Groups     []coverageGroup `json:"groups"`
	Freshness  []roadAgeDoc    `json:"freshness"` // of the first page alone
	NextCursor string          `json:"next_cursor,omitempty"`
}

// coverageGroup is what the fleet saw of an area's roads; what is null is suppressed. All but the last two and what the map has are of
// directed segments that k distinct vehicles drove on within the group's time, as in speedValues.
type coverageGroup struct {
	timeKey
	Class        string   `json:"class,omitempty"`
	DrivenKM     *float64 `json:"driven_km"`
	Samples      *int64   `json:"samples"`
	Vehicles     *int     `json:"vehicles_at_least"`
	Segments     *int     `json:"segments"`
	LengthKM     *float64 `json:"length_km"`
	MapSegments  int      `json:"map_segments"`
	MapLengthKM  float64  `json:"map_length_km"`
	SegmentShare *float64 `json:"segment_share"`
	LengthShare  *float64 `json:"length_share"`
	Withheld     int      `json:"suppressed_segments"`
	Suppressed   bool     `json:"suppressed"`
}

func (s *Server) getCoverageTrend(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "polygon", "edges", "class", "from", "to", "group_by", "resolution", "time_zone", "limit", "cursor", "format")
	format := p.format()
	q, names := s.areaTrend(p, nil, "class", "class")
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		columns := &coverageGroup{timeKey: timeKey{by: q.by}}
		return q.file(s, format, "coverage", columns, func(ctx context.Context, put func(row) error) (int, error) {
			doc := &coverageDoc{}
			q.limit = s.cfg.MaxExportRows + 1
			if err := s.fillCoverage(ctx, q, doc); err != nil {
				return 0, err
			}
			return doc.Suppressed, putAll(doc.Groups, put)
		}), nil
	}
	doc := &coverageDoc{trendHead: q.head(names), withheld: withheld{K: s.cfg.K}, Groups: []coverageGroup{}, Freshness: []roadAgeDoc{}}
	err := s.withHeavy(r.Context(), func(ctx context.Context) error { return s.fillCoverage(ctx, q, doc) })
	return doc, tooMuch(err)
}

// tooMuch is what a client is told when an answer would be too large.
func tooMuch(err error) error {
	if errors.Is(err, learn.ErrTooMuch) {
		return errTooManyGroups()
	}
	return err
}

func (s *Server) fillCoverage(ctx context.Context, q *speedTrend, doc *coverageDoc) error {
	extents, err := s.mapExtents(ctx, &q.area)
	if err != nil {
		return err
	}
	sample, known, err := s.deps.Store.SampleTime(ctx, q.from, q.to)
	if err != nil {
		return err
	}
	if known {
		v := round(sample.Seconds(), 3)
		doc.SampleS = &v
	}
	book := s.roadBook(&q.area)
	q.counts = true
	sums, err := s.sumArea(ctx, q, &q.trendTime, book)
	if err != nil {
		return err
	}
	if q.by == learn.WholeRange && q.road == "class" { // roads that nobody drove on are what coverage is about
		for c := range extents {
			if k := (groupKey{class: c}); sums[k] == nil {
				sums[k] = &speedSum{}
			}
		}
	}
	doc.NextCursor, err = q.page(slices.Collect(maps.Keys(sums)), func(k groupKey) error {
		g := newCoverageGroup(q, k, sums[k], extents.of(q, k.class), doc.SampleS)
		if g.Suppressed {
			doc.Suppressed++
		}
		doc.Groups = append(doc.Groups, g)
		return nil
	})
	if err == nil && q.after == beforeAll && doc.Freshness != nil { // a file has groups alone
		doc.Freshness, err = s.freshness(ctx, q, extents, book)
	}
	return err
}

func newCoverageGroup(q *speedTrend, k groupKey, sum *speedSum, there extent, sampleS *float64) coverageGroup {
	g := coverageGroup{timeKey: newTimeKey(q.by, k.time), MapSegments: there.segments, MapLengthKM: km(there.lengthM), Withheld: sum.withheld}
	if q.road == "class" {
		g.Class = k.class.String()
	}
	if sum.segments == 0 && sum.withheld > 0 {
		g.Suppressed = true
		return g
	}
	samples, length := int64(sum.samples), km(sum.lengthM)
	g.Samples, g.Vehicles, g.Segments, g.LengthKM = &samples, &sum.vehicles, &sum.segments, &length
	if sampleS != nil {
		driven := km(float64(sum.sumCMPS) / 100 * *sampleS)
		g.DrivenKM = &driven
	}
	g.SegmentShare, g.LengthShare = shareOf(float64(sum.segments), float64(there.segments)), shareOf(sum.lengthM, there.lengthM)
	return g
}

// shareOf is a part of what there is, rounded to four digits; nil if there is nothing.
func shareOf(part, whole float64) *float64 {
	if whole <= 0 {
		return nil
	}
	v := round(min(part/whole, 1), 4)
	return &v
}

// km rounds to metres.
func km(metres float64) float64 { return math.Round(metres) / 1000 }

// roadAgeDoc says how long before the range's end the roads of an area, or of a class in it, had been driven on. A directed segment's
// age is the least span of time, up to the end, in which k distinct vehicles drove on it: its speeds could be told of no shorter one.
type roadAgeDoc struct {
	Class       string    `json:"class,omitempty"`
	Since       time.Time `json:"since"` // it was looked back to there
	MapSegments int       `json:"map_segments"`
	Segments    int       `json:"segments"`
	AgeP50S     *float64  `json:"age_p50_s"`
	AgeP95S     *float64  `json:"age_p95_s"`
	Hour        *float64  `json:"within_hour_share"`
	Day         *float64  `json:"within_day_share"`
	Week        *float64  `json:"within_week_share"`
}

const week = 7 * 24 * time.Hour

// freshness looks back to the range's start, and for a week at least.
func (s *Server) freshness(ctx context.Context, q *speedTrend, extents extents, book *roadBook) ([]roadAgeDoc, error) {
	since := q.to.Add(-week)
	if q.from.Before(since) {
		since = q.from
	}
	ages := map[road.Class][]time.Duration{}
	var failed error
	query := learn.FreshnessQuery{Since: since, Until: q.to, Ranges: q.area.ranges, K: s.cfg.K}
	err := s.deps.Store.Freshness(ctx, query, func(edge uint64, sinceMS int64) {
		info, err := book.of(ctx, road.Edge(edge))
		if err != nil {
			failed = err
		}
		if err != nil || !info.in {
			return
		}
		var class road.Class
		if q.road == "class" {
			class = info.class()
		}
		ages[class] = append(ages[class], q.to.Sub(time.UnixMilli(sinceMS)))
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	for c := range extents {
		if q.road != "class" {
			c = road.UnknownClass
		}
		ages[c] = append(ages[c], nil...)
	}
	docs := []roadAgeDoc{}
	for _, c := range slices.Sorted(maps.Keys(ages)) {
		d := newRoadAge(ages[c], extents.of(q, c).segments)
		d.Since = since
		if q.road == "class" {
			d.Class = c.String()
		}
		docs = append(docs, d)
	}
	return docs, nil
}

func newRoadAge(ages []time.Duration, there int) roadAgeDoc {
	slices.Sort(ages)
	d := roadAgeDoc{MapSegments: there, Segments: len(ages)}
	percentile := func(p float64) *float64 { // nearest rank
		if len(ages) == 0 {
			return nil
		}
		v := math.Round(ages[int(math.Ceil(p*float64(len(ages))))-1].Seconds())
		return &v
	}
	d.AgeP50S, d.AgeP95S = percentile(0.5), percentile(0.95)
	within := func(span time.Duration) *float64 {
		n, _ := slices.BinarySearch(ages, span+1)
		return shareOf(float64(n), float64(there))
	}
	d.Hour, d.Day, d.Week = within(time.Hour), within(24*time.Hour), within(week)
	return d
}
