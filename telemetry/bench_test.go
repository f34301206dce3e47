package telemetry_test

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/telemetrypb"
)

// BenchmarkDecode compares the decoders with what the generated code takes for the same
// message, before any check.
func BenchmarkDecode(b *testing.B) {
	batch := tenSamples()
	lim := telemetry.DefaultLimits()
	run := func(name string, data []byte, decode func([]byte) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	var into telemetry.Batch
	asJSON := telemetry.AppendJSON(nil, batch)
	asProto := telemetry.AppendProto(nil, batch)
	run("json", asJSON, func(d []byte) error { return telemetry.DecodeJSON(d, &into, lim) })
	run("proto", asProto, func(d []byte) error { return telemetry.DecodeProto(d, &into, lim) })
	run("canonical", telemetry.AppendCanonical(nil, batch), func(d []byte) error { return telemetry.DecodeCanonical(d, &into) })
	run("generated_pooled", asProto, func(d []byte) error {
		m := telemetrypb.BatchFromVTPool()
		defer m.ReturnToVTPool()
		return m.UnmarshalVT(d)
	})
	run("generated", asProto, func(d []byte) error { return new(telemetrypb.Batch).UnmarshalVT(d) })
	run("generated_reflection", asProto, func(d []byte) error { return proto.Unmarshal(d, new(telemetrypb.Batch)) })
	run("encoding_json_valid", asJSON, func(d []byte) error {
		if !json.Valid(d) {
			b.Fatal("invalid")
		}
		return nil
	})
}

// BenchmarkEncode measures the encoders.
func BenchmarkEncode(b *testing.B) {
	batch := tenSamples()
	for _, form := range []struct {
		name   string
		append func([]byte, *telemetry.Batch) []byte
	}{
		{"json", telemetry.AppendJSON},
		{"proto", telemetry.AppendProto},
		{"canonical", telemetry.AppendCanonical},
	} {
		b.Run(form.name, func(b *testing.B) {
			buf := form.append(nil, batch)
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				buf = form.append(buf[:0], batch)
			}
		})
	}
}

// BenchmarkValidate measures the checks after decoding.
func BenchmarkValidate(b *testing.B) {
	batch := tenSamples()
	lim := telemetry.DefaultLimits()
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.Validate(testNow, lim); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnvelope measures packing and opening, per batch of ten samples.
func BenchmarkEnvelope(b *testing.B) {
	const perEnvelope = 300
	records := make([]telemetry.Record, perEnvelope)
	size := 0
	for i := range records {
		g := newGenerator(uint64(i + 1))
		records[i] = telemetry.Record{
			Claim: telemetry.ClaimID(g.id()), Vehicle: g.Uint64(),
			Payload: telemetry.AppendCanonical(nil, g.drive(10)),
		}
		size += len(records[i].Payload)
	}
	header := telemetry.Header{Seq: 1, Batches: perEnvelope}
	b.Run("seal", func(b *testing.B) {
		var w telemetry.EnvelopeWriter
		b.ReportAllocs()
		b.SetBytes(int64(size))
		out := 0
		for b.Loop() {
			w.Reset()
			for i := range records {
				w.Append(records[i])
			}
			sealed, err := w.Seal(header)
			if err != nil {
				b.Fatal(err)
			}
			out = len(sealed)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perEnvelope, "ns/batch")
		b.ReportMetric(float64(out)/perEnvelope, "B/batch")
	})
	b.Run("open", func(b *testing.B) {
		var w telemetry.EnvelopeWriter
		for i := range records {
			w.Append(records[i])
		}
		sealed, err := w.Seal(header)
		if err != nil {
			b.Fatal(err)
		}
		var e telemetry.Envelope
		b.ReportAllocs()
		b.SetBytes(int64(size))
		for b.Loop() {
			if err := e.Open(sealed, 1<<20); err != nil {
				b.Fatal(err)
			}
			for range e.Records() {
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perEnvelope, "ns/batch")
	})
}
