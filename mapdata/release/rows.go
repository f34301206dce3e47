package release

import (
	"time"

	"github.com/carasso/carasso/mapdata/learn"
	"github.com/carasso/carasso/mapdata/limit"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
)

// LimitRow is a learned limit that is published, with its evidence. Limits are km/h; 255:
// posted without limit; 0: none known.
type LimitRow struct {
	Edge      road.Edge    `json:"edge"`
	KMH       uint8        `json:"kmh"`
	MapKMH    uint8        `json:"map_kmh"`
	Posterior float64      `json:"posterior"` // four decimals
	Vehicles  int          `json:"vehicles"`
	Readings  int          `json:"readings"`
	Since     time.Time    `json:"since"`
	Variants  []VariantRow `json:"variants,omitempty"`
}

// VariantRow is a limit under a condition.
type VariantRow struct {
	KMH      uint8   `json:"kmh"`
	Wet      bool    `json:"wet,omitempty"`
	FromHour uint8   `json:"from_hour"`
	ToHour   uint8   `json:"to_hour"`
	Vehicles int     `json:"vehicles"`
	P        float64 `json:"posterior"`
}

// SpeedRow is what was driven on a directed segment: mean and percentiles, km/h to 0.1.
type SpeedRow struct {
	Edge     road.Edge `json:"edge"`
	KMH      float64   `json:"kmh"`
	P15      float64   `json:"p15"`
	P50      float64   `json:"p50"`
	P85      float64   `json:"p85"`
	Samples  uint32    `json:"samples"`
	Vehicles int       `json:"vehicles"` // of the fullest day, a lower bound
}

// ErrorRow is an error of the map that a person has accepted.
type ErrorRow struct {
	ID       uint64       `json:"id"`
	Type     string       `json:"type"`
	Edge     road.Edge    `json:"edge,omitempty"`
	To       road.Edge    `json:"to,omitempty"`
	At       [2]float64   `json:"at"`                 // longitude, latitude
	Geometry [][2]float64 `json:"geometry,omitempty"` // suggested
	Vehicles int          `json:"vehicles"`
	Against  int          `json:"against"`
	Score    float64      `json:"score"`
	First    time.Time    `json:"first"`
	Last     time.Time    `json:"last"`
	Accepted time.Time    `json:"accepted"`
}

func limitRow(l *limit.Limit) LimitRow {
	r := LimitRow{
		Edge: l.Edge, KMH: l.KMH, MapKMH: l.MapKMH, Posterior: round(float64(l.Posterior), 1e4), Vehicles: l.Vehicles, Readings: l.Readings,
		Since: time.UnixMilli(l.SinceMS).UTC(),
	}
	for _, v := range l.Variants {
		r.Variants = append(r.Variants, VariantRow{v.KMH, v.Wet, v.FromHour, v.ToHour, v.Vehicles, round(float64(v.Posterior), 1e4)})
	}
	return r
}

// limit is the row as the builder of tiles takes it.
func (r *LimitRow) limit() limit.Limit {
	l := limit.Limit{Edge: r.Edge, KMH: r.KMH, MapKMH: r.MapKMH, Posterior: float32(r.Posterior), Vehicles: r.Vehicles, Readings: r.Readings, SinceMS: r.Since.UnixMilli()}
	for _, v := range r.Variants {
		l.Variants = append(l.Variants, limit.Variant{KMH: v.KMH, Wet: v.Wet, FromHour: v.FromHour, ToHour: v.ToHour, Vehicles: v.Vehicles, Posterior: float32(v.P)})
	}
	return l
}

func speedRow(edge road.Edge, s *learn.Speed) SpeedRow {
	return SpeedRow{
		Edge: edge, KMH: round(s.MeanKMH(), 10), P15: round(s.PercentileKMH(0.15), 10), P50: round(s.PercentileKMH(0.5), 10), P85: round(s.PercentileKMH(0.85), 10),
		Samples: s.N, Vehicles: s.Vehicles.AtLeast(),
	}
}

func errorRow(e *maperror.Reviewed) ErrorRow {
	r := ErrorRow{
		ID: e.ID, Type: e.Type.String(), Edge: e.Edge, To: e.To, At: [2]float64{e.At.Lon(), e.At.Lat()},
		Vehicles: e.Vehicles, Against: e.Against, Score: round(float64(e.Score), 1e3),
		First: time.UnixMilli(e.FirstMS).UTC(), Last: time.UnixMilli(e.LastMS).UTC(), Accepted: e.UpdatedAt.UTC(),
	}
	for _, p := range e.Geometry {
		r.Geometry = append(r.Geometry, [2]float64{p.Lon(), p.Lat()})
	}
	return r
}

// round rounds to one part in so many.
func round(v, parts float64) float64 { return float64(int64(v*parts+0.5)) / parts }
