package management

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/management/region"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// speedTrend is a question for speeds.
type speedTrend struct {
	trendTime
	area      trendArea
	road      string // "", class or segment
	counts    bool   // no percentiles
	compare   *trendTime
	limit     int
	after     groupKey // of the area's groups
	afterEdge uint64   // of segments
}

// groupKey names a group of an area.
type groupKey struct {
	time  int64
	class road.Class
}

func (k groupKey) compare(o groupKey) int {
	return cmp.Or(cmp.Compare(k.time, o.time), cmp.Compare(k.class, o.class))
}

func (k groupKey) String() string {
	return strconv.FormatInt(k.time, 10) + "-" + strconv.Itoa(int(k.class))
}

type speedTrendDoc struct {
	trendHead
	withheld
	Compare    *periodDoc   `json:"compare,omitempty"`
	Groups     []speedGroup `json:"groups"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

type periodDoc struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// speedGroup is one group's speeds. Class stands for itself in groups by class; of a segment, it is one of the road's properties.
type speedGroup struct {
	timeKey
	*roadProps
	Class string `json:"class,omitempty"`
	speedValues
	Compare    *speedValues     `json:"compare,omitempty"`
	Difference *speedDifference `json:"difference,omitempty"`

	key groupKey
	seg *road.Segment
}

// speedValues are null when suppressed. All but the last two are of segments that k distinct vehicles drove
// on within the group's time: each could be told by itself, so that areas that differ by a segment say
// nothing of a single car.
type speedValues struct {
	Samples    *int64   `json:"samples"`
	Vehicles   *int     `json:"vehicles_at_least"`
	MeanKMH    *float64 `json:"mean_kmh"`
	P15KMH     *float64 `json:"p15_kmh"`
	P50KMH     *float64 `json:"p50_kmh"`
	P85KMH     *float64 `json:"p85_kmh"`
	Segments   *int     `json:"segments"`
	LengthKM   *float64 `json:"length_km"`
	Withheld   int      `json:"suppressed_segments"`
	Suppressed bool     `json:"suppressed"`
}

type speedDifference struct {
	MeanKMH     *float64 `json:"mean_kmh"`
	MeanPercent *float64 `json:"mean_percent"`
	P15KMH      *float64 `json:"p15_kmh"`
	P50KMH      *float64 `json:"p50_kmh"`
	P85KMH      *float64 `json:"p85_kmh"`
}

// speedSum adds up the cells of a group.
type speedSum struct {
	samples  uint64 // of an area and a year more than a learn.Speed counts
	sumCMPS  int64
	bins     learn.SpeedBins
	vehicles int
	segments int
	lengthM  float64
	withheld int
}

func (s *speedSum) add(c *learn.SpeedCell, lengthM float64, k int) {
	if c.AtLeast < k {
		s.withheld++
		return
	}
	s.samples += uint64(c.Sum.N)
	s.sumCMPS += c.Sum.SumCMPS
	s.bins.Merge(&c.Sum.Bins)
	s.vehicles = max(s.vehicles, c.AtLeast)
	s.segments++
	s.lengthM += lengthM
}

func (s *speedSum) values() speedValues {
	v := speedValues{Suppressed: true}
	if s == nil {
		return v
	}
	v.Withheld = s.withheld
	if s.segments == 0 {
		return v
	}
	v.Suppressed = false
	samples, vehicles, segments, length := int64(s.samples), s.vehicles, s.segments, km(s.lengthM)
	v.Samples, v.Vehicles, v.Segments, v.LengthKM = &samples, &vehicles, &segments, &length
	v.MeanKMH = kmh(float64(s.sumCMPS) / float64(s.samples) * learn.CMPSToKMH)
	v.P15KMH, v.P50KMH, v.P85KMH = kmh(s.bins.PercentileKMH(0.15)), kmh(s.bins.PercentileKMH(0.5)), kmh(s.bins.PercentileKMH(0.85))
	return v
}

// compareWith adds the other period's values and what changed from there to here.
func (g *speedGroup) compareWith(other speedValues) {
	g.Compare, g.Difference = &other, &speedDifference{}
	minus := func(a, b *float64) *float64 {
		if a == nil || b == nil {
			return nil
		}
		return kmh(*a - *b)
	}
	d := g.Difference
	d.MeanKMH, d.P15KMH = minus(g.MeanKMH, other.MeanKMH), minus(g.P15KMH, other.P15KMH)
	d.P50KMH, d.P85KMH = minus(g.P50KMH, other.P50KMH), minus(g.P85KMH, other.P85KMH)
	if d.MeanKMH != nil && *other.MeanKMH > 0 {
		d.MeanPercent = kmh(100 * *d.MeanKMH / *other.MeanKMH)
	}
}

func (s *Server) speedTrend(w http.ResponseWriter, r *http.Request) (*speedTrend, *speedTrendDoc, export.Format, error) {
	body, err := bodyRegion(w, r)
	if err != nil {
		return nil, nil, "", err
	}
	p := newParams(r.URL.RawQuery, "bbox", "polygon", "edges", "class", "from", "to", "group_by", "resolution", "time_zone",
		"compare_from", "compare_to", "limit", "cursor", "format")
	format := p.format()
	q, names := s.areaTrend(p, body, "time", "class", "segment")
	q.compare = p.compareTime(&q.trendTime)
	if err := p.problem(); err != nil {
		return nil, nil, "", err
	}
	doc := &speedTrendDoc{trendHead: q.head(names), withheld: withheld{K: s.cfg.K}, Groups: []speedGroup{}}
	if q.compare != nil {
		doc.Compare = &periodDoc{q.compare.from, q.compare.to}
	}
	return q, doc, format, nil
}

// areaTrend reads what questions for sums over roads have in common.
func (s *Server) areaTrend(p *params, body *region.Region, fallback string, roads ...string) (q *speedTrend, names []string) {
	by, chosen, names := p.groupBy(fallback, 1, roads...)
	q = &speedTrend{trendTime: p.trendTime(s, by), road: strings.Join(chosen, ""), area: p.trendArea(body, s.cfg.MaxTiles)}
	q.limit = p.integer("limit", min(defaultLimit, s.cfg.MaxLimit), 1, s.cfg.MaxLimit)
	if q.road == "segment" {
		q.afterEdge = p.cursor("cursor")
	} else {
		q.after = p.groupCursor("cursor")
	}
	return q, names
}

// compareTime reads compare_from and compare_to: another period, grouped alike.
func (p *params) compareTime(t *trendTime) *trendTime {
	if _, ok := p.get("compare_from"); !ok {
		if _, ok := p.get("compare_to"); ok {
			p.fail("compare_to", "is given without compare_from", "both, or compare_from alone for a period as long as the first")
		}
		return nil
	}
	c := *t
	c.from = p.instant("compare_from", t.from)
	c.to = p.instant("compare_to", c.from.Add(t.to.Sub(t.from)))
	switch {
	case p.err != nil:
	case !c.from.Before(c.to) || c.to.Sub(c.from) > max(t.to.Sub(t.from), 24*time.Hour):
		p.fail("compare_to", "is not after compare_from by at most the length of the first period", "a period that is no longer than from to to")
	case t.by == learn.BySteps && len(c.steps()) > len(t.steps())+1:
		p.fail("compare_to", "makes more steps than the first period has", "a period as long as the first one")
	}
	return &c
}

// beforeAll is below every group's key.
var beforeAll = groupKey{time: math.MinInt64}

// groupCursor is the key of the last group of the page before.
func (p *params) groupCursor(name string) groupKey {
	none := beforeAll
	v, ok := p.get(name)
	if !ok {
		return none
	}
	at, class, _ := strings.Cut(v, "-")
	t, err := strconv.ParseInt(at, 10, 64)
	c, err2 := strconv.ParseUint(class, 10, 8)
	if err != nil || err2 != nil {
		p.fail(name, "is "+quote(v), "next_cursor of the page before")
		return none
	}
	return groupKey{t, road.Class(c)}
}

func (s *Server) getSpeedTrend(w http.ResponseWriter, r *http.Request) {
	s.tagged(func(r *http.Request) (any, error) {
		q, doc, format, err := s.speedTrend(w, r)
		if err != nil {
			return nil, err
		}
		if format != "" {
			return s.exportSpeeds(q, format), nil
		}
		err = s.withHeavy(r.Context(), func(ctx context.Context) error {
			next, err := s.speedGroups(ctx, q, func(g *speedGroup) error {
				if g.Suppressed {
					doc.Suppressed++
				}
				doc.Groups = append(doc.Groups, *g)
				return nil
			})
			doc.NextCursor = next
			return err
		})
		return doc, tooMuch(err)
	})(w, r)
}

// speedGroups gives a page of groups to each and returns the cursor of the next.
func (s *Server) speedGroups(ctx context.Context, q *speedTrend, each func(*speedGroup) error) (next string, err error) {
	if q.road == "segment" {
		return s.segmentGroups(ctx, q, each)
	}
	return s.areaGroups(ctx, q, each)
}

// exportSpeeds is all groups as a file. Those by segment pass through; those of areas are few.
func (s *Server) exportSpeeds(q *speedTrend, format export.Format) *file {
	columns := speedRow{&speedGroup{timeKey: timeKey{by: q.by}}, q}
	return q.file(s, format, "speeds", columns, func(ctx context.Context, put func(row) error) (suppressed int, err error) {
		each := func(g *speedGroup) error {
			if g.Suppressed {
				suppressed++
			}
			return put(speedRow{g, q})
		}
		if q.road == "segment" {
			return suppressed, s.everySegment(ctx, q, each)
		}
		q.limit = s.cfg.MaxExportRows + 1
		_, err = s.areaGroups(ctx, q, each)
		return suppressed, err
	})
}

// areaGroups groups all roads of the area, or each class of them.
func (s *Server) areaGroups(ctx context.Context, q *speedTrend, each func(*speedGroup) error) (next string, err error) {
	book := s.roadBook(&q.area)
	sums, err := s.sumArea(ctx, q, &q.trendTime, book)
	if err != nil {
		return "", err
	}
	var others map[groupKey]*speedSum
	if q.compare != nil {
		if others, err = s.sumArea(ctx, q, q.compare, book); err != nil {
			return "", err
		}
		others = alignGroups(others, q)
	}
	keys := make([]groupKey, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	for k := range others {
		if sums[k] == nil {
			keys = append(keys, k)
		}
	}
	return q.page(keys, func(k groupKey) error {
		g := speedGroup{timeKey: newTimeKey(q.by, k.time), speedValues: sums[k].values(), key: k}
		if q.road == "class" {
			g.Class = k.class.String()
		}
		if q.compare != nil {
			g.compareWith(others[k].values())
		}
		return each(&g)
	})
}

// page gives those keys of a page to each, in their order, and returns the cursor of the next.
func (q *speedTrend) page(keys []groupKey, each func(groupKey) error) (next string, err error) {
	keys = slices.DeleteFunc(keys, func(k groupKey) bool { return k.compare(q.after) <= 0 })
	slices.SortFunc(keys, groupKey.compare)
	for i, k := range keys {
		if i == q.limit {
			return keys[i-1].String(), nil
		}
		if err := each(k); err != nil {
			return "", err
		}
	}
	return "", nil
}

// sumArea sums up each group of a period.
func (s *Server) sumArea(ctx context.Context, q *speedTrend, t *trendTime, book *roadBook) (map[groupKey]*speedSum, error) {
	sums := map[groupKey]*speedSum{}
	cells := t.cells(q.area.ranges)
	cells.Counts = q.counts
	err := s.deps.Store.SpeedCells(ctx, cells, func(c *learn.SpeedCell) error {
		info, err := book.of(ctx, road.Edge(c.Edge))
		if err != nil || !info.in {
			return err
		}
		k := groupKey{time: c.Key}
		if q.road == "class" {
			k.class = info.class()
		}
		sum := sums[k]
		if sum == nil {
			if len(sums) == maxSteps*4 {
				return errTooManyGroups()
			}
			sum = &speedSum{}
			sums[k] = sum
		}
		sum.add(c, info.lengthM(), s.cfg.K)
		return nil
	})
	return sums, err
}

func (t *trendTime) grouping() learn.Grouping {
	return learn.Grouping{From: t.from, To: t.to, By: t.by, Step: t.step, Zone: t.zone}
}

func (t *trendTime) cells(ranges [][2]uint64) learn.CellQuery {
	return learn.CellQuery{Grouping: t.grouping(), Ranges: ranges}
}

// alignGroups names the other period's groups as those of the first: the nth step as its nth.
func alignGroups(others map[groupKey]*speedSum, q *speedTrend) map[groupKey]*speedSum {
	if q.by != learn.BySteps {
		return others
	}
	to := q.alignment()
	out := make(map[groupKey]*speedSum, len(others))
	for k, v := range others {
		if at, ok := to[k.time]; ok {
			out[groupKey{at, k.class}] = v
		}
	}
	return out
}

// alignment maps the starts of the other period's steps to the first's.
func (q *speedTrend) alignment() map[int64]int64 {
	theirs, ours := q.compare.steps(), q.steps()
	to := make(map[int64]int64, len(ours))
	for i := range min(len(theirs), len(ours)) {
		to[theirs[i]] = ours[i]
	}
	return to
}
