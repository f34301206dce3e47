// Package export writes rows as files that other programs read: CSV (RFC 4180), GeoJSON (RFC 7946), and Parquet with the metadata of
// GeoParquet 1.1. What is written is never held: memory does not grow with the number of rows. It is pure: no I/O but the writer's.
package export

import (
	"fmt"
	"time"
)

// kind is what a column's values are.
type kind uint8

const (
	boolean kind = iota + 1
	integer
	number
	text
	instant
)

// value is a column's value in a row; null if there is none.
type value struct {
	kind kind
	null bool
	i    int64 // of integers, booleans (0 or 1) and instants (ms since the epoch)
	f    float64
	s    string
}

// Record is a row: its values by name, in the order in which they were put. A file's rows all put the same names with the same types, of
// which a pointer may be nil for null: so any row, a zero one too, tells the columns. Not safe for concurrent use.
type Record struct {
	names  []string
	values []value
	placed bool
	place  *Geometry
	err    error
}

// Reset makes the record empty; its memory is kept.
func (r *Record) Reset() {
	r.names, r.values, r.placed, r.place, r.err = r.names[:0], r.values[:0], false, nil, nil
}

// Place says where the row is; nil is nowhere, in a file of rows with places.
func (r *Record) Place(g *Geometry) { r.placed, r.place = true, g }

// Put adds a value: a bool, int, int64, uint64 below 2⁶³, float64, string, time.Time, or a pointer to one.
func (r *Record) Put(name string, v any) {
	out := value{}
	switch v := v.(type) {
	case bool:
		out = value{kind: boolean, i: bit(v)}
	case int:
		out = value{kind: integer, i: int64(v)}
	case int64:
		out = value{kind: integer, i: v}
	case uint64:
		out = value{kind: integer, i: int64(v)}
	case float64:
		out = value{kind: number, f: v}
	case string:
		out = value{kind: text, s: v}
	case time.Time:
		out = value{kind: instant, i: v.UnixMilli()}
	case *int:
		if out = (value{kind: integer, null: v == nil}); v != nil {
			out.i = int64(*v)
		}
	case *int64:
		if out = (value{kind: integer, null: v == nil}); v != nil {
			out.i = *v
		}
	case *float64:
		if out = (value{kind: number, null: v == nil}); v != nil {
			out.f = *v
		}
	case *string:
		if out = (value{kind: text, null: v == nil}); v != nil {
			out.s = *v
		}
	case *time.Time:
		if out = (value{kind: instant, null: v == nil}); v != nil {
			out.i = v.UnixMilli()
		}
	default:
		r.err = fmt.Errorf("export: column %s has a value of type %T", name, v)
	}
	r.names, r.values = append(r.names, name), append(r.values, out)
}

func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// schema is the columns of a file.
type schema struct {
	names  []string
	kinds  []kind
	placed bool
}

func schemaOf(r *Record) schema {
	s := schema{names: append([]string(nil), r.names...), placed: r.placed}
	for _, v := range r.values {
		s.kinds = append(s.kinds, v.kind)
	}
	return s
}

// check tells whether a row has the file's columns.
func (s *schema) check(r *Record) error {
	if r.err != nil {
		return r.err
	}
	if len(r.names) != len(s.names) || r.placed != s.placed {
		return fmt.Errorf("export: a row of %d columns in a file of %d", len(r.names), len(s.names))
	}
	for i, name := range s.names {
		if r.names[i] != name || r.values[i].kind != s.kinds[i] {
			return fmt.Errorf("export: column %d is %s, where the file has %s", i, r.names[i], name)
		}
	}
	return nil
}

// timeOf is an instant as RFC 3339 has it, UTC.
func timeOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999Z07:00") }
