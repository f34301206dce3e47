package worker

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// archiver encodes a flush's new batches as Parquet, column by column, without building rows.
// It reuses its memory; one goroutine uses it.
type archiver struct {
	writer  *parquet.GenericWriter[ArchiveRow]
	columns []*archiveColumn // by the index of their leaf
	values  []parquet.Value
	order   []placed
	out     bytes.Buffer
	sorted  func(*work, []placed) // byPlace or byVehicle
}

// placed is a batch and where on the map it begins.
type placed struct {
	batch int32
	place uint32
}

// block is how many batches are taken through all columns at once: few enough that their
// samples stay in the processor's cache from one column to the next.
const block = 256

func newArchiver(sorted func(*work, []placed)) (*archiver, error) {
	definition := newArchiveSchema()
	schema := definition.schema()
	a := &archiver{sorted: sorted, values: make([]parquet.Value, 0, 16*block)}
	for i, path := range schema.Columns() {
		c := definition.of(path)
		if c == nil {
			return nil, fmt.Errorf("archive schema: column %d, %v, has no source", i, path)
		}
		c.prepare(i)
		a.columns = append(a.columns, c)
	}
	a.writer = parquet.NewGenericWriter[ArchiveRow](&a.out, schema,
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
	writers := a.writer.ColumnWriters()
	for batches := range slices.Chunk(a.order, block) {
		for i, to := range writers {
			a.values = a.values[:0]
			for _, p := range batches {
				a.values = a.columns[i].appendValues(a.values, w, &w.batches[p.batch], i)
			}
			if _, err := to.WriteRowValues(a.values); err != nil {
				return nil, fmt.Errorf("encode archive column %d: %w", i, err)
			}
		}
	}
	for i, to := range writers {
		if err := to.Close(); err != nil {
			return nil, fmt.Errorf("encode archive column %d: %w", i, err)
		}
	}
	if err := a.writer.Close(); err != nil {
		return nil, fmt.Errorf("encode archive: %w", err)
	}
	return a.out.Bytes(), nil
}

// arrange puts the fresh batches in order.
func (a *archiver) arrange(w *work, envelopes []int) {
	a.order = a.order[:0]
	for _, e := range envelopes {
		for i := w.envelopes[e].first; i < w.envelopes[e].last; i++ {
			b := &w.batches[i]
			if !b.fresh || b.erased {
				continue
			}
			s := &w.samples[b.s0]
			a.order = append(a.order, placed{int32(i), geo.TileAt(geo.Point{LatE7: s.LatE7, LonE7: s.LonE7}, 16).Quadkey()})
		}
	}
	a.sorted(w, a.order)
}

// byPlace orders along a Z-order curve over the map: neighbours differ little, so their coordinates' deltas
// stay small. For single flushes, which have one or two batches of a vehicle.
func byPlace(w *work, order []placed) {
	slices.SortFunc(order, func(x, y placed) int {
		if x.place != y.place {
			return cmp.Compare(x.place, y.place)
		}
		return compareTraces(w, x, y)
	})
}

// byVehicle orders along each vehicle's trace: what changes little along it does so over minutes, and ids
// repeat. For an hour's batches.
func byVehicle(w *work, order []placed) {
	slices.SortFunc(order, func(x, y placed) int { return compareTraces(w, x, y) })
}

func compareTraces(w *work, x, y placed) int {
	p, q := &w.batches[x.batch], &w.batches[y.batch]
	return cmp.Or(cmp.Compare(p.vehicle, q.vehicle), cmp.Compare(w.samples[p.s0].T, w.samples[q.s0].T), bytes.Compare(p.claim[:], q.claim[:]))
}

// appendValues appends a batch's values in a leaf column. Levels are those of Dremel: the
// first value of a list repeats at level 0, the others at 1.
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
			if e == 0 {
				dst = append(dst, c.null[repeated])
			} else {
				dst = append(dst, c.edge(e).Level(repeated, 2, index))
			}
			repeated = 1
		}
	default:
		return c.appendSamples(dst, w.samples[b.s0:b.s1], index)
	}
	return dst
}

func (c *archiveColumn) appendSamples(dst []parquet.Value, samples []telemetry.Sample, index int) []parquet.Value {
	defined := 1
	if c.optional != 0 {
		defined = 2
	}
	repeated := 0
	for i := range samples {
		s := &samples[i]
		switch {
		case s.Has&c.optional != c.optional:
			dst = append(dst, c.null[repeated])
		case c.flag != 0 && s.On&c.flag != 0:
			dst = append(dst, c.yes[repeated])
		case c.flag != 0:
			dst = append(dst, c.no[repeated])
		case c.wide:
			dst = append(dst, parquet.Int64Value(c.sample(s)).Level(repeated, defined, index))
		default:
			dst = append(dst, parquet.Int32Value(int32(c.sample(s))).Level(repeated, defined, index))
		}
		repeated = 1
	}
	return dst
}
