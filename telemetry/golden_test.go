package telemetry_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carasso/carasso/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// wantGolden compares with a file of testdata, in lines of hex unless it is JSON.
func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	text := append(bytes.Clone(got), '\n')
	if strings.HasSuffix(name, ".hex") {
		text = nil
		for line := range slices.Chunk(got, 32) {
			text = append(hex.AppendEncode(text, line), '\n')
		}
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s changed (-want +got); if that is meant, write it anew with -update:\n%s", name, diff)
	}
}

// TestGoldenBatches decodes each *.in.json, written by hand from the wire contract, and
// compares all forms of it with the files beside it.
func TestGoldenBatches(t *testing.T) {
	for name, data := range golden(t, "*.in.json") {
		name = strings.TrimSuffix(name, ".in.json")
		t.Run(name, func(t *testing.T) {
			lim := telemetry.DefaultLimits()
			var b telemetry.Batch
			if err := telemetry.DecodeJSON(data, &b, lim); err != nil {
				t.Fatal(err)
			}
			wantGolden(t, name+".out.json", telemetry.AppendJSON(nil, &b))
			wantGolden(t, name+".pb.hex", telemetry.AppendProto(nil, &b))
			b.Trip.Key = 0x0123456789abcdef
			wantGolden(t, name+".canonical.hex", telemetry.AppendCanonical(nil, &b))

			// Old files must stay readable even if the encoders change.
			var old telemetry.Batch
			if err := telemetry.DecodeProto(golden(t, name+".pb.hex")[name+".pb.hex"], &old, lim); err != nil {
				t.Fatal(err)
			}
			if diff := same(withoutKey(&b), &old); diff != "" {
				t.Errorf("%s.pb.hex (-want +got):\n%s", name, diff)
			}
			if err := telemetry.DecodeCanonical(golden(t, name+".canonical.hex")[name+".canonical.hex"], &old); err != nil {
				t.Fatal(err)
			}
			if diff := same(withoutIDs(&b), &old); diff != "" {
				t.Errorf("%s.canonical.hex (-want +got):\n%s", name, diff)
			}
		})
	}
}

func TestGoldenEnvelope(t *testing.T) {
	header := telemetry.Header{
		Receiver: telemetry.ReceiverID{0: 1, 15: 16}, Seq: 42, AcceptedAt: 1764000000123, Batches: 2, Samples: 17,
		TotalBatches: 1000, TotalSamples: 10_000, ConfirmedThrough: 40,
		Voided: []telemetry.Void{{Seq: 39, Batches: 3, Samples: 30}, {Seq: 41, Batches: 1, Samples: 10}},
	}
	records := newGenerator(42).records(2)
	var w telemetry.EnvelopeWriter
	sealed := seal(t, &w, header, records)
	if *update {
		wantGolden(t, "envelope.hex", sealed)
	}
	// Only what the file says is fixed, not how well the compressor does.
	e, err := telemetry.OpenEnvelope(golden(t, "envelope.hex")["envelope.hex"], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(header, e.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(records, slices.Collect(e.Records())); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
