package telemetry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/telemetry/telemetrypb"
)

// Envelope is an opened envelope. The zero value is ready for Open; it keeps its buffers
// and its decompressor, so use it again. It starts no goroutines and is not safe for
// concurrent use.
type Envelope struct {
	// Header is valid after Open succeeded or failed with HeaderOK. Its Voided is reused by
	// the next Open.
	Header Header

	raw     []byte
	message telemetrypb.EnvelopeHeader
	zstd    *zstd.Decoder
}

// OpenEnvelope opens data into a new Envelope. Like Envelope.Open; the Envelope is not
// nil when the error has HeaderOK.
func OpenEnvelope(data []byte, maxDecoded int) (*Envelope, error) {
	e := new(Envelope)
	err := e.Open(data, maxDecoded)
	var bad *EnvelopeError
	if errors.As(err, &bad) && !bad.HeaderOK {
		return nil, err
	}
	return e, err
}

// Open reads the header, checks and decompresses the records to at most maxDecoded
// bytes. It does not keep data. The error is an *EnvelopeError; after any, Records yields
// nothing.
func (e *Envelope) Open(data []byte, maxDecoded int) error {
	e.raw = e.raw[:0]
	e.Header = Header{Voided: e.Header.Voided[:0]}
	size, err := e.readHeader(data)
	if err != nil {
		e.Header = Header{Voided: e.Header.Voided[:0]}
		return err
	}
	if err := e.readBody(data[size:], maxDecoded); err != nil {
		e.raw = e.raw[:0]
		return err
	}
	return nil
}

// Records yields the records in the order they were appended. Payloads alias a buffer
// that the next Open overwrites.
func (e *Envelope) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		var r Record
		for rest := e.raw; len(rest) > 0; {
			var ok bool
			if rest, ok = r.read(rest); !ok || !yield(r) { // ok: Open has walked them
				return
			}
		}
	}
}

// read reads one record from the front of raw.
func (r *Record) read(raw []byte) (rest []byte, ok bool) {
	if len(raw) < recordSize {
		return nil, false
	}
	copy(r.Claim[:], raw)
	r.Vehicle = binary.LittleEndian.Uint64(raw[len(r.Claim):])
	n, rest, ok := uvarint(raw[recordSize:])
	if !ok || n > uint64(len(rest)) {
		return nil, false
	}
	r.Payload = rest[:n:n]
	return rest[n:], true
}

// readHeader returns the number of bytes before the body.
func (e *Envelope) readHeader(data []byte) (int, error) {
	if len(data) < prefixSize || string(data[:len(envelopeMagic)]) != envelopeMagic {
		return 0, badHeader(ReasonMagic, "%d bytes that do not start like an envelope", len(data))
	}
	if v := data[len(envelopeMagic)]; v != envelopeVersion {
		return 0, badHeader(ReasonVersion, "version %d, this reader knows %d", v, envelopeVersion)
	}
	length := binary.LittleEndian.Uint32(data[len(envelopeMagic)+1:])
	if length > maxHeader || int(length) > len(data)-prefixSize-checksumSize {
		return 0, badHeader(ReasonHeader, "length of the header is %d in an envelope of %d bytes", length, len(data))
	}
	end := prefixSize + int(length)
	if sum, want := crc32.Checksum(data[:end], castagnoli), binary.LittleEndian.Uint32(data[end:]); sum != want {
		return 0, badHeader(ReasonHeaderChecksum, "CRC-32C of the header is %08x, it says %08x", sum, want)
	}
	if err := e.decodeHeader(data[prefixSize:end]); err != nil {
		return 0, badHeader(ReasonHeader, "%w", err)
	}
	return end + checksumSize, nil
}

func (e *Envelope) decodeHeader(data []byte) error {
	m := &e.message
	m.Reset()
	if err := m.UnmarshalVT(data); err != nil {
		return fmt.Errorf("unmarshal header: %w", err)
	}
	h := &e.Header
	if len(m.Receiver) != len(h.Receiver) {
		return fmt.Errorf("receiver id of %d bytes", len(m.Receiver))
	}
	copy(h.Receiver[:], m.Receiver)
	h.Seq, h.AcceptedAt = m.Seq, m.AcceptedAtMs
	h.Batches, h.Samples = m.Batches, m.Samples
	h.TotalBatches, h.TotalSamples = m.TotalBatches, m.TotalSamples
	h.ConfirmedThrough = m.ConfirmedThrough
	if m.Voided == nil {
		return nil
	}
	var err error
	h.Voided, err = voids(h.Voided, m.Voided)
	return err
}

func (e *Envelope) readBody(body []byte, maxDecoded int) error {
	if size := e.message.RawBytes; size > uint64(max(maxDecoded, 0)) {
		return badBody(ReasonTooLarge, "%d bytes of records, at most %d are read", size, maxDecoded)
	}
	if sum := crc32.Checksum(body, castagnoli); sum != e.message.BodyCrc32C {
		return badBody(ReasonBodyChecksum, "CRC-32C of %d bytes of records is %08x, the header says %08x",
			len(body), sum, e.message.BodyCrc32C)
	}
	size := int(e.message.RawBytes)
	if len(body) > 0 {
		if err := e.decompress(body, size); err != nil {
			return err
		}
	}
	if len(e.raw) != size {
		return badBody(ReasonCompression, "%d bytes of records, the header says %d", len(e.raw), size)
	}
	var (
		r     Record
		count uint32
	)
	for rest := e.raw; len(rest) > 0; count++ {
		var ok bool
		if rest, ok = r.read(rest); !ok {
			return badBody(ReasonRecords, "record %d is cut short", count)
		}
	}
	if count != e.Header.Batches {
		return badBody(ReasonRecords, "%d records, the header says %d", count, e.Header.Batches)
	}
	return nil
}

// decompress fills raw with at most size bytes, whatever the frame says about itself.
func (e *Envelope) decompress(body []byte, size int) error {
	if e.zstd == nil {
		var err error
		e.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return badBody(ReasonCompression, "make decompressor: %w", err)
		}
	}
	if cap(e.raw) < size {
		e.raw = slices.Grow(e.raw, size)
	}
	out, err := e.zstd.DecodeAll(body, e.raw[:0:size])
	if err != nil {
		return badBody(ReasonCompression, "decompress records: %w", err)
	}
	e.raw = out
	return nil
}
