package telemetry

import (
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// The columns of the protobuf message Events; the field's number is the index plus one.
const (
	eT = iota
	eType
	eSign
	eValue
	eHazard
	eConfidence
	numEventColumns
)

// eventMembers are the columns' names in the JSON form.
var eventMembers = [numEventColumns]string{"t", "type", "sign", "value_kmh", "hazard", "confidence"}

// events decodes the events; like samples, after it has found all columns.
func (d *protoDecoder) events(data []byte) *Invalid {
	var (
		f       protoField
		seen    uint32
		columns [numEventColumns][]byte
	)
	p := protoFields{rest: data}
	for p.next(&f) {
		i := int(f.num) - 1
		if i < 0 || i >= len(columns) {
			continue
		}
		if e := f.want(protowire.BytesType, &seen, ""); e != nil {
			e.Pointer = eventPointer(0, eventMembers[i])
			return e
		}
		columns[i] = f.data
	}
	if e := p.fault("/events"); e != nil {
		return e
	}
	n := countVarints(columns[eT])
	if n > d.lim.MaxEvents {
		return tooMany("/events", "events", d.lim.MaxEvents, n)
	}
	d.b.Events = slices.Grow(d.b.Events[:0], n)[:n]
	events := d.b.Events
	clear(events)
	for i, column := range columns {
		if i > eType && len(column) == 0 {
			continue
		}
		if e := decodeEventColumn(i, column, events); e != nil {
			return e
		}
	}
	for i := range events {
		if len(columns[eConfidence]) == 0 {
			events[i].ConfidencePermille = 1000
		}
		if e := events[i].check(i); e != nil {
			return e
		}
	}
	return nil
}

// decodeEventColumn decodes column i, which has one value per row.
func decodeEventColumn(i int, column []byte, events []Event) *Invalid {
	rest := column
	for row := range events {
		u, r, ok := uvarint(rest)
		if !ok {
			return badEventColumn(i, column, len(events), row)
		}
		rest = r
		ev := &events[row]
		switch i {
		case eT:
			ev.T = unzigzag(u)
			if row > 0 {
				ev.T += events[row-1].T // within 48 bits: a sum that wraps is out of range
			}
			if ev.T < 0 || ev.T > maxUnixMilli {
				return malformed(CodeRange, eventPointer(row, "t"), quantities[qT].expected(), strconv.FormatInt(ev.T, 10))
			}
		case eType: // larger numbers than fit fail Event.check as the largest one
			ev.Type = EventType(min(u, math.MaxUint8))
		case eSign:
			ev.Sign = Sign(min(u, math.MaxUint8))
		case eValue:
			ev.ValueKMH = uint16(min(u, math.MaxUint16))
		case eHazard:
			ev.Hazard = Hazard(min(u, math.MaxUint8))
		case eConfidence:
			ev.ConfidencePermille = uint16(min(u, math.MaxUint16))
		}
	}
	if len(rest) != 0 {
		return badEventColumn(i, column, len(events), len(events))
	}
	return nil
}

func badEventColumn(i int, column []byte, want, row int) *Invalid {
	if n := countVarints(column); n != want {
		return malformed(CodeLength, eventPointer(row, eventMembers[i]), strconv.Itoa(want)+" values in the column",
			strconv.Itoa(n))
	}
	return malformed(CodeSyntax, eventPointer(row, eventMembers[i]), "a varint of at most 64 bits", "another")
}
