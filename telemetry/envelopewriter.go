package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/telemetry/telemetrypb"
)

// An envelope is, in this order:
//
//	magic    4 bytes, "CRSO"
//	version  1 byte, 1
//	length   of the header, 4 bytes, little endian
//	header   message EnvelopeHeader of envelope.proto
//	checksum CRC-32C of all of the above, 4 bytes, little endian
//	records  one zstd frame (RFC 8878), nothing if there is no record
//
// The header has a checksum of its own, and that of the compressed records, so that a
// damaged body still tells which envelope it was. A record is its claim (16 bytes), its vehicle
// (8 bytes, little endian), the length of its payload (varint) and the payload.
const (
	envelopeMagic   = "CRSO"
	envelopeVersion = 1
	prefixSize      = len(envelopeMagic) + 1 + 4
	checksumSize    = 4
	recordSize      = len(ClaimID{}) + 8 // without length and payload
	maxHeader       = 64 << 10
)

// MaxVoided is the most voided envelopes that one Header may list; a receiver with more
// of them to tell lists the rest in later envelopes.
const MaxVoided = 4096

// compressionWindow bounds how far back zstd looks, and with it the encoder's memory.
const compressionWindow = 512 << 10

// ErrEnvelopeCount is wrapped by EnvelopeWriter.Seal when the header does not fit the
// records.
var ErrEnvelopeCount = errors.New("header's count of batches is not that of the records")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EnvelopeWriter packs records into envelopes, one after the other. The zero value is
// ready; it keeps its buffers and its compressor (about 2 MiB), so use it again. It starts no
// goroutines and is not safe for concurrent use.
type EnvelopeWriter struct {
	raw        []byte
	count      int
	compressed []byte
	header     telemetrypb.EnvelopeHeader
	voided     telemetrypb.Voided
	zstd       *zstd.Encoder
}

// Append adds a copy of the record.
func (w *EnvelopeWriter) Append(r Record) {
	w.raw = append(w.raw, r.Claim[:]...)
	w.raw = binary.LittleEndian.AppendUint64(w.raw, r.Vehicle)
	w.raw = binary.AppendUvarint(w.raw, uint64(len(r.Payload)))
	w.raw = append(w.raw, r.Payload...)
	w.count++
}

// Len is the size of the records in bytes before compression.
func (w *EnvelopeWriter) Len() int { return len(w.raw) }

// Count is the number of records.
func (w *EnvelopeWriter) Count() int { return w.count }

// Reset forgets the records.
func (w *EnvelopeWriter) Reset() {
	w.raw = w.raw[:0]
	w.count = 0
}

// Seal returns the envelope of the records under h, as a new slice that is the caller's. The
// records stay until Reset, so Seal may be called again. It fails if h.Batches is not
// Count or h.Voided is longer than MaxVoided.
func (w *EnvelopeWriter) Seal(h Header) ([]byte, error) {
	if int64(h.Batches) != int64(w.count) {
		return nil, fmt.Errorf("seal envelope %d: %w: %d, have %d", h.Seq, ErrEnvelopeCount, h.Batches, w.count)
	}
	if len(h.Voided) > MaxVoided {
		return nil, fmt.Errorf("seal envelope %d: %d voided envelopes, at most %d fit", h.Seq, len(h.Voided), MaxVoided)
	}
	w.compressed = w.compressed[:0]
	if len(w.raw) > 0 {
		if w.zstd == nil {
			var err error
			w.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
				zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(compressionWindow), zstd.WithEncoderCRC(false))
			if err != nil {
				return nil, fmt.Errorf("seal envelope %d: make compressor: %w", h.Seq, err)
			}
		}
		w.compressed = w.zstd.EncodeAll(w.raw, w.compressed)
	}
	w.fillHeader(&h)
	size := w.header.SizeVT()
	if size > maxHeader {
		return nil, fmt.Errorf("seal envelope %d: header of %d bytes, at most %d fit", h.Seq, size, maxHeader)
	}
	out := make([]byte, prefixSize+size, prefixSize+size+checksumSize+len(w.compressed))
	n := copy(out, envelopeMagic)
	out[n] = envelopeVersion
	binary.LittleEndian.PutUint32(out[n+1:], uint32(size))
	if _, err := w.header.MarshalToSizedBufferVT(out[prefixSize:]); err != nil {
		return nil, fmt.Errorf("seal envelope %d: marshal header: %w", h.Seq, err)
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
	return append(out, w.compressed...), nil
}

// fillHeader sets the reused header message.
func (w *EnvelopeWriter) fillHeader(h *Header) {
	m := &w.header
	m.Receiver = append(m.Receiver[:0], h.Receiver[:]...)
	m.Seq = h.Seq
	m.AcceptedAtMs = h.AcceptedAt
	m.Batches, m.Samples = h.Batches, h.Samples
	m.TotalBatches, m.TotalSamples = h.TotalBatches, h.TotalSamples
	m.ConfirmedThrough = h.ConfirmedThrough
	m.RawBytes = uint64(len(w.raw))
	m.BodyCrc32C = crc32.Checksum(w.compressed, castagnoli)
	m.Voided = nil
	if len(h.Voided) == 0 {
		return
	}
	v := &w.voided
	v.Seq, v.Batches, v.Samples = v.Seq[:0], v.Batches[:0], v.Samples[:0]
	last := uint64(0)
	for _, void := range h.Voided {
		v.Seq = append(v.Seq, int64(void.Seq-last)) // wraps around and back: exact
		last = void.Seq
		v.Batches = append(v.Batches, void.Batches)
		v.Samples = append(v.Samples, void.Samples)
	}
	m.Voided = v
}

// voids is the inverse of what fillHeader does to Header.Voided.
func voids(dst []Void, v *telemetrypb.Voided) ([]Void, error) {
	if len(v.Batches) != len(v.Seq) || len(v.Samples) != len(v.Seq) {
		return dst, fmt.Errorf("columns of voided envelopes of %d, %d and %d", len(v.Seq), len(v.Batches), len(v.Samples))
	}
	last := uint64(0)
	for i, delta := range v.Seq {
		last += uint64(delta)
		dst = append(dst, Void{Seq: last, Batches: v.Batches[i], Samples: v.Samples[i]})
	}
	return dst, nil
}
