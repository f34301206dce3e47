package export

import (
	"encoding/csv"
	"io"
	"strconv"
)

// csvWriter writes RFC 4180: a header, CRLF, UTF-8. Null is empty, times are RFC 3339 in UTC, a place is well-known text in the last column.
type csvWriter struct {
	schema schema
	out    *csv.Writer
	cells  []string
}

func newCSV(to io.Writer, s schema) (*csvWriter, error) {
	w := &csvWriter{schema: s, out: csv.NewWriter(to)}
	w.out.UseCRLF = true
	head := s.names
	if s.placed {
		head = append(append([]string(nil), head...), "geometry_wkt")
	}
	return w, w.out.Write(head)
}

// plain keeps spreadsheets from taking a text for a formula: a vehicle may send what it likes as its software's version. Numbers are
// never texts here.
func plain(s string) string {
	if s != "" {
		switch s[0] {
		case '=', '+', '-', '@', '\t', '\r', '\n':
			return "'" + s
		}
	}
	return s
}

func (w *csvWriter) Write(r *Record) error {
	if err := w.schema.check(r); err != nil {
		return err
	}
	w.cells = w.cells[:0]
	for i := range r.values {
		w.cells = append(w.cells, cell(&r.values[i]))
	}
	if w.schema.placed {
		w.cells = append(w.cells, r.place.wkt())
	}
	return w.out.Write(w.cells)
}

func cell(v *value) string {
	switch {
	case v.null:
		return ""
	case v.kind == boolean:
		return strconv.FormatBool(v.i != 0)
	case v.kind == integer:
		return strconv.FormatInt(v.i, 10)
	case v.kind == number:
		return strconv.FormatFloat(v.f, 'f', -1, 64)
	case v.kind == instant:
		return timeOf(v.i)
	default:
		return plain(v.s)
	}
}

func (w *csvWriter) Close(Summary) error {
	w.out.Flush()
	return w.out.Error()
}
