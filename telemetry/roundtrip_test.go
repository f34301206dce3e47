package telemetry_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carasso/carasso/telemetry"
)

// same compares batches; an empty slice equals none.
func same(want, got *telemetry.Batch) string {
	if slices.Equal(want.Samples, got.Samples) && slices.Equal(want.Events, got.Events) &&
		want.ID == got.ID && want.VehicleID == got.VehicleID && want.Trip == got.Trip && want.Vehicle == got.Vehicle &&
		want.LeadIn == got.LeadIn {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// withoutKey is b as the public forms carry it.
func withoutKey(b *telemetry.Batch) *telemetry.Batch {
	c := *b
	c.Trip.Key = 0
	return &c
}

// withoutIDs is b as the canonical form carries it.
func withoutIDs(b *telemetry.Batch) *telemetry.Batch {
	c := *b
	c.ID, c.VehicleID, c.Trip.ID = telemetry.BatchID{}, "", ""
	return &c
}

func TestBatchSurvivesAllForms(t *testing.T) {
	lim := telemetry.DefaultLimits()
	var into telemetry.Batch // reused: nothing may leak from one batch into the next
	for seed := range uint64(2000) {
		want := newGenerator(seed).batch()
		if err := want.Validate(testNow, lim); err != nil {
			t.Fatalf("seed %d: generated batch: %v", seed, err)
		}
		asJSON := telemetry.AppendJSON(nil, want)
		if err := telemetry.DecodeJSON(asJSON, &into, lim); err != nil {
			t.Fatalf("seed %d: DecodeJSON: %v\n%s", seed, err, asJSON)
		}
		if diff := same(withoutKey(want), &into); diff != "" {
			t.Fatalf("seed %d: JSON (-want +got):\n%s", seed, diff)
		}
		asProto := telemetry.AppendProto(nil, &into)
		if err := telemetry.DecodeProto(asProto, &into, lim); err != nil {
			t.Fatalf("seed %d: DecodeProto: %v", seed, err)
		}
		if diff := same(withoutKey(want), &into); diff != "" {
			t.Fatalf("seed %d: protobuf (-want +got):\n%s", seed, diff)
		}
		into.Trip.Key = want.Trip.Key
		canonical := telemetry.AppendCanonical(nil, &into)
		if err := telemetry.DecodeCanonical(canonical, &into); err != nil {
			t.Fatalf("seed %d: DecodeCanonical: %v", seed, err)
		}
		if diff := same(withoutIDs(want), &into); diff != "" {
			t.Fatalf("seed %d: canonical (-want +got):\n%s", seed, diff)
		}
		if again := telemetry.AppendCanonical(nil, &into); !bytes.Equal(again, canonical) {
			t.Fatalf("seed %d: canonical form is not stable", seed)
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	b := newGenerator(3).drive(200) // long enough for lengths of two bytes
	for name, form := range map[string]func([]byte, *telemetry.Batch) []byte{
		"json": telemetry.AppendJSON, "proto": telemetry.AppendProto, "canonical": telemetry.AppendCanonical,
	} {
		got := form([]byte("before"), b)
		if want := append([]byte("before"), form(nil, b)...); !bytes.Equal(got, want) {
			t.Errorf("%s: appended after other bytes, the form differs", name)
		}
	}
}

func TestCanonicalFormHoldsNoIdentifier(t *testing.T) {
	b := newGenerator(4).drive(10)
	canonical := telemetry.AppendCanonical(nil, b)
	for name, secret := range map[string][]byte{
		"batch_id": b.ID[:], "vehicle_id": []byte(b.VehicleID), "trip.id": []byte(b.Trip.ID),
	} {
		if bytes.Contains(canonical, secret) {
			t.Errorf("the canonical form contains %s", name)
		}
	}
	var into telemetry.Batch
	public := telemetry.AppendProto(nil, b)
	wantInvalid(t, telemetry.DecodeCanonical(public, &into), telemetry.KindMalformed, telemetry.CodeUnexpected, "/batch_id")
}

func TestSizes(t *testing.T) {
	// The contract's figures: about 280 bytes on the wire, far less than the JSON form.
	b := tenSamples()
	if n := len(telemetry.AppendCanonical(nil, b)); n > 280 {
		t.Errorf("canonical form of ten full samples has %d bytes, want at most 280", n)
	}
	if n := len(telemetry.AppendProto(nil, b)); n > 345 {
		t.Errorf("public protobuf form of ten full samples has %d bytes, want at most 345", n)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	lim := telemetry.DefaultLimits()
	batch := tenSamples()
	asJSON, asProto := telemetry.AppendJSON(nil, batch), telemetry.AppendProto(nil, batch)
	canonical := telemetry.AppendCanonical(nil, batch)
	var (
		into telemetry.Batch
		buf  = make([]byte, 0, 1<<14)
		err  error
	)
	for name, f := range map[string]func(){
		"DecodeJSON":      func() { err = telemetry.DecodeJSON(asJSON, &into, lim) },
		"DecodeProto":     func() { err = telemetry.DecodeProto(asProto, &into, lim) },
		"DecodeCanonical": func() { err = telemetry.DecodeCanonical(canonical, &into) },
		"AppendJSON":      func() { buf = telemetry.AppendJSON(buf[:0], batch) },
		"AppendProto":     func() { buf = telemetry.AppendProto(buf[:0], batch) },
		"AppendCanonical": func() { buf = telemetry.AppendCanonical(buf[:0], batch) },
		"Validate":        func() { err = batch.Validate(testNow, lim) },
	} {
		f()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// Texts come out of shared blocks, so a decoder allocates every so many batches. Under
		// the race detector, pools drop items at random.
		limit := 0.0
		if raceEnabled {
			limit = 4
		}
		if n := testing.AllocsPerRun(2000, f); n > limit {
			t.Errorf("%s allocates %v times, want at most %v", name, n, limit)
		}
	}
}
