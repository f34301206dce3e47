package worker

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/carasso/carasso/mapdata/geo"
)

// archiver encodes a flush's new batches as Parquet, column by column, without building rows.
// It reuses its memory; one goroutine uses it.
type archiver struct {
	writer  *parquet.Writer
	columns []*archiveColumn // by the index of their leaf
	values  []parquet.Value
	order   []placed
	out     bytes.Buffer
}

// placed is a batch and where on the map it begins.
type placed struct {
	batch int32
	place uint32
}

// chunk is about how many values go to a column at once.
const chunk = 4096

func newArchiver() (*archiver, error) {
	definition := newArchiveSchema()
	schema := definition.schema()
	a := &archiver{values: make([]parquet.Value, 0, 2*chunk)}
	for i, path := range schema.Columns() {
		c := definition.of(path)
		if c == nil {
			return nil, fmt.Errorf("archive schema: column %d, %v, has no source", i, path)
		}
		a.columns = append(a.columns, c)
	}
	a.writer = parquet.NewWriter(&a.out, schema,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}),
		parquet.PageBufferSize(1<<20),
		parquet.DataPageVersion(1), // version 2 leaves levels uncompressed: 3 bytes a sample here
		parquet.DataPageStatistics(false),
		parquet.CreatedBy("carasso", "1", "archive"))
	return a, nil
}

// encode encodes the fresh batches of the given envelopes of w. The result is valid until the
// next call.
func (a *archiver) encode(w *work, envelopes []int) ([]byte, error) {
	a.arrange(w, envelopes)
	a.out.Reset()
	a.writer.Reset(&a.out)
	for i, to := range a.writer.ColumnWriters() {
		if err := a.column(w, i, to); err != nil {
			return nil, fmt.Errorf("encode archive column %d: %w", i, err)
		}
	}
	if err := a.writer.Close(); err != nil {
		return nil, fmt.Errorf("encode archive: %w", err)
	}
	return a.out.Bytes(), nil
}

// arrange orders the fresh batches along a Z-order curve over the map: neighbours differ
// little, so their coordinates' deltas stay small.
func (a *archiver) arrange(w *work, envelopes []int) {
	a.order = a.order[:0]
	for _, e := range envelopes {
		for i := w.envelopes[e].first; i < w.envelopes[e].last; i++ {
			b := &w.batches[i]
			if !b.fresh {
				continue
			}
			s := &w.samples[b.s0]
			a.order = append(a.order, placed{int32(i), geo.TileAt(geo.Point{LatE7: s.LatE7, LonE7: s.LonE7}, 16).Quadkey()})
		}
	}
	slices.SortFunc(a.order, func(x, y placed) int {
		if x.place != y.place {
			return cmp.Compare(x.place, y.place)
		}
		p, q := &w.batches[x.batch], &w.batches[y.batch]
		return cmp.Or(cmp.Compare(p.vehicle, q.vehicle), cmp.Compare(w.samples[p.s0].T, w.samples[q.s0].T), cmp.Compare(x.batch, y.batch))
	})
}

// column writes one leaf column of all rows.
func (a *archiver) column(w *work, index int, to *parquet.ColumnWriter) error {
	c := a.columns[index]
	values := a.values[:0]
	for _, p := range a.order {
		values = c.appendValues(values, w, &w.batches[p.batch], index)
		if len(values) >= chunk { // only whole rows may be written
			if _, err := to.WriteRowValues(values); err != nil {
				return err
			}
			values = values[:0]
		}
	}
	a.values = values
	if _, err := to.WriteRowValues(values); err != nil {
		return err
	}
	return to.Close()
}

// appendValues appends a batch's values in a leaf column. Levels are those of Dremel: the
// first value of a list repeats at level 0, the others at 1; a list's presence adds one to
// the definition level, a present optional value another.
func (c *archiveColumn) appendValues(dst []parquet.Value, w *work, b *batch, index int) []parquet.Value {
	repeated := 0
	switch {
	case c.batch != nil:
		return append(dst, c.batch(w, b).Level(0, 0, index))
	case c.event != nil:
		if b.e0 == b.e1 {
			return append(dst, parquet.NullValue().Level(0, 0, index))
		}
		for i := b.e0; i < b.e1; i++ {
			dst = append(dst, c.event(&w.events[i]).Level(repeated, 1, index))
			repeated = 1
		}
	case c.edge != nil:
		for _, e := range w.edges[b.s0:b.s1] {
			v, defined := parquet.NullValue(), 1
			if e != 0 {
				v, defined = c.edge(e), 2
			}
			dst = append(dst, v.Level(repeated, defined, index))
			repeated = 1
		}
	case c.optional != 0:
		for i := b.s0; i < b.s1; i++ {
			v, defined := parquet.NullValue(), 1
			if w.samples[i].Has&c.optional != 0 {
				v, defined = c.sample(&w.samples[i]), 2
			}
			dst = append(dst, v.Level(repeated, defined, index))
			repeated = 1
		}
	default:
		for i := b.s0; i < b.s1; i++ {
			dst = append(dst, c.sample(&w.samples[i]).Level(repeated, 1, index))
			repeated = 1
		}
	}
	return dst
}
