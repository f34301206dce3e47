package export

import (
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// A row group is what a writer holds in memory; rows are handed to it in blocks.
const (
	groupRows = 20_000
	blockRows = 500
)

// geometryColumn is the name of the places' column.
const geometryColumn = "geometry"

// parquetWriter writes nullable columns by name, in alphabetical order as the library has it, times as timestamps in ms, UTC.
type parquetWriter struct {
	schema   schema
	leaf     []int // of the schema's columns; a place's is the last
	out      *parquet.GenericWriter[any]
	rows     []parquet.Row
	n, group int
	shapes   map[Shape]bool
}

// leaf is the type of a kind's column.
func (k kind) leaf() parquet.Node {
	switch k {
	case boolean:
		return parquet.Leaf(parquet.BooleanType)
	case integer:
		return parquet.Int(64)
	case number:
		return parquet.Leaf(parquet.DoubleType)
	case instant:
		return parquet.Timestamp(parquet.Millisecond)
	default:
		return parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	}
}

func newParquet(to io.Writer, s schema) *parquetWriter {
	w := &parquetWriter{schema: s, rows: make([]parquet.Row, blockRows), shapes: map[Shape]bool{}}
	names, group := slices.Clone(s.names), parquet.Group{}
	for i, name := range s.names {
		group[name] = parquet.Optional(s.kinds[i].leaf())
	}
	if s.placed {
		names, group[geometryColumn] = append(names, geometryColumn), parquet.Optional(parquet.Leaf(parquet.ByteArrayType))
	}
	sorted := slices.Sorted(maps.Keys(group))
	for _, name := range names {
		at, _ := slices.BinarySearch(sorted, name)
		w.leaf = append(w.leaf, at)
	}
	w.out = parquet.NewGenericWriter[any](to, parquet.NewSchema("carasso", group),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}), parquet.PageBufferSize(1<<18), parquet.CreatedBy("carasso", "1", "export"))
	return w
}

func (w *parquetWriter) Write(r *Record) error {
	if err := w.schema.check(r); err != nil {
		return err
	}
	row := slices.Grow(w.rows[w.n][:0], len(w.leaf))[:len(w.leaf)]
	for i := range r.values {
		row[w.leaf[i]] = parquetValue(&r.values[i]).Level(0, defined(r.values[i].null), w.leaf[i])
	}
	if w.schema.placed {
		at := w.leaf[len(w.leaf)-1]
		row[at] = parquet.NullValue().Level(0, 0, at)
		if b := r.place.wkb(); b != nil {
			row[at] = parquet.ByteArrayValue(b).Level(0, 1, at)
			w.shapes[r.place.Shape] = true
		}
	}
	w.rows[w.n] = row
	if w.n++; w.n == len(w.rows) {
		return w.flush()
	}
	return nil
}

func defined(null bool) int {
	if null {
		return 0
	}
	return 1
}

func parquetValue(v *value) parquet.Value {
	switch {
	case v.null:
		return parquet.NullValue()
	case v.kind == boolean:
		return parquet.BooleanValue(v.i != 0)
	case v.kind == number:
		return parquet.DoubleValue(v.f)
	case v.kind == text:
		return parquet.ByteArrayValue([]byte(v.s))
	default:
		return parquet.Int64Value(v.i)
	}
}

// flush hands the block over, and ends the row group when it is full.
func (w *parquetWriter) flush() error {
	if _, err := w.out.WriteRows(w.rows[:w.n]); err != nil {
		return err
	}
	w.group += w.n
	w.n = 0
	if w.group < groupRows {
		return nil
	}
	w.group = 0
	return w.out.Flush()
}

// geoMetadata is GeoParquet 1.1's: without crs, coordinates are OGC:CRS84, longitude and latitude of WGS 84.
type geoMetadata struct {
	Version string               `json:"version"`
	Primary string               `json:"primary_column"`
	Columns map[string]geoColumn `json:"columns"`
}

type geoColumn struct {
	Encoding    string  `json:"encoding"`
	Types       []Shape `json:"geometry_types"`
	Orientation string  `json:"orientation"`
}

func (w *parquetWriter) Close(s Summary) error {
	if err := w.flush(); err != nil {
		return err
	}
	about, err := json.Marshal(s)
	if err != nil {
		return err
	}
	w.out.SetKeyValueMetadata("carasso", string(about))
	if w.schema.placed {
		types := slices.AppendSeq([]Shape{}, maps.Keys(w.shapes))
		slices.Sort(types)
		geo, err := json.Marshal(geoMetadata{"1.1.0", geometryColumn, map[string]geoColumn{geometryColumn: {"WKB", types, "counterclockwise"}}})
		if err != nil {
			return err
		}
		w.out.SetKeyValueMetadata("geo", string(geo))
	}
	return w.out.Close()
}
