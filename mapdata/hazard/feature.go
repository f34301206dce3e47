package hazard

import (
	"math"
	"time"

	"github.com/carasso/carasso/mapdata/road"
)

// Feature is a hazard as other systems read it: a Feature of GeoJSON (RFC 7946).
type Feature struct {
	Type       string     `json:"type"`
	ID         uint64     `json:"id"`
	Geometry   Place      `json:"geometry"`
	Properties Properties `json:"properties"`
}

// Place is a Point of GeoJSON: longitude, latitude in degrees.
type Place struct {
	Type        string     `json:"type"`
	Coordinates [2]float64 `json:"coordinates"`
}

// Properties are what a Feature says of the hazard. Times are UTC.
type Properties struct {
	Category    string      `json:"category"`
	Edge        uint64      `json:"edge"` // 0 away from roads
	Edges       []road.Edge `json:"edges"`
	Probability float64     `json:"probability"` // to four decimals
	Vehicles    int         `json:"vehicles"`
	Clean       int         `json:"clean"`
	Started     time.Time   `json:"started"`
	Updated     time.Time   `json:"updated"`
	Ended       *time.Time  `json:"ended"` // nil while it is active
}

// Feature is the hazard in GeoJSON.
func (h *Hazard) Feature() Feature {
	f := Feature{
		Type: "Feature", ID: h.ID, Geometry: Place{"Point", [2]float64{h.At.Lon(), h.At.Lat()}},
		Properties: Properties{
			Category: h.Category.String(), Edge: uint64(h.Edge), Edges: append([]road.Edge{}, h.Edges...),
			Probability: math.Round(float64(h.Probability)*1e4) / 1e4, Vehicles: h.Vehicles, Clean: h.Clean,
			Started: time.UnixMilli(h.StartedMS).UTC(), Updated: time.UnixMilli(h.UpdatedMS).UTC(),
		},
	}
	if !h.Active() {
		ended := time.UnixMilli(h.EndedMS).UTC()
		f.Properties.Ended = &ended
	}
	return f
}
