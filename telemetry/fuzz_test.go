package telemetry_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/telemetrypb"
)

// golden returns the files of testdata with this ending; those of hex are decoded.
func golden(tb testing.TB, pattern string) map[string][]byte {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no file testdata/%s (%v): make them with go test ./telemetry -run Golden -update", pattern, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		if filepath.Ext(name) == ".hex" {
			if data, err = hex.DecodeString(string(bytes.Join(bytes.Fields(data), nil))); err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
		}
		files[filepath.Base(name)] = data
	}
	return files
}

func FuzzDecodeJSON(f *testing.F) {
	for _, data := range golden(f, "*.json") {
		f.Add(data)
	}
	for seed := range uint64(10) {
		f.Add(telemetry.AppendJSON(nil, newGenerator(seed).batch()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agree(t, data)
		var b, again telemetry.Batch
		if telemetry.DecodeJSON(data, &b, telemetry.DefaultLimits()) != nil {
			return
		}
		out := telemetry.AppendJSON(nil, &b)
		if err := telemetry.DecodeJSON(out, &again, telemetry.DefaultLimits()); err != nil {
			t.Fatalf("refused its own form: %v\n%s", err, out)
		}
		if diff := same(&b, &again); diff != "" {
			t.Fatalf("encoded and decoded (-want +got):\n%s", diff)
		}
	})
}

func FuzzDecodeProto(f *testing.F) {
	for _, data := range golden(f, "*.pb.hex") {
		f.Add(data)
	}
	for seed := range uint64(10) {
		f.Add(telemetry.AppendProto(nil, newGenerator(seed).batch()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b, again telemetry.Batch
		if err := telemetry.DecodeProto(data, &b, telemetry.DefaultLimits()); err != nil {
			var invalid *telemetry.Invalid
			if !errors.As(err, &invalid) {
				t.Fatalf("error is %v, want an Invalid", err)
			}
			return
		}
		var m telemetrypb.Batch
		if err := proto.Unmarshal(data, &m); err != nil {
			t.Fatalf("accepted what the generated code refuses: %v", err)
		}
		out := telemetry.AppendProto(nil, &b)
		if err := telemetry.DecodeProto(out, &again, telemetry.DefaultLimits()); err != nil {
			t.Fatalf("refused its own form: %v", err)
		}
		if diff := same(&b, &again); diff != "" {
			t.Fatalf("encoded and decoded (-want +got):\n%s", diff)
		}
		viaGenerated, err := messageOf(&b).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		if err := telemetry.DecodeProto(viaGenerated, &again, telemetry.DefaultLimits()); err != nil {
			t.Fatal(err)
		}
		if diff := same(&b, &again); diff != "" {
			t.Fatalf("through the generated code (-want +got):\n%s", diff)
		}
	})
}

func FuzzDecodeCanonical(f *testing.F) {
	for _, data := range golden(f, "*.canonical.hex") {
		f.Add(data)
	}
	for seed := range uint64(20) {
		f.Add(telemetry.AppendCanonical(nil, newGenerator(seed).batch()))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b, again telemetry.Batch
		if telemetry.DecodeCanonical(data, &b) != nil {
			return
		}
		if b.Counted() < 1 {
			t.Fatalf("accepted a batch with %d counted samples", b.Counted())
		}
		out := telemetry.AppendCanonical(nil, &b)
		if err := telemetry.DecodeCanonical(out, &again); err != nil {
			t.Fatalf("refused its own form: %v", err)
		}
		if diff := same(&b, &again); diff != "" {
			t.Fatalf("encoded and decoded (-want +got):\n%s", diff)
		}
	})
}

func FuzzOpenEnvelope(f *testing.F) {
	for _, data := range golden(f, "envelope*.hex") {
		f.Add(data)
	}
	var w telemetry.EnvelopeWriter
	for seed := range uint64(10) {
		g := newGenerator(seed)
		f.Add(seal(f, &w, g.header(int(seed)), g.records(int(seed))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tryEnvelope(t, data)
		// Again with right checksums: else hardly any change gets past them.
		const prefix = 4 + 1 + 4
		if len(data) < prefix {
			return
		}
		end := prefix + int(min(binary.LittleEndian.Uint32(data[5:]), 1<<16))
		var m telemetrypb.EnvelopeHeader
		if end+4 <= len(data) && m.UnmarshalVT(data[prefix:end]) == nil {
			tryEnvelope(t, forge(t, &m, data[end+4:]))
		}
	})
}

// tryEnvelope opens any bytes and, if they are an envelope, seals their content again.
func tryEnvelope(t *testing.T, data []byte) {
	t.Helper()
	const limit = 1 << 20
	e, err := telemetry.OpenEnvelope(data, limit)
	if err != nil {
		var bad *telemetry.EnvelopeError
		if !errors.As(err, &bad) || bad.HeaderOK != (e != nil) {
			t.Fatalf("error is %#v with envelope %v", err, e)
		}
		return
	}
	var w telemetry.EnvelopeWriter
	for r := range e.Records() {
		w.Append(r)
	}
	if w.Len() > limit {
		t.Fatalf("%d bytes of records, at most %d were allowed", w.Len(), limit)
	}
	if len(e.Header.Voided) > telemetry.MaxVoided {
		return // readable, but no writer of ours makes it
	}
	sealed, err := w.Seal(e.Header)
	if err != nil {
		t.Fatalf("seal what was opened: %v", err)
	}
	again, err := telemetry.OpenEnvelope(sealed, 2*limit)
	if err != nil {
		t.Fatalf("open what was sealed again: %v", err)
	}
	if !slices.EqualFunc(slices.Collect(e.Records()), slices.Collect(again.Records()), sameRecord) {
		t.Fatal("records differ after sealing again")
	}
}
