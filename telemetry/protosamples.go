package telemetry

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// samples finds the columns first and decodes them after: the length of the times,
// which may come last, is the number of rows.
func (d *protoDecoder) samples(data []byte) *Invalid {
	var (
		f    protoField
		seen uint32
	)
	p := protoFields{rest: data}
	for p.next(&f) {
		i := int(f.num) - 1
		if i >= len(d.columns) {
			continue
		}
		// An empty pointer is cheap; a fault looks up the real one.
		if e := f.want(protowire.BytesType, &seen, ""); e != nil {
			e.Pointer = columnPointer(i, 0)
			return e
		}
		c := &d.columns[i]
		if c.present = true; i <= qLon {
			c.values = f.data
		} else if e := c.read(f.data, i); e != nil {
			return e
		}
	}
	if e := p.fault("/samples"); e != nil {
		return e
	}
	n := countVarints(d.columns[qT].values)
	if n > d.lim.MaxSamples {
		return tooMany("/samples", "samples", d.lim.MaxSamples, n)
	}
	d.b.Samples = slices.Grow(d.b.Samples[:0], n)[:n]
	clear(d.b.Samples)
	for i := range quantities {
		if c := &d.columns[i]; c.present || i <= qLon {
			if e := d.quantity(c, i); e != nil {
				return e
			}
		}
	}
	for i := range signals {
		if c := &d.columns[numQuantities+i]; c.present {
			if e := d.signal(c, i); e != nil {
				return e
			}
		}
	}
	for i := range d.b.Samples {
		d.b.Samples[i].Has |= d.every
	}
	return nil
}

// read reads a message Column or Mask.
func (c *column) read(data []byte, i int) *Invalid {
	var (
		f    protoField
		seen uint32
	)
	p := protoFields{rest: data}
	for p.next(&f) {
		if f.num > 2 {
			continue
		}
		if e := f.want(protowire.BytesType, &seen, ""); e != nil {
			e.Pointer = columnPointer(i, 0)
			return e
		}
		if f.num == 1 {
			c.values = f.data
		} else {
			c.absent = f.data
		}
	}
	if p.bad {
		return p.fault(columnPointer(i, 0))
	}
	return nil
}

// chunk is how many values of a column are decoded at a time, on the stack.
const chunk = 64

// quantity decodes the column of quantities[i] into the samples.
func (d *protoDecoder) quantity(c *column, i int) *Invalid {
	samples := d.b.Samples
	if len(c.absent) > 0 {
		return d.sparseQuantity(c, i)
	}
	q := &quantities[i]
	var (
		values [chunk]int64
		rest   = c.values
		last   int64
	)
	for start := 0; start < len(samples); start += chunk {
		rows := samples[start:min(start+chunk, len(samples))]
		n, r := decodeDeltas(values[:len(rows)], rest, last, q.lo, q.hi)
		if n < len(rows) {
			return d.badValue(c, i, start+n, values[n])
		}
		last, rest = values[n-1], r
		setQuantity(i, rows, values[:n])
	}
	if len(rest) != 0 {
		return d.badColumn(c, i, len(samples))
	}
	d.every |= q.has
	return nil
}

// sparseQuantity is quantity for a column that some rows are absent from.
func (d *protoDecoder) sparseQuantity(c *column, i int) *Invalid {
	samples := d.b.Samples
	if e := checkBitmap(c.absent, len(samples), i, "absent"); e != nil {
		return e
	}
	q := &quantities[i]
	var (
		value [1]int64
		rest  = c.values
		n     int
	)
	for row := range samples {
		if bitAt(c.absent, row) {
			continue
		}
		if n, rest = decodeDeltas(value[:], rest, value[0], q.lo, q.hi); n == 0 {
			return d.badValue(c, i, row, value[0])
		}
		setQuantity(i, samples[row:row+1], value[:])
		samples[row].Has |= q.has
	}
	if len(rest) != 0 {
		return d.badColumn(c, i, len(samples))
	}
	return nil
}

// decodeDeltas fills dst with values of a delta-coded column, the one before the first being
// last, and returns how many there were and what is left of src. It stops early at a
// value outside [lo, hi], which it stores too, or at a fault of src, where it stores lo.
func decodeDeltas(dst []int64, src []byte, last, lo, hi int64) (n int, rest []byte) {
	pos := 0
	for n = range dst {
		if pos >= len(src) {
			dst[n] = lo
			return n, src
		}
		u := uint64(src[pos])
		pos++
		if u >= 0x80 {
			if pos < len(src) && src[pos] < 0x80 {
				u = u&0x7f | uint64(src[pos])<<7
				pos++
			} else {
				v, size := binary.Uvarint(src[pos-1:])
				if size <= 0 {
					dst[n] = lo
					return n, src
				}
				u = v
				pos += size - 1
			}
		}
		// last is within the bounds, which are far from those of int64: a sum that wraps
		// around is outside of them.
		last += unzigzag(u)
		dst[n] = last
		if last < lo || last > hi {
			return n, src
		}
	}
	return len(dst), src[pos:]
}

// badValue is the fault of the row where decodeDeltas stopped with v.
func (d *protoDecoder) badValue(c *column, i, row int, v int64) *Invalid {
	if q := &quantities[i]; v < q.lo || v > q.hi {
		return q.outOfRange(row, v)
	}
	return d.badColumn(c, i, row)
}

// badColumn is the fault of a column that is not one varint for each row that has one.
func (d *protoDecoder) badColumn(c *column, i, row int) *Invalid {
	want := len(d.b.Samples)
	for _, b := range c.absent {
		want -= bits.OnesCount8(b)
	}
	if n := countVarints(c.values); n != want {
		return malformed(CodeLength, columnPointer(i, row), strconv.Itoa(want)+" values in the column",
			strconv.Itoa(n))
	}
	return malformed(CodeSyntax, columnPointer(i, row), "a varint of at most 64 bits", "another")
}

// signal decodes the bitmaps of signals[i] into the samples.
func (d *protoDecoder) signal(c *column, i int) *Invalid {
	samples := d.b.Samples
	if len(c.absent) == 0 && len(c.values) == 0 {
		d.every |= signals[i].has
		return nil
	}
	if len(c.absent) > 0 {
		if e := checkBitmap(c.absent, len(samples), numQuantities+i, "absent"); e != nil {
			return e
		}
	}
	if len(c.values) > 0 {
		if e := checkBitmap(c.values, len(samples), numQuantities+i, "on"); e != nil {
			return e
		}
	}
	for row := range samples {
		on := len(c.values) > 0 && bitAt(c.values, row)
		if len(c.absent) > 0 && bitAt(c.absent, row) {
			if on {
				return malformed(CodeUnexpected, columnPointer(numQuantities+i, row), "off where the signal is absent", "on")
			}
			continue
		}
		samples[row].Has |= signals[i].has
		if on {
			samples[row].On |= signals[i].on
		}
	}
	return nil
}

// columnPointer is where the value of column i in the row stands in the JSON form.
func columnPointer(i, row int) string {
	if i < numQuantities {
		return quantities[i].pointer(row)
	}
	return "/samples/" + strconv.Itoa(row) + "/signals/" + signals[i-numQuantities].name
}

// checkBitmap checks the length of a bitmap over n rows and that spare bits are 0.
func checkBitmap(b []byte, n, i int, name string) *Invalid {
	if want := (n + 7) / 8; len(b) != want {
		return malformed(CodeLength, columnPointer(i, 0), strconv.Itoa(want)+" bytes in the column's bitmap "+name,
			strconv.Itoa(len(b)))
	}
	if n%8 != 0 && b[len(b)-1]>>(n%8) != 0 {
		return malformed(CodeRange, columnPointer(i, n), "spare bits 0 in the column's bitmap "+name, "1")
	}
	return nil
}

func bitAt(b []byte, i int) bool { return b[i/8]>>(i%8)&1 != 0 }
