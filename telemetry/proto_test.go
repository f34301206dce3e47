package telemetry_test

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/carasso/carasso/telemetry"
	"github.com/carasso/carasso/telemetry/telemetrypb"
)

// messageOf is the generated message of a batch, made without the encoder under test.
func messageOf(b *telemetry.Batch) *telemetrypb.Batch {
	m := &telemetrypb.Batch{
		BatchId: b.ID[:], VehicleId: b.VehicleID, LeadIn: uint32(b.LeadIn), Samples: &telemetrypb.Samples{},
	}
	if b.Trip.ID != "" || b.Trip.ElapsedS != 0 || b.Trip.Final {
		m.Trip = &telemetrypb.Trip{Id: b.Trip.ID, ElapsedS: b.Trip.ElapsedS, Final: b.Trip.Final}
	}
	if b.Vehicle != (telemetry.Vehicle{}) {
		m.Vehicle = &telemetrypb.Vehicle{Model: b.Vehicle.Model, Software: b.Vehicle.Software}
	}
	var lastT, lastLat, lastLon int64
	for _, s := range b.Samples {
		m.Samples.TMs = append(m.Samples.TMs, s.T-lastT)
		m.Samples.LatE7 = append(m.Samples.LatE7, int64(s.LatE7)-lastLat)
		m.Samples.LonE7 = append(m.Samples.LonE7, int64(s.LonE7)-lastLon)
		lastT, lastLat, lastLon = s.T, int64(s.LatE7), int64(s.LonE7)
	}
	column := func(has telemetry.Field, get func(telemetry.Sample) int32) *telemetrypb.Column {
		c := &telemetrypb.Column{}
		last := int32(0)
		for i, s := range b.Samples {
			if s.Has&has == 0 {
				c.Absent = setBit(c.Absent, len(b.Samples), i)
				continue
			}
			c.Values = append(c.Values, get(s)-last)
			last = get(s)
		}
		if len(c.Values) == 0 {
			return nil
		}
		return c
	}
	mask := func(has telemetry.Field, on telemetry.Flag) *telemetrypb.Mask {
		c := &telemetrypb.Mask{}
		some := false
		for i, s := range b.Samples {
			if some = some || s.Has&has != 0; s.Has&has == 0 {
				c.Absent = setBit(c.Absent, len(b.Samples), i)
			}
			if s.On&on != 0 {
				c.On = setBit(c.On, len(b.Samples), i)
			}
		}
		if !some {
			return nil
		}
		return c
	}
	v := m.Samples
	v.AltitudeDm = column(telemetry.HasAltitude, func(s telemetry.Sample) int32 { return s.AltitudeDM })
	v.SpeedCmps = column(telemetry.HasSpeed, func(s telemetry.Sample) int32 { return int32(s.SpeedCMPS) })
	v.HeadingCdeg = column(telemetry.HasHeading, func(s telemetry.Sample) int32 { return int32(s.HeadingCDeg) })
	v.AccuracyCm = column(telemetry.HasAccuracy, func(s telemetry.Sample) int32 { return int32(s.AccuracyCM) })
	v.BrakeCmps2 = column(telemetry.HasBrake, func(s telemetry.Sample) int32 { return int32(s.BrakeCMPS2) })
	v.OutsideTempDc = column(telemetry.HasOutsideTemp, func(s telemetry.Sample) int32 { return int32(s.OutsideTempDC) })
	v.RainPercent = column(telemetry.HasRain, func(s telemetry.Sample) int32 { return int32(s.RainPercent) })
	v.FrictionPercent = column(telemetry.HasFriction, func(s telemetry.Sample) int32 { return int32(s.FrictionPercent) })
	v.Wiper = column(telemetry.HasWiper, func(s telemetry.Sample) int32 { return int32(s.Wiper) })
	v.AbsActive = mask(telemetry.HasABS, telemetry.ABSActive)
	v.EscActive = mask(telemetry.HasESC, telemetry.ESCActive)
	v.TcsActive = mask(telemetry.HasTCS, telemetry.TCSActive)
	v.FogLightRear = mask(telemetry.HasFogLightRear, telemetry.FogLightRear)
	v.HazardLight = mask(telemetry.HasHazardLight, telemetry.HazardLight)
	if len(b.Events) > 0 {
		m.Events = eventsOf(b.Events)
	}
	return m
}

func eventsOf(events []telemetry.Event) *telemetrypb.Events {
	m := &telemetrypb.Events{}
	var signs, values, hazards, confidences bool
	last := int64(0)
	for _, e := range events {
		m.TMs = append(m.TMs, e.T-last)
		last = e.T
		m.Type = append(m.Type, telemetrypb.EventType(e.Type))
		m.Sign = append(m.Sign, telemetrypb.Sign(e.Sign))
		m.ValueKmh = append(m.ValueKmh, uint32(e.ValueKMH))
		m.Hazard = append(m.Hazard, telemetrypb.Hazard(e.Hazard))
		m.ConfidencePermille = append(m.ConfidencePermille, uint32(e.ConfidencePermille))
		signs, values = signs || e.Sign != 0, values || e.ValueKMH != 0
		hazards, confidences = hazards || e.Hazard != 0, confidences || e.ConfidencePermille != 1000
	}
	if !signs {
		m.Sign = nil
	}
	if !values {
		m.ValueKmh = nil
	}
	if !hazards {
		m.Hazard = nil
	}
	if !confidences {
		m.ConfidencePermille = nil
	}
	return m
}

func setBit(bitmap []byte, n, i int) []byte {
	if bitmap == nil {
		bitmap = make([]byte, (n+7)/8)
	}
	bitmap[i/8] |= 1 << (i % 8)
	return bitmap
}

func TestProtobufInteroperates(t *testing.T) {
	var into telemetry.Batch
	for seed := range uint64(500) {
		b := newGenerator(seed).batch()
		want := messageOf(b)

		var got telemetrypb.Batch
		if err := proto.Unmarshal(telemetry.AppendProto(nil, b), &got); err != nil {
			t.Fatalf("seed %d: generated code refuses AppendProto: %v", seed, err)
		}
		if !proto.Equal(want, &got) {
			t.Fatalf("seed %d: generated code reads AppendProto as\n%v\nwant\n%v", seed, &got, want)
		}
		for name, marshal := range map[string]func() ([]byte, error){
			"reflection": func() ([]byte, error) { return proto.Marshal(want) },
			"vtproto":    want.MarshalVT,
		} {
			data, err := marshal()
			if err != nil {
				t.Fatal(err)
			}
			if err := telemetry.DecodeProto(data, &into, telemetry.DefaultLimits()); err != nil {
				t.Fatalf("seed %d: DecodeProto refuses what %s wrote: %v", seed, name, err)
			}
			if diff := same(withoutKey(b), &into); diff != "" {
				t.Fatalf("seed %d: DecodeProto reads what %s wrote differently (-want +got):\n%s", seed, name, diff)
			}
		}
	}
}

func TestDecodeProtoIgnoresUnknownFields(t *testing.T) {
	b := newGenerator(5).drive(10)
	m := messageOf(b)
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 900, protowire.VarintType), 7)
	unknown = protowire.AppendBytes(protowire.AppendTag(unknown, 901, protowire.BytesType), []byte("x"))
	unknown = protowire.AppendFixed32(protowire.AppendTag(unknown, 902, protowire.Fixed32Type), 7)
	unknown = protowire.AppendFixed64(protowire.AppendTag(unknown, 903, protowire.Fixed64Type), 7)
	unknown = protowire.AppendTag(unknown, 904, protowire.StartGroupType)
	unknown = protowire.AppendTag(unknown, 904, protowire.EndGroupType)
	for _, message := range []proto.Message{m, m.Trip, m.Vehicle, m.Samples, m.Samples.SpeedCmps, m.Samples.AbsActive} {
		message.ProtoReflect().SetUnknown(unknown)
	}
	m.Trip.Key = 99 // not for vehicles to say
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var got telemetry.Batch
	if err := telemetry.DecodeProto(data, &got, telemetry.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	if diff := same(withoutKey(b), &got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestDecodeProtoRefuses(t *testing.T) {
	const bad = telemetry.KindMalformed
	for _, c := range []struct {
		name   string
		change func(*telemetrypb.Batch)
		kind   telemetry.Kind
		code   string
		where  string
	}{
		{"no batch_id", func(m *telemetrypb.Batch) { m.BatchId = nil }, bad, telemetry.CodeRequired, "/batch_id"},
		{"short batch_id", func(m *telemetrypb.Batch) { m.BatchId = m.BatchId[:15] }, bad, telemetry.CodeLength, "/batch_id"},
		{"batch_id v4", func(m *telemetrypb.Batch) { m.BatchId[6] = 0x40 }, bad, telemetry.CodeFormat, "/batch_id"},
		{"no samples", func(m *telemetrypb.Batch) { m.Samples = nil }, bad, telemetry.CodeRequired, "/samples"},
		{"empty samples", func(m *telemetrypb.Batch) { m.Samples = &telemetrypb.Samples{} }, bad, telemetry.CodeRequired, "/samples"},
		{"lat too few", func(m *telemetrypb.Batch) { m.Samples.LatE7 = m.Samples.LatE7[:8] }, bad, telemetry.CodeLength, "/samples/8/lat"},
		{"lat missing", func(m *telemetrypb.Batch) { m.Samples.LatE7 = nil }, bad, telemetry.CodeLength, "/samples/0/lat"},
		{"lon too many", func(m *telemetrypb.Batch) { m.Samples.LonE7 = append(m.Samples.LonE7, 0) }, bad, telemetry.CodeLength, "/samples/10/lon"},
		{"t too few", func(m *telemetrypb.Batch) { m.Samples.TMs = m.Samples.TMs[:9] }, bad, telemetry.CodeLength, "/samples/9/lat"},
		{"lat range", func(m *telemetrypb.Batch) { m.Samples.LatE7[3] = 2e9 }, bad, telemetry.CodeRange, "/samples/3/lat"},
		{"lat overflow", func(m *telemetrypb.Batch) { m.Samples.LatE7[3] = math.MaxInt64 }, bad, telemetry.CodeRange, "/samples/3/lat"},
		{"lon underflow", func(m *telemetrypb.Batch) { m.Samples.LonE7[0] = math.MinInt64 }, bad, telemetry.CodeRange, "/samples/0/lon"},
		{"t overflow", func(m *telemetrypb.Batch) { m.Samples.TMs[9] = math.MaxInt64 }, bad, telemetry.CodeRange, "/samples/9/t"},
		{"t negative", func(m *telemetrypb.Batch) { m.Samples.TMs[0] = -1 }, bad, telemetry.CodeRange, "/samples/0/t"},
		{"t unordered", func(m *telemetrypb.Batch) { m.Samples.TMs[4] = -1 }, bad, telemetry.CodeOrder, "/samples/4/t"},
		{"speed range", func(m *telemetrypb.Batch) { m.Samples.SpeedCmps.Values[2] = 15_001 }, bad, telemetry.CodeRange, "/samples/2/speed_mps"},
		{"speed overflow", func(m *telemetrypb.Batch) { m.Samples.SpeedCmps.Values[2] = math.MinInt32 }, bad, telemetry.CodeRange, "/samples/2/speed_mps"},
		{"speed too many", func(m *telemetrypb.Batch) { m.Samples.SpeedCmps.Absent = []byte{1, 0} }, bad, telemetry.CodeLength, "/samples/10/speed_mps"},
		{"speed bitmap short", func(m *telemetrypb.Batch) { m.Samples.SpeedCmps.Absent = []byte{0} }, bad, telemetry.CodeLength, "/samples/0/speed_mps"},
		{"speed bitmap spare bits", func(m *telemetrypb.Batch) { m.Samples.SpeedCmps.Absent = []byte{0, 4} }, bad, telemetry.CodeRange, "/samples/10/speed_mps"},
		{"speed empty", func(m *telemetrypb.Batch) { m.Samples.SpeedCmps = &telemetrypb.Column{} }, bad, telemetry.CodeLength, "/samples/0/speed_mps"},
		{"wiper unknown", func(m *telemetrypb.Batch) { m.Samples.Wiper.Values[0] = 4 }, bad, telemetry.CodeVocabulary, "/samples/0/signals/wiper"},
		{"rain range", func(m *telemetrypb.Batch) { m.Samples.RainPercent.Values[1] = -1 }, bad, telemetry.CodeRange, "/samples/1/signals/rain_pct"},
		{"mask long", func(m *telemetrypb.Batch) { m.Samples.AbsActive.On = make([]byte, 3) }, bad, telemetry.CodeLength, "/samples/0/signals/abs_active"},
		{"mask on where absent", func(m *telemetrypb.Batch) {
			m.Samples.EscActive = &telemetrypb.Mask{On: []byte{8, 0}, Absent: []byte{8, 0}}
		}, bad, telemetry.CodeUnexpected, "/samples/3/signals/esc_active"},
		{"lead_in", func(m *telemetrypb.Batch) { m.LeadIn = 10 }, bad, telemetry.CodeRange, "/lead_in"},
		{"lead_in huge", func(m *telemetrypb.Batch) { m.LeadIn = math.MaxUint32 }, bad, telemetry.CodeRange, "/lead_in"},
		{"model control", func(m *telemetrypb.Batch) { m.Vehicle.Model = "a\x00" }, bad, telemetry.CodeFormat, "/vehicle/model"},
		{"software long", func(m *telemetrypb.Batch) { m.Vehicle.Software = string(make([]byte, 65)) }, bad, telemetry.CodeLength, "/vehicle/software"},
		{"events without type", func(m *telemetrypb.Batch) { m.Events = &telemetrypb.Events{TMs: []int64{1}} }, bad, telemetry.CodeLength, "/events/0/type"},
		{"events without t", func(m *telemetrypb.Batch) { m.Events = &telemetrypb.Events{Type: []telemetrypb.EventType{1}} }, bad, telemetry.CodeLength, "/events/0/type"},
		{"event unknown type", func(m *telemetrypb.Batch) {
			m.Events = &telemetrypb.Events{TMs: []int64{1}, Type: []telemetrypb.EventType{4}}
		}, bad, telemetry.CodeVocabulary, "/events/0/type"},
		{"event huge hazard", func(m *telemetrypb.Batch) {
			m.Events = &telemetrypb.Events{TMs: []int64{1}, Type: []telemetrypb.EventType{3}, Hazard: []telemetrypb.Hazard{257}}
		}, bad, telemetry.CodeVocabulary, "/events/0/hazard"},
		{"event t overflow", func(m *telemetrypb.Batch) {
			m.Events = &telemetrypb.Events{TMs: []int64{1, math.MaxInt64}, Type: []telemetrypb.EventType{3, 3}}
		}, bad, telemetry.CodeRange, "/events/1/t"},
		{"too many samples", func(m *telemetrypb.Batch) { m.Samples.TMs = make([]int64, 3601) }, telemetry.KindTooLarge, telemetry.CodeTooMany, "/samples"},
		{"too many events", func(m *telemetrypb.Batch) { m.Events = &telemetrypb.Events{TMs: make([]int64, 3601)} }, telemetry.KindTooLarge, telemetry.CodeTooMany, "/events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := messageOf(newGenerator(6).drive(10))
			c.change(m)
			data, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var b telemetry.Batch
			wantInvalid(t, telemetry.DecodeProto(data, &b, telemetry.DefaultLimits()), c.kind, c.code, c.where)
		})
	}
}

func TestDecodeProtoRefusesBrokenWire(t *testing.T) {
	good := telemetry.AppendProto(nil, newGenerator(7).drive(10))
	lim := telemetry.DefaultLimits()
	var b telemetry.Batch
	for n := range len(good) { // every cut loses at least the end of the samples
		if err := telemetry.DecodeProto(good[:n], &b, lim); err == nil {
			t.Fatalf("accepted the first %d of %d bytes", n, len(good))
		}
	}
	id := append([]byte{0x0a, 16}, good[2:18]...)
	samples := []byte{0x32, 9, 0x0a, 1, 2, 0x12, 1, 2, 0x1a, 1, 2}
	if err := telemetry.DecodeProto(append(bytes.Clone(id), samples...), &b, lim); err != nil {
		t.Fatalf("the smallest batch: %v", err)
	}
	for _, c := range []struct {
		name, code, pointer string
		more                []byte
	}{
		{"samples twice", telemetry.CodeDuplicate, "/samples", samples},
		{"batch_id twice", telemetry.CodeDuplicate, "/batch_id", id},
		{"samples as a number", telemetry.CodeType, "/samples", []byte{0x30, 1}},
		{"lead_in as bytes", telemetry.CodeType, "/lead_in", []byte{0x2a, 0}},
		{"field number 0", telemetry.CodeSyntax, "", []byte{0x00, 0}},
		{"group left open", telemetry.CodeSyntax, "", []byte{0x53}},
		{"group only closed", telemetry.CodeSyntax, "", []byte{0x54}},
		{"length of 2^63", telemetry.CodeSyntax, "", []byte{0x52, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{"varint of 11 bytes", telemetry.CodeSyntax, "", []byte{0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
		{"unpacked column", telemetry.CodeType, "/samples/0/t", []byte{0x32, 2, 0x08, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := append(bytes.Clone(id), samples...)
			if c.name == "unpacked column" {
				data = bytes.Clone(id)
			}
			wantInvalid(t, telemetry.DecodeProto(append(data, c.more...), &b, lim), telemetry.KindMalformed, c.code, c.pointer)
		})
	}
	lim.MaxDecoded = len(good) - 1
	wantInvalid(t, telemetry.DecodeProto(good, &b, lim), telemetry.KindTooLarge, telemetry.CodeTooMany, "")
}
