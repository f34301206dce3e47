package telemetry_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/telemetrypb"
)

func (g generator) records(n int) []telemetry.Record {
	records := make([]telemetry.Record, n)
	for i := range records {
		records[i] = telemetry.Record{
			Claim: telemetry.ClaimID(g.id()), Vehicle: g.Uint64(),
			Payload: telemetry.AppendCanonical(nil, g.drive(1+g.IntN(12))),
		}
	}
	return records
}

func (g generator) header(batches int) telemetry.Header {
	h := telemetry.Header{
		Receiver: telemetry.ReceiverID(g.id()), Seq: g.Uint64(), AcceptedAt: g.Int64() - g.Int64(),
		Batches: uint32(batches), Samples: g.Uint32(), TotalBatches: g.Uint64(), TotalSamples: g.Uint64(),
		ConfirmedThrough: g.Uint64(),
	}
	for range g.IntN(4) {
		h.Voided = append(h.Voided, telemetry.Void{Seq: g.Uint64(), Batches: g.Uint32(), Samples: g.Uint32()})
	}
	return h
}

func sameRecord(a, b telemetry.Record) bool {
	return a.Claim == b.Claim && a.Vehicle == b.Vehicle && bytes.Equal(a.Payload, b.Payload)
}

func seal(tb testing.TB, w *telemetry.EnvelopeWriter, h telemetry.Header, records []telemetry.Record) []byte {
	tb.Helper()
	w.Reset()
	for _, r := range records {
		w.Append(r)
	}
	data, err := w.Seal(h)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func wantReason(t *testing.T, err error, reason string, headerOK bool) {
	t.Helper()
	var bad *telemetry.EnvelopeError
	if !errors.As(err, &bad) {
		t.Fatalf("error is %v, want an EnvelopeError %s", err, reason)
	}
	if bad.Reason != reason || bad.HeaderOK != headerOK {
		t.Fatalf("got %s, header ok %t (%v); want %s, %t", bad.Reason, bad.HeaderOK, err, reason, headerOK)
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	var (
		w telemetry.EnvelopeWriter
		e telemetry.Envelope
	)
	for seed := range uint64(60) {
		g := newGenerator(seed)
		records := g.records(g.IntN(200))
		h := g.header(len(records))
		data := seal(t, &w, h, records)
		if w.Count() != len(records) || (w.Len() == 0) != (len(records) == 0) {
			t.Fatalf("seed %d: writer holds %d records of %d bytes, want %d records", seed, w.Count(), w.Len(), len(records))
		}
		if err := e.Open(data, 1<<20); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := cmp.Diff(h, e.Header, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("seed %d: header (-want +got):\n%s", seed, diff)
		}
		if got := slices.Collect(e.Records()); !slices.EqualFunc(records, got, sameRecord) {
			t.Fatalf("seed %d: records (-want +got):\n%s", seed, cmp.Diff(records, got))
		}
		again, err := w.Seal(h)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("seed %d: sealed again it differs (%v)", seed, err)
		}
	}
}

func TestEnvelopeWriterRefuses(t *testing.T) {
	var w telemetry.EnvelopeWriter
	w.Append(telemetry.Record{Payload: []byte("x")})
	if _, err := w.Seal(telemetry.Header{Batches: 2}); !errors.Is(err, telemetry.ErrEnvelopeCount) {
		t.Errorf("with a wrong count: %v", err)
	}
	h := telemetry.Header{Batches: 1, Voided: make([]telemetry.Void, telemetry.MaxVoided)}
	for i := range h.Voided { // the widest there are
		h.Voided[i] = telemetry.Void{Seq: uint64(i%2) << 62, Batches: math.MaxUint32, Samples: math.MaxUint32}
	}
	if _, err := w.Seal(h); err == nil {
		t.Error("a header over the bound was sealed")
	}
	for i := range h.Voided { // what happens
		h.Voided[i] = telemetry.Void{Seq: uint64(1e9 + i), Batches: 1000, Samples: 10_000}
	}
	data, err := w.Seal(h)
	if err != nil {
		t.Fatalf("with %d voided envelopes: %v", len(h.Voided), err)
	}
	if _, err := telemetry.OpenEnvelope(data, 100); err != nil {
		t.Errorf("with %d voided envelopes: %v", len(h.Voided), err)
	}
	h.Voided = append(h.Voided, telemetry.Void{})
	if _, err := w.Seal(h); err == nil {
		t.Error("more than MaxVoided were sealed")
	}
}

// TestDamagedEnvelope flips each bit: none may go unnoticed, and damage to the body must
// leave the header readable.
func TestDamagedEnvelope(t *testing.T) {
	g := newGenerator(9)
	var w telemetry.EnvelopeWriter
	data := seal(t, &w, g.header(3), g.records(3))
	body := 4 + 1 + 4 + int(binary.LittleEndian.Uint32(data[5:])) + 4
	var e telemetry.Envelope
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			err := e.Open(data, 1<<20)
			data[i] ^= 1 << bit
			var bad *telemetry.EnvelopeError
			if !errors.As(err, &bad) {
				t.Fatalf("bit %d of byte %d flipped: error is %v", bit, i, err)
			}
			if bad.HeaderOK != (i >= body) {
				t.Fatalf("bit %d of byte %d flipped, the body starts at %d: header ok is %t", bit, i, body, bad.HeaderOK)
			}
			for range e.Records() {
				t.Fatal("a damaged envelope yields records")
			}
		}
	}
	for n := range data {
		if err := e.Open(data[:n], 1<<20); err == nil {
			t.Fatalf("cut to %d bytes it opens", n)
		}
	}
	if err := e.Open(data, 1<<20); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
}

// forge makes an envelope whose checksums are right, whatever it says.
func forge(tb testing.TB, m *telemetrypb.EnvelopeHeader, body []byte) []byte {
	tb.Helper()
	m.BodyCrc32C = crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	header, err := m.MarshalVT()
	if err != nil {
		tb.Fatal(err)
	}
	return append(frame(header), body...)
}

func frame(header []byte) []byte {
	data := binary.LittleEndian.AppendUint32([]byte("CRSO\x01"), uint32(len(header)))
	data = append(data, header...)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

func TestForgedEnvelope(t *testing.T) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	record := append(make([]byte, 24), 3, 'a', 'b', 'c')
	two := append(bytes.Clone(record), record...)
	pack := func(raw []byte) []byte { return enc.EncodeAll(raw, nil) }
	bomb := pack(make([]byte, 64<<20))
	for _, c := range []struct {
		name    string
		raw     uint64
		batches uint32
		body    []byte
		reason  string
	}{
		{"fine", 56, 2, pack(two), ""},
		{"empty", 0, 0, nil, ""},
		{"over the reader's bound", 1<<20 + 1, 2, pack(two), telemetry.ReasonTooLarge},
		{"size of 2^63", 1 << 63, 2, pack(two), telemetry.ReasonTooLarge},
		{"size too large", 57, 2, pack(two), telemetry.ReasonCompression},
		{"size too small", 55, 2, pack(two), telemetry.ReasonCompression},
		{"size 0 of a full body", 0, 0, pack(two), telemetry.ReasonCompression},
		{"no body", 56, 2, nil, telemetry.ReasonCompression},
		{"no zstd", 56, 2, []byte("not zstd at all"), telemetry.ReasonCompression},
		{"bomb", 56, 2, bomb, telemetry.ReasonCompression},
		{"bomb with a large size", 1 << 20, 2, bomb, telemetry.ReasonCompression},
		{"count too large", 56, 3, pack(two), telemetry.ReasonRecords},
		{"count too small", 56, 1, pack(two), telemetry.ReasonRecords},
		{"record cut short", 55, 2, pack(two[:55]), telemetry.ReasonRecords},
		{"record of claim only", 16, 1, pack(two[:16]), telemetry.ReasonRecords},
		{"record with a huge length", 28, 1, pack(append(make([]byte, 24), 0xff, 0xff, 0xff, 0x7f)), telemetry.ReasonRecords},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &telemetrypb.EnvelopeHeader{Receiver: make([]byte, 16), Seq: 7, Batches: c.batches, RawBytes: c.raw}
			e, err := telemetry.OpenEnvelope(forge(t, m, c.body), 1<<20)
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantReason(t, err, c.reason, true)
			if e.Header.Seq != 7 || e.Header.Batches != c.batches {
				t.Fatalf("header is %+v", e.Header)
			}
		})
	}
}

func TestEnvelopeHeaderRefused(t *testing.T) {
	marshal := func(m *telemetrypb.EnvelopeHeader) []byte {
		b, err := m.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	uneven := &telemetrypb.EnvelopeHeader{Receiver: make([]byte, 16), Voided: &telemetrypb.Voided{Seq: []int64{1}}}
	long := frame(nil)
	binary.LittleEndian.PutUint32(long[5:], math.MaxUint32)
	version := frame(nil)
	version[4] = 2
	for name, c := range map[string]struct {
		data   []byte
		reason string
	}{
		"nothing":             {nil, telemetry.ReasonMagic},
		"something else":      {[]byte(`{"batch_id":"x"}`), telemetry.ReasonMagic},
		"another version":     {version, telemetry.ReasonVersion},
		"lying length":        {long, telemetry.ReasonHeader},
		"no protobuf":         {frame([]byte{0x0a, 99}), telemetry.ReasonHeader},
		"no receiver":         {frame(nil), telemetry.ReasonHeader},
		"uneven void columns": {frame(marshal(uneven)), telemetry.ReasonHeader},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := telemetry.OpenEnvelope(c.data, 1<<20)
			wantReason(t, err, c.reason, false)
			if e != nil {
				t.Fatal("an envelope without a header was returned")
			}
		})
	}
}
