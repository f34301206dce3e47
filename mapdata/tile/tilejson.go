package tile

import (
	"encoding/json"
	"net/http"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/mapdata/road"
)

// layer describes what a Handler serves under one name.
type layer struct {
	name             string
	description      string
	minZoom, maxZoom uint8
	live             bool // versions through the live store; else the map's own version
	cache            string
	fields           map[string]string
	more             []vectorLayer // in the same tiles
}

func layers() []layer {
	return []layer{
		{
			name: Roads, description: "Drivable roads", minZoom: MinRoadsZoom, maxZoom: MaxZoom,
			cache: "public, max-age=3600, stale-while-revalidate=86400",
			fields: map[string]string{
				"class": "String: OSM highway value", "name": "String", "ref": "String",
				"limit_kmh":         "Number: posted limit in the line's direction",
				"limit_against_kmh": "Number: posted limit against it, where it differs",
				"unlimited":         "Boolean: posted without limit", "oneway": "Boolean",
			},
		},
		{
			name: LimitLayer, description: "Speed limits, learned and from the map, one line per direction", minZoom: MinLimitsZoom, maxZoom: MaxZoom,
			live: true, cache: "public, max-age=60, stale-while-revalidate=3600",
			fields: map[string]string{
				"edge": "Number: id of the directed segment", "kmh": "Number: the limit", "unlimited": "Boolean: no limit",
				"map_kmh": "Number: the map's limit", "map_unlimited": "Boolean: the map says that there is none",
				"source": "String: map or learned", "differs": "Boolean: learned, and not what the map says",
				"posterior": "Number: probability of the learned limit", "n": "Number: distinct vehicles",
				"variants": "String: other limits under conditions, e.g. 80w,30@22-6: 80 when wet, 30 from 22 to 6 o'clock",
				"both":     "Boolean: the same in both directions (below zoom 14)",
			},
		},
		{
			name: SpeedLayer, description: "Speeds driven now, one line per direction", minZoom: MinSpeedsZoom, maxZoom: MaxZoom,
			live: true, cache: "public, max-age=5",
			fields: map[string]string{
				"edge": "Number: id of the directed segment", "class": "String: OSM highway value",
				"kmh": "Number: mean speed", "ratio": "Number: speed to free flow or limit",
				"n": "Number: distinct vehicles", "level": "Number: 0 free, 1 slow, 2 congested, 3 jam",
				"typical": "Number: usual speed at this time of the week", "free": "Number: free flow speed",
				"p15": "Number: 15th percentile of speeds", "p50": "Number: median", "p85": "Number: 85th percentile",
			},
		},
		{
			name: HazardLayer, description: "Active hazards", minZoom: MinHazardsZoom, maxZoom: MaxZoom,
			live: true, cache: "public, max-age=1",
			fields: map[string]string{
				"id": "Number: the hazard's id", "category": "String: of the safety-related traffic information",
				"probability": "Number: 0 to 1", "n": "Number: distinct vehicles", "started": "Number: ms since the epoch",
				"updated": "Number: ms since the epoch", "edge": "Number: directed segment where it begins",
				"count": "Number: hazards that the point stands for (below zoom 12)",
			},
			more: []vectorLayer{{
				ID: HazardLines, Description: "Stretches of road with an active hazard", MinZoom: minHazardLinesZoom, MaxZoom: MaxZoom,
				Fields: map[string]string{
					"id": "Number: the hazard's id", "category": "String", "probability": "Number: 0 to 1",
					"edge": "Number: id of the directed segment",
				},
			}},
		},
	}
}

func findLayer(name string) (layer, bool) {
	for _, l := range layers() {
		if l.name == name {
			return l, true
		}
	}
	return layer{}, false
}

// document is a TileJSON 3.0 document.
type document struct {
	TileJSON     string        `json:"tilejson"`
	Name         string        `json:"name"`
	Description  string        `json:"description"`
	Version      string        `json:"version"`
	Scheme       string        `json:"scheme"`
	Attribution  string        `json:"attribution"`
	Tiles        []string      `json:"tiles"`
	MinZoom      uint8         `json:"minzoom"`
	MaxZoom      uint8         `json:"maxzoom"`
	Bounds       [4]float64    `json:"bounds"`
	Center       [3]float64    `json:"center"`
	VectorLayers []vectorLayer `json:"vector_layers"`
	MapVersion   string        `json:"map_version"` // an extension
	Layers       []layerLink   `json:"layers"`      // an extension
}

type layerLink struct {
	Name     string `json:"name"`
	TileJSON string `json:"tilejson"`
}

type vectorLayer struct {
	ID          string            `json:"id"`
	Description string            `json:"description"`
	MinZoom     uint8             `json:"minzoom"`
	MaxZoom     uint8             `json:"maxzoom"`
	Fields      map[string]string `json:"fields"`
}

// tileJSON answers with the document of one layer, by default roads. A TileJSON's
// addresses are alternatives for the same content, so each layer has its own document;
// the member layers lists them.
func (h *Handler) tileJSON(w http.ResponseWriter, r *http.Request) {
	m, ok := h.cfg.Manifest()
	if !ok {
		problem.Write(w, problem.New(problem.ServiceUnavailable, "No map has been imported yet."))
		return
	}
	name := r.URL.Query().Get("layer")
	if name == "" {
		name = Roads
	}
	l, ok := findLayer(name)
	if !ok {
		problem.Write(w, problem.New(problem.NotFound, "There is no such layer."))
		return
	}
	body, err := json.Marshal(describe(l, m, origin(r)))
	if err != nil {
		h.fail(w, r, ID{}, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, _ = w.Write(body)
}

func describe(l layer, m road.Manifest, origin string) document {
	d := document{
		TileJSON: "3.0.0", Name: "Carasso " + l.name, Description: l.description, Version: "1.0.0", Scheme: "xyz",
		Attribution: m.Attribution, Tiles: []string{origin + "/v1/tiles/" + l.name + "/{z}/{x}/{y}.mvt"},
		MinZoom: l.minZoom, MaxZoom: l.maxZoom, Bounds: m.BBox,
		Center:       [3]float64{(m.BBox[0] + m.BBox[2]) / 2, (m.BBox[1] + m.BBox[3]) / 2, float64(MinSpeedsZoom)},
		VectorLayers: append([]vectorLayer{{l.name, l.description, l.minZoom, l.maxZoom, l.fields}}, l.more...),
		MapVersion:   m.Version,
	}
	for _, other := range layers() {
		d.Layers = append(d.Layers, layerLink{other.name, origin + "/v1/tiles.json?layer=" + other.name})
	}
	return d
}

// origin is the scheme and host under which the client reached us.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
