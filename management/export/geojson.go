package export

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
)

// geoJSONWriter writes a FeatureCollection, a feature a line.
type geoJSONWriter struct {
	schema schema
	keys   [][]byte // `"name":`
	out    *bufio.Writer
	buf    []byte
	any    bool
}

func newGeoJSON(to io.Writer, s schema) (*geoJSONWriter, error) {
	w := &geoJSONWriter{schema: s, out: bufio.NewWriter(to)}
	for _, name := range s.names {
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, append(key, ':'))
	}
	_, err := w.out.WriteString(`{"type":"FeatureCollection","features":[`)
	return w, err
}

func (w *geoJSONWriter) Write(r *Record) error {
	if err := w.schema.check(r); err != nil {
		return err
	}
	b := w.buf[:0]
	if w.any {
		b = append(b, ',')
	}
	w.any = true
	b = r.place.appendJSON(append(b, "\n{\"type\":\"Feature\",\"geometry\":"...))
	b = append(b, `,"properties":{`...)
	for i := range r.values {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendProperty(append(b, w.keys[i]...), &r.values[i]); err != nil {
			return err
		}
	}
	b = append(b, "}}"...)
	w.buf = b
	_, err := w.out.Write(b)
	return err
}

func appendProperty(b []byte, v *value) ([]byte, error) {
	switch {
	case v.null:
		return append(b, "null"...), nil
	case v.kind == boolean:
		return strconv.AppendBool(b, v.i != 0), nil
	case v.kind == integer:
		return strconv.AppendInt(b, v.i, 10), nil
	case v.kind == number:
		return strconv.AppendFloat(b, v.f, 'f', -1, 64), nil
	case v.kind == instant:
		return append(append(append(b, '"'), timeOf(v.i)...), '"'), nil
	}
	s, err := json.Marshal(v.s)
	return append(b, s...), err
}

func (w *geoJSONWriter) Close(s Summary) error {
	about, err := json.Marshal(s)
	if err != nil {
		return err
	}
	b := append(append([]byte("\n],\"carasso\":"), about...), "}\n"...)
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	return w.out.Flush()
}
