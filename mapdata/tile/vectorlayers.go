package tile

// VectorLayer describes one layer of vector tiles, as TileJSON's vector_layers do.
type VectorLayer struct {
	ID, Description  string
	MinZoom, MaxZoom uint8
	Fields           map[string]string // by property: its type and meaning
}

// VectorLayers are the descriptions of the named layers, in the order of layers of a map; all
// of them if none is named.
func VectorLayers(names ...string) []VectorLayer {
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	var out []VectorLayer
	for _, l := range layers() {
		if len(names) == 0 || wanted[l.name] {
			out = append(out, VectorLayer{ID: l.name, Description: l.description, MinZoom: l.minZoom, MaxZoom: l.maxZoom, Fields: l.fields})
		}
	}
	return out
}
