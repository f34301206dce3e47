package worker

import (
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/telemetry"
)

// archiveColumn says where a leaf column's values come from: exactly one of batch, sample, edge,
// event and flag is set. With optional, a sample's value is there only if it has the field.
type archiveColumn struct {
	batch    func(*work, *batch) parquet.Value
	sample   func(*telemetry.Sample) int64
	wide     bool // sample's value takes 64 bits
	event    func(*telemetry.Event) parquet.Value
	edge     func(road.Edge) parquet.Value
	flag     telemetry.Flag
	optional telemetry.Field

	// Values made once, by repetition level: most values of a flush are one of these.
	null, no, yes [2]parquet.Value
}

// prepare makes the ready values for the leaf at index. A list's presence adds one to the
// definition level, a present optional value another.
func (c *archiveColumn) prepare(index int) {
	for r := range 2 {
		c.null[r] = parquet.NullValue().Level(r, 1, index)
		c.no[r] = parquet.BooleanValue(false).Level(r, 2, index)
		c.yes[r] = parquet.BooleanValue(true).Level(r, 2, index)
	}
}

// archiveSchema builds the schema and its columns by the path of their names together.
type archiveSchema struct {
	batch, samples, events parquet.Group
	columns                map[string]*archiveColumn
}

// newArchiveSchema is the schema of ArchiveRow with its encodings. What changes little along
// a trace is delta coded; what takes few values goes through a dictionary.
func newArchiveSchema() *archiveSchema {
	a := &archiveSchema{parquet.Group{}, parquet.Group{}, parquet.Group{}, map[string]*archiveColumn{}}
	a.ofBatch()
	a.ofSamples()
	a.ofEvents()
	a.batch["samples"] = parquet.List(a.samples)
	a.batch["events"] = parquet.List(a.events)
	return a
}

func (a *archiveSchema) schema() *parquet.Schema { return parquet.NewSchema("batch", a.batch) }

// of finds the column of a leaf by its path in the schema.
func (a *archiveSchema) of(path []string) *archiveColumn { return a.columns[strings.Join(path, ".")] }

func delta(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.DeltaBinaryPacked) }

func dict(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.RLEDictionary) }

func (a *archiveSchema) ofBatch() {
	add := func(name string, n parquet.Node, f func(*work, *batch) parquet.Value) {
		a.batch[name], a.columns[name] = n, &archiveColumn{batch: f}
	}
	add("claim", parquet.UUID(), func(_ *work, b *batch) parquet.Value { return parquet.FixedLenByteArrayValue(b.claim[:]) })
	add("vehicle", parquet.Uint(64), func(_ *work, b *batch) parquet.Value { return parquet.Int64Value(int64(b.vehicle)) })
	add("model", dict(parquet.String()), func(w *work, b *batch) parquet.Value {
		return parquet.ByteArrayValue(w.kinds.list[b.kind].model)
	})
	add("software", dict(parquet.String()), func(w *work, b *batch) parquet.Value {
		return parquet.ByteArrayValue(w.kinds.list[b.kind].software)
	})
	add("trip_key", parquet.Uint(64), func(_ *work, b *batch) parquet.Value { return parquet.Int64Value(int64(b.tripKey)) })
	add("trip_elapsed_s", delta(parquet.Uint(32)), func(_ *work, b *batch) parquet.Value { return parquet.Int32Value(int32(b.elapsed)) })
	add("trip_final", parquet.Leaf(parquet.BooleanType), func(_ *work, b *batch) parquet.Value { return parquet.BooleanValue(b.final) })
	add("lead_in", dict(parquet.Int(32)), func(_ *work, b *batch) parquet.Value { return parquet.Int32Value(b.leadIn) })
}

func (a *archiveSchema) ofSamples() {
	add := func(name string, n parquet.Node, c *archiveColumn) {
		if c.optional != 0 || c.edge != nil {
			n = parquet.Optional(n)
		}
		a.samples[name], a.columns["samples.list.element."+name] = n, c
	}
	number := func(name string, n parquet.Node, field telemetry.Field, f func(*telemetry.Sample) int64) {
		add(name, n, &archiveColumn{optional: field, sample: f})
	}
	traced, few := delta(parquet.Int(32)), dict(parquet.Int(32))
	add("t", delta(parquet.Timestamp(parquet.Millisecond)), &archiveColumn{wide: true, sample: func(s *telemetry.Sample) int64 { return s.T }})
	add("edge", dict(parquet.Int(64)), &archiveColumn{edge: func(e road.Edge) parquet.Value { return parquet.Int64Value(int64(e)) }})
	number("lat_e7", traced, 0, func(s *telemetry.Sample) int64 { return int64(s.LatE7) })
	number("lon_e7", traced, 0, func(s *telemetry.Sample) int64 { return int64(s.LonE7) })
	number("altitude_dm", traced, telemetry.HasAltitude, func(s *telemetry.Sample) int64 { return int64(s.AltitudeDM) })
	number("speed_cmps", traced, telemetry.HasSpeed, func(s *telemetry.Sample) int64 { return int64(s.SpeedCMPS) })
	number("heading_cdeg", traced, telemetry.HasHeading, func(s *telemetry.Sample) int64 { return int64(s.HeadingCDeg) })
	number("accuracy_cm", traced, telemetry.HasAccuracy, func(s *telemetry.Sample) int64 { return int64(s.AccuracyCM) })
	number("brake_cmps2", traced, telemetry.HasBrake, func(s *telemetry.Sample) int64 { return int64(s.BrakeCMPS2) })
	number("wiper", few, telemetry.HasWiper, func(s *telemetry.Sample) int64 { return int64(s.Wiper) })
	number("rain_pct", few, telemetry.HasRain, func(s *telemetry.Sample) int64 { return int64(s.RainPercent) })
	number("outside_temp_dc", few, telemetry.HasOutsideTemp, func(s *telemetry.Sample) int64 { return int64(s.OutsideTempDC) })
	number("friction_pct", few, telemetry.HasFriction, func(s *telemetry.Sample) int64 { return int64(s.FrictionPercent) })
	for _, f := range []struct {
		name  string
		field telemetry.Field
		on    telemetry.Flag
	}{
		{"abs_active", telemetry.HasABS, telemetry.ABSActive},
		{"esc_active", telemetry.HasESC, telemetry.ESCActive},
		{"tcs_active", telemetry.HasTCS, telemetry.TCSActive},
		{"fog_light_rear", telemetry.HasFogLightRear, telemetry.FogLightRear},
		{"hazard_light", telemetry.HasHazardLight, telemetry.HazardLight},
	} {
		add(f.name, parquet.Leaf(parquet.BooleanType), &archiveColumn{optional: f.field, flag: f.on})
	}
}

func (a *archiveSchema) ofEvents() {
	add := func(name string, n parquet.Node, f func(*telemetry.Event) parquet.Value) {
		a.events[name], a.columns["events.list.element."+name] = n, &archiveColumn{event: f}
	}
	few := dict(parquet.Int(32))
	add("t", delta(parquet.Timestamp(parquet.Millisecond)), func(e *telemetry.Event) parquet.Value { return parquet.Int64Value(e.T) })
	add("type", few, func(e *telemetry.Event) parquet.Value { return parquet.Int32Value(int32(e.Type)) })
	add("sign", few, func(e *telemetry.Event) parquet.Value { return parquet.Int32Value(int32(e.Sign)) })
	add("value_kmh", few, func(e *telemetry.Event) parquet.Value { return parquet.Int32Value(int32(e.ValueKMH)) })
	add("hazard", few, func(e *telemetry.Event) parquet.Value { return parquet.Int32Value(int32(e.Hazard)) })
	add("confidence_permille", few, func(e *telemetry.Event) parquet.Value { return parquet.Int32Value(int32(e.ConfidencePermille)) })
}
