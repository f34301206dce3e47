package management

import (
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/management/export"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/road"
)

// How the documents' parts look as rows: flat, with the JSON's names, and units in them.

func (k *timeKey) export(r *export.Record) {
	switch k.by {
	case learn.BySteps:
		r.Put("time", k.Time)
	case learn.ByHour:
		r.Put("hour_of_day", k.HourOfDay)
	case learn.ByWeekday:
		r.Put("weekday", k.Weekday)
	case learn.WholeRange:
	}
}

func (p *roadProps) export(r *export.Record) {
	r.Put("edge", p.Edge)
	r.Put("segment", p.Segment)
	r.Put("direction", p.Direction)
	r.Put("tile", p.Tile)
	r.Put("class", p.Class)
	r.Put("name", p.Name)
	r.Put("ref", p.Ref)
	r.Put("limit_kmh", p.LimitKMH)
	r.Put("free_kmh", p.FreeKMH)
	r.Put("length_m", p.LengthM)
}

// lineOf is a directed segment's course; nil if the map doesn't know it.
func lineOf(edge uint64, seg *road.Segment) *export.Geometry {
	if seg == nil {
		return nil
	}
	return &export.Geometry{Shape: export.LineString, Positions: coordinates(seg, road.Edge(edge).Against())}
}

func (p pointDoc) place() *export.Geometry {
	return &export.Geometry{Shape: export.Point, Positions: [][2]float64{p.Coordinates}}
}

func (l *lineString) place() *export.Geometry {
	if l == nil {
		return nil
	}
	return &export.Geometry{Shape: export.LineString, Positions: l.Coordinates}
}

// boxOf is a tile's outline.
func boxOf(t geo.Tile) *export.Geometry {
	b := t.Box()
	sw, ne := geo.Point{LatE7: b.South, LonE7: b.West}, geo.Point{LatE7: b.North, LonE7: b.East}
	w, s, e, n := sw.Lon(), sw.Lat(), ne.Lon(), ne.Lat()
	return &export.Geometry{Shape: export.Polygon, Positions: [][2]float64{{w, s}, {e, s}, {e, n}, {w, n}, {w, s}}}
}

// speedRow is a speedGroup of a question.
type speedRow struct {
	*speedGroup
	q *speedTrend
}

func (g speedRow) export(r *export.Record) {
	g.timeKey.export(r)
	switch g.q.road {
	case "class":
		r.Put("class", g.Class)
	case "segment":
		props := g.roadProps
		if props == nil {
			props = &roadProps{}
		}
		props.export(r)
		r.Place(lineOf(props.Edge, g.seg))
	}
	g.speedValues.export(r, "")
	if g.q.compare == nil {
		return
	}
	other, d := g.Compare, g.Difference
	if other == nil {
		other, d = &speedValues{}, &speedDifference{}
	}
	other.export(r, "compare_")
	r.Put("difference_mean_kmh", d.MeanKMH)
	r.Put("difference_mean_percent", d.MeanPercent)
	r.Put("difference_p15_kmh", d.P15KMH)
	r.Put("difference_p50_kmh", d.P50KMH)
	r.Put("difference_p85_kmh", d.P85KMH)
}

func (v *speedValues) export(r *export.Record, prefix string) {
	r.Put(prefix+"samples", v.Samples)
	r.Put(prefix+"vehicles_at_least", v.Vehicles)
	r.Put(prefix+"mean_kmh", v.MeanKMH)
	r.Put(prefix+"p15_kmh", v.P15KMH)
	r.Put(prefix+"p50_kmh", v.P50KMH)
	r.Put(prefix+"p85_kmh", v.P85KMH)
	r.Put(prefix+"segments", v.Segments)
	r.Put(prefix+"length_km", v.LengthKM)
	r.Put(prefix+"suppressed_segments", v.Withheld)
	r.Put(prefix+"suppressed", v.Suppressed)
}

func (g *coverageGroup) export(r *export.Record) {
	g.timeKey.export(r)
	r.Put("class", g.Class)
	r.Put("driven_km", g.DrivenKM)
	r.Put("samples", g.Samples)
	r.Put("vehicles_at_least", g.Vehicles)
	r.Put("segments", g.Segments)
	r.Put("length_km", g.LengthKM)
	r.Put("map_segments", g.MapSegments)
	r.Put("map_length_km", g.MapLengthKM)
	r.Put("segment_share", g.SegmentShare)
	r.Put("length_share", g.LengthShare)
	r.Put("suppressed_segments", g.Withheld)
	r.Put("suppressed", g.Suppressed)
}

func (g *fleetGroup) export(r *export.Record) {
	g.timeKey.export(r)
	r.Put("vehicles_at_least", g.Vehicles)
	r.Put("batches", g.Batches)
	r.Put("samples", g.Samples)
	r.Put("driven_km", g.KM)
	r.Put("suppressed", g.Suppressed)
}

func (s *shareDoc) export(r *export.Record, name string) {
	if s == nil {
		r.Put(name+"_share", (*float64)(nil))
		r.Put(name+"_low_share", (*float64)(nil))
		r.Put(name+"_high_share", (*float64)(nil))
		return
	}
	r.Put(name+"_share", s.Share)
	r.Put(name+"_low_share", &s.Low)
	r.Put(name+"_high_share", &s.High)
}

func (h *healthRate) export(r *export.Record, per string) {
	if h == nil {
		h = &healthRate{}
	}
	r.Put("abs_per_"+per, h.ABS)
	r.Put("esc_per_"+per, h.ESC)
	r.Put("tcs_per_"+per, h.TCS)
	r.Put("hazard_light_per_"+per, h.HazardLight)
	r.Put("hazard_reports_per_"+per, h.Hazards)
}

func (g *healthGroup) export(r *export.Record) {
	g.timeKey.export(r)
	r.Put("model", g.Model)
	r.Put("software", g.Software)
	r.Put("vehicles_at_least", g.Vehicles)
	r.Put("batches", g.Batches)
	r.Put("samples", g.Samples)
	r.Put("driven_km", g.KM)
	r.Put("gps_accuracy_m", g.GPSAccuracyM)
	g.Disagreement.export(r, "sign_disagreement")
	g.Unmatched.export(r, "unmatched")
	g.MissingSpeed.export(r, "missing_speed")
	g.MissingHeading.export(r, "missing_heading")
	g.MissingAccuracy.export(r, "missing_accuracy")
	g.MissingTemp.export(r, "missing_temperature")
	g.SignsMissingShare.export(r, "signs_missing")
	g.Per1000KM.export(r, "1000_km")
	g.Per100000Samples.export(r, "100000_samples")
	r.Put("signs_per_1000_km", g.SignsPer1000KM)
	r.Put("suppressed", g.Suppressed)
}

func (d *healthDifference) export(r *export.Record) {
	r.Put("measure", d.Measure)
	d.Baseline.export(r, "baseline")
	d.Candidate.export(r, "candidate")
	r.Put("difference_share", d.Difference)
	r.Put("difference_low_share", d.Low)
	r.Put("difference_high_share", d.High)
	r.Put("verdict", d.Verdict)
}

// hazardTrendRow is a hazardGroup; in groups by tile it lies in its outline.
type hazardTrendRow struct {
	*hazardGroup
	kinds []string
}

func (g hazardTrendRow) export(r *export.Record) {
	g.timeKey.export(r)
	for _, kind := range g.kinds {
		switch kind {
		case "category":
			r.Put(kind, g.Category)
		case "class":
			r.Put(kind, g.Class)
		case "weather":
			r.Put(kind, g.Weather)
		case "tile":
			r.Put(kind, g.Tile)
			r.Place(g.outline)
		}
	}
	r.Put("hazards", g.Hazards)
	r.Put("active", g.Active)
	r.Put("mean_duration_s", g.DurationS)
}

func (c *pastChangeDoc) export(r *export.Record) {
	r.Put("at", c.At)
	c.roadProps.export(r)
	r.Put("from_kmh", c.FromKMH)
	r.Put("to_kmh", c.ToKMH)
	r.Put("posterior", c.Posterior)
	r.Put("vehicles", c.Vehicles)
	r.Put("readings", c.Readings)
	r.Place(c.place)
}

type hazardRow hazard.Hazard

func (h *hazardRow) export(r *export.Record) {
	var ended *time.Time
	if !(*hazard.Hazard)(h).Active() {
		t := utc(h.EndedMS)
		ended = &t
	}
	r.Put("id", h.ID)
	r.Put("category", h.Category.String())
	r.Put("edge", uint64(h.Edge))
	r.Put("edges", joined(h.Edges))
	r.Put("probability", share(h.Probability))
	r.Put("vehicles", h.Vehicles)
	r.Put("clean", h.Clean)
	r.Put("started", utc(h.StartedMS))
	r.Put("updated", utc(h.UpdatedMS))
	r.Put("ended", ended)
	r.Place(newPoint(h.At).place())
}

func joined(edges []road.Edge) string {
	words := make([]string, len(edges))
	for i, e := range edges {
		words[i] = strconv.FormatUint(uint64(e), 10)
	}
	return strings.Join(words, " ")
}

// putLimit puts a limit as km/h, and whether it is that there is none: null is unknown.
func putLimit(r *export.Record, name string, v limitValue) {
	var kmh *int
	if uint8(v) != road.NoLimitKnown && uint8(v) != road.Unlimited {
		n := int(v)
		kmh = &n
	}
	r.Put(name+"_kmh", kmh)
	r.Put(name+"_unlimited", uint8(v) == road.Unlimited)
}

func (f *limitFeature) export(r *export.Record) {
	p := &f.Properties
	p.export(r)
	putLimit(r, "learned", p.Learned)
	putLimit(r, "map", p.Map)
	r.Put("differs", p.Differs)
	r.Put("posterior", p.Posterior)
	r.Put("vehicles", p.Vehicles)
	r.Put("readings", p.Readings)
	r.Put("since", p.Since)
	r.Put("variants", len(p.Variants))
	r.Place(f.Geometry.place())
}

func (f *mapErrorFeature) export(r *export.Record) {
	p := &f.Properties
	r.Put("id", f.ID)
	r.Put("type", p.Type)
	r.Put("status", string(p.Status))
	r.Put("edge", p.Edge)
	r.Put("to_edge", p.ToEdge)
	r.Put("name", p.Name)
	r.Put("lon_deg", p.At[0])
	r.Put("lat_deg", p.At[1])
	r.Put("vehicles", p.Vehicles)
	r.Put("against", p.Against)
	r.Put("score", p.Score)
	r.Put("first", p.First)
	r.Put("last", p.Last)
	r.Put("updated", p.Updated)
	switch g := f.Geometry.(type) {
	case lineString:
		r.Place(g.place())
	case pointDoc:
		r.Place(g.place())
	default:
		r.Place(nil)
	}
}

// historyRow is a directed segment at a moment.
type historyRow struct {
	roadProps
	values  []*float64 // as in historyDoc
	typical bool
	place   *export.Geometry
}

func (h *historyRow) export(r *export.Record) {
	h.roadProps.export(r)
	values := append(append([]*float64{}, h.values...), nil, nil, nil, nil)
	r.Put("mean_kmh", values[0])
	r.Put("vehicles_at_least", whole(values[1]))
	r.Put("level", whole(values[2]))
	if h.typical {
		r.Put("typical_kmh", values[3])
	}
	r.Place(h.place)
}

func whole(v *float64) *int {
	if v == nil {
		return nil
	}
	n := int(*v)
	return &n
}
