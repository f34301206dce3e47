package telemetry

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Validate checks what a decoder cannot see alone: that the batch id is a UUIDv7, that
// its time and those of all samples and events lie within [now-MaxAge, now+MaxAhead],
// and the counts against lim. It repeats the decoders' checks of shape (at least one
// sample, lead-in shorter than the samples, time order) and vocabulary, so that a batch
// made in code can be checked too; ranges of single values are the decoders' part. The
// error is an *Invalid.
func (b *Batch) Validate(now time.Time, lim Limits) error {
	if !b.ID.isV7() {
		return malformed(CodeFormat, "/batch_id", "a UUIDv7", "another version or variant")
	}
	if len(b.Samples) > lim.MaxSamples {
		return tooMany("/samples", "samples", lim.MaxSamples, len(b.Samples))
	}
	if len(b.Events) > lim.MaxEvents {
		return tooMany("/events", "events", lim.MaxEvents, len(b.Events))
	}
	if e := b.checkShape(); e != nil {
		return e
	}
	w := window{now.Add(-lim.MaxAge).UnixMilli(), now.Add(lim.MaxAhead).UnixMilli()}
	if !w.contains(b.ID.UnixMilli()) {
		return w.outside("/batch_id", b.ID.UnixMilli())
	}
	for i := range b.Samples {
		s := &b.Samples[i]
		if !w.contains(s.T) {
			return w.outside(quantities[qT].pointer(i), s.T)
		}
		if s.Wiper > WiperFast {
			return quantities[qWiper].outOfRange(i, int64(s.Wiper))
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		if !w.contains(e.T) {
			return w.outside(eventPointer(i, "t"), e.T)
		}
		if bad := e.check(i); bad != nil {
			return bad
		}
	}
	return nil
}

// window is the accepted span of times, in ms since the epoch, both ends included.
type window struct{ from, to int64 }

func (w window) contains(ms int64) bool { return ms >= w.from && ms <= w.to }

func (w window) outside(pointer string, ms int64) *Invalid {
	return &Invalid{
		Kind: KindOutsideWindow, Code: CodeWindow, Pointer: pointer,
		Expected: "a time from " + formatMilli(w.from) + " to " + formatMilli(w.to),
		Found:    formatMilli(ms),
	}
}

func formatMilli(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// checkShape checks that there is a counted sample and that samples are in time order;
// equal times are in order.
func (b *Batch) checkShape() *Invalid {
	if len(b.Samples) == 0 {
		return malformed(CodeRequired, "/samples", "at least one sample", "none")
	}
	if b.LeadIn < 0 || b.LeadIn >= len(b.Samples) {
		return malformed(CodeRange, "/lead_in", "less than the number of samples, "+strconv.Itoa(len(b.Samples)),
			strconv.Itoa(b.LeadIn))
	}
	last := b.Samples[0].T
	for i := 1; i < len(b.Samples); i++ {
		t := b.Samples[i].T
		if t < last {
			return malformed(CodeOrder, quantities[qT].pointer(i), "a time not before that of the sample before it, "+
				strconv.FormatInt(last, 10), strconv.FormatInt(t, 10))
		}
		last = t
	}
	return nil
}

// check checks that the event, the i-th of its batch, is of a known type and carries
// exactly what belongs to that type.
func (e *Event) check(i int) *Invalid {
	if e.ConfidencePermille > 1000 {
		return malformed(CodeRange, eventPointer(i, "confidence"), numberRange(0, 1000, 3),
			string(appendFixed(nil, int64(e.ConfidencePermille), 3)))
	}
	switch e.Type {
	case SignSeen, SignMissing:
		switch {
		case e.Sign == SignUnknown:
			return malformed(CodeRequired, eventPointer(i, "sign"), oneOf(signNames[:]), "none")
		case int(e.Sign) >= len(signNames):
			return malformed(CodeVocabulary, eventPointer(i, "sign"), oneOf(signNames[:]), strconv.Itoa(int(e.Sign)))
		case e.ValueKMH > maxValueKMH:
			return malformed(CodeRange, eventPointer(i, "value_kmh"), numberRange(0, maxValueKMH, 0),
				strconv.Itoa(int(e.ValueKMH)))
		case e.Hazard != HazardUnknown:
			return malformed(CodeUnexpected, eventPointer(i, "hazard"), "no hazard in a sign event", "one")
		}
	case HazardSeen:
		switch {
		case e.Hazard == HazardUnknown:
			return malformed(CodeRequired, eventPointer(i, "hazard"), oneOf(hazardNames[:]), "none")
		case int(e.Hazard) >= len(hazardNames):
			return malformed(CodeVocabulary, eventPointer(i, "hazard"), oneOf(hazardNames[:]), strconv.Itoa(int(e.Hazard)))
		case e.Sign != SignUnknown:
			return malformed(CodeUnexpected, eventPointer(i, "sign"), "no sign in a hazard event", "one")
		case e.ValueKMH != 0:
			return malformed(CodeUnexpected, eventPointer(i, "value_kmh"), "no value in a hazard event", "one")
		}
	default:
		return malformed(CodeVocabulary, eventPointer(i, "type"), oneOf(eventTypeNames[:]), strconv.Itoa(int(e.Type)))
	}
	return nil
}

func eventPointer(i int, member string) string {
	return "/events/" + strconv.Itoa(i) + "/" + member
}

// checkText checks a text of the batch. Its content is not repeated in the error: it
// may name a vehicle.
func checkText(pointer string, s []byte, limit int) *Invalid {
	if len(s) > limit {
		return malformed(CodeLength, pointer, "at most "+strconv.Itoa(limit)+" bytes", strconv.Itoa(len(s))+" bytes")
	}
	ascii := true
	for _, c := range s {
		if c < 0x20 || c == 0x7f {
			return malformed(CodeFormat, pointer, "text without control characters", "one")
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && !utf8.Valid(s) {
		return malformed(CodeFormat, pointer, "UTF-8", "other bytes")
	}
	return nil
}
