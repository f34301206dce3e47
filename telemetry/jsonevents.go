package telemetry

func (d *jsonDecoder) events() bool {
	if !d.open('[') {
		return false
	}
	d.at = place{array: "/events"}
	for first := true; d.more(']', &first); d.at.index++ {
		if len(d.b.Events) >= d.lim.MaxEvents {
			d.err = tooMany("/events", "events", d.lim.MaxEvents, d.lim.MaxEvents+1)
			return false
		}
		d.b.Events = append(d.b.Events, Event{ConfidencePermille: 1000})
		e := &d.b.Events[len(d.b.Events)-1]
		if !d.event(e) {
			return false
		}
		if d.err = e.check(len(d.b.Events) - 1); d.err != nil {
			return false
		}
		d.at.member = nil
	}
	return d.err == nil
}

func (d *jsonDecoder) event(e *Event) bool {
	if !d.open('{') {
		return false
	}
	var seen members
	for first := true; d.more('}', &first); {
		name, ok := d.key()
		if !ok || !d.eventMember(e, name, &seen) {
			return false
		}
	}
	return d.err == nil && d.require(seen, eT, "t", "ms since the Unix epoch") &&
		d.require(seen, eType, "type", "a type of event")
}

func (d *jsonDecoder) eventMember(e *Event, name []byte, seen *members) bool {
	var (
		v  int64
		i  int
		ok bool
	)
	switch string(name) {
	case "t":
		if !d.once(seen, eT) {
			return false
		}
		v, ok = d.fixed(0, 0, maxUnixMilli)
		e.T = v
	case "type":
		if !d.once(seen, eType) {
			return false
		}
		i, ok = d.vocabulary(eventTypeNames[:])
		e.Type = EventType(i)
	case "sign":
		if !d.once(seen, eSign) {
			return false
		}
		if d.null() {
			return true
		}
		i, ok = d.vocabulary(signNames[:])
		e.Sign = Sign(i)
	case "value_kmh":
		if !d.once(seen, eValue) {
			return false
		}
		if d.null() {
			return true
		}
		v, ok = d.fixed(0, 0, maxValueKMH)
		e.ValueKMH = uint16(v)
	case "hazard":
		if !d.once(seen, eHazard) {
			return false
		}
		if d.null() {
			return true
		}
		i, ok = d.vocabulary(hazardNames[:])
		e.Hazard = Hazard(i)
	case "confidence":
		if !d.once(seen, eConfidence) {
			return false
		}
		if d.null() {
			return true
		}
		v, ok = d.fixed(3, 0, 1000)
		e.ConfidencePermille = uint16(v)
	default:
		return d.skip()
	}
	return ok
}

// vocabulary reads a word and returns its index, which is never that of "unknown".
func (d *jsonDecoder) vocabulary(names []string) (int, bool) {
	text, ok := d.text()
	if !ok {
		return 0, false
	}
	for i, name := range names[1:] {
		if string(text) == name {
			return i + 1, true
		}
	}
	return 0, d.unknownWord(names, text)
}
