package telemetry

import (
	"encoding/binary"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// AppendProto appends the public protobuf form of b (message Batch of batch.proto): with
// batch_id, vehicle_id and trip.id, without trip.key. b must be valid.
func AppendProto(dst []byte, b *Batch) []byte {
	if b.ID != (BatchID{}) {
		dst = append(appendTag(dst, 1, protowire.BytesType), byte(len(b.ID)))
		dst = append(dst, b.ID[:]...)
	}
	dst = appendText(dst, 2, b.VehicleID)
	return appendBatch(dst, b, false)
}

// AppendCanonical appends the form of b that travels in an envelope: the same message
// without batch_id, vehicle_id and trip.id, with trip.key. b must be valid. Equal batches have
// equal bytes.
func AppendCanonical(dst []byte, b *Batch) []byte { return appendBatch(dst, b, true) }

func appendBatch(dst []byte, b *Batch, canonical bool) []byte {
	trip := b.Trip
	if canonical {
		trip.ID = ""
	} else {
		trip.Key = 0
	}
	var start int
	if trip != (Trip{}) {
		dst, start = beginMessage(dst, 3)
		dst = appendText(dst, 1, trip.ID)
		dst = appendUint(dst, 2, uint64(trip.ElapsedS))
		if trip.Final {
			dst = appendUint(dst, 3, 1)
		}
		if trip.Key != 0 {
			dst = binary.LittleEndian.AppendUint64(appendTag(dst, 4, protowire.Fixed64Type), trip.Key)
		}
		dst = endMessage(dst, start)
	}
	if b.Vehicle != (Vehicle{}) {
		dst, start = beginMessage(dst, 4)
		dst = appendText(dst, 1, b.Vehicle.Model)
		dst = appendText(dst, 2, b.Vehicle.Software)
		dst = endMessage(dst, start)
	}
	dst = appendUint(dst, 5, uint64(b.LeadIn))
	if len(b.Samples) > 0 {
		dst, start = beginMessage(dst, 6)
		dst = appendSamples(dst, b.Samples)
		dst = endMessage(dst, start)
	}
	if len(b.Events) > 0 {
		dst, start = beginMessage(dst, 7)
		dst = appendEvents(dst, b.Events)
		dst = endMessage(dst, start)
	}
	return dst
}

func appendSamples(dst []byte, samples []Sample) []byte {
	var (
		some Field
		on   Flag
	)
	every := ^Field(0)
	for i := range samples {
		on |= samples[i].On
		some |= samples[i].Has
		every &= samples[i].Has
	}
	var start, inner int
	for i := range quantities {
		q := &quantities[i]
		switch {
		case q.has == 0:
			dst, start = beginMessage(dst, i+1)
			dst = appendDeltas(dst, samples, i, false)
			dst = endMessage(dst, start)
		case some&q.has != 0:
			dst, start = beginMessage(dst, i+1)
			dst, inner = beginMessage(dst, 1)
			dst = appendDeltas(dst, samples, i, every&q.has == 0)
			dst = endMessage(dst, inner)
			if every&q.has == 0 {
				dst = appendAbsent(dst, samples, q.has)
			}
			dst = endMessage(dst, start)
		}
	}
	for i, s := range signals {
		if some&s.has == 0 {
			continue
		}
		dst, start = beginMessage(dst, numQuantities+i+1)
		if on&s.on != 0 {
			dst = appendOn(dst, samples, s.on)
		}
		if every&s.has == 0 {
			dst = appendAbsent(dst, samples, s.has)
		}
		dst = endMessage(dst, start)
	}
	return dst
}

// appendDeltas appends the delta-coded values of the samples that have quantities[i].
func appendDeltas(dst []byte, samples []Sample, i int, sparse bool) []byte {
	var (
		values [chunk]int64
		last   int64
		has    = quantities[i].has
	)
	for start := 0; start < len(samples); start += chunk {
		rows := samples[start:min(start+chunk, len(samples))]
		getQuantity(i, rows, values[:])
		for j, v := range values[:len(rows)] {
			if sparse && rows[j].Has&has == 0 {
				continue
			}
			u := zigzag(v - last)
			last = v
			switch {
			case u < 1<<7:
				dst = append(dst, byte(u))
			case u < 1<<14:
				dst = append(dst, byte(u)|0x80, byte(u>>7))
			default:
				dst = binary.AppendUvarint(dst, u)
			}
		}
	}
	return dst
}

// appendAbsent appends the bitmap of the samples without the field.
func appendAbsent(dst []byte, samples []Sample, has Field) []byte {
	dst, bitmap := appendBitmap(dst, 2, len(samples))
	for i := range samples {
		if samples[i].Has&has == 0 {
			bitmap[i/8] |= 1 << (i % 8)
		}
	}
	return dst
}

// appendOn appends the bitmap of the samples with the flag.
func appendOn(dst []byte, samples []Sample, on Flag) []byte {
	dst, bitmap := appendBitmap(dst, 1, len(samples))
	for i := range samples {
		if samples[i].On&on != 0 {
			bitmap[i/8] |= 1 << (i % 8)
		}
	}
	return dst
}

// appendBitmap appends a field of n zero bits and returns its bytes as well.
func appendBitmap(dst []byte, num, n int) (all, bitmap []byte) {
	size := (n + 7) / 8
	dst = binary.AppendUvarint(appendTag(dst, num, protowire.BytesType), uint64(size))
	for range size {
		dst = append(dst, 0)
	}
	return dst, dst[len(dst)-size:]
}

func appendEvents(dst []byte, events []Event) []byte {
	var used [numEventColumns]bool
	used[eT], used[eType] = true, true
	for i := range events {
		e := &events[i]
		used[eSign] = used[eSign] || e.Sign != 0
		used[eValue] = used[eValue] || e.ValueKMH != 0
		used[eHazard] = used[eHazard] || e.Hazard != 0
		used[eConfidence] = used[eConfidence] || e.ConfidencePermille != 1000
	}
	for i := range used {
		if !used[i] {
			continue
		}
		var start int
		dst, start = beginMessage(dst, i+1)
		var last int64
		for j := range events {
			e := &events[j]
			switch i {
			case eT:
				dst = binary.AppendUvarint(dst, zigzag(e.T-last))
				last = e.T
			case eType:
				dst = append(dst, byte(e.Type)) // a varint: the vocabularies are short
			case eSign:
				dst = append(dst, byte(e.Sign))
			case eValue:
				dst = binary.AppendUvarint(dst, uint64(e.ValueKMH))
			case eHazard:
				dst = append(dst, byte(e.Hazard))
			case eConfidence:
				dst = binary.AppendUvarint(dst, uint64(e.ConfidencePermille))
			}
		}
		dst = endMessage(dst, start)
	}
	return dst
}

func appendTag(dst []byte, num int, typ protowire.Type) []byte {
	return binary.AppendUvarint(dst, uint64(num)<<3|uint64(typ))
}

// appendUint appends a varint field unless it is 0.
func appendUint(dst []byte, num int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.AppendUvarint(appendTag(dst, num, protowire.VarintType), v)
}

// appendText appends a string field unless it is empty. Bytes that are no UTF-8, which
// only a batch made in code can hold, become U+FFFD.
func appendText(dst []byte, num int, s string) []byte {
	if s == "" {
		return dst
	}
	dst, start := beginMessage(dst, num)
	if utf8.ValidString(s) {
		dst = append(dst, s...)
	} else {
		for _, r := range s {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return endMessage(dst, start)
}

// beginMessage appends the tag of a length-delimited field and room for a length below
// 128; endMessage writes the length, and moves the content if it needs more room.
func beginMessage(dst []byte, num int) (_ []byte, start int) {
	dst = append(appendTag(dst, num, protowire.BytesType), 0)
	return dst, len(dst)
}

func endMessage(dst []byte, start int) []byte {
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	extra := protowire.SizeVarint(uint64(n)) - 1
	for range extra {
		dst = append(dst, 0)
	}
	copy(dst[start+extra:], dst[start:start+n])
	binary.PutUvarint(dst[start-1:], uint64(n))
	return dst
}
