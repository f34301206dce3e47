package telemetry

import (
	"math"
	"strconv"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoPool holds decoders' scratch space; it carries nothing from one batch to the next
// but memory.
var protoPool = sync.Pool{New: func() any { return new(protoDecoder) }}

// protoDecoder decodes one message in a single pass without generated structs, so that
// lengths are checked against the limits before anything is allocated.
type protoDecoder struct {
	b         *Batch
	lim       Limits
	canonical bool
	texts     texts
	columns   [numQuantities + len(signals)]column
	every     Field // what all samples have
}

// column is a Column or Mask as found on the wire; packed columns have values only.
type column struct {
	present bool
	values  []byte // Column.values, Mask.on
	absent  []byte
}

// DecodeProto decodes the public protobuf form (message Batch of batch.proto) into b,
// whose slices are reused; b does not alias data. On error, which is always an *Invalid,
// b holds nothing of use. It checks structure, ranges and vocabulary; Batch.Validate does
// the rest. The field trip.key is ignored. Safe for concurrent use with distinct batches.
func DecodeProto(data []byte, b *Batch, lim Limits) error {
	return decodeProto(data, b, lim, false)
}

// DecodeCanonical decodes the form that AppendCanonical writes, like DecodeProto. It
// knows no limits but MaxSamplesCeiling, for samples and for events.
func DecodeCanonical(data []byte, b *Batch) error {
	return decodeProto(data, b, Limits{
		MaxDecoded: math.MaxInt, MaxSamples: MaxSamplesCeiling, MaxEvents: MaxSamplesCeiling,
	}, true)
}

func decodeProto(data []byte, b *Batch, lim Limits, canonical bool) error {
	b.Reset()
	if err := bodySize(len(data), lim); err != nil {
		return err
	}
	d := protoPool.Get().(*protoDecoder)
	d.b, d.lim, d.canonical, d.every = b, lim, canonical, 0
	e := d.batch(data)
	clear(d.columns[:])
	d.b = nil
	protoPool.Put(d)
	if e != nil {
		return e
	}
	return nil
}

func (d *protoDecoder) batch(data []byte) *Invalid {
	var (
		f    protoField
		seen uint32
	)
	p := protoFields{rest: data}
	for p.next(&f) {
		var e *Invalid
		switch f.num {
		case 1:
			if e = f.want(protowire.BytesType, &seen, "/batch_id"); e == nil {
				e = d.batchID(f.data)
			}
		case 2:
			if e = f.want(protowire.BytesType, &seen, "/vehicle_id"); e == nil {
				e = d.public("/vehicle_id")
				d.text(&e, "/vehicle_id", f.data, MaxVehicleID, &d.b.VehicleID)
			}
		case 3:
			if e = f.want(protowire.BytesType, &seen, "/trip"); e == nil {
				e = d.trip(f.data)
			}
		case 4:
			if e = f.want(protowire.BytesType, &seen, "/vehicle"); e == nil {
				e = d.vehicle(f.data)
			}
		case 5:
			if e = f.want(protowire.VarintType, &seen, "/lead_in"); e == nil {
				d.b.LeadIn = int(min(f.uint, math.MaxInt32)) // checkShape bounds it
			}
		case 6:
			if e = f.want(protowire.BytesType, &seen, "/samples"); e == nil {
				e = d.samples(f.data)
			}
		case 7:
			if e = f.want(protowire.BytesType, &seen, "/events"); e == nil {
				e = d.events(f.data)
			}
		}
		if e != nil {
			return e
		}
	}
	if e := p.fault(""); e != nil {
		return e
	}
	if !d.canonical && seen&(1<<1) == 0 {
		return malformed(CodeRequired, "/batch_id", "16 bytes", "none")
	}
	return d.b.checkShape()
}

// public refuses, in the canonical form, what belongs to the public form only.
func (d *protoDecoder) public(pointer string) *Invalid {
	if d.canonical {
		return malformed(CodeUnexpected, pointer, "no identifier in the canonical form", "one")
	}
	return nil
}

func (d *protoDecoder) batchID(data []byte) *Invalid {
	if e := d.public("/batch_id"); e != nil {
		return e
	}
	if len(data) != len(d.b.ID) {
		return malformed(CodeLength, "/batch_id", "16 bytes", strconv.Itoa(len(data))+" bytes")
	}
	copy(d.b.ID[:], data)
	if !d.b.ID.isV7() {
		return malformed(CodeFormat, "/batch_id", "a UUIDv7", "another version or variant")
	}
	return nil
}

// text checks and stores a text unless *e is already set.
func (d *protoDecoder) text(e **Invalid, pointer string, data []byte, limit int, dst *string) {
	if *e != nil {
		return
	}
	if *e = checkText(pointer, data, limit); *e == nil {
		*dst = d.texts.clone(data)
	}
}

func (d *protoDecoder) trip(data []byte) *Invalid {
	var (
		f    protoField
		seen uint32
	)
	p := protoFields{rest: data}
	for p.next(&f) {
		var e *Invalid
		switch f.num {
		case 1:
			if e = f.want(protowire.BytesType, &seen, "/trip/id"); e == nil {
				e = d.public("/trip/id")
				d.text(&e, "/trip/id", f.data, MaxTripID, &d.b.Trip.ID)
			}
		case 2:
			if e = f.want(protowire.VarintType, &seen, "/trip/elapsed_s"); e == nil {
				if f.uint > math.MaxUint32 {
					return malformed(CodeRange, "/trip/elapsed_s", numberRange(0, math.MaxUint32, 0),
						strconv.FormatUint(f.uint, 10))
				}
				d.b.Trip.ElapsedS = uint32(f.uint)
			}
		case 3:
			if e = f.want(protowire.VarintType, &seen, "/trip/final"); e == nil {
				d.b.Trip.Final = f.uint != 0
			}
		case 4:
			if !d.canonical {
				continue
			}
			if e = f.want(protowire.Fixed64Type, &seen, "/trip"); e == nil {
				d.b.Trip.Key = f.uint
			}
		}
		if e != nil {
			return e
		}
	}
	return p.fault("/trip")
}

func (d *protoDecoder) vehicle(data []byte) *Invalid {
	var (
		f    protoField
		seen uint32
	)
	p := protoFields{rest: data}
	for p.next(&f) {
		var e *Invalid
		switch f.num {
		case 1:
			e = f.want(protowire.BytesType, &seen, "/vehicle/model")
			d.text(&e, "/vehicle/model", f.data, MaxModel, &d.b.Vehicle.Model)
		case 2:
			e = f.want(protowire.BytesType, &seen, "/vehicle/software")
			d.text(&e, "/vehicle/software", f.data, MaxSoftware, &d.b.Vehicle.Software)
		}
		if e != nil {
			return e
		}
	}
	return p.fault("/vehicle")
}
