package telemetry

import (
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the public JSON form of b, without white space: absent values and
// defaults are left out, numbers are in their shortest exact form. Trip.Key has no JSON
// form. b must be valid.
func AppendJSON(dst []byte, b *Batch) []byte {
	o := jsonObject{dst: append(dst, '{')}
	if b.ID != (BatchID{}) {
		o.member("batch_id")
		o.dst = append(o.dst, '"')
		o.dst = b.ID.append(o.dst)
		o.dst = append(o.dst, '"')
	}
	o.text("vehicle_id", b.VehicleID)
	if t := b.Trip; t.ID != "" || t.ElapsedS != 0 || t.Final {
		o.begin("trip")
		o.text("id", t.ID)
		if t.ElapsedS != 0 {
			o.fixed("elapsed_s", int64(t.ElapsedS), 0)
		}
		if t.Final {
			o.boolean("final", true)
		}
		o.end()
	}
	if b.Vehicle != (Vehicle{}) {
		o.begin("vehicle")
		o.text("model", b.Vehicle.Model)
		o.text("software", b.Vehicle.Software)
		o.end()
	}
	if b.LeadIn != 0 {
		o.fixed("lead_in", int64(b.LeadIn), 0)
	}
	o.member("samples")
	o.dst = append(o.dst, '[')
	for i := range b.Samples {
		o.sample(b.Samples[i:i+1], i)
	}
	o.dst = append(o.dst, ']')
	if len(b.Events) > 0 {
		o.member("events")
		o.dst = append(o.dst, '[')
		for i := range b.Events {
			o.event(&b.Events[i], i)
		}
		o.dst = append(o.dst, ']')
	}
	return append(o.dst, '}')
}

// jsonObject appends members to an object that is open at the end of dst.
type jsonObject struct{ dst []byte }

// member appends a name, which needs no escapes.
func (o *jsonObject) member(name string) {
	if last := o.dst[len(o.dst)-1]; last != '{' {
		o.dst = append(o.dst, ',')
	}
	o.dst = append(o.dst, '"')
	o.dst = append(o.dst, name...)
	o.dst = append(o.dst, '"', ':')
}

func (o *jsonObject) begin(name string) {
	o.member(name)
	o.dst = append(o.dst, '{')
}

// element opens the i-th object of an array.
func (o *jsonObject) element(i int) {
	if i > 0 {
		o.dst = append(o.dst, ',')
	}
	o.dst = append(o.dst, '{')
}

func (o *jsonObject) end() { o.dst = append(o.dst, '}') }

func (o *jsonObject) fixed(name string, v int64, places int) {
	o.member(name)
	o.dst = appendFixed(o.dst, v, places)
}

func (o *jsonObject) boolean(name string, v bool) {
	o.member(name)
	o.dst = strconv.AppendBool(o.dst, v)
}

// text appends a string member unless it is empty.
func (o *jsonObject) text(name, s string) {
	if s != "" {
		o.member(name)
		o.dst = appendQuoted(o.dst, s)
	}
}

// sample appends the only element of one, the i-th sample of its batch.
func (o *jsonObject) sample(one []Sample, i int) {
	has := one[0].Has
	o.element(i)
	o.quantities(one, qT, qBrake)
	if has&inSignals != 0 {
		o.begin("signals")
		for _, g := range signals {
			if has&g.has != 0 {
				o.boolean(g.name, one[0].On&g.on != 0)
			}
		}
		o.quantities(one, qBrake, qWiper)
		if has&HasWiper != 0 {
			o.text("wiper", one[0].Wiper.String())
		}
		o.end()
	}
	o.end()
}

// quantities appends those from from to before end that the only element of one has.
func (o *jsonObject) quantities(one []Sample, from, end int) {
	var value [1]int64
	for i := from; i < end; i++ {
		if q := &quantities[i]; one[0].Has&q.has == q.has {
			getQuantity(i, one, value[:])
			o.fixed(q.name, value[0], q.places)
		}
	}
}

func (o *jsonObject) event(e *Event, i int) {
	o.element(i)
	o.fixed("t", e.T, 0)
	o.text("type", e.Type.String())
	if e.Type == HazardSeen {
		o.text("hazard", e.Hazard.String())
	} else {
		o.text("sign", e.Sign.String())
		if e.ValueKMH != 0 {
			o.fixed("value_kmh", int64(e.ValueKMH), 0)
		}
	}
	if e.ConfidencePermille != 1000 {
		o.fixed("confidence", int64(e.ConfidencePermille), 3)
	}
	o.end()
}

// appendQuoted appends s as a JSON string (RFC 8259); bytes that are no UTF-8 become
// U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
