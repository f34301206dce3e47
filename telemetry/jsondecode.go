package telemetry

import (
	"math"
	"strconv"
	"sync"
)

// jsonPool holds decoders' scratch space; it carries nothing from one batch to the next
// but memory.
var jsonPool = sync.Pool{New: func() any { return new(jsonDecoder) }}

// maxScratch is the longest scratch buffer that goes back into a pool.
const maxScratch = 64 << 10

// jsonDecoder decodes one body in a single pass, without reflection or a tree.
type jsonDecoder struct {
	jsonScanner
	b     *Batch
	lim   Limits
	texts texts
}

// DecodeJSON decodes the public JSON form into b, whose slices are reused; b does not
// alias data. On error, which is always an *Invalid, b holds nothing of use. It checks
// syntax, types, ranges and vocabulary; Batch.Validate does the rest.
//
// Numbers may be written in any way that JSON allows and are rounded to fixed point, half
// away from zero; only lead_in must be integral. A null stands for an absent value. Names are
// case-sensitive; unknown ones are skipped; a known one that comes twice in an object is a
// fault, since RFC 8259 leaves open which of them counts. Strings must be UTF-8 without
// lone surrogates, and nesting is bounded to 64 levels. Safe for concurrent use with
// distinct batches.
func DecodeJSON(data []byte, b *Batch, lim Limits) error {
	b.Reset()
	if err := bodySize(len(data), lim); err != nil {
		return err
	}
	d := jsonPool.Get().(*jsonDecoder)
	d.jsonScanner = jsonScanner{data: data, unquote: d.unquote, at: place{index: -1}}
	d.b, d.lim = b, lim
	d.body()
	e := d.err
	d.jsonScanner = jsonScanner{unquote: d.unquote}
	d.b = nil
	if cap(d.unquote) <= maxScratch {
		jsonPool.Put(d)
	}
	if e == nil {
		e = b.checkShape()
	}
	if e != nil {
		return e
	}
	return nil
}

// members is the set of known members that an object has shown so far.
type members uint16

// once records member i, and fails if it was there before.
func (d *jsonDecoder) once(seen *members, i int) bool {
	if *seen&(1<<i) != 0 {
		return d.fail(CodeDuplicate, "the member once", "it again")
	}
	*seen |= 1 << i
	return true
}

// require fails unless member i was seen.
func (d *jsonDecoder) require(seen members, i int, name, expected string) bool {
	if seen&(1<<i) != 0 {
		return true
	}
	d.at.member = []byte(name)
	return d.fail(CodeRequired, expected, "none")
}

func (d *jsonDecoder) body() bool {
	if !d.open('{') {
		return false
	}
	var seen members
	for first := true; d.more('}', &first); {
		name, ok := d.key()
		if !ok || !d.batchMember(name, &seen) {
			return false
		}
		d.at = place{index: -1}
	}
	if d.err != nil {
		return false
	}
	d.at = place{index: -1}
	if d.peek() != 0 || d.pos < len(d.data) {
		return d.syntax("nothing after the body")
	}
	return d.require(seen, 0, "batch_id", "a UUIDv7") && d.require(seen, 5, "samples", "an array")
}

func (d *jsonDecoder) batchMember(name []byte, seen *members) bool {
	switch string(name) {
	case "batch_id":
		return d.once(seen, 0) && d.batchID()
	case "vehicle_id":
		return d.once(seen, 1) && (d.null() || d.shortText(MaxVehicleID, &d.b.VehicleID))
	case "trip":
		return d.once(seen, 2) && (d.null() || d.trip())
	case "vehicle":
		return d.once(seen, 3) && (d.null() || d.vehicle())
	case "lead_in":
		return d.once(seen, 4) && (d.null() || d.leadIn())
	case "samples":
		return d.once(seen, 5) && d.samples()
	case "events":
		return d.once(seen, 6) && (d.null() || d.events())
	}
	return d.skip()
}

func (d *jsonDecoder) batchID() bool {
	text, ok := d.text()
	if !ok {
		return false
	}
	if d.b.ID, ok = parseUUID(text); !ok || !d.b.ID.isV7() {
		return d.fail(CodeFormat, "a UUIDv7", "another text of "+strconv.Itoa(len(text))+" bytes")
	}
	return true
}

// shortText reads a string of at most limit bytes into dst.
func (d *jsonDecoder) shortText(limit int, dst *string) bool {
	text, ok := d.text()
	if !ok {
		return false
	}
	if e := checkText("", text, limit); e != nil {
		e.Pointer = d.at.pointer()
		d.err = e
		return false
	}
	*dst = d.texts.clone(text)
	return true
}

// fixed reads a number of so many decimal places in [lo, hi].
func (d *jsonDecoder) fixed(places int, lo, hi int64) (v int64, ok bool) {
	d.peek()
	start := d.pos
	n, ok := d.number()
	if !ok {
		return 0, false
	}
	if v, _ = n.fixed(places); v < lo || v > hi {
		return 0, d.fail(CodeRange, numberRange(lo, hi, places), d.token(start))
	}
	return v, true
}

// token is the text from start to pos, shortened.
func (d *jsonDecoder) token(start int) string {
	if b := d.data[start:d.pos]; len(b) <= 32 {
		return string(b)
	}
	return string(d.data[start:start+32]) + "…"
}

func (d *jsonDecoder) leadIn() bool {
	start := d.pos
	n, ok := d.number()
	if !ok {
		return false
	}
	v, exact := n.fixed(0)
	if !exact || v < 0 || v >= int64(d.lim.MaxSamples) {
		return d.fail(CodeRange, "an integer from 0 to less than the number of samples", d.token(start))
	}
	d.b.LeadIn = int(v)
	return true
}

func (d *jsonDecoder) trip() bool {
	if !d.open('{') {
		return false
	}
	d.at.array = "/trip"
	var seen members
	for first := true; d.more('}', &first); {
		name, ok := d.key()
		if !ok || !d.tripMember(name, &seen) {
			return false
		}
	}
	return d.err == nil
}

func (d *jsonDecoder) tripMember(name []byte, seen *members) bool {
	switch string(name) {
	case "id":
		return d.once(seen, 0) && (d.null() || d.shortText(MaxTripID, &d.b.Trip.ID))
	case "elapsed_s":
		if !d.once(seen, 1) {
			return false
		}
		if d.null() {
			return true
		}
		v, ok := d.fixed(0, 0, math.MaxUint32)
		d.b.Trip.ElapsedS = uint32(v)
		return ok
	case "final":
		if !d.once(seen, 2) {
			return false
		}
		if d.null() {
			return true
		}
		v, ok := d.boolean()
		d.b.Trip.Final = v
		return ok
	}
	return d.skip()
}

func (d *jsonDecoder) vehicle() bool {
	if !d.open('{') {
		return false
	}
	d.at.array = "/vehicle"
	var seen members
	for first := true; d.more('}', &first); {
		name, ok := d.key()
		if !ok || !d.vehicleMember(name, &seen) {
			return false
		}
	}
	return d.err == nil
}

func (d *jsonDecoder) vehicleMember(name []byte, seen *members) bool {
	switch string(name) {
	case "model":
		return d.once(seen, 0) && (d.null() || d.shortText(MaxModel, &d.b.Vehicle.Model))
	case "software":
		return d.once(seen, 1) && (d.null() || d.shortText(MaxSoftware, &d.b.Vehicle.Software))
	}
	return d.skip()
}
