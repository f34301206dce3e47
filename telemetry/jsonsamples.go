package telemetry

func (d *jsonDecoder) samples() bool {
	if !d.open('[') {
		return false
	}
	d.at = place{array: "/samples"}
	for first := true; d.more(']', &first); d.at.index++ {
		if len(d.b.Samples) >= d.lim.MaxSamples {
			d.err = tooMany("/samples", "samples", d.lim.MaxSamples, d.lim.MaxSamples+1)
			return false
		}
		d.b.Samples = append(d.b.Samples, Sample{})
		if !d.sample(&d.b.Samples[len(d.b.Samples)-1]) {
			return false
		}
		d.at.member = nil
	}
	return d.err == nil
}

func (d *jsonDecoder) sample(s *Sample) bool {
	if !d.open('{') {
		return false
	}
	var seen members
	for first := true; d.more('}', &first); {
		name, ok := d.key()
		if !ok {
			return false
		}
		switch string(name) {
		case "t":
			ok = d.quantity(s, qT, &seen)
		case "lat":
			ok = d.quantity(s, qLat, &seen)
		case "lon":
			ok = d.quantity(s, qLon, &seen)
		case "alt_m":
			ok = d.quantity(s, qAltitude, &seen)
		case "speed_mps":
			ok = d.quantity(s, qSpeed, &seen)
		case "heading_deg":
			ok = d.quantity(s, qHeading, &seen)
		case "accuracy_m":
			ok = d.quantity(s, qAccuracy, &seen)
		case "signals":
			ok = d.once(&seen, numQuantities) && (d.null() || d.signals(s))
		default:
			ok = d.skip()
		}
		if !ok {
			return false
		}
	}
	if d.err != nil {
		return false
	}
	for i := qT; i <= qLon; i++ {
		if seen&(1<<i) == 0 {
			q := &quantities[i]
			return d.require(seen, i, q.name, q.expected())
		}
	}
	return true
}

func (d *jsonDecoder) signals(s *Sample) bool {
	if !d.open('{') {
		return false
	}
	d.at.nested = "/signals"
	var seen members
	for first := true; d.more('}', &first); {
		name, ok := d.key()
		if !ok {
			return false
		}
		switch string(name) {
		case "abs_active":
			ok = d.signal(s, 0, &seen)
		case "esc_active":
			ok = d.signal(s, 1, &seen)
		case "tcs_active":
			ok = d.signal(s, 2, &seen)
		case "fog_light_rear":
			ok = d.signal(s, 3, &seen)
		case "hazard_light":
			ok = d.signal(s, 4, &seen)
		case "wiper":
			ok = d.once(&seen, qWiper) && (d.null() || d.wiper(s))
		case "rain_pct":
			ok = d.quantity(s, qRain, &seen)
		case "brake_mps2":
			ok = d.quantity(s, qBrake, &seen)
		case "outside_temp_c":
			ok = d.quantity(s, qOutsideTemp, &seen)
		case "friction_pct":
			ok = d.quantity(s, qFriction, &seen)
		default:
			ok = d.skip()
		}
		if !ok {
			return false
		}
	}
	d.at.nested, d.at.member = "", nil
	return d.err == nil
}

// quantity reads the value of quantities[i] of s, the last sample; null is absent, which
// required ones must not be.
func (d *jsonDecoder) quantity(s *Sample, i int, seen *members) bool {
	if !d.once(seen, i) {
		return false
	}
	q := &quantities[i]
	if q.has != 0 && d.null() {
		return true
	}
	v, ok := d.fixed(q.places, q.lo, q.hi)
	if !ok {
		return false
	}
	one := [1]int64{v}
	setQuantity(i, d.b.Samples[len(d.b.Samples)-1:], one[:])
	s.Has |= q.has
	return true
}

// signal reads the value of signals[i].
func (d *jsonDecoder) signal(s *Sample, i int, seen *members) bool {
	if !d.once(seen, i) {
		return false
	}
	if d.null() {
		return true
	}
	on, ok := d.boolean()
	if !ok {
		return false
	}
	s.Has |= signals[i].has
	if on {
		s.On |= signals[i].on
	}
	return true
}

func (d *jsonDecoder) wiper(s *Sample) bool {
	text, ok := d.text()
	if !ok {
		return false
	}
	// The loop instead of ParseWiper keeps the text from becoming a string.
	for i, name := range wiperNames {
		if string(text) == name {
			s.Wiper = Wiper(i)
			s.Has |= HasWiper
			return true
		}
	}
	return d.unknownWord(wiperNames[:], text)
}

// unknownWord records that text is no word of the vocabulary.
func (d *jsonDecoder) unknownWord(names []string, text []byte) bool {
	return d.fail(CodeVocabulary, oneOf(names), "\""+string(text[:min(len(text), 32)])+"\"")
}
