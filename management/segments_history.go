package management

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// historyDoc is the speeds on all roads of an area in one bucket of the past, small enough for a slider to ask for again and again.
type historyDoc struct {
	At         time.Time `json:"at"`
	BucketS    int       `json:"bucket_s"`
	K          int       `json:"k"`
	Suppressed int       `json:"suppressed_count"`
	// Edges has by edge: mean km/h, vehicles at least, level, and the typical km/h or null if asked for.
	Edges map[string][]*float64 `json:"edges"`
}

// typicalWeeks is how far back the typical speed looks for what is not in the profiles yet: as far as the speeds layer of the map does.
const typicalWeeks = 4

func (s *Server) getSegmentHistory(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "bbox", "at", "typical", "format")
	format := p.format()
	area := p.trendArea(nil, s.cfg.MaxTiles)
	if _, ok := p.get("bbox"); !ok {
		p.bbox("bbox") // says what is missing
	}
	at := time.UnixMilli(learn.BucketStart(p.instant("at", s.deps.Now()).UnixMilli())).UTC()
	typical := p.boolean("typical", false)
	if err := p.problem(); err != nil {
		return nil, err
	}
	if format != "" {
		return s.exportHistory(format, &area, at, typical), nil
	}
	doc := historyDoc{At: at, BucketS: int(learn.Bucket / time.Second), K: s.cfg.K, Edges: map[string][]*float64{}}
	q := learn.CellQuery{Grouping: learn.Grouping{From: at, To: at.Add(learn.Bucket)}, Ranges: area.ranges}
	book := s.roadBook(&area)
	err := s.withHeavy(r.Context(), func(ctx context.Context) error {
		if err := s.deps.Store.SpeedCells(ctx, q, func(c *learn.SpeedCell) error { return doc.add(ctx, s, book, c) }); err != nil || !typical {
			return err
		}
		return s.addTypical(ctx, &doc, &area, at)
	})
	return doc, tooMuch(err)
}

// exportHistory is the bucket as a file: a row a directed segment, those with too few vehicles with nulls.
func (s *Server) exportHistory(format export.Format, area *trendArea, at time.Time, typical bool) *file {
	t := trendTime{from: at, to: at.Add(learn.Bucket)}
	return t.file(s, format, "segments", &historyRow{typical: typical}, func(ctx context.Context, put func(row) error) (int, error) {
		usual := map[uint64]*float64{}
		if typical {
			err := s.deps.Store.TypicalSpeeds(ctx, quadkeys(area.region.Bounds()), at.UnixMilli(), typicalWeeks, func(edge uint64, t learn.Typical) {
				if t.Publishable(s.cfg.K) {
					usual[edge] = kmh(t.KMH)
				}
			})
			if err != nil {
				return 0, err
			}
		}
		q := t.cells(area.ranges)
		q.Sorted = true
		doc, book := historyDoc{}, s.roadBook(area)
		err := s.deps.Store.SpeedCells(ctx, q, func(c *learn.SpeedCell) error {
			doc.Edges = map[string][]*float64{}
			if err := doc.add(ctx, s, book, c); err != nil {
				return err
			}
			info, err := book.of(ctx, road.Edge(c.Edge))
			if err != nil || !info.in {
				return err
			}
			h := &historyRow{roadProps: newRoadProps(road.Edge(c.Edge), info.seg), typical: typical, place: lineOf(c.Edge, info.seg)}
			for _, v := range doc.Edges {
				h.values = []*float64{v[0], v[1], v[2], usual[c.Edge]}
			}
			return put(h)
		})
		return doc.Suppressed, err
	})
}

func (d *historyDoc) add(ctx context.Context, s *Server, book *roadBook, c *learn.SpeedCell) error {
	info, err := book.of(ctx, road.Edge(c.Edge))
	if err != nil || !info.in {
		return err
	}
	if c.AtLeast < s.cfg.K {
		d.Suppressed++
		return nil
	}
	mean, vehicles, level := kmh(c.Sum.MeanKMH()), float64(c.AtLeast), 0.0
	if info.seg != nil && mean != nil {
		level = float64(tile.Level(*mean / info.seg.FreeKMH(road.Edge(c.Edge).Against())))
	}
	d.Edges[strconv.FormatUint(c.Edge, 10)] = []*float64{mean, &vehicles, &level}
	return nil
}

// addTypical adds the typical speed of the bucket's place in the week to each edge.
func (s *Server) addTypical(ctx context.Context, d *historyDoc, area *trendArea, at time.Time) error {
	for e, v := range d.Edges {
		d.Edges[e] = append(v, nil)
	}
	return s.deps.Store.TypicalSpeeds(ctx, quadkeys(area.region.Bounds()), at.UnixMilli(), typicalWeeks, func(edge uint64, t learn.Typical) {
		if v := d.Edges[strconv.FormatUint(edge, 10)]; v != nil && t.Publishable(s.cfg.K) {
			v[3] = kmh(t.KMH)
		}
	})
}

// profileDoc is what is usual on a directed segment: by the 288 slots of five minutes of a day and the 2,016 of a week.
type profileDoc struct {
	roadProps
	SlotS    int        `json:"slot_s"`
	Weeks    int        `json:"weeks"`
	From     time.Time  `json:"from"`
	To       time.Time  `json:"to"`
	TimeZone string     `json:"time_zone"`
	K        int        `json:"k"`
	Day      dayProfile `json:"day"`
	// Week has the mean of each slot, from Monday 0:00.
	Week []*float64 `json:"week_mean_kmh"`
}

type dayProfile struct {
	Mean []*float64 `json:"mean_kmh"`
	P15  []*float64 `json:"p15_kmh"`
	P50  []*float64 `json:"p50_kmh"`
	P85  []*float64 `json:"p85_kmh"`
}

const daySlots = 24 * 12

func (s *Server) getSegmentProfile(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "weeks", "time_zone")
	weeks := p.integer("weeks", typicalWeeks, 1, 4)
	zone := p.zone("time_zone")
	edge := p.edge(r)
	if err := p.problem(); err != nil {
		return nil, err
	}
	seg, err := s.segment(r.Context(), edge)
	if err != nil {
		return nil, err
	}
	to := time.UnixMilli(learn.BucketStart(s.deps.Now().UnixMilli())).UTC()
	from := to.AddDate(0, 0, -7*weeks)
	var rows []learn.SpeedRow
	err = s.withHeavy(r.Context(), func(ctx context.Context) (err error) {
		rows, err = s.deps.Store.EdgeSpeeds(ctx, uint64(edge), from, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	if seg == nil && len(rows) == 0 {
		return nil, errUnknownSegment()
	}
	doc := profileDoc{
		roadProps: newRoadProps(edge, seg), SlotS: int(learn.Bucket / time.Second), Weeks: weeks, From: from, To: to, TimeZone: zone.String(), K: s.cfg.K,
	}
	doc.Day, doc.Week = profileOf(rows, zone, s.cfg.K)
	return doc, nil
}

// slotSum is a slot of the day or the week; distinct vehicles are those of its fullest bucket, because other days have other pseudonyms.
type slotSum struct {
	learn.Speed
	atLeast int
}

func (s *slotSum) add(r *learn.SpeedRow) {
	s.Merge(&r.Speed)
	s.atLeast = max(s.atLeast, r.Vehicles.AtLeast())
}

func (s *slotSum) value(k int, f func(*learn.Speed) float64) *float64 {
	if s.atLeast < k {
		return nil
	}
	if v := f(&s.Speed); !math.IsNaN(v) {
		return kmh(v)
	}
	return nil
}

func profileOf(rows []learn.SpeedRow, zone *time.Location, k int) (d dayProfile, week []*float64) {
	day, slots := make([]slotSum, daySlots), make([]slotSum, learn.WeekSlots)
	for i := range rows {
		t := time.UnixMilli(rows[i].BucketMS).In(zone)
		slot := t.Hour()*12 + t.Minute()/5
		day[slot].add(&rows[i])
		slots[(int(t.Weekday()+6)%7)*daySlots+slot].add(&rows[i])
	}
	percentile := func(share float64) func(*learn.Speed) float64 {
		return func(s *learn.Speed) float64 { return s.PercentileKMH(share) }
	}
	for i := range day {
		d.Mean = append(d.Mean, day[i].value(k, (*learn.Speed).MeanKMH))
		d.P15 = append(d.P15, day[i].value(k, percentile(0.15)))
		d.P50 = append(d.P50, day[i].value(k, percentile(0.5)))
		d.P85 = append(d.P85, day[i].value(k, percentile(0.85)))
	}
	for i := range slots {
		week = append(week, slots[i].value(k, (*learn.Speed).MeanKMH))
	}
	return d, week
}
